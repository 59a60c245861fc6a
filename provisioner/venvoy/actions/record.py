"""Keep the state of an environment if it differs from the last one kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from ..formats.environment_yml import EnvironmentYml
from ..formats.snapshot_json import SnapshotJson, digest
from ..history import Entry, Event, History
from ..model import Actor, Asked, Snapshot


def record(
    history: History,
    look: Callable[[], Snapshot],
    *,
    actor: Actor,
    asked: tuple[Asked, ...] = (),
    event: Event = "change",
) -> Entry | None:
    """Look, compare, write; returns the new entry, or None when there was nothing new to keep.

    Looking happens inside the record's lock, so that of two writers the later one has the later state. What was asked
    for without changing anything (a package that was there already) is kept when it was not known before. `event` is
    what a difference is called: a change, or the undoing of one.
    """
    with history.locked():
        snapshot = look()
        now = digest(snapshot)
        last = history.last()
        if last and last.snapshot == now:
            news = _news(asked, history.entries())
            if not news:
                return None
            return history.append("asked", at=snapshot.taken, actor=actor, asked=news, snapshot=now)
        # The log's line comes last: after a crash before it, the next look finds the change again.
        history.keep(now, SnapshotJson().dump(snapshot))
        history.save(EnvironmentYml().dump(snapshot), at=snapshot.taken)
        return history.append(event, at=snapshot.taken, actor=actor, asked=asked, snapshot=now)


def wanted(entries: Iterable[Entry]) -> frozenset[str]:
    """The canonical names that somebody asked for and nobody asked to remove since."""
    names: set[str] = set()
    for asked in (each for entry in entries for each in entry.asked):
        names = names.union(asked.names) if asked.verb == "install" else names.difference(asked.names)
    return frozenset(names)


def recorded(history: History, entry: Entry) -> Snapshot:
    """The snapshot that an entry of the log points to."""
    name = history.folder.name
    return SnapshotJson().load(history.snapshot(entry.snapshot), environment=name, taken=entry.at)


def now() -> datetime:
    """The time for an entry that has no snapshot of its own."""
    return datetime.now(UTC)


def _news(asked: tuple[Asked, ...], entries: Iterable[Entry]) -> tuple[Asked, ...]:
    known = wanted(entries)
    return tuple(each for each in asked if each.verb == "install" and not known.issuperset(each.names))
