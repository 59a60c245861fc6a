"""Python packages that go into a prefix, or out of it, where it lies: all or none, also when somebody stops it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import inventory
from ..inventory.damage import Damage, damages


def under_way(prefix: Path) -> Callable[[], bool]:
    """What tells whether an installer that is started now has begun to put packages in place (`process.run`).

    Whoever stops it while it looks packages up and fetches them has stopped it; later half of them would be left.
    """
    since = _now(prefix)
    before = frozenset(_found(prefix))

    def begun() -> bool:
        if frozenset(_found(prefix)) != before:
            return True
        return any(_moved(each, since) for each in damages(inventory.site_folders(prefix)))

    return begun


def _now(prefix: Path) -> int:
    """The time in nanoseconds since the epoch, by the clock of the prefix's disk."""
    try:
        with tempfile.TemporaryFile(dir=prefix) as file:
            return os.fstat(file.fileno()).st_mtime_ns
    except OSError:  # then nothing is put in place either
        return time.time_ns()


def _found(prefix: Path) -> Iterator[str]:
    """What Python finds in site-packages, and in the folders there that several distributions share."""
    for site in inventory.site_folders(prefix):
        for each in _listed(site):
            yield str(each)
            if "-" not in each.name and each.is_dir() and not (each / "__init__.py").exists():
                yield from map(str, _listed(each))


def _listed(folder: Path) -> list[Path]:
    try:
        return [each for each in folder.iterdir() if each.name != "__pycache__"]
    except OSError:  # it has gone, or is not ours to look into
        return []


def _moved(damage: Damage, since: int) -> bool:
    """Whether it was damaged by now, and not before; `since` is in nanoseconds since the epoch."""
    return any(each.stat().st_mtime_ns >= since for each in _touched(damage))


def _touched(damage: Damage) -> Iterator[Path]:
    """The folders in which something of it came or went."""
    for folder in damage.folders:
        lacking = ((folder.parent / each).parent for each in damage.missing)
        yield from (each for each in (folder, *lacking) if each.is_dir())
