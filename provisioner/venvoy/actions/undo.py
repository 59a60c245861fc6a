"""Take back the last change of an environment."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import InvalidInput
from ..history import Entry, History
from ..model import Actor, Environment
from ..process import OnLine
from ..store import Store
from .go_back import Returned, go_back
from .note import note
from .points import Point
from .record import recorded


def undo(store: Store, env: Environment, *, actor: Actor, on_line: OnLine | None = None) -> Returned:
    """Give the environment the state before its last change; once more, the one before that.

    What was changed and not yet recorded is a change, too. Raises InvalidInput where there is nothing to take back.
    """
    history = store.history(env.name)
    with store.held(env.name):
        env = store.again(env)
        note(store, env, actor=Actor(kind="terminal"))
    return go_back(store, env, before_last(history), actor=actor, event="undo", on_line=on_line)


def before_last(history: History) -> Point:
    """The state that `undo` would give. Raises InvalidInput where there is none."""
    entries = history.entries()
    standing = _standing(entries)
    if len(standing) < 2:
        raise InvalidInput(
            f"there is nothing to take back in {history.folder.name!r}: its record begins with this state",
            hint=f"see: venvoy history {history.folder.name}",
        )
    number = standing[-2]
    entry = entries[number - 1]
    label = f"#{number} of {entry.at.astimezone():%-d %b %Y %H:%M}"
    return Point(label=label, snapshot=recorded(history, entry), number=number)


def _standing(entries: Iterable[Entry]) -> list[int]:
    """The numbers of the changes that were not taken back."""
    standing: list[int] = []
    for number, entry in enumerate(entries, 1):
        if entry.event == "change":
            standing.append(number)
        elif entry.event == "undo" and len(standing) > 1:
            standing.pop()
    return standing
