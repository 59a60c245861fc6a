"""Write down how an environment stands: in its record, and in the recipes that build it elsewhere."""

from __future__ import annotations

from ..history import Entry, Event
from ..model import Actor, Asked, Environment
from ..store import Store
from .image_recipes import keep_image_recipes
from .observe import observe
from .record import record


def note(
    store: Store, env: Environment, *, actor: Actor, asked: tuple[Asked, ...] = (), event: Event = "change"
) -> Entry | None:
    """Record the state if it is new (`record`); then the recipes in the environment's folder say the same."""
    entry = record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked, event=event)
    if entry is not None:
        keep_image_recipes(store, env)
    return entry
