"""A software bill of materials in CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..model import Package, Snapshot
from .pylock import is_pinned
from .requirements import address, reason
from .snapshot_json import digest

if TYPE_CHECKING:  # 200 ms to import, and it is for this alone
    from cyclonedx.model import ExternalReference, HashType
    from cyclonedx.model.component import Component
    from packageurl import PackageURL

_NAMESPACE = uuid.UUID("b1c3f1de-6d2e-5d0b-9c1f-0f2a6c1f9a55")


@dataclass(frozen=True, slots=True)
class CycloneDx:
    """Every package with its purl, its sha256 and where it is to be had. Nothing of the clock is in it."""

    name: str = "cyclonedx"
    filename: str = "bom.cdx.json"

    def dump(self, snapshot: Snapshot) -> str:
        from cyclonedx.model.bom import Bom  # noqa: PLC0415
        from cyclonedx.output.json import JsonV1Dot6  # noqa: PLC0415

        whole = _environment(snapshot)
        components = [_component(each) for each in sorted(snapshot.packages)]
        bom = Bom(
            serial_number=uuid.uuid5(_NAMESPACE, f"{snapshot.environment} {digest(snapshot)}"),
            components=components,
        )
        bom.metadata.component = whole
        asked = {each.name for each in snapshot.packages if each.direct} or {each.name for each in snapshot.packages}
        bom.register_dependency(whole, [each for each in components if each.name in asked])
        said: dict[str, Any] = json.loads(JsonV1Dot6(bom).output_as_string())
        del said["metadata"]["timestamp"]
        return json.dumps(said, indent=2, sort_keys=True) + "\n"


def _environment(snapshot: Snapshot) -> Component:
    from cyclonedx.model import Property  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    said = {snapshot.language: snapshot.language_version, "platform": snapshot.platform, "base": snapshot.base}
    return Component(
        type=ComponentType.PLATFORM,
        bom_ref="environment",
        name=snapshot.environment,
        properties=[Property(name=f"venvoy:{name}", value=value) for name, value in said.items() if value],
    )


def _component(package: Package) -> Component:
    from cyclonedx.model import HashAlgorithm, HashType, Property  # noqa: PLC0415
    from cyclonedx.model.component import Component, ComponentType  # noqa: PLC0415

    purl = _purl(package)
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=package.sha256)] if package.sha256 else []
    return Component(
        type=ComponentType.LIBRARY,
        bom_ref=f"{purl}",
        name=package.name,
        version=package.version,
        purl=purl,
        hashes=hashes,
        external_references=_references(package, hashes),
        properties=[] if is_pinned(package) else [Property(name="venvoy:unpinned", value=reason(package))],
    )


def _references(package: Package, hashes: Iterable[HashType]) -> list[ExternalReference]:
    from cyclonedx.model import ExternalReference, ExternalReferenceType, XsUri  # noqa: PLC0415

    if not package.url or package.origin in ("local", "editable"):
        return []  # a path of one machine is nobody else's business
    if package.origin == "vcs":
        place = address(package.url.partition("+")[2])
        return [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(place))]
    place = address(package.url)
    return [ExternalReference(type=ExternalReferenceType.DISTRIBUTION, url=XsUri(place), hashes=hashes)]


def _purl(package: Package) -> PackageURL:
    """What is from no index says so, lest an advisory for a namesake match (https://github.com/package-url/purl-spec)."""
    from packageurl import PackageURL  # noqa: PLC0415

    if package.ecosystem == "conda":
        parts = {"build": package.build, "channel": package.channel.rpartition("/")[2], "subdir": package.subdir}
        told = {key: each for key, each in parts.items() if each}
        return PackageURL(type="conda", name=package.name, version=package.version, qualifiers=told)
    kind = "generic" if package.origin in ("local", "editable") else package.ecosystem
    qualifiers = {"vcs": "vcs_url", "archive": "download_url"}.get(package.origin)
    said = {qualifiers: address(package.url)} if qualifiers and package.url else _repository(package)
    return PackageURL(type=kind, name=package.name, version=package.version, qualifiers=said)


def _repository(package: Package) -> dict[str, str] | None:
    """Where an R package is from that is not from CRAN, as far as that is told."""
    if package.origin != "index" or not package.channel:
        return None
    place = package.url.partition("/src/contrib/")[0] or package.channel
    return {"repository_url": address(place)} if "://" in place else None
