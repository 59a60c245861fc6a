"""Take an environment back to an earlier state, in place: built aside, swapped whole, the one before kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..engine.request import name_in
from ..errors import CommandFailed, EnvironmentExists
from ..formats.environment_yml import requirement as pin
from ..formats.snapshot_json import digest
from ..history import Entry, Event
from ..inventory.dist_info import canonical
from ..model import Actor, Asked, Diff, Environment, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store, generation_folder
from .bases import nearest
from .create import DEV_REQUIREMENTS, REQUIREMENTS, Fill, Plan, asked_of, create
from .diff import diff
from .exactly import exactly
from .lists import fitted, names
from .locks import locked
from .observe import observe
from .points import Point
from .record import record, wanted
from .vendor import stock_of

KEEP = 1
"""How many replaced prefixes stay on disk for going back to them at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """The environment as it is now, which state that is, and what it took; empty where it stood there already.

    `left` is the number of the record's entry that it stood at before, `undone` whether a change was taken back.
    `built` says whether the prefix was built anew, or is the one that had been kept. `other_python` is the Python of
    that state and the one that was there for it, None where they are the same.
    """

    environment: Environment
    point: Point
    changes: Diff
    built: bool
    left: int | None = None
    undone: bool = False
    other_python: tuple[str, str] | None = None


def go_back(
    store: Store,
    env: Environment,
    point: Point,
    *,
    actor: Actor,
    event: Event = "change",
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Returned:
    """Give the environment the packages of `point`, and write that down; the state before stays for `undo`.

    Kernels that run go on with what they have loaded until they are restarted. Whatever fails, the environment stays
    as it was. Raises EnvironmentExists for an adopted one, which is not ours to replace; CommandFailed where something
    cannot be had any more or the result differs.
    """
    before = observe(store, env)
    changes = diff(before, point.snapshot)
    if not changes:
        return Returned(environment=env, point=point, changes=changes, built=False)
    refuse_adopted(env)
    asked = _asked(store.history(env.name).entries(), point)
    kept = kept_at(store, env, point.snapshot)
    if kept:
        returned = _swapped(store, kept, actor=actor, asked=asked, event=event)
    else:
        fill = _filler(store, env, point, actor, on_line, on_progress)
        returned = _built(store, env, point, fill, actor=actor, asked=asked, event=event, on_line=on_line)
    return Returned(
        environment=returned,
        point=point,
        changes=diff(before, observe(store, returned)),
        built=kept is None,
        left=_last(store, env, before),
        undone=event == "undo",
        other_python=_other(point.snapshot.language_version, returned.python_version),
    )


def refuse_adopted(env: Environment) -> None:
    """Raise EnvironmentExists for an environment that venvoy did not make."""
    if env.adopted:
        raise EnvironmentExists(
            f"{env.name!r} was adopted: venvoy does not replace what it has not made",
            hint=f"make another one of that state: venvoy export {env.name} --point POINT --format lock -o state.json\n"
            "venvoy restore state.json OTHER",
        )


def kept_at(store: Store, env: Environment, snapshot: Snapshot) -> Environment | None:
    """A replaced generation that still lies there in just that state, or None."""
    wanted_digest = digest(snapshot)
    for kept in store.kept(env.name):
        folder = generation_folder(kept.prefix, kept.generation or "")
        if digest(observe(store, replace(kept, prefix=folder))) == wanted_digest:
            return kept
    return None


def locked_at(store: Store, env: Environment, snapshot: Snapshot) -> Snapshot | None:
    """What the lock of the last freeze says, if it was made of just that state."""
    lock = locked(store, env)
    if lock is None or diff(snapshot, replace(lock, language_version=snapshot.language_version)):
        return None
    return lock


def _swapped(store: Store, kept: Environment, *, actor: Actor, asked: tuple[Asked, ...], event: Event) -> Environment:
    with store.held(kept.name):
        store.commit(kept, store.texts(kept), keep=True)
        _trim(store, kept.name)
        record(store.history(kept.name), lambda: observe(store, kept), actor=actor, asked=asked, event=event)
    return kept


def _built(
    store: Store,
    env: Environment,
    point: Point,
    fill: Fill,
    *,
    actor: Actor,
    asked: tuple[Asked, ...],
    event: Event,
    on_line: OnLine | None,
) -> Environment:
    # In a conda prefix the interpreter is one of the packages of that state.
    python = None if env.runtime == "conda" else str(nearest(store, point.snapshot.language_version).path)
    plan = Plan(
        name=env.name,
        python=python,
        texts=_texts(store, env, point, asked),
        specs=_specs(env, point, asked),
        force=True,
        keep=True,
        seed=False,
    )
    built = create(store, plan, actor=actor, asked=asked, event=event, fill=fill, on_line=on_line)
    with store.held(env.name):
        _trim(store, env.name)
    return built


def _filler(
    store: Store,
    env: Environment,
    point: Point,
    actor: Actor,
    on_line: OnLine | None,
    on_progress: OnProgress | None,
) -> Fill:
    wanted_state = locked_at(store, env, point.snapshot) or point.snapshot

    def fill(aside: Environment) -> None:
        exactly(
            store,
            aside,
            wanted_state,
            stock=stock_of(store, env.name, wanted_state),
            command=actor.command,
            on_line=on_line,
            on_progress=on_progress,
        )
        found = observe(store, aside)
        differs = diff(replace(point.snapshot, language_version=found.language_version), found)
        if differs:
            raise CommandFailed(
                f"the state {point.label} of {env.name!r} cannot be had any more as it was", hint=_lines(differs)
            )

    return fill


def _lines(difference: Diff) -> str:
    lines = [f"{each.name} {each.version} is too much" for each in difference.added]
    lines += [f"{each.name} {each.version} is missing" for each in difference.removed]
    lines += [f"{each.name} is {each.after.version}, not {each.before.version}" for each in difference.changed]
    return "\n".join(lines)


def _texts(store: Store, env: Environment, point: Point, asked: tuple[Asked, ...]) -> dict[str, str]:
    """The requirements files as they fit the state, so that `init --force` builds it and not the one before."""
    texts = {}
    for name in (REQUIREMENTS, DEV_REQUIREMENTS):
        file = store.folder(env.name) / name
        texts[name] = fitted(file.read_text("utf-8") if file.exists() else "", point.snapshot)
    listed = frozenset().union(*map(names, texts.values()))
    again = [name for each in asked if each.verb == "install" for name in each.names if name not in listed]
    found = [package for name in again if (package := point.snapshot.package(canonical(name)))]
    texts[REQUIREMENTS] += "".join(f"{pin(each)}\n" for each in found if each.ecosystem == "pypi")
    return texts


def _specs(env: Environment, point: Point, asked: tuple[Asked, ...]) -> tuple[str, ...]:
    """The match specs that were asked for and are there in that state; the engine brings their versions in step."""
    there = {each.name for each in point.snapshot.of("conda")}
    kept = {name_in(each): each for each in asked_of(env) if name_in(each) in there}
    again = {name: name for each in asked if each.verb == "install" for name in each.names if name in there}
    return tuple({**again, **kept}.values())


def _asked(entries: tuple[Entry, ...], point: Point) -> tuple[Asked, ...]:
    """What was asked for at that time and not now, and the other way round."""
    then = wanted(entries[: point.number]) if point.number else wanted(entries)
    there = frozenset(each.name for each in point.snapshot.packages)
    now = wanted(entries)
    changes: Mapping[str, frozenset[str]] = {"remove": now - (then & there), "install": (then & there) - now}
    return tuple(
        Asked(tool="venvoy", verb="remove" if verb == "remove" else "install", names=tuple(sorted(said)))
        for verb, said in changes.items()
        if said
    )


def _last(store: Store, env: Environment, state: Snapshot) -> int | None:
    """The newest entry that has the state, None where it was never recorded."""
    entries = store.history(env.name).entries()
    found = [number for number, entry in enumerate(entries, 1) if entry.snapshot == digest(state)]
    return found[-1] if found else None


def _trim(store: Store, name: str) -> None:
    for kept in store.kept(name)[KEEP:]:
        store.let_go(kept)
    store.tidy(name)


def _other(wanted_version: str, given: str) -> tuple[str, str] | None:
    return None if wanted_version == given else (wanted_version, given)
