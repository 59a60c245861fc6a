"""Every format that a snapshot can be written in, by name.

In a module of its own: a package that loads its own modules is found half loaded where two threads load them at once.
"""

from __future__ import annotations

from typing import Protocol

from ..model import Ground, Package, Snapshot
from . import dockerfile, requirements
from .apptainer_def import ApptainerDef
from .conda_lock import CondaLock
from .cyclonedx import CycloneDx
from .docker_compose import DockerCompose
from .dockerfile import Dockerfile
from .environment_yml import EnvironmentYml
from .explicit import Explicit
from .pylock import PylockToml, is_pinned
from .rattler_lock import RattlerLock
from .renv import RenvLock
from .requirements import RequirementsTxt
from .rocrate import RoCrate
from .snapshot_json import SnapshotJson


class Format(Protocol):
    """One way to write a snapshot; equal snapshots give equal text."""

    @property
    def name(self) -> str: ...

    @property
    def filename(self) -> str: ...

    def dump(self, snapshot: Snapshot) -> str: ...


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        EnvironmentYml(),
        RequirementsTxt(),
        PylockToml(),
        CondaLock(),
        Explicit(),
        RattlerLock(),
        RenvLock(),
        SnapshotJson(),
        Dockerfile(),
        ApptainerDef(),
        DockerCompose(),
        CycloneDx(),
        RoCrate(),
    )
}
UNHASHED = frozenset({"yaml", "lock"})
"""The formats that say what is there, and not by which hash it is to be had."""
CONDA = frozenset({"conda-lock", "explicit", "pixi"})
"""The formats that conda, mamba and pixi install from."""
IMAGES = frozenset({"dockerfile", "apptainer", "docker-compose"})
"""The formats that an image is built from, which is always one of Linux."""


def image_format(form: str, *, ground: Ground | None, loosely: bool = False) -> Format:
    """One of IMAGES, for an environment that stands on an image itself."""
    match form:
        case "apptainer":
            return ApptainerDef(ground=ground, loosely=loosely)
        case "docker-compose":
            return DockerCompose(ground=ground, loosely=loosely)
    return Dockerfile(ground=ground, loosely=loosely)


def lacking(form: str, snapshot: Snapshot) -> tuple[Package, ...]:
    """The packages that whoever takes the text of that format will not get: it names them, and cannot fetch them."""
    if form in UNHASHED:
        return ()
    if form == "requirements":
        return requirements.left_out(snapshot)
    if form in IMAGES:
        return dockerfile.left_out(snapshot)
    by_pip = form == "pylock"
    return tuple(
        each for each in sorted(snapshot.packages) if not is_pinned(each) or (by_pip and each.ecosystem == "conda")
    )
