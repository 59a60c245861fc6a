"""Where the lock of an environment lies, and what a lock says."""

from __future__ import annotations

from pathlib import Path

from ..errors import InvalidInput
from ..formats import conda_lock
from ..formats.conda_lock import CondaLock
from ..formats.locks import LOCKS, whole
from ..formats.pylock import PylockToml
from ..formats.renv import RenvLock
from ..formats.subdirs import subdir_of
from ..model import Environment, Snapshot
from ..store import Store


def lock_file(store: Store, env: Environment) -> Path:
    """Where `freeze` puts the lock, whether it is there or not."""
    return store.project(env.name) / LOCKS[env.kind].filename


def lock_files(store: Store, env: Environment) -> tuple[Path, ...]:
    """The same with its other half, where the environment speaks Python and R."""
    return tuple(store.project(env.name) / LOCKS[each.kind].filename for each in env.halves)


def locked(store: Store, env: Environment) -> Snapshot | None:
    """What the last freeze wrote, None where nothing was frozen or what lies there cannot be read."""
    file = lock_file(store, env)
    try:
        return read_lock(file, environment=env.name, platform=env.platform)
    except (OSError, UnicodeDecodeError, InvalidInput):
        return None


def read_lock(file: Path, *, environment: str, platform: str) -> Snapshot:
    """A lock of any of our forms, told by its name, as it is for a platform ("linux-x86_64").

    Raises InvalidInput, OSError, UnicodeDecodeError.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".toml":
        return whole(PylockToml().load(text, source=str(file), environment=environment), file)
    if file.suffix == ".lock":
        return RenvLock().load(text, source=str(file), environment=environment)
    return CondaLock().load(text, source=str(file), subdir=subdir_of(platform), environment=environment)


def state_of(file: Path) -> str:
    """The digest of the state that a lock of venvoy's was made of, "" where it does not say.

    Raises InvalidInput, OSError, UnicodeDecodeError.
    """
    text = file.read_text("utf-8")
    if file.suffix == ".toml":
        return PylockToml().load(text, source=str(file)).state
    if file.suffix == ".lock":
        return RenvLock().load(text, source=str(file)).state
    for subdir in conda_lock.subdirs(text, source=str(file)):
        if state := CondaLock().load(text, source=str(file), subdir=subdir).state:
            return state
    return ""
