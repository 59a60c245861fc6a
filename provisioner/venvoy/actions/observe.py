"""Read what is installed in an environment."""

from __future__ import annotations

from datetime import UTC, datetime

from .. import inventory
from ..model import Environment, Snapshot
from ..store import Store
from .bases import base_of


def observe(store: Store, env: Environment) -> Snapshot:
    """The state of the environment now, read from the disk. Raises RuntimeUnavailable where its interpreter is gone.

    In a conda prefix the interpreter is one of its packages, and there may be none.
    """
    if env.runtime == "conda":
        return _of_conda(env)
    base = base_of(store, env.python)
    return Snapshot(
        environment=env.name,
        taken=datetime.now(UTC),
        base=base.digest,
        language=env.language,
        language_version=base.version,
        platform=base.platform,
        packages=inventory.packages(env.prefix),
    )


def _of_conda(env: Environment) -> Snapshot:
    packages = inventory.packages(env.prefix)
    python = next((each for each in packages if (each.ecosystem, each.name) == ("conda", "python")), None)
    return Snapshot(
        environment=env.name,
        taken=datetime.now(UTC),
        base="",
        language=env.language,
        language_version=python.version if python else "",
        platform=env.platform,
        channels=env.channels,
        packages=packages,
    )
