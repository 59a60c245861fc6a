"""What is there: readers of a prefix on this machine's disk, which import nothing of the environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .. import files
from ..model import Package
from . import conda_meta, description, dist_info
from .description import Description
from .dist_info import Distribution

Stamp = tuple[tuple[str, int], ...]

__all__ = [
    "LIBRARY",
    "Description",
    "Distribution",
    "Stamp",
    "building",
    "distributions",
    "from_conda",
    "names",
    "packages",
    "r_packages",
    "site_folders",
    "size",
    "stamp",
    "unsettled",
]

YOUNG = 50_000_000
"""Nanoseconds within which a folder may change twice without its time telling (kernels with coarse clocks)."""
AT_WORK = 30_000_000_000
"""Nanoseconds for which a half-removed package means an installer at work; later it is the trace of one that died."""
LIBRARY = "R"
"""The folder of a prefix in which its R packages lie."""
_VERSION = re.compile(r"^version(?:_info)?\s*=\s*(3\.[0-9]+)", re.MULTILINE)


def site_folders(prefix: Path) -> tuple[Path, ...]:
    """The site-packages folders of a prefix; a lib64 that is a link to lib counts once.

    A venv that was upgraded in place keeps the folder of its former Python; that one does not count.
    """
    found = {folder.resolve(): folder for folder in sorted(prefix.glob("lib*/python*/site-packages"), reverse=True)}
    folders = tuple(sorted(found.values()))
    if len({folder.parent.name for folder in folders}) > 1 and (version := _version(prefix)):
        return tuple(folder for folder in folders if folder.parent.name.removesuffix("t") == f"python{version}")
    return folders


def stamp(prefix: Path) -> Stamp:
    """What moves whenever a package comes or goes: the folders' times of change, in nanoseconds. Costs microseconds."""
    return tuple((str(folder), _moved(folder)) for folder in _watched(prefix))


def unsettled(prefix: Path, *, now: int) -> bool:
    """Whether an installer may be in the middle of its work: half-removed packages, or a change too young to trust.

    `now` is in nanoseconds since the epoch.
    """
    folders = _watched(prefix)
    if any(now - _moved(folder) < YOUNG for folder in folders):
        return True
    moving = [folder for folder in folders if now - _moved(folder) < AT_WORK]
    return any(name.startswith(("~", description.LOCK)) for folder in moving for name in os.listdir(folder))


def building(prefix: Path) -> bool:
    """Whether R has a package under way in the prefix's library, or was cut short in it."""
    try:
        return any(name.startswith(description.LOCK) for name in os.listdir(prefix / LIBRARY))
    except OSError:
        return False


def distributions(prefix: Path) -> tuple[Distribution, ...]:
    """Everything with metadata in the prefix, by canonical name; the first folder on the search path wins."""
    found: dict[str, Distribution] = {}
    for folder in site_folders(prefix):
        for distribution in dist_info.read(folder):
            found.setdefault(distribution.name, distribution)
    return tuple(found[name] for name in sorted(found))


def size(prefix: Path) -> int:
    """The bytes on disk below a prefix; files that uv's cache holds as well (hard links) are counted in full."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(prefix.resolve()):
        for name in names:
            try:
                found = os.lstat(os.path.join(folder, name))  # noqa: PTH118  # tens of thousands of files
            except FileNotFoundError:  # an installer is at work
                continue
            if (key := (found.st_dev, found.st_ino)) not in seen:
                seen.add(key)
                total += found.st_blocks * 512
    return total


def names(prefix: Path) -> dict[str, str]:
    """Canonical name to version, told from the folders' names alone: fifty times faster, for a kernel's start."""
    found: dict[str, str] = {}
    for folder in site_folders(prefix):
        for entry in sorted(os.listdir(folder)):
            name, _, version = entry.removesuffix(".dist-info").partition("-")
            if entry.endswith(".dist-info") and version and (folder / entry / "METADATA").exists():
                found.setdefault(dist_info.canonical(name), version)
    return found


def packages(prefix: Path) -> tuple[Package, ...]:
    """What is installed, as data that can be recorded and compared.

    A distribution that came in a conda package is that package. Where pip has put another in its place, what lies on
    the disk counts, and the conda package is not there any more whatever its record says.
    """
    found = distributions(prefix)
    by_r = [each.package() for each in r_packages(prefix)]
    if not conda_meta.is_prefix(prefix):
        return tuple(sorted([*(each.package() for each in found), *by_r]))
    records = conda_meta.records(prefix)
    shadowed = {each.name for each in conda_meta.shadowed(prefix, records)}
    held = [each for each in records if each.name not in shadowed]
    owned = {str(prefix / each.metadata) for each in held if each.metadata}
    own = [each.package() for each in found if not owned.intersection(_metadata(each))]
    return tuple(sorted([*(each.package() for each in held), *own]))


def r_packages(prefix: Path) -> tuple[Description, ...]:
    """What is in the prefix's R library, by name."""
    return tuple(description.read(prefix / LIBRARY))


def from_conda(prefix: Path) -> frozenset[str]:
    """The canonical names of the distributions that came in conda packages and are still theirs; none in a venv."""
    if not conda_meta.is_prefix(prefix):
        return frozenset()
    records = conda_meta.records(prefix)
    shadowed = {each.name for each in conda_meta.shadowed(prefix, records)}
    owned = {str(prefix / each.metadata) for each in records if each.metadata and each.name not in shadowed}
    return frozenset(each.name for each in distributions(prefix) if owned.intersection(_metadata(each)))


def _metadata(distribution: Distribution) -> tuple[str, str]:
    return (f"{distribution.path}/METADATA", f"{distribution.path}/PKG-INFO")


def _watched(prefix: Path) -> tuple[Path, ...]:
    """Every folder in which something moves when a package comes or goes."""
    others = (prefix / conda_meta.FOLDER, prefix / LIBRARY)
    return (*site_folders(prefix), *(each for each in others if each.is_dir()))


def _version(prefix: Path) -> str:
    """The minor version that pyvenv.cfg names, as in "3.12", or ""."""
    try:
        found = _VERSION.search(files.content(prefix / "pyvenv.cfg").decode("utf-8", "replace"))
    except OSError:
        return ""
    return found[1] if found else ""


def _moved(folder: Path) -> int:
    try:
        return os.stat(folder).st_mtime_ns  # noqa: PTH116  # half the price of Path.stat, and called for every cell
    except FileNotFoundError:
        return 0
