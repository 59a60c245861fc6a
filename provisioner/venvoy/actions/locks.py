"""Where the lock of an environment lies and in which form: what installs it says which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ..errors import InvalidInput
from ..formats import conda_lock
from ..formats.conda_lock import CondaLock
from ..formats.pylock import PylockToml
from ..formats.subdirs import subdir_of
from ..model import Environment, Snapshot
from ..store import Store


class Lock(Protocol):
    """A format in which a lock is kept; what it writes can be read back (`read_lock`)."""

    @property
    def filename(self) -> str: ...

    def dump(self, snapshot: Snapshot) -> str: ...


LOCKS: Mapping[str, Lock] = {"venv": PylockToml(), "conda": CondaLock()}
"""By runtime."""


def lock_of(runtime: str) -> Lock:
    """The form in which the locks of such environments are kept."""
    return LOCKS[runtime]


def lock_file(store: Store, env: Environment) -> Path:
    """Where `freeze` puts the lock, whether it is there or not."""
    return store.project(env.name) / lock_of(env.runtime).filename


def locked(store: Store, env: Environment) -> Snapshot | None:
    """What the last freeze wrote, None where nothing was frozen or what lies there cannot be read."""
    file = lock_file(store, env)
    try:
        return read_lock(file, environment=env.name, platform=env.platform)
    except (OSError, UnicodeDecodeError, InvalidInput):
        return None


def read_lock(file: Path, *, environment: str, platform: str) -> Snapshot:
    """A lock of either form, told by its name, as it is for a platform ("linux-x86_64").

    Raises InvalidInput, OSError, UnicodeDecodeError.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".toml":
        return PylockToml().load(text, source=str(file), environment=environment)
    return CondaLock().load(text, source=str(file), subdir=subdir_of(platform), environment=environment)


def state_of(file: Path) -> str:
    """The digest of the state that a lock of venvoy's was made of, "" where it does not say.

    Raises InvalidInput, OSError, UnicodeDecodeError.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".toml":
        return PylockToml().load(text, source=str(file)).state
    for subdir in conda_lock.subdirs(text, source=str(file)):
        if state := CondaLock().load(text, source=str(file), subdir=subdir).state:
            return state
    return ""
