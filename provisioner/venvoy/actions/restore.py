"""Make a new environment from a file that says what should be in it, and compare it with what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

from ..errors import EnvironmentExists
from ..formats.conda_lock import CondaLock
from ..formats.pylock import PylockToml
from ..formats.reading import read
from ..inventory.dist_info import canonical
from ..model import Actor, Asked, Environment, Package, Snapshot
from ..store import Store
from .bases import VERSION
from .create import Plan, create
from .observe import observe
from .recipes import How, described, recipe
from .record import record
from .vendor import CHANNELS

__all__ = ["How", "Restored", "described", "restore"]
USUAL_WAY = How()


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The new environment, what was expected of it, and what of that could not be fetched (listed, not hidden).

    `other_python` is the Python that was asked for and the one that it has, None where they are the same. `remarks` are
    sentences on what the file says and a venv does not do.
    """

    environment: Environment
    expected: Snapshot | None
    missing: tuple[Package, ...] = ()
    other_python: tuple[str, str] | None = None
    remarks: tuple[str, ...] = ()


def restore(
    store: Store,
    source: Path,
    *,
    name: str | None,
    actor: Actor,
    force: bool = False,
    how: How = USUAL_WAY,
) -> Restored:
    """Make the environment `name` (default: the one that the file or its folder names) from `source`.

    That is a file, or a folder as repo2docker reads it, of any format in `formats.reading`. A lock gives exactly its
    files, every hash checked; anything else gives its versions from the index, `how.as_of` a day where that is wanted,
    with the interpreter of that time. With `how.offline` no network is touched: files that lie beside a lock, and the
    caches, must do.

    Raises InvalidInput for what cannot be read; RuntimeUnavailable where no interpreter fits it; CommandFailed when
    something cannot be had or the result differs from what was asked for. Then nothing is left behind.
    """
    source = source.absolute()
    how = replace(how, command=actor.command)
    found = recipe(store, read(source), how)
    name = name or found.name or source.parent.name
    if store.exists(name) and not force and not store.environment(name).adopted:
        raise EnvironmentExists(
            f"an environment {name!r} exists already",
            hint=f"how it stands: venvoy status {name}\nreplace it: venvoy restore {source} {name} --force\n"
            f"make another: venvoy restore {source} OTHER",
        )
    # A lock says itself whether there is a pip; without network none could be had.
    seed = not (found.exact or how.offline)
    plan = Plan(
        name=name,
        runtime="venv" if found.base else "conda",
        python=str(found.base.path) if found.base else None,
        channels=found.channels,
        specs=found.specs,
        pins=found.pins,
        force=force,
        seed=seed and found.base is not None,
    )
    env = create(store, plan, actor=actor, fill=found.fill, on_line=how.on_line, on_progress=how.on_progress)
    return Restored(
        environment=_noted(store, env, found.listed, actor),
        expected=found.expected,
        missing=found.missing,
        other_python=_other(found.python, env.python_version),
        remarks=found.remarks,
    )


def from_bundle(
    store: Store, folder: Path, *, name: str, actor: Actor, force: bool = False, how: How = USUAL_WAY
) -> Restored:
    """The same from a folder with a lock and all its files beside it, without network."""
    conda_lock, lock = folder / CondaLock().filename, folder / PylockToml().filename
    if not conda_lock.exists():
        return restore(store, lock, name=name, actor=actor, force=force, how=replace(how, offline=True))
    stock = replace(how.stock, lock=lock if lock.exists() else None, channels=folder / CHANNELS)
    how = replace(how, offline=True, stock=stock, python=None)
    return restore(store, conda_lock, name=name, actor=actor, force=force, how=how)


def _other(wanted: str, given: str) -> tuple[str, str] | None:
    same = not VERSION.fullmatch(wanted) or given == wanted or given.startswith(f"{wanted}.")
    return None if same else (wanted, given)


def _noted(store: Store, env: Environment, listed: tuple[Requirement, ...], actor: Actor) -> Environment:
    """Write down what somebody chose by name; a record, which pins every package there is, says nothing of that."""
    names = {canonical(each.name) for each in listed}
    there = {each.name for each in observe(store, env).packages}
    pinned = all(each.url or str(each.specifier).startswith("==") for each in listed)
    if not names or (pinned and names.issuperset(there - {"pip"})):
        return env
    with store.held(env.name):
        noted = replace(env, packages=tuple(map(str, listed)), dev_packages=())
        store.save(noted)
    asked = (Asked(tool="venvoy", verb="install", names=tuple(sorted(names))),)
    record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked)
    return noted
