"""In which form an environment's lock is written: what installs it says which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ..model import Snapshot
from .conda_lock import CondaLock
from .pylock import PylockToml


class Lock(Protocol):
    """A format in which a lock is kept; what it writes can be read back."""

    @property
    def filename(self) -> str: ...

    def dump(self, snapshot: Snapshot) -> str: ...


LOCKS: Mapping[str, Lock] = {"venv": PylockToml(), "conda": CondaLock()}
"""By runtime, which is what `Snapshot.kind` says as well."""
