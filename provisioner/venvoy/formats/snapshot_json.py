"""Our own whole snapshot as canonical JSON (RFC 8785), whose sha256 names the state."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from ..errors import InvalidInput
from ..model import Ecosystem, Origin, Package, Snapshot

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
            **({"r_version": snapshot.r_version} if snapshot.r_version else {}),
            **({"channels": list(snapshot.channels)} if snapshot.channels else {}),
            "packages": [_package(each) for each in sorted(snapshot.packages)],
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    def load(self, text: str, *, environment: str = "", taken: datetime | None = None) -> Snapshot:
        """Read what `dump` wrote. Raises InvalidInput."""
        try:
            said = json.loads(text)
            listed = [_checked(each) for each in said["packages"]]
            channels = tuple(said.get("channels", ()))
            r_version = said.get("r_version", "")
            told = (said[key] for key in ("base", "language", "language_version", "platform"))
            for value in (*told, r_version, *channels):
                _text(value)
            return Snapshot(
                environment=environment,
                taken=taken or datetime.now(UTC),
                base=said["base"],
                language=said["language"],
                language_version=said["language_version"],
                r_version=r_version,
                platform=said["platform"],
                channels=channels,
                packages=tuple(Package(**each) for each in listed),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidInput(f"not a snapshot: {error}") from error


def digest(snapshot: Snapshot) -> str:
    """The sha256, in hexadecimal, by which the state is known."""
    return hashlib.sha256(SnapshotJson().dump(snapshot).encode()).hexdigest()


def _checked(said: Any) -> dict[str, Any]:
    if not isinstance(said, dict) or not set(said) <= set(_FIELDS):
        raise ValueError("a package has keys that are not ours")  # told as one with the others
    for value in said.values():
        _text(value)
    if said.get("ecosystem", "pypi") not in get_args(Ecosystem) or said.get("origin", "index") not in get_args(Origin):
        raise ValueError(f"{said.get('name')}: its ecosystem or origin is none that is known")
    return said


def _text(value: object) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")


def _package(package: Package) -> dict[str, Any]:
    return {field: value for field in _FIELDS if (value := getattr(package, field))}
