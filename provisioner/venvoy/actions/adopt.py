"""Take an existing venv or conda prefix as an environment, in place and unchanged."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..errors import EnvironmentExists, InvalidInput
from ..inventory import conda_meta
from ..model import Actor, Environment
from ..store import Store
from .bases import base_of
from .conda import channels_of
from .image_recipes import CONDA_IMAGE
from .note import note

_PLAIN = frozenset({".venv", "venv", ".env", "env", "prefix"})


def adopt(store: Store, prefix: Path, *, name: str | None, actor: Actor, writable: bool = False) -> Environment:
    """Give the venv or conda prefix at `prefix` a name (by default its folder's) and record its state.

    A conda prefix is read only unless it is said to be `writable`: conda, mamba or pixi think it theirs. An adopted
    environment whose folder was moved is found again by adopting its new place under its name.

    Raises InvalidInput for what is neither, EnvironmentExists where the name or the venv is taken, RuntimeUnavailable
    where its interpreter does not run.
    """
    prefix = Path(os.path.abspath(prefix))  # noqa: PTH100  # takes ".." out, keeps links
    if not prefix.is_dir():
        raise InvalidInput(f"there is no folder {prefix}", hint="make an environment of venvoy's own: venvoy init NAME")
    by_conda = conda_meta.is_prefix(prefix)
    if not (by_conda or (prefix / "pyvenv.cfg").exists()):
        raise InvalidInput(
            f"{prefix} is neither a venv (it has no pyvenv.cfg) nor a conda prefix (it has no conda-meta)",
            hint="make one: venvoy init NAME",
        )
    if known := store.at(prefix):
        raise EnvironmentExists(
            f"{prefix} is the environment {known.name!r} already", hint=f"use it: venvoy run {known.name}"
        )
    name = name or _name_for(prefix)
    with store.held(name):
        moved = _moved(store, name, prefix)
        env = _of_conda(prefix, name, writable=writable) if by_conda else _described(store, prefix, name)
        if moved:
            env = replace(moved, prefix=prefix, python_version=env.python_version, base=env.base)
        store.save(env)
        try:
            note(store, env, actor=actor)
        except BaseException:
            if not moved:
                store.remove(name)
            raise
    return env


def _name_for(prefix: Path) -> str:
    folder = prefix.parent if prefix.name in _PLAIN else prefix
    if prefix.name == "default" and prefix.parent.name == "envs" and prefix.parent.parent.name == ".pixi":
        folder = prefix.parent.parent.parent
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("._-")[:64].rstrip("._-")


def _moved(store: Store, name: str, prefix: Path) -> Environment | None:
    """The environment of that name whose adopted folder is gone, or None. Raises EnvironmentExists for any other."""
    if not store.exists(name):
        return None
    known = store.environment(name)
    if known.adopted and not known.prefix.exists():
        return known
    raise EnvironmentExists(
        f"an environment {name!r} exists already",
        hint=f"choose a name: venvoy adopt {prefix} --name OTHER",
    )


def _of_conda(prefix: Path, name: str, *, writable: bool) -> Environment:
    records = conda_meta.records(prefix)
    python = next((each.version for each in records if each.name == "python"), "")
    return Environment(
        name=name,
        prefix=prefix,
        runtime="conda",
        python_version=python,
        base_image=CONDA_IMAGE,
        created=datetime.now(UTC).replace(microsecond=0),
        system=platform.system(),
        architecture=platform.machine(),
        read_only=not writable,
        channels=channels_of(each.package() for each in records),
        conda_packages=tuple(each.spec for each in records if each.spec),
    )


def _described(store: Store, prefix: Path, name: str) -> Environment:
    python = prefix / "bin" / "python"
    base = base_of(store, python)
    return Environment(
        name=name,
        prefix=prefix,
        python_version=base.version,
        base=python.resolve(),
        base_image=f"python:{base.minor}-slim",
        created=datetime.now(UTC).replace(microsecond=0),
        system=platform.system(),
        architecture=base.platform.partition("-")[2],
    )
