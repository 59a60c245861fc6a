"""Keep the state of an environment if it differs from the last one kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime

from ..errors import InvalidInput
from ..formats import base_json
from ..formats.environment_yml import EnvironmentYml
from ..formats.snapshot_json import SnapshotJson, digest
from ..formats.system_packages import TOOLS
from ..history import Entry, Event, History
from ..model import Actor, Asked, Contents, Snapshot

_OF_SYSTEM = frozenset(TOOLS.values())


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
        if last and last.snapshot == now and _on_the_same(last, snapshot):
            news = _news(asked, history.entries())
            if not news:
                return None
            return history.append(
                "asked", at=snapshot.taken, actor=actor, asked=news, snapshot=now, stands_on=snapshot.stands_on
            )
        # The log's line comes last: after a crash before it, the next look finds the change again.
        keep(history, snapshot)
        history.save(EnvironmentYml().dump(snapshot), at=snapshot.taken)
        return history.append(
            event, at=snapshot.taken, actor=actor, asked=asked, snapshot=now, stands_on=snapshot.stands_on
        )


def keep(history: History, snapshot: Snapshot) -> None:
    """Store a snapshot, and what is in the image that it was taken in; the caller holds the record."""
    if snapshot.contents:
        history.keep_base(base_json.name(snapshot.contents), base_json.dump(snapshot.contents))
    history.keep(digest(snapshot), SnapshotJson().dump(snapshot))


def wanted(entries: Iterable[Entry]) -> frozenset[str]:
    """The canonical names that somebody asked for and nobody asked to remove since; not those of an image's system."""
    names: set[str] = set()
    for asked in (each for entry in entries for each in entry.asked if each.tool not in _OF_SYSTEM):
        names = names.union(asked.names) if asked.verb == "install" else names.difference(asked.names)
    return frozenset(names)


def recorded(history: History, entry: Entry) -> Snapshot:
    """The snapshot that an entry of the log points to."""
    name = history.folder.name
    snapshot = SnapshotJson().load(history.snapshot(entry.snapshot), environment=name, taken=entry.at)
    return replace(snapshot, contents=_contents(history, snapshot.base), stands_on=entry.stands_on)


def _contents(history: History, base: str) -> Contents | None:
    """What is in the image of that name; None for what is none, and where the record has lost it (`History.check`)."""
    if not base.startswith(base_json.MARK):
        return None
    try:
        return base_json.load(history.base(base))
    except InvalidInput:
        return None


def now() -> datetime:
    """The time for an entry that has no snapshot of its own."""
    return datetime.now(UTC)


def _on_the_same(last: Entry, snapshot: Snapshot) -> bool:
    """Whether it is the image of the last entry: another one may have the very same packages."""
    return last.stands_on is None or snapshot.stands_on is None or last.stands_on.digest == snapshot.stands_on.digest


def _news(asked: tuple[Asked, ...], entries: Iterable[Entry]) -> tuple[Asked, ...]:
    known = wanted(entries)
    return tuple(each for each in asked if each.verb == "install" and not known.issuperset(each.names))
