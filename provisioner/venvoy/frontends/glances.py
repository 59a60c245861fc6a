"""One environment at a glance, for lists of all of them; also one that is broken."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from .. import inventory
from ..actions.check_container import hindrance
from ..actions.detect import Detected
from ..actions.observe import observe
from ..actions.status import status
from ..errors import InvalidInput, RuntimeUnavailable, VenvoyError
from ..model import Environment, Snapshot
from ..store import Store
from . import kernelspecs
from .views.environments import Glance

Look = Callable[[], Detected]
See = Callable[[Environment], tuple[Snapshot, str]]
"""Gives what is installed, and what is wrong."""


def glance(store: Store, name: str, see: See) -> Glance:
    """One line's worth of an environment."""
    try:
        env = store.environment(name)
    except VenvoyError as error:
        return Glance(name=name, problem=error.message)
    try:
        snapshot, problem = see(env)
        state = status(store.history(name), snapshot).state
    except InvalidInput as error:
        return Glance(name=name, environment=env, problem=error.message, kernel=kernelspecs.known(store, env))
    return Glance(
        name=name,
        environment=env,
        packages=len(snapshot.packages),
        state=state,
        kernel=kernelspecs.known(store, env),
        problem=problem,
    )


def seen(store: Store, env: Environment, look: Look | None = None) -> tuple[Snapshot, str]:
    """What is installed, and what is wrong; without the interpreter the disk tells as much as config.yaml knows.

    Whether a container could be run is only told with a `look` at what there is on this machine.
    """
    try:
        return observe(store, env), hindrance(env, look=look) if env.container and look else ""
    except RuntimeUnavailable as error:
        snapshot = Snapshot(
            environment=env.name,
            taken=datetime.now(UTC),
            base="",
            stands_on=env.container.image if env.container else None,
            language=env.language,
            language_version=env.language_version,
            platform=env.platform,
            packages=inventory.packages(env.prefix),
        )
        return snapshot, error.message
