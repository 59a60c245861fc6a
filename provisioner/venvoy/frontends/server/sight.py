"""What was seen of an environment, for as long as nothing of it moves."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, field
from pathlib import Path

from ... import inventory
from ...actions.status import Status, status
from ...model import Environment, Snapshot
from ...store import Store
from ..glances import seen


@dataclass(frozen=True, slots=True)
class Moves:
    """What is another once an environment's packages, record or settings are; what is gone is None.

    `runtime` is what keeps its container from being run.
    """

    packages: Hashable
    record: Hashable
    settings: Hashable
    runtime: str = ""


@dataclass(slots=True)
class Sight:
    """Looks at an environment again only when it has moved."""

    store: Store
    _known: dict[str, tuple[Hashable, Status, str]] = field(default_factory=dict)

    def status(self, env: Environment) -> tuple[Status, str]:
        """How it stands against its freeze, and what is wrong with it, "" for nothing. Raises InvalidInput."""
        key = (env, moves(self.store, env.name, env.prefix))
        known = self._known.get(env.name)
        if known and known[0] == key:
            return known[1], known[2]
        snapshot, problem = seen(self.store, env)
        found = status(self.store.history(env.name), snapshot)
        if not inventory.unsettled(env.prefix, now=time.time_ns()):
            self._known[env.name] = (key, found, problem)
        return found, problem

    def seen(self, env: Environment) -> tuple[Snapshot, str]:
        """What is installed, and what is wrong."""
        found, problem = self.status(env)
        return found.snapshot, problem


def moves(store: Store, name: str, prefix: Path) -> Moves:
    """A few stat calls."""
    return Moves(
        packages=(inventory.stamp(prefix), _moved(prefix)),
        record=_moved(store.history(name).log),
        settings=_moved(store.folder(name) / "config.yaml"),
    )


def _moved(path: Path) -> Hashable:
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
