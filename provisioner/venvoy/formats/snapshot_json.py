"""Our own whole snapshot as canonical JSON (RFC 8785), whose sha256 names the state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ..errors import InvalidInput
from ..model import Package, Snapshot

_FIELDS = ("ecosystem", "name", "version", "build", "channel", "origin", "url", "sha256")


@dataclass(frozen=True, slots=True)
class SnapshotJson:
    """Name and time are left out: two environments in the same state give the same text."""

    name: str = "lock"
    filename: str = "snapshot.json"

    def dump(self, snapshot: Snapshot) -> str:
        said = {
            "format": "venvoy-snapshot-1",
            "base": snapshot.base,
            "language": snapshot.language,
            "language_version": snapshot.language_version,
            "platform": snapshot.platform,
            "packages": [_package(each) for each in sorted(snapshot.packages)],
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def load(self, text: str, *, environment: str = "", taken: datetime | None = None) -> Snapshot:
        """Read what `dump` wrote. Raises InvalidInput."""
        try:
            said = json.loads(text)
            return Snapshot(
                environment=environment,
                taken=taken or datetime.now(UTC),
                base=said["base"],
                language=said["language"],
                language_version=said["language_version"],
                platform=said["platform"],
                packages=tuple(Package(**each) for each in said["packages"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"not a snapshot: {error}") from error


def digest(snapshot: Snapshot) -> str:
    """The sha256, in hexadecimal, by which the state is known."""
    return hashlib.sha256(SnapshotJson().dump(snapshot).encode()).hexdigest()


def _package(package: Package) -> dict[str, Any]:
    return {field: value for field in _FIELDS if (value := getattr(package, field))}
