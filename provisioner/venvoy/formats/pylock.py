"""pylock.toml (PEP 751): a snapshot in which every package has a url and a sha256."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast

import tomli_w
from packaging import pylock
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName
from packaging.version import Version

from ..errors import InvalidInput
from ..model import Package, Snapshot

_VCS = re.compile(r"(?P<type>[a-z]+)\+(?P<url>.+)@(?P<commit>[^@]+)")


@dataclass(frozen=True, slots=True)
class PylockToml:
    """A lock for one platform and one Python; what has no url or hash is listed under `tool.venvoy.unpinned`."""

    name: str = "pylock"
    filename: str = "pylock.toml"

    def dump(self, snapshot: Snapshot) -> str:
        pinned = [each for each in sorted(snapshot.packages) if is_pinned(each)]
        unpinned = [each for each in sorted(snapshot.packages) if not is_pinned(each)]
        system, _, machine = snapshot.platform.partition("-")
        minor = ".".join(snapshot.language_version.split(".")[:2])
        lock = pylock.Pylock(
            lock_version=Version("1.0"),
            environments=[Marker(f"sys_platform == '{system}' and platform_machine == '{machine}'")],
            requires_python=SpecifierSet(f"=={minor}.*"),
            created_by="venvoy",
            packages=[_entry(each) for each in pinned],
            tool={"venvoy": _remarks(snapshot, unpinned)},
        )
        lock.validate()
        return tomli_w.dumps(lock.to_dict())

    def load(self, text: str, *, source: str, environment: str = "") -> Snapshot:
        """Read a lock with one file per package, as `dump` writes it. Raises InvalidInput."""
        lock = parse(text, source)
        ours = (lock.tool or {}).get("venvoy", {})
        packages = [_package(each, source) for each in lock.packages]
        packages += [replace(Package(**each), direct=None) for each in ours.get("unpinned", [])]
        direct = set(ours.get("direct", ()))
        return Snapshot(
            environment=environment,
            taken=datetime.now(UTC),
            base=ours.get("base", ""),
            language_version=ours.get("python", ""),
            platform=ours.get("platform", ""),
            packages=tuple(sorted(replace(each, direct=each.name in direct if ours else None) for each in packages)),
        )


def is_pinned(package: Package) -> bool:
    """Whether the package can be fetched again as exactly the same bytes or the same commit."""
    return bool(package.url and (package.sha256 or package.origin == "vcs")) and package.origin not in (
        "local",
        "editable",
    )


def parse(text: str, source: str) -> pylock.Pylock:
    """Read any pylock.toml; `source` names the file in errors. Raises InvalidInput."""
    try:
        return pylock.Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, pylock.PylockValidationError) as error:
        raise InvalidInput(f"{source} is not a pylock.toml: {error}") from error


def _entry(package: Package) -> pylock.Package:
    name, version = cast("NormalizedName", package.name), Version(package.version)
    hashes = {"sha256": package.sha256}
    if package.origin == "vcs":
        found = _VCS.fullmatch(package.url)
        if found is None:
            raise InvalidInput(f"{package.name}: {package.url!r} is not of the form git+https://host/project@commit")
        return pylock.Package(
            name=name,
            version=version,
            vcs=pylock.PackageVcs(type=found["type"], url=found["url"], commit_id=found["commit"]),
        )
    if package.origin == "archive":
        return pylock.Package(name=name, version=version, archive=pylock.PackageArchive(url=package.url, hashes=hashes))
    filename = package.url.rpartition("/")[2]
    if filename.endswith(".whl"):
        wheel = pylock.PackageWheel(name=filename, url=package.url, hashes=hashes)
        return pylock.Package(name=name, version=version, wheels=[wheel])
    sdist = pylock.PackageSdist(name=filename, url=package.url, hashes=hashes)
    return pylock.Package(name=name, version=version, sdist=sdist)


def _remarks(snapshot: Snapshot, unpinned: list[Package]) -> Mapping[str, Any]:
    return {
        "python": snapshot.language_version,
        "platform": snapshot.platform,
        "base": snapshot.base,
        "direct": sorted(each.name for each in snapshot.packages if each.direct),
        "unpinned": [
            {"name": each.name, "version": each.version, "origin": each.origin}
            | ({"sha256": each.sha256} if each.sha256 else {})
            for each in unpinned
        ],
    }


def _package(entry: pylock.Package, source: str) -> Package:
    plain = Package(name=entry.name, version=str(entry.version or ""))
    if entry.vcs:
        return replace(plain, origin="vcs", url=f"{entry.vcs.type}+{entry.vcs.url}@{entry.vcs.commit_id}")
    if entry.archive:
        return replace(plain, origin="archive", url=entry.archive.url or "", sha256=_sha256(entry.archive.hashes))
    artefacts: list[pylock.PackageWheel | pylock.PackageSdist] = [*(entry.wheels or ())]
    artefacts += [entry.sdist] if entry.sdist and not artefacts else []
    if not artefacts:
        raise InvalidInput(f"{source}: {entry.name} has no file that a new environment could be made from")
    if len(artefacts) > 1:
        return plain
    return replace(plain, url=artefacts[0].url or "", sha256=_sha256(artefacts[0].hashes))


def _sha256(hashes: Mapping[str, str]) -> str:
    return hashes.get("sha256", "")
