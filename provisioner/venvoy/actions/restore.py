"""Make a new environment from a file that says what should be in it, and compare it with what was asked for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement

from ..errors import EnvironmentExists, InvalidInput
from ..formats.conda_lock import CondaLock
from ..formats.pylock import PylockToml, parse
from ..formats.reading import Read, read, text_of
from ..formats.renv import RenvLock
from ..inventory.dist_info import canonical
from ..model import OF_R, Actor, Asked, Environment, Package, Snapshot
from ..settings import Policy
from ..store import Store
from .bases import VERSION
from .contain import Wanted, contain
from .create import Plan, create
from .kept import CHANNELS
from .note import note
from .observe import observe
from .place import EVERYTHING
from .r_repository import CRAN
from .recipes import RELEASED, How, Recipe, described, recipe
from .stock import TRUST, WouldRun

__all__ = ["How", "Restored", "described", "restore"]
USUAL_WAY = How()
MINOR = re.compile(r"[0-9]+\.[0-9]+")


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
    wanted: Wanted | None = None,
    policy: Policy = EVERYTHING,
) -> Restored:
    """Make the environment `name` (default: the one that the file or its folder names) from `source`.

    That is a file, or a folder as repo2docker reads it, of any format in `formats.reading`. A lock gives exactly its
    files, every hash checked; anything else gives its versions from the index, `how.as_of` a day where that is wanted,
    with the interpreter of that time. With `how.offline` no network is touched: files that lie beside a lock, and the
    caches, must do. `wanted` is the container runtime to make it in: of the image that it names, or the lock's own, or
    the usual one of the Python that is asked for.

    Raises InvalidInput for what cannot be read; RuntimeUnavailable where no interpreter fits it; CommandFailed when
    something cannot be had or the result differs from what was asked for. Then nothing is left behind.
    """
    source = source.absolute()
    said = read(source)
    name = name or said.name or source.parent.name
    if store.exists(name) and not force and not store.environment(name).adopted:
        raise EnvironmentExists(
            f"an environment {name!r} exists already",
            hint=f"how it stands: venvoy status {name}\nreplace it: venvoy restore {source} {name} --force\n"
            f"make another: venvoy restore {source} OTHER",
        )
    how = replace(how, command=actor.command)
    if wanted:
        asked = _with_image(wanted, said, how.r or how.python)
        place = contain(store, asked, policy, on_line=how.on_line, on_progress=how.on_progress)
        how = replace(how, python=None, r=None, place=place)
    found = recipe(store, said, how)
    # A lock says itself whether there is a pip; without network none could be had.
    seed = not (found.exact or how.offline)
    runtime, container = how.place or ("venv" if found.base else "conda", None)
    here = str(found.base.path) if found.base and not container else None
    plan = Plan(
        name=name,
        runtime=runtime,
        container=container,
        language=found.language,
        also=("r",) if found.beside else (),
        python=here if found.language == "python" else None,
        r=here if found.language == "r" else str(found.beside.path) if found.beside and not container else None,
        channels=found.channels,
        repositories=how.repositories,
        specs=found.specs,
        pins=found.pins if found.language == "python" else None,
        force=force,
        seed=seed and found.base is not None,
        as_of=_day_of_pip(how, found),
    )
    env = create(store, plan, actor=actor, fill=found.fill, on_line=how.on_line, on_progress=how.on_progress)
    return Restored(
        environment=_noted(store, env, found.listed, actor),
        expected=found.expected,
        missing=found.missing,
        other_python=_other(found.python, env.language_version),
        remarks=(*found.remarks, *_other_image(said, env)),
    )


def _day_of_pip(how: How, found: Recipe) -> date | None:
    """The day of which the environment's pip is; none is old enough for a Python that came after it."""
    came = RELEASED.get(found.base.minor) if found.base else None
    return how.as_of if how.as_of and came and came <= how.as_of else None


def _with_image(wanted: Wanted, said: Read, version: str | None) -> Wanted:
    """What is asked of the container, with an image in any case. Raises InvalidInput for an interpreter of here."""
    by_r = said.of_r
    if version and not VERSION.fullmatch(version):
        raise InvalidInput(
            f"{version} is no version of {'R' if by_r else 'Python'}", hint="say the image that has it: --image IMAGE"
        )
    if wanted.image:
        return wanted
    own = said.stands_on.reference if said.stands_on else ""
    if own and not version and not Path(own).expanduser().is_absolute():
        return replace(wanted, image=own)
    if said.by_r or (said.snapshot and said.snapshot.r_version):
        raise InvalidInput(
            f"{said.file} locks Python and R, and names no image that has both", hint="say one: --image IMAGE"
        )
    found = MINOR.search(version or said.python)
    minor = found[0] if found else None
    return replace(wanted, language="r", r=minor) if by_r else replace(wanted, python=minor)


def _other_image(said: Read, env: Environment) -> Iterator[str]:
    """What it stands on, against what it was locked in."""
    if said.stands_on is None or env.container is None:
        return
    image = env.container.image
    if said.stands_on.digest not in (image.digest, image.made_of):
        then = f"{said.stands_on.reference}, {said.stands_on.digest}"
        yield f"It stands on another image ({image.reference}, {image.digest}) than the lock's ({then})."


def from_bundle(
    store: Store, folder: Path, *, name: str, actor: Actor, force: bool = False, how: How = USUAL_WAY
) -> Restored:
    """The same from a folder with a lock and all its files beside it, without network.

    It may be anybody's. Raises InvalidInput for a lock that would have a package of Python's built, WouldRun where it
    is not trusted and something of it has to be run all the same.
    """
    conda_lock, lock = folder / CondaLock().filename, folder / PylockToml().filename
    if lock.exists():
        _refuse_sources(lock)
    renv_lock = folder / RenvLock().filename
    if renv_lock.exists():
        how = replace(how, offline=True, stock=replace(how.stock, repository=folder / CRAN))
        return restore(store, lock if lock.exists() else renv_lock, name=name, actor=actor, force=force, how=how)
    if not conda_lock.exists():
        return restore(store, lock, name=name, actor=actor, force=force, how=replace(how, offline=True))
    if lock.exists() and not how.stock.trusted:  # whatever a lock leaves out is met before it would be run
        raise WouldRun("its own Python would be run, to put in what came from the Python index", hint=TRUST)
    stock = replace(how.stock, lock=lock if lock.exists() else None, channels=folder / CHANNELS)
    how = replace(how, offline=True, stock=stock, python=None)
    return restore(store, conda_lock, name=name, actor=actor, force=force, how=how)


def _refuse_sources(lock: Path) -> None:
    for each in parse(text_of(lock), lock.name).packages:
        if each.vcs or each.directory or each.archive or each.sdist or not each.wheels:
            raise InvalidInput(
                f"{lock.name} has {each.name} built from its source, which would run what its maker wrote",
                hint="what is packed has wheels alone; to build it all the same: venvoy restore pylock.toml",
            )


def _other(wanted: str, given: str) -> tuple[str, str] | None:
    same = not VERSION.fullmatch(wanted) or given == wanted or given.startswith(f"{wanted}.")
    return None if same else (wanted, given)


def _noted(store: Store, env: Environment, listed: tuple[Requirement, ...], actor: Actor) -> Environment:
    """Write down what somebody chose by name; a record, which pins every package there is, says nothing of that."""
    names = {canonical(each.name) for each in listed}
    there = {each.name for each in observe(store, env).packages if each.ecosystem not in OF_R}
    pinned = all(each.url or str(each.specifier).startswith("==") for each in listed)
    if not names or (pinned and names.issuperset(there - {"pip"})):
        return env
    with store.held(env.name):
        noted = replace(env, packages=tuple(map(str, listed)), dev_packages=())
        store.save(noted)
    asked = (Asked(tool="venvoy", verb="install", names=tuple(sorted(names))),)
    note(store, noted, actor=actor, asked=asked)
    return noted
