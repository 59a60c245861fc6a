"""Which distributions are not whole: what an interrupted installer, a full disk or a hand left behind."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import files
from . import dist_info
from .dist_info import Distribution

Kind = Literal["husk", "incomplete", "unrecorded", "duplicate", "half-removed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """What is wrong with one distribution.

    A "husk" has no metadata any more, an "incomplete" one lacks `missing` of the files in its RECORD, an "unrecorded"
    one has no RECORD; a "duplicate" has its metadata in all of `folders`, and "half-removed" are the folders that pip
    renames before it removes them. The version is that of the most credible folder, the first; "" where none says.
    """

    kind: Kind
    name: str
    version: str
    folders: tuple[Path, ...]
    missing: tuple[str, ...] = ()

    @property
    def spare(self) -> tuple[Path, ...]:
        """The folders that no installer takes away, since they have no RECORD, and that only mislead."""
        if self.kind == "half-removed" or (self.kind == "husk" and not os.listdir(self.folders[0])):
            return self.folders
        return tuple(folder for folder in self.folders[1:] if not (folder / "RECORD").exists())

    @property
    def distribution(self) -> Distribution:
        """The one to keep, for what its folder still says of where it came from."""
        return Distribution(name=self.name, version=self.version, path=str(self.folders[0]), head=b"")


def damages(site_folders: Iterable[Path]) -> tuple[Damage, ...]:
    """Everything that is not whole in the given site-packages folders, sorted."""
    listed = _Listing()
    found = [each for folder in site_folders for each in _in_folder(folder, listed)]
    return tuple(sorted(found, key=lambda each: (each.name, each.kind)))


def _in_folder(folder: Path, listed: _Listing) -> Iterable[Damage]:
    whole = tuple(dist_info.read(folder))
    names = listed.names(str(folder))
    read = {each.path for each in whole}
    husks = [_husk(folder / name) for name in names if name.endswith(".dist-info") and name[0] != "~"]
    by_name: dict[str, list[Distribution]] = defaultdict(list)
    for each in (*whole, *(husk for husk in husks if husk.path not in read)):
        by_name[each.name].append(each)
    for name in names:
        if name.startswith("~"):
            yield Damage(kind="half-removed", name=name, version="", folders=(folder / name,))
    for name, there in by_name.items():
        missing = {each.path: _missing(each, listed) for each in there}
        if len(there) > 1:
            yield _duplicate(name, there, missing)
        elif damage := _damage(there[0], missing[there[0].path]):
            yield damage


def _damage(one: Distribution, missing: tuple[str, ...]) -> Damage | None:
    kind: Kind
    if not one.head:
        kind = "husk"
    elif missing:
        kind = "incomplete"
    elif one.path.endswith(".dist-info") and not (one.folder / "RECORD").exists():
        kind = "unrecorded"
    else:
        return None
    return Damage(kind=kind, name=one.name, version=one.version, folders=(one.folder,), missing=missing)


def _duplicate(name: str, there: Iterable[Distribution], missing: Mapping[str, tuple[str, ...]]) -> Damage:
    """The one that is whole counts before one that is not, then the one that was written last."""
    ranked = sorted(
        there,
        key=lambda each: (bool(each.head), not missing[each.path], os.stat(each.path).st_mtime_ns),  # noqa: PTH116
        reverse=True,
    )
    return Damage(kind="duplicate", name=name, version=ranked[0].version, folders=tuple(each.folder for each in ranked))


def _husk(folder: Path) -> Distribution:
    name, _, version = folder.name.removesuffix(".dist-info").partition("-")
    return Distribution(name=dist_info.canonical(name), version=version, path=str(folder), head=b"")


def _missing(one: Distribution, listed: _Listing) -> tuple[str, ...]:
    """The files that RECORD names and that are not there; compiled ones come back by themselves."""
    try:
        text = files.content(f"{one.path}/RECORD").decode("utf-8", "replace")
        recorded = [row[0] for row in csv.reader(io.StringIO(text, newline="")) if row]
    except (OSError, csv.Error):
        return ()
    parent = os.path.dirname(one.path)  # noqa: PTH120  # strings: a RECORD may have thousands of lines
    return tuple(path for path in recorded if not path.endswith(".pyc") and not listed.has(parent, path))


class _Listing:
    """Looks into every folder once, however many of its files are asked for."""

    def __init__(self) -> None:
        self._folders: dict[str, frozenset[str]] = {}

    def names(self, folder: str) -> frozenset[str]:
        if folder not in self._folders:
            try:
                self._folders[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._folders[folder] = frozenset()
        return self._folders[folder]

    def has(self, parent: str, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        # Only where names are compared without their case does the second look find something.
        return name in self.names(f"{parent}/{folder}") or os.path.lexists(os.path.join(parent, path))  # noqa: PTH118
