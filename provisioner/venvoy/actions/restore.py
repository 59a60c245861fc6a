"""Make a new environment from a file that says what should be in it, and compare it with what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement

from ..errors import EnvironmentExists
from ..formats.reading import read
from ..inventory.dist_info import canonical
from ..model import Actor, Asked, Environment, Package, Snapshot
from ..process import OnLine
from ..store import Store
from .bases import VERSION
from .create import Plan, create
from .observe import observe
from .recipes import How, described, recipe
from .record import record

__all__ = ["Restored", "described", "restore"]


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
    python: str | None = None,
    offline: bool = False,
    as_of: date | None = None,
    on_line: OnLine | None = None,
) -> Restored:
    """Make the environment `name` (default: the one that the file or its folder names) from `source`.

    That is a file, or a folder as repo2docker reads it, of any format in `formats.reading`. A lock gives exactly its
    files, every hash checked; anything else gives its versions from the index, `as_of` a day where that is wanted, with
    the interpreter of that time. With `offline` no network is touched: files that lie beside a lock, and uv's cache,
    must do.

    Raises InvalidInput for what cannot be read; RuntimeUnavailable where no interpreter fits it; CommandFailed when
    something cannot be had or the result differs from what was asked for. Then nothing is left behind.
    """
    source = source.absolute()
    found = recipe(store, read(source), How(python=python, offline=offline, as_of=as_of, on_line=on_line))
    name = name or found.name or source.parent.name
    if store.exists(name) and not force and not store.environment(name).adopted:
        raise EnvironmentExists(
            f"an environment {name!r} exists already",
            hint=f"how it stands: venvoy status {name}\nreplace it: venvoy restore {source} {name} --force\n"
            f"make another: venvoy restore {source} OTHER",
        )
    # A lock says itself whether there is a pip; without network none could be had.
    seed = not (found.exact or offline)
    plan = Plan(name=name, python=str(found.base.path), pins=found.pins, force=force, seed=seed)
    env = create(store, plan, actor=actor, fill=found.fill, on_line=on_line)
    return Restored(
        environment=_noted(store, env, found.listed, actor),
        expected=found.expected,
        missing=found.missing,
        other_python=_other(found.python, env.python_version),
        remarks=found.remarks,
    )


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
