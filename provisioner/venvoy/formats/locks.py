"""In which form an environment's lock is written: what installs it says which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import InvalidInput
from ..model import Kind, Snapshot
from .conda_lock import CondaLock
from .pylock import PylockToml
from .renv import RenvLock

LOCKS: Mapping[Kind, PylockToml | CondaLock | RenvLock] = {"venv": PylockToml(), "conda": CondaLock(), "r": RenvLock()}
"""By what the prefix is, which is what `Snapshot.kind` says as well."""


def dumped(lock: Snapshot) -> dict[str, str]:
    """The texts of a lock by their files' names, the one that is read first; of Python and R there are two."""
    texts = {LOCKS[lock.kind].filename: LOCKS[lock.kind].dump(lock)}
    return texts | {LOCKS[each.kind].filename: LOCKS[each.kind].dump(each) for each in lock.halves[1:]}


def whole(lock: Snapshot, file: Path) -> Snapshot:
    """What a lock in `file` says with its other half, where it has one: that is renv.lock beside it.

    Raises InvalidInput where that is not there, or not of the same freeze.
    """
    if not lock.r_version:
        return lock
    beside = file.with_name(RenvLock().filename)
    try:
        by_r = RenvLock().load(beside.read_text("utf-8"), source=str(beside), environment=lock.environment)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{file} is one half of a lock, and {beside.name}, which has its R packages, cannot be read beside it",
            hint=f"put both into one folder: {file.name} and {beside.name}",
        ) from error
    if by_r.state != lock.state or by_r.language_version != lock.r_version:
        raise InvalidInput(
            f"{beside} is not of the freeze that {file} is of", hint="take both from one freeze, or freeze anew"
        )
    return lock.beside(by_r)
