"""Remove what is only kept for going back: timed copies of environment.yml and prefixes that were replaced."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from .. import files
from ..formats.snapshot_json import digest
from ..history import History
from ..model import Environment
from ..store import Store, generation_folder
from . import image_uses
from .observe import observe


@dataclass(frozen=True, slots=True, kw_only=True)
class Prunable:
    """What can go. `size` is in bytes on disk, files that other folders share (hard links) left out."""

    copies: tuple[Path, ...]
    prefixes: tuple[Path, ...]
    size: int


def prunable(store: Store, name: str, *, keep: int) -> Prunable:
    """What does not belong to the last `keep` changes. The log and its snapshots always stay: they are the record."""
    history = store.history(name)
    copies = history.timed()
    old = copies[: len(copies) - keep] if keep else copies
    prefixes = tuple(_folder(each) for each in _outdated(store, history, name, keep))
    size = sum(_size(each) for each in prefixes) + sum(each.stat().st_size for each in old)
    return Prunable(copies=old, prefixes=prefixes, size=size)


def prune(store: Store, name: str, *, keep: int) -> Prunable:
    """Remove it; returns what went."""
    with store.held(name):
        found = prunable(store, name, keep=keep)
        before = image_uses.environments(store, name)
        for kept in _outdated(store, store.history(name), name, keep):
            store.let_go(kept)
        image_uses.let_go(store, name, before)
        for copy in found.copies:
            files.remove(copy)
    return found


def _outdated(store: Store, history: History, name: str, keep: int) -> list[Environment]:
    states = [each.snapshot for each in history.entries() if each.event in ("change", "undo")]
    recent = frozenset(states[len(states) - keep :] if keep else ())
    return [each for each in store.kept(name) if digest(observe(store, _aside(each))) not in recent]


def _folder(kept: Environment) -> Path:
    return generation_folder(kept.prefix, kept.generation or "")


def _aside(kept: Environment) -> Environment:
    return replace(kept, prefix=_folder(kept))


def _size(folder: Path) -> int:
    """What removing the folder gives back: files that uv's cache or the next prefix hold as well stay on the disk."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            found = os.lstat(os.path.join(place, name))  # noqa: PTH118  # tens of thousands of files
            if found.st_nlink == 1:
                total += found.st_blocks * 512
    return total
