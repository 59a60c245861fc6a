"""What the commands that compare and go back share: which word is a name, and which state is meant by another."""

from __future__ import annotations

from ...actions.observe import observe
from ...actions.points import Point, point
from ...formats.reading import snapshot_of
from ...settings import this_platform
from ...store import NAME, Store
from .options import usable


def is_name(store: Store, word: str) -> bool:
    """Whether an environment, or the record of a deleted one, goes by that word."""
    return NAME.fullmatch(word) is not None and (store.exists(word) or store.history(word).log.exists())


def point_of(store: Store, name: str, text: str) -> Point:
    """The state that the user means by a word (`actions.points`)."""
    return point(
        store.history(name),
        text,
        look=lambda: observe(store, usable(store.environment(name))),
        read=lambda path: snapshot_of(path, platform=this_platform()),
    )
