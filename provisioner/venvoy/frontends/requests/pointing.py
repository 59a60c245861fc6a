"""Which state of its environment a notebook means."""

from __future__ import annotations

from ...actions.observe import observe
from ...actions.points import FORMS, Point, point
from ...formats.reading import snapshot_of
from ...settings import this_platform
from .asking import Context

HELP = FORMS.replace("%", "%%")
RECENT = 30
"""How many entries of the record are offered on the tab key."""


def point_of(context: Context, text: str) -> Point:
    """The state that somebody means by a word (`actions.points`)."""
    return point(
        context.store.history(context.env.name),
        text,
        look=lambda: observe(context.store, context.env),
        read=lambda path: snapshot_of(context.file(str(path)), platform=this_platform()),
        folder=context.folder,
    )


def points_of(context: Context) -> tuple[str, ...]:
    """What a word for a state may be completed to: the words that are always good, numbers, and digests."""
    entries = context.store.history(context.env.name).entries()
    numbers = [str(number) for number in range(len(entries), max(0, len(entries) - RECENT), -1)]
    digests = dict.fromkeys(entry.snapshot[:12] for entry in reversed(entries[-RECENT:]))
    frozen = ("freeze",) if any(entry.event == "freeze" for entry in entries) else ()
    return ("now", *frozen, "today", "yesterday", *numbers, *digests)
