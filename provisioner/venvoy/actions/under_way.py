"""Packages that go into a prefix, or out of it, where it lies: all of them or none, also when somebody stops it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import inventory
from ..inventory import conda_meta
from ..inventory.damage import Damage, damages
from ..process import OnLine

TOO_LATE = "It is too late to stop: packages are being put in place already. It goes on to its end …"


def under_way(prefix: Path, *, on_line: OnLine | None = None) -> Callable[[], bool]:
    """What tells whether an installer that is started now has begun to put packages in place (`process.run`).

    Whoever stops it while it looks packages up and fetches them has stopped it; later half of them would be left.
    """
    before, since = _standing(prefix), time.time_ns()

    def begun() -> bool:
        found = _standing(prefix) != before or any(
            _moved(each, since) for each in damages(inventory.site_folders(prefix))
        )
        if found and on_line is not None:
            on_line(TOO_LATE)
        return found

    return begun


def _standing(prefix: Path) -> tuple[frozenset[tuple[str, str]], object]:
    """What is another as soon as something is put in place: what Python finds, and what a conda prefix is to become."""
    folders = inventory.site_folders(prefix)
    there = frozenset((str(each), name) for each in folders for name in os.listdir(each) if name != "__pycache__")
    return there, conda_meta.unfinished(prefix)


def _moved(damage: Damage, since: int) -> bool:
    """Whether it was damaged by now, and not before; `since` is in nanoseconds since the epoch."""
    return any(each.stat().st_mtime_ns >= since for each in _touched(damage))


def _touched(damage: Damage) -> Iterator[Path]:
    """The folders in which something of it came or went."""
    for folder in damage.folders:
        lacking = ((folder.parent / each).parent for each in damage.missing)
        yield from (each for each in (folder, *lacking) if each.is_dir())
