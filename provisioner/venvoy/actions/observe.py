"""Read what is installed in an environment."""

from __future__ import annotations

from datetime import UTC, datetime

from .. import inventory
from ..errors import RuntimeUnavailable
from ..formats import base_json
from ..model import Environment, Snapshot
from ..store import Store
from .bases import base_in
from .contents_of import contents_of
from .r_bases import r_in


def observe(store: Store, env: Environment) -> Snapshot:
    """The state of the environment now, read from the disk. Raises RuntimeUnavailable where its interpreter is gone.

    In a conda prefix the interpreter is one of its packages, and there may be none.
    """
    env = env.speaking("python") if env.speaks("python") else env
    if env.runtime == "conda":
        return _of_conda(env)
    if env.container and not env.prefix.is_dir():
        raise RuntimeUnavailable(
            f"the folder of {env.name!r} is gone: {env.prefix}", hint=f"see what is broken: venvoy check {env.name}"
        )
    base = base_in(store, env)
    contents = contents_of(store, env) if env.container else None
    return Snapshot(
        environment=env.name,
        taken=datetime.now(UTC),
        base=base_json.name(contents) if contents else base.digest,
        contents=contents,
        stands_on=env.container.image if env.container else None,
        language=env.language,
        language_version=base.version,
        r_version=r_in(store, env.speaking("r")).base.version if "r" in env.also else "",
        platform=base.platform,
        repositories=env.repositories,
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
