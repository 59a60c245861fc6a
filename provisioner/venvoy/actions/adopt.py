"""Take an existing venv as an environment, in place and unchanged."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from pathlib import Path

from ..errors import EnvironmentExists, InvalidInput
from ..model import Actor, Environment
from ..store import Store
from .bases import base_of
from .observe import observe
from .record import record

_PLAIN = frozenset({".venv", "venv", ".env", "env", "prefix"})


def adopt(store: Store, prefix: Path, *, name: str | None, actor: Actor) -> Environment:
    """Give the venv at `prefix` a name (its folder's, or the project's for `.venv`) and record its state.

    Raises InvalidInput for what is no venv, EnvironmentExists where the name or the venv is taken.
    """
    prefix = prefix.absolute()
    if not (prefix / "pyvenv.cfg").exists():
        raise InvalidInput(f"{prefix} is not a venv (it has no pyvenv.cfg)", hint="make one: venvoy init NAME")
    if known := store.at(prefix):
        raise EnvironmentExists(f"{prefix} is the environment {known.name!r} already")
    name = name or (prefix.parent.name if prefix.name in _PLAIN else prefix.name)
    with store.held(name):
        if store.exists(name):
            raise EnvironmentExists(
                f"an environment {name!r} exists already",
                hint=f"choose a name: venvoy adopt {prefix} --name OTHER",
            )
        base = base_of(store, prefix / "bin" / "python")
        env = Environment(
            name=name,
            prefix=prefix,
            python_version=base.version,
            base=(prefix / "bin" / "python").resolve(),
            base_image=f"python:{base.minor}-slim",
            created=datetime.now(UTC),
            system=platform.system(),
            architecture=platform.machine(),
        )
        store.save(env)
        record(store.history(name), lambda: observe(store, env), actor=actor)
    return env
