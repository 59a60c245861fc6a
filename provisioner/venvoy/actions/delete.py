"""Remove an environment; its record stays unless that is asked for, too."""

from __future__ import annotations

from .. import files
from ..model import Environment
from ..store import Store, generation_folder


def delete(store: Store, env: Environment, *, record: bool = False) -> None:
    """Remove what venvoy made of the environment. An adopted prefix is left alone; `record` removes the history."""
    with store.held(env.name):
        store.remove(env.name)
        if env.generation:
            files.remove(generation_folder(env.prefix, env.generation))
            files.remove(env.prefix)
        if record:
            files.remove(store.project(env.name))
