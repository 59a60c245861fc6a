"""Remove an environment; its record stays unless that is asked for, too."""

from __future__ import annotations

import contextlib
from pathlib import Path

from .. import files
from ..errors import VenvoyError
from ..model import Environment
from ..store import Store, generation_folder
from . import image_uses


def delete(store: Store, env: Environment, *, record: bool = False) -> None:
    """Remove what venvoy made of the environment. An adopted prefix is left alone; `record` removes the history.

    The name goes last: what was cut short is still listed and can be deleted again. Raises EnvironmentNotFound where
    somebody was quicker, VenvoyError for a folder that could not be removed.
    """
    with store.held(env.name):
        current = store.salvaged(env.name)
        before = image_uses.environments(store, env.name)
        for kept in store.kept(env.name):
            store.let_go(kept)
        store.tidy(env.name)
        if current.generation:
            _remove_prefix(current)
        store.remove(env.name)
        image_uses.let_go(store, env.name, before)
        if record:
            _forget(store.project(env.name))


def _forget(project: Path) -> None:
    """Remove the record from a project folder, and the folder where nothing of the user's lies in it."""
    ours = ("environment.yml", "environment_[0-9]*.yml", "pylock.toml", "conda-lock.yml", ".last_updated", ".venvoy")
    for path in (each for pattern in ours for each in project.glob(pattern)):
        files.remove(path)
    with contextlib.suppress(OSError):
        project.rmdir()


def _remove_prefix(env: Environment) -> None:
    generation = generation_folder(env.prefix, env.generation or "")
    files.remove(env.prefix)
    files.remove(generation)
    for path in (env.prefix, generation):
        if path.exists():
            raise VenvoyError(
                f"{path} could not be removed completely",
                hint=f"see who owns or uses what is left in it, then: venvoy delete {env.name}",
            )
