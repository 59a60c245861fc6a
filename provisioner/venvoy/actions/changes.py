"""Tell the record's story: every entry with what it changed."""

from __future__ import annotations

from datetime import UTC, datetime

from ..history import Entry, History
from ..model import Diff, Snapshot
from .diff import diff
from .record import recorded


def changes(history: History) -> tuple[tuple[Entry, Diff], ...]:
    """Every entry, oldest first, with the difference to the state before it."""
    told = []
    before: Snapshot | None = None
    digest = ""
    for entry in history.entries():
        after = recorded(history, entry) if before is None or entry.snapshot != digest else before
        told.append((entry, diff(before or _nothing(after), after)))
        before, digest = after, entry.snapshot
    return tuple(told)


def _nothing(after: Snapshot) -> Snapshot:
    """An empty environment on the same interpreter: what came before the first entry."""
    return Snapshot(
        environment=after.environment,
        taken=datetime.fromtimestamp(0, UTC),
        base=after.base,
        language=after.language,
        language_version=after.language_version,
        platform=after.platform,
        packages=(),
    )
