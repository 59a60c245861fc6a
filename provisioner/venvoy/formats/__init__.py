"""In which words a snapshot is written down, and read again."""

from __future__ import annotations

from typing import Protocol

from ..model import Snapshot
from .environment_yml import EnvironmentYml
from .pylock import PylockToml
from .snapshot_json import SnapshotJson


class Format(Protocol):
    """One way to write a snapshot; equal snapshots give equal text."""

    @property
    def name(self) -> str: ...

    @property
    def filename(self) -> str: ...

    def dump(self, snapshot: Snapshot) -> str: ...


FORMATS: dict[str, Format] = {each.name: each for each in (EnvironmentYml(), PylockToml(), SnapshotJson())}
