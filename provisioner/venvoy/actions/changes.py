"""Tell the record's story: every entry with what it changed."""

from __future__ import annotations

from datetime import UTC, datetime

from ..history import Entry, History
from ..model import Diff, Snapshot
from .diff import diff
from .record import recorded

Numbered = tuple[int, Entry, Diff]


def changes(history: History) -> tuple[tuple[Entry, Diff], ...]:
    """Every entry, oldest first, with the difference to the state before it."""
    return tuple((entry, difference) for _, entry, difference in page(history))


def page(history: History, *, last: int | None = None, before: int | None = None) -> tuple[Numbered, ...]:
    """The `last` entries before that of a number, with their numbers; of others no snapshot is read."""
    entries = history.entries()
    end = min(before - 1, len(entries)) if before else len(entries)
    begin = max(0, end - last) if last else 0
    told = []
    earlier = recorded(history, entries[begin - 1]) if 0 < begin < end else None
    digest = entries[begin - 1].snapshot if earlier else ""
    for number, entry in enumerate(entries[begin:end], begin + 1):
        after = earlier if earlier is not None and entry.snapshot == digest else recorded(history, entry)
        told.append((number, entry, diff(earlier or _nothing(after), after)))
        earlier, digest = after, entry.snapshot
    return tuple(told)


def _nothing(after: Snapshot) -> Snapshot:
    """An empty environment on the same interpreter: what came before the first entry."""
    return Snapshot(
        environment=after.environment,
        taken=datetime.fromtimestamp(0, UTC),
        base=after.base,
        contents=after.contents,
        language=after.language,
        language_version=after.language_version,
        r_version=after.r_version,
        platform=after.platform,
        packages=(),
    )
