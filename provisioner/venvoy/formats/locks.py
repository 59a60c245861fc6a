"""In which form an environment's lock is written: what installs it says which."""

from __future__ import annotations

from collections.abc import Mapping

from .conda_lock import CondaLock
from .pylock import PylockToml

LOCKS: Mapping[str, PylockToml | CondaLock] = {"venv": PylockToml(), "conda": CondaLock()}
"""By runtime, which is what `Snapshot.kind` says as well."""
