"""The files of packages that are kept for an environment, so that it can be made again without any index."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from .. import files
from ..model import Ecosystem, Package, Snapshot
from ..store import Store
from . import channels
from .r_repository import CRAN, write_index
from .stock import Stock

MANIFEST = "manifest.json"
CHANNELS = "channels"
"""The folder, beside the wheels, that has the files of conda channels."""
Built = Literal["", "sdist", "vcs", "local", "editable", "archive", "library"]
FOLDERS = (CHANNELS, CRAN)
"""The folders whose files lie as in a channel or a repository; wheels lie beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """The file of one package: a wheel, what conda installs, or of R the source or what was built of it.

    `built` is "" for the very file of the index, the channel or the repository, else from what it was built here;
    "library" is what lay in an R library. `source_sha256` is that of the source archive, or of the project's files
    (`source_digest`); "" for the index's.
    """

    ecosystem: Ecosystem = "pypi"
    name: str
    version: str
    file: Path
    size: int
    sha256: str
    built: Built = ""
    source_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A package whose file could not be had, and why."""

    package: Package
    reason: str


def as_kept(package: Package, file: Path, *, built: Built = "") -> Kept:
    """A file that lies there as that of the package."""
    return Kept(
        ecosystem=package.ecosystem,
        name=package.name,
        version=package.version,
        file=file,
        size=file.stat().st_size,
        sha256=files.sha256(file),
        built=built,
    )


def folder_of(store: Store, name: str) -> Path:
    """Where the files of an environment's packages are kept."""
    return store.folder(name) / "vendor"


def kept(store: Store, name: str) -> tuple[Kept, ...]:
    """The files that are kept for an environment and lie there; their content is not looked at."""
    folder = folder_of(store, name)
    try:
        said = json.loads((folder / MANIFEST).read_text("utf-8"))["wheels"]
        listed = [Kept(**{**each, "file": folder / each["file"]}) for each in said]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    return tuple(each for each in listed if each.file.is_file() and ".." not in each.file.parts)


def stock_of(store: Store, name: str, wanted: Snapshot) -> Stock:
    """What is kept for an environment and can stand for the network; channels only where they have all of a state."""
    folder = folder_of(store, name)
    there = {each.sha256 for each in kept(store, name) if each.ecosystem == "conda"}
    needed = {each.sha256 for each in wanted.of("conda")}
    return Stock(
        wheels=folder if folder.is_dir() else None,
        channels=folder / CHANNELS if needed and needed <= there else None,
        repository=folder / CRAN if (folder / CRAN).is_dir() else None,
    )


def remember(folder: Path, listed: Iterable[Kept]) -> None:
    """Write the list, and leave only what it names; a download that was cut short stays, to be gone on with."""
    listed = tuple(listed)
    told = [asdict(each) | {"file": each.file.relative_to(folder).as_posix()} for each in listed]
    said = {"format": "venvoy-vendor-1", "wheels": told}
    files.replace(folder / MANIFEST, json.dumps(said, indent=2, sort_keys=True) + "\n")
    named = {MANIFEST, *FOLDERS, *(each.file.name for each in listed)}
    for inner in FOLDERS:
        if (folder / inner).is_dir():
            own = [each.file.relative_to(folder / inner) for each in listed if each.file.is_relative_to(folder / inner)]
            channels.prune(folder / inner, map(str, own))
    by_r = [each.file for each in listed if each.file.is_relative_to(folder / CRAN)]
    if by_r:
        write_index(folder / CRAN, by_r)
    for each in folder.iterdir():
        if each.name not in named and not each.name.endswith(".partial"):
            files.remove(each)
