"""Find the state that somebody means: by number, digest or time in the record, by a file, or the one of now."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..errors import InvalidInput
from ..history import Entry, History
from ..model import Snapshot
from .record import recorded

FORMS = "a number or digest of the history, a time (yesterday, '2026-11-03 14:02', '2 days ago'), freeze, now, a file"
_SPANS = {"minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400, "month": 30 * 86400, "year": 365 * 86400}
_AGO = re.compile(
    rf"(?:(?P<count>\d{{1,6}}|an?)\s+(?P<span>{'|'.join(_SPANS)})s?\s+ago|last\s+(?P<last>week|month|year))"
)
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SLASHES = re.compile(r"\b\d{1,2}/\d{1,2}/\d{2,4}\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One state and how it is called; `number` is its entry's in the record, None for a file and for now."""

    label: str
    snapshot: Snapshot
    number: int | None = None


def point(
    history: History,
    text: str,
    *,
    look: Callable[[], Snapshot],
    read: Callable[[Path], Snapshot] | None = None,
    folder: Path = Path(),
) -> Point:
    """The state that `text` means: see FORMS.

    A time means the state as it stood then; a day without an hour, as that day ended. `look` gives the state of now,
    `read` that of a file; `folder` is where one lies that is named alone. Raises InvalidInput where nothing is meant
    by it, or more than one thing.
    """
    wanted = text.strip()
    if wanted.lower() == "now":
        return Point(label="now", snapshot=look())
    if read is not None and ((folder / wanted).is_file() or is_path(wanted)):
        return Point(label=wanted, snapshot=read(Path(wanted)))
    entries = history.entries()
    if not entries:
        raise InvalidInput(f"nothing is recorded yet in {history.folder}")
    number = _number(entries, wanted)
    entry = entries[number - 1]
    label = f"#{number} of {entry.at.astimezone():%-d %b %Y %H:%M}"
    return Point(label=label, snapshot=recorded(history, entry), number=number)


def is_path(text: str) -> bool:
    """Whether a file somewhere is meant, and not a day with slashes."""
    return os.sep in text and not _SLASHES.fullmatch(text)


def moment(text: str, *, now: datetime) -> datetime | None:
    """The time that somebody means, or None for what is no time. `now` has the zone that is meant.

    Raises InvalidInput for a date that is read differently on different continents.
    """
    said = text.strip().lower()
    if said == "today":
        return now
    if said == "yesterday":
        return _end(now - timedelta(days=1))
    if said in _DAYS:
        back = (now.weekday() - _DAYS.index(said)) % 7 or 7
        return _end(now - timedelta(days=back))
    if found := _AGO.fullmatch(said):
        count = 1 if found["last"] or found["count"] in ("a", "an") else int(found["count"])
        return _earlier(now, count * _SPANS[found["last"] or found["span"]])
    if _SLASHES.search(said):
        raise InvalidInput(f"{text!r} is another day in another country", hint="write it as 2026-11-03 or 3 Nov 2026")
    return _parsed(said, now)


def _number(entries: Sequence[Entry], wanted: str) -> int:
    if wanted.lower() in ("freeze", "last freeze"):
        return _frozen(entries)
    if re.fullmatch(r"#?\d{1,6}", wanted):
        return _counted(entries, int(wanted.removeprefix("#")))
    if re.fullmatch(r"[0-9a-f]{4,64}", wanted.lower()) and (found := _named(entries, wanted.lower())):
        return found
    at = moment(wanted, now=datetime.now().astimezone())
    if at is None:
        raise InvalidInput(f"{wanted!r} means no state of this environment", hint=f"give {FORMS}")
    before = [number for number, entry in enumerate(entries, 1) if entry.at <= at]
    if not before:
        first = f"{entries[0].at.astimezone():%-d %b %Y %H:%M}"
        raise InvalidInput(f"nothing was recorded by {at:%-d %b %Y %H:%M}", hint=f"the record begins at {first}")
    return before[-1]


def _frozen(entries: Sequence[Entry]) -> int:
    found = [number for number, entry in enumerate(entries, 1) if entry.event == "freeze"]
    if not found:
        raise InvalidInput("it was never frozen", hint="lock it as it is now: venvoy freeze")
    return found[-1]


def _counted(entries: Sequence[Entry], number: int) -> int:
    if not 1 <= number <= len(entries):
        raise InvalidInput(f"there is no entry {number}", hint=f"the record has {len(entries)}: venvoy history")
    return number


def _named(entries: Sequence[Entry], prefix: str) -> int | None:
    """The last entry with the one state whose digest begins so."""
    found = {entry.snapshot: number for number, entry in enumerate(entries, 1) if entry.snapshot.startswith(prefix)}
    if len(found) > 1:
        raise InvalidInput(f"{prefix!r} begins the digests of {len(found)} states", hint="give more of it")
    return next(iter(found.values()), None)


def _parsed(said: str, now: datetime) -> datetime | None:
    # 20 ms to import, and `%env-status` needs none of it.
    from dateutil import parser  # noqa: PLC0415

    try:
        at = parser.parse(said, default=_end(now).replace(tzinfo=None))
        # "3 Nov" in January means the last one, "23:10" at noon yesterday's.
        if at.tzinfo is None and at > _end(now).replace(tzinfo=None) and not re.search(r"\d{4}", said):
            at = at.replace(year=at.year - 1)
        elif at.tzinfo is None and re.fullmatch(r"\d{1,2}:\d{2}(?::\d{2})?", said) and at > now.replace(tzinfo=None):
            at -= timedelta(days=1)
        return at.astimezone() if at.tzinfo is None else at
    except (ValueError, OverflowError):
        return None


def _end(day: datetime) -> datetime:
    return day.replace(hour=23, minute=59, second=59, microsecond=999999)


def _earlier(now: datetime, seconds: int) -> datetime:
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return datetime.min.replace(tzinfo=UTC)
