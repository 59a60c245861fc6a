"""ro-crate-metadata.json: the environment as a research object, and a notebook's run in it as its provenance."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from ..model import Kind, Package, Snapshot
from .locks import LOCKS
from .requirements import address

if TYPE_CHECKING:  # 400 ms to import, and it is for this alone
    from rocrate.model import Entity
    from rocrate.rocrate import ROCrate

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"
"""Process Run Crate (https://www.researchobject.org/workflow-run-crate/profiles/process_run_crate/)."""
_LOCKS: Mapping[Kind, tuple[str, str, str]] = {
    "venv": ("PEP 751", "application/toml", "https://packaging.python.org/en/latest/specifications/pylock-toml/"),
    "conda": ("CEP 37", "application/yaml", "https://conda.org/learn/ceps/cep-0037"),
    "r": ("renv", "application/json", "https://rstudio.github.io/renv/reference/lockfiles.html"),
}
"""Of each lock what it is called, its media type, and where its form is described."""
_PAGES: Mapping[str, str] = {
    "pypi": "https://pypi.org/project/{}/",
    "cran": "https://CRAN.R-project.org/package={}",
    "bioconductor": "https://bioconductor.org/packages/{}",
}
"""Where people read about a package of an index."""
_ENVIRONMENT = "#environment"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A file of the crate: its path from the crate's folder, with "/", and its content's size and sha256."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A notebook that was run in the environment, with the times (None where it does not say)."""

    notebook: Part
    began: datetime | None = None
    ended: datetime | None = None


@dataclass(frozen=True, slots=True)
class RoCrate:
    """RO-Crate 1.x (https://w3id.org/ro/crate). A crate says on which day it was made: that of `Snapshot.taken`."""

    name: str = "rocrate"
    filename: str = "ro-crate-metadata.json"

    def dump(self, snapshot: Snapshot, runs: tuple[Ran, ...] = (), inputs: tuple[Part, ...] = ()) -> str:
        """The crate of the lock beside it (`locks.LOCKS`); with `runs` a Process Run Crate of these notebooks."""
        from rocrate.rocrate import ROCrate  # noqa: PLC0415

        crate = ROCrate()
        crate.name = snapshot.environment
        language = f"{snapshot.language_name} {snapshot.language_version}"
        crate.description = (
            f"The {language} environment {snapshot.environment} on {snapshot.platform}: "
            f"{len(snapshot.packages)} packages"
            + (f", and what was run in it: {', '.join(each.notebook.path for each in runs)}." if runs else ".")
        )
        crate.datePublished = snapshot.taken.astimezone(UTC).date()
        environment = _environment(crate, snapshot)
        given = [_file(crate, each, {"name": each.path}) for each in inputs]
        for ran in runs:
            _run(crate, ran, environment, given)
        if runs:
            profile = {"@type": "CreativeWork", "name": "Process Run Crate", "version": PROFILE.rpartition("/")[2]}
            crate.root_dataset["conformsTo"] = [_entity(crate, PROFILE, profile)]
            crate.root_dataset["mentions"] = [each for each in crate.get_entities() if each.type == "CreateAction"]
        return json.dumps(_sorted(crate.metadata.generate()), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def lock(snapshot: Snapshot) -> Part:
    """The lock that lies beside the metadata."""
    form = LOCKS[snapshot.kind]
    content = form.dump(snapshot).encode()
    return Part(path=form.filename, size=len(content), sha256=sha256(content).hexdigest())


def _environment(crate: ROCrate, snapshot: Snapshot) -> Entity:
    called, media, form = _LOCKS[snapshot.kind]
    said = {"name": f"The environment's lock ({called})", "encodingFormat": media, "conformsTo": {"@id": form}}
    locked = _file(crate, lock(snapshot), said)
    packages = [_package(crate, each) for each in sorted(snapshot.packages)]
    return _entity(
        crate,
        _ENVIRONMENT,
        {
            "@type": "SoftwareApplication",
            "name": snapshot.environment,
            "softwareVersion": f"{snapshot.language_name} {snapshot.language_version}",
            "operatingSystem": snapshot.platform,
            "runtimePlatform": _language(crate, snapshot),
            "softwareRequirements": [locked, *packages],
        },
    )


def _language(crate: ROCrate, snapshot: Snapshot) -> Entity:
    place = "https://www.r-project.org/"
    if snapshot.language == "python":
        version = address(snapshot.language_version).replace(".", "")
        place = f"https://www.python.org/downloads/release/python-{version}/"
    said = {"@type": "ComputerLanguage", "name": snapshot.language_name, "version": snapshot.language_version}
    return _entity(crate, place, said)


def _package(crate: ROCrate, package: Package) -> Entity:
    properties: dict[str, Any] = {
        "@type": "SoftwareApplication",
        "name": package.name,
        "softwareVersion": package.version,
    }
    if package.origin not in ("local", "editable") and package.url:
        properties["downloadUrl"] = address(package.url)
    if package.sha256:
        properties["sha256"] = package.sha256
    if package.origin == "index" and package.ecosystem in _PAGES and not package.channel:
        properties["url"] = _PAGES[package.ecosystem].format(address(package.name))
    return _entity(crate, f"#package-{address(package.name)}-{address(package.version)}", properties)


def _run(crate: ROCrate, ran: Ran, environment: Entity, inputs: list[Entity]) -> None:
    notebook = _file(
        crate,
        ran.notebook,
        {
            "@type": ["File", "SoftwareSourceCode"],
            "name": ran.notebook.path,
            "encodingFormat": "application/x-ipynb+json",
            "runtimePlatform": environment,
        },
    )
    times = {"startTime": ran.began, "endTime": ran.ended}
    _entity(
        crate,
        f"#run-{address(ran.notebook.path)}",
        {
            "@type": "CreateAction",
            "name": f"{ran.notebook.path} run in {environment['name']}",
            "actionStatus": {"@id": "http://schema.org/CompletedActionStatus"},
            "instrument": environment,
            "object": [notebook, *inputs],
            # Its outputs stand in the notebook itself.
            "result": notebook,
            **{name: at.astimezone(UTC).isoformat() for name, at in times.items() if at},
        },
    )


def _file(crate: ROCrate, part: Part, properties: Mapping[str, Any]) -> Entity:
    said = {**properties, "contentSize": str(part.size), "sha256": part.sha256}
    return crate.add_file(dest_path=part.path, properties=said)


def _entity(crate: ROCrate, identifier: str, properties: Mapping[str, Any]) -> Entity:
    from rocrate.model import ContextEntity  # noqa: PLC0415

    return crate.add(ContextEntity(crate, identifier, properties=dict(properties)))


def _sorted(said: dict[str, Any]) -> dict[str, Any]:
    return {**said, "@graph": sorted(said["@graph"], key=lambda each: str(each["@id"]))}
