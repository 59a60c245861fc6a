"""Take an environment back to an earlier state, in place: built aside, swapped whole, the one before kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from .. import cancelling
from ..engine.request import name_in
from ..errors import CommandFailed, EnvironmentExists, RuntimeUnavailable, VenvoyError
from ..formats.environment_yml import requirement as pin
from ..formats.snapshot_json import digest
from ..history import Entry, Event
from ..inventory.dist_info import canonical
from ..managers import cran
from ..model import Actor, Asked, Diff, Environment, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store, generation_folder
from . import image_uses
from .bases import nearest
from .check_container import image_is_here
from .contents_of import contents_of
from .create import DEV_REQUIREMENTS, REQUIREMENTS, Fill, Plan, asked_of, create
from .diff import base_lines, diff, on_those_of
from .exactly import exactly
from .exactly_r import libraries_of
from .kept import stock_of
from .lists import fitted, names
from .locks import locked
from .note import note
from .observe import observe
from .points import Point
from .r_bases import r_nearest
from .record import wanted
from .stand_on import asked_of_system, fits, on_image, stand_on

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
    then = standing_then(store, env, point.snapshot)
    kept = kept_at(store, env, point.snapshot)
    if same_prefix(store, env, then, changes):
        returned = _on_its_image(store, env, then, actor=actor, asked=asked, event=event)
    elif kept:
        returned = _swapped(store, env, kept, actor=actor, asked=asked, event=event)
    else:
        fill = _filler(store, env, point, actor, on_line, on_progress)
        returned = _built(store, then, point, fill, actor=actor, asked=asked, event=event, on_line=on_line)
    return Returned(
        environment=returned,
        point=point,
        changes=diff(before, observe(store, returned)),
        built=kept is None and returned.generation != env.generation,
        left=_last(store, env, before),
        undone=event == "undo",
        other_python=_other(point.snapshot.language_version, returned.language_version),
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


def standing_then(store: Store, env: Environment, snapshot: Snapshot) -> Environment:
    """The environment on the image of that state; the same where that is none, or has the same in it.

    Raises RuntimeUnavailable for an image that nobody knows any more.
    """
    if not (env.container and snapshot.stands_on and snapshot.contents):
        return env
    if snapshot.contents == contents_of(store, env):
        return env
    then = on_image(store, env, snapshot.stands_on.digest)
    if not image_is_here(then):
        raise RuntimeUnavailable(
            f"the image that {env.name!r} stood on is not here any more ({snapshot.stands_on.digest})",
            hint=f"build it of its recipe, or make the environment anew: venvoy init {env.name} --force",
        )
    return then


def same_prefix(store: Store, env: Environment, then: Environment, changes: Diff) -> bool:
    """Whether nothing but the image is another one, and the prefix fits both."""
    if then is env or len(changes):
        return False
    one, other = contents_of(store, env).python, contents_of(store, then).python
    return fits(one, other)


def locked_at(store: Store, env: Environment, snapshot: Snapshot) -> Snapshot | None:
    """What the lock of the last freeze says, if it was made of just that state."""
    lock = locked(store, env)
    if lock is None or diff(snapshot, on_those_of(snapshot, lock)):
        return None
    return lock


def _swapped(
    store: Store, env: Environment, kept: Environment, *, actor: Actor, asked: tuple[Asked, ...], event: Event
) -> Environment:
    with store.held(kept.name), cancelling.whole():
        _refuse_moved(store, env)
        store.commit(kept, store.texts(kept), keep=True)
        _trim(store, kept.name)
        note(store, kept, actor=actor, asked=asked, event=event)
    return kept


def _refuse_moved(store: Store, env: Environment) -> None:
    """Raise VenvoyError where another command has put something else in its place since it was decided what to do."""
    if store.again(env) != env:
        raise VenvoyError(f"{env.name!r} was changed while this waited for it", hint="look, then try again")


def _on_its_image(
    store: Store, env: Environment, then: Environment, *, actor: Actor, asked: tuple[Asked, ...], event: Event
) -> Environment:
    with store.held(env.name), cancelling.whole():
        _refuse_moved(store, env)
        moved = stand_on(store, env, then)
        note(store, moved, actor=actor, asked=(*asked, *asked_of_system(store, env, then)), event=event)
        cancelling.too_late()
    return moved


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
    # In a conda prefix the interpreter is one of the packages of that state, in a container it is the image's.
    of_machine = env.runtime != "conda" and not env.container
    near = {"python": nearest, "r": r_nearest}
    spoken = {each.language: each.language_version for each in point.snapshot.halves}
    here = {each: str(near[each](store, version).path) for each, version in spoken.items() if of_machine}
    language, *also = spoken
    plan = Plan(
        name=env.name,
        container=env.container,
        language=language,
        also=tuple(also),
        python=here.get("python"),
        r=here.get("r"),
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
    libraries = libraries_of(store, env) if env.speaks("r") else ()

    def fill(aside: Environment) -> None:
        exactly(
            store,
            aside,
            wanted_state,
            stock=replace(stock_of(store, env.name, wanted_state), libraries=libraries),
            command=actor.command,
            on_line=on_line,
            on_progress=on_progress,
        )
        found = observe(store, aside)
        differs = diff(on_those_of(found, point.snapshot), found)
        if differs:
            raise CommandFailed(
                f"the state {point.label} of {env.name!r} cannot be had any more as it was", hint=_lines(differs)
            )

    return fill


def _lines(difference: Diff) -> str:
    lines = [f"{each.name} {each.version} is too much" for each in difference.added]
    lines += [f"{each.name} {each.version} is missing" for each in difference.removed]
    lines += [f"{each.name} is {each.after.version}, not {each.before.version}" for each in difference.changed]
    return "\n".join([*lines, *base_lines(difference.base)])


def _texts(store: Store, env: Environment, point: Point, asked: tuple[Asked, ...]) -> dict[str, str]:
    """The requirements files as they fit the state, so that `init --force` builds it and not the one before."""
    texts = {}
    for name in (REQUIREMENTS, DEV_REQUIREMENTS):
        file = store.folder(env.name) / name
        texts[name] = fitted(file.read_text("utf-8") if file.exists() else "", point.snapshot)
    listed = frozenset().union(*map(names, texts.values()))
    again = [name for each in asked if each.verb == "install" for name in each.names if name not in listed]
    found = [package for name in again if (package := point.snapshot.halves[0].package(canonical(name)))]
    texts[REQUIREMENTS] += "".join(f"{pin(each)}\n" for each in found if each.ecosystem == "pypi")
    return texts


def _specs(env: Environment, point: Point, asked: tuple[Asked, ...]) -> tuple[str, ...]:
    """The match specs that were asked for and are there in that state; the engine brings their versions in step."""
    by_r = next((each for each in point.snapshot.halves if each.language == "r"), None)
    if by_r:
        names = {each.name: each.version for each in by_r.packages}
        gone = {name for each in asked if each.verb == "remove" for name in each.names}
        listed = {name: each for each in env.speaking("r").packages if (name := cran.spec(each)[0]) not in gone}
        more = {name: name for each in asked if each.verb == "install" for name in each.names}
        wished = {**more, **listed}
        return tuple(_in_step(said, names[name]) for name, said in wished.items() if name in names)
    there = {each.name for each in point.snapshot.of("conda")}
    kept = {name_in(each): each for each in asked_of(env) if name_in(each) in there}
    again = {name: name for each in asked if each.verb == "install" for name in each.names if name in there}
    return tuple({**again, **kept}.values())


def _in_step(said: str, version: str) -> str:
    """A spec that names a version, with the one that is there."""
    name, named = cran.spec(said)
    return f"{name}=={version}" if named else name


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
    before = image_uses.environments(store, name)
    for kept in store.kept(name)[KEEP:]:
        store.let_go(kept)
    store.tidy(name)
    image_uses.let_go(store, name, before)


def _other(wanted_version: str, given: str) -> tuple[str, str] | None:
    return None if wanted_version == given else (wanted_version, given)
