"""Whether what lies on this machine of an environment's record, lock and wheels is as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .. import files
from ..history import History
from ..model import OF_R, Environment, Snapshot
from ..store import Store
from .kept import Kept
from .locks import lock_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One thing that is not as it was written."""

    what: str
    package: str = ""
    file: str = ""
    expected: str = ""
    found: str = ""


def integrity(store: Store, env: Environment, lock: Snapshot, wheels: Sequence[Kept]) -> tuple[Broken, ...]:
    """The chain of the record, the snapshots that it names, that the lock is of a state in it, and every kept wheel."""
    return (*_record(store, env, lock), *_wheels(lock, wheels))


def of_record(history: History) -> tuple[Broken, ...]:
    """The chain of a record, and the snapshots that it names."""
    said = ((f"line {each.line}: " if each.line else "", each.message) for each in history.check())
    return tuple(Broken(what=f"the record, {where}{message}", file=str(history.log)) for where, message in said)


def _record(store: Store, env: Environment, lock: Snapshot) -> Iterator[Broken]:
    history = store.history(env.name)
    broken = of_record(history)
    yield from broken
    if broken:
        return
    if lock.state and not any(each.event == "freeze" and each.snapshot == lock.state for each in history.entries()):
        yield Broken(what="the lock is of a state that the record never froze", file=str(lock_file(store, env)))


def _wheels(lock: Snapshot, wheels: Sequence[Kept]) -> Iterator[Broken]:
    said = {
        (each.ecosystem, each.name): each.sha256
        for each in lock.packages
        if each.ecosystem == "conda"
        or (each.origin == "index" and (each.url.endswith(".whl") or (each.ecosystem in OF_R and each.sha256)))
    }
    for each in wheels:
        found, key = files.sha256(each.file), (each.ecosystem, each.name)
        kind = "wheel" if each.ecosystem == "pypi" else "package"
        if found != each.sha256:
            what = f"the kept {kind} of {each.name} was replaced"
            yield Broken(what=what, package=each.name, file=str(each.file), expected=each.sha256, found=found)
        elif said.get(key, found) != found and not each.built:
            what = f"the kept {kind} of {each.name} is not the lock's"
            yield Broken(what=what, package=each.name, file=str(each.file), expected=said[key], found=found)
