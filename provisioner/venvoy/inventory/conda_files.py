"""The files that conda packages recorded when they were linked, and whether they are still those (CEP 34)."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .. import files
from . import conda_meta
from .conda_meta import Owned, Record
from .recorded import Audit, Deviation

_MADE = "made by the installer (entry points, compiled files)"
_LINK = "links"
_NO_HASH = "recorded without a hash"
_PLACED = "written for this prefix, and recorded without a hash of that"
_SHADOWED = "of conda packages that pip has replaced"


def owned(prefix: Path) -> frozenset[str]:
    """The paths of every file that some conda package brought."""
    return frozenset(
        os.path.normpath(prefix / path.path) for record in conda_meta.records(prefix) for path in record.paths
    )


def lacking(prefix: Path) -> dict[str, tuple[str, ...]]:
    """By package, the files that its record names and that are not there; compiled ones come back by themselves."""
    records = conda_meta.records(prefix)
    shadowed = {each.name for each in conda_meta.shadowed(prefix, records)}
    found = {}
    for record in (each for each in records if each.name not in shadowed):
        missing = tuple(
            each.path
            for each in record.paths
            if not each.path.endswith(".pyc") and not os.path.lexists(prefix / each.path)
        )
        if missing:
            found[record.name] = missing
    return found


@dataclass(frozen=True, slots=True)
class _Look:
    size: int = 0
    deviation: Deviation | None = None


def audit(prefix: Path, *, on_file: Callable[[int], None] | None = None) -> Audit:
    """Hash every file that has a recorded hash: that of the prefix where the prefix is written into the file.

    `on_file` is given the bytes of every file that was hashed.
    """
    records = conda_meta.records(prefix)
    shadowed = {each.name for each in conda_meta.shadowed(prefix, records)}
    excluded: Counter[str] = Counter()
    todo: list[tuple[Record, Owned, str]] = []
    for record in records:
        for path in record.paths:
            if reason := _SHADOWED if record.name in shadowed else _excluded(path):
                excluded[reason] += 1
            else:
                todo.append((record, path, path.here or path.sha256))
    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        looks = list(pool.map(lambda each: _looked(prefix, each, on_file), todo))
    return Audit(
        files=len(looks),
        size=sum(each.size for each in looks),
        deviations=tuple(_sorted(each.deviation for each in looks if each.deviation)),
        excluded=dict(sorted(excluded.items())),
    )


def _excluded(path: Owned) -> str:
    """Why the file is not compared, "" for one that is."""
    if path.made:
        return _MADE
    if path.link:
        return _LINK
    if path.placed and not path.here:
        return _PLACED
    return "" if path.sha256 else _NO_HASH


def _looked(prefix: Path, todo: tuple[Record, Owned, str], on_file: Callable[[int], None] | None) -> _Look:
    record, path, expected = todo
    place = prefix / path.path
    try:
        with files.opened(place) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError:
        return _Look(deviation=Deviation(kind="missing", distribution=record.name, path=place, expected=expected))
    if on_file is not None:
        on_file(size)
    if found == expected:
        return _Look(size=size)
    changed = Deviation(kind="changed", distribution=record.name, path=place, expected=expected, found=found)
    return _Look(size=size, deviation=changed)


def _sorted(deviations: Iterable[Deviation]) -> Iterator[Deviation]:
    yield from sorted(deviations, key=lambda each: (each.distribution, str(each.path)))
