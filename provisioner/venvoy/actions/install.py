"""Put packages into an environment or take them out, and write it down."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from .. import cancelling, files, process
from ..engine.request import Request, name_in
from ..errors import CommandFailed, InvalidInput, NotPermitted, VenvoyError
from ..history import Entry
from ..inventory import conda_meta
from ..inventory.dist_info import canonical
from ..managers import conda as engine
from ..managers import uv
from ..model import OF_R, Actor, Asked, Environment, OnProgress, Package
from ..process import OnLine
from ..store import Store
from . import conda
from .create import DEV_REQUIREMENTS, REQUIREMENTS, asked_of
from .lists import bare, entries, merged, named, requirement, without_names
from .note import note
from .observe import observe
from .r_install import r_install, r_remove
from .start_of import start_of
from .under_way import under_way
from .why import why

_BACK = 300.0
"""Seconds that it may take to take back what was put in place."""


def install(
    store: Store,
    env: Environment,
    requirements: tuple[str, ...],
    *,
    actor: Actor,
    specs: tuple[str, ...] = (),
    channels: tuple[str, ...] = (),
    lists: tuple[Path, ...] = (),
    by_r: tuple[str, ...] = (),
    dev: bool = False,
    scripts: bool = False,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Entry | None:
    """Install requirements (PEP 508) and what requirements files list; returns the new entry of the record, or None.

    Into a conda environment conda packages come by `specs` (match specs), before the others, also from `channels` that
    are not the environment's; with `scripts` their own scripts run after they are linked. Into one that speaks R beside
    Python R packages come by `by_r`, after the others. Raises InvalidInput for what
    is no requirement or spec, NotPermitted for an environment that is read only, CommandFailed when it cannot be done;
    then nothing of it was changed.
    """
    if env.language == "r":
        others = bool(specs or channels or lists or dev)
        return _into_library(store, env, (*requirements, *by_r), actor, on_line, others=others)
    if by_r:
        refuse_without_r(env)
    parsed = tuple(requirement(each) for each in requirements)
    refuse_read_only(env)
    if specs and env.runtime != "conda":
        raise InvalidInput(f"{env.name!r} is a venv, and takes no conda packages: {', '.join(specs)}")
    entry = None
    with store.held(env.name):
        env = store.again(env)
        if specs:
            names = tuple(sorted(map(name_in, specs)))
            source = conda.source((*channels, *env.channels, *conda.named_in(specs)), prefix=env.prefix)
            request = Request(verb="change", source=source, specs=specs, scripts=scripts, command=actor.command)
            asked = (Asked(tool="venvoy", verb="install", names=names),)
            entry = _by_conda(
                store, env, request, f"cannot install into {env.name!r}", actor, asked, on_line, on_progress
            )
        if requirements or lists:
            names = tuple(sorted(canonical(each.name) for each in parsed))
            by_name = (Asked(tool="venvoy", verb="install", names=names),) if parsed else ()
            with _told(f"cannot install into {env.name!r}"):
                job = uv.install(env.python, *requirements, files=lists)
                process.run(start_of(env, job), on_line=on_line, begun=under_way(env.prefix))
            with cancelling.whole():
                entry = note(store, env, actor=actor, asked=by_name) or entry
                _listed(store, env.name, requirements, dev=dev)
        if by_r:
            cancelling.not_yet_late()
            entry = r_install(store, env.speaking("r"), by_r, actor=actor, on_line=on_line) or entry
    return entry


def remove(
    store: Store,
    env: Environment,
    names: tuple[str, ...],
    *,
    actor: Actor,
    by_r: bool = False,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Entry | None:
    """Remove packages by name, a conda package with all that needs it; `by_r` says that those of R are meant.

    Where there are Python and R a name is that of a Python package, and else of one of R. Raises InvalidInput for what
    is not installed, then nothing was changed; NotPermitted for what is read only.
    """
    refuse_read_only(env)
    if by_r:
        refuse_without_r(env)
    if env.language == "r" or by_r:
        with store.held(env.name):
            return r_remove(store, store.again(env).speaking("r"), names, actor=actor, on_line=on_line)
    installed = observe(store, env).packages
    there = {each.name: each.ecosystem for each in installed if each.ecosystem not in OF_R}
    if named_in_r := tuple(each for each in names if canonical(each) not in there and _of_r(each, installed)):
        with store.held(env.name):
            entry = r_remove(store, store.again(env).speaking("r"), named_in_r, actor=actor, on_line=on_line)
        rest = tuple(each for each in names if each not in named_in_r)
        return (remove(store, env, rest, actor=actor, on_line=on_line) or entry) if rest else entry
    by_conda = tuple(sorted(each.lower() for each in names if there.get(each.lower()) == "conda"))
    wanted = tuple(sorted(canonical(requirement(each).name) for each in names if each.lower() not in by_conda))
    if missing := [each for each in wanted if each not in there]:
        raise InvalidInput(
            f"{', '.join(missing)} is not installed in {env.name!r}", hint=f"see: venvoy show {env.name}"
        )
    entry = None
    with store.held(env.name):
        env = store.again(env)
        if by_conda:
            source = conda.source(env.channels, prefix=env.prefix)
            request = Request(verb="change", source=source, names=by_conda, command=actor.command)
            asked = (Asked(tool="venvoy", verb="remove", names=by_conda),)
            entry = _by_conda(
                store, env, request, f"cannot remove from {env.name!r}", actor, asked, on_line, on_progress
            )
        if wanted:
            conda_meta.clear_husks(env.prefix)
            asked = (Asked(tool="venvoy", verb="remove", names=wanted),)
            with _told(f"cannot remove from {env.name!r}"):
                job = uv.remove(env.python, *wanted)
                process.run(start_of(env, job), on_line=on_line, begun=under_way(env.prefix))
            with cancelling.whole():
                entry = note(store, env, actor=actor, asked=asked) or entry
                forget(store, env.name, wanted)
    return entry


def _of_r(name: str, packages: Iterable[Package]) -> bool:
    return any(each.name == name and each.ecosystem in OF_R for each in packages)


def refuse_without_r(env: Environment) -> None:
    """Raise InvalidInput for an environment that has no R."""
    if not env.speaks("r"):
        raise InvalidInput(
            f"{env.name!r} speaks Python alone, and takes no R packages",
            hint=f"give it R, too: venvoy init {env.name} --language python,r --force",
        )


def _into_library(
    store: Store, env: Environment, specs: tuple[str, ...], actor: Actor, on_line: OnLine | None, *, others: bool
) -> Entry | None:
    if others:
        raise InvalidInput(
            f"{env.name!r} is an R environment, and takes R packages by their names",
            hint=f"venvoy install {env.name} dplyr ggplot2==3.4.0",
        )
    refuse_read_only(env)
    with store.held(env.name):
        return r_install(store, store.again(env), specs, actor=actor, on_line=on_line)


def forget(store: Store, name: str, names: Iterable[str]) -> None:
    """Take packages of the Python index from what the environment lists; the caller holds it."""
    gone = tuple(names)
    current = store.environment(name)
    store.save(
        replace(
            current,
            packages=without_names(current.packages, gone),
            dev_packages=without_names(current.dev_packages, gone),
        )
    )
    for each in (REQUIREMENTS, DEV_REQUIREMENTS):
        _list(store, current, each, (), without=gone)


def refuse_read_only(env: Environment) -> None:
    """Raise NotPermitted for an environment that is only to be looked at."""
    if env.read_only:
        raise NotPermitted(
            f"{env.name!r} was adopted read only: venvoy installs nothing into {env.prefix}",
            hint=f"allow it: venvoy configure {env.name} --set read_only=false",
        )


def _by_conda(
    store: Store,
    env: Environment,
    request: Request,
    doing: str,
    actor: Actor,
    asked: tuple[Asked, ...],
    on_line: OnLine | None,
    on_progress: OnProgress | None,
) -> Entry | None:
    """Change the prefix by the engine, and have config.yaml list what is asked for now."""
    conda.needs_engine(store)
    request = replace(request, prefix=str(env.prefix))
    with _taken_back(env, request, on_line):
        said = conda.ask(request, doing=doing, on_line=on_line, on_progress=on_progress)
        cancelling.too_late()
    for each in said.get("scripts", ()):
        if on_line:
            on_line(
                f"{each} has a script that conda would run now, and venvoy has not. To run it: "
                f"venvoy remove {env.name} {each}, then: venvoy install {env.name} {each} --link-scripts"
            )
    with cancelling.whole():
        current = store.environment(env.name)
        store.save(replace(current, conda_packages=tuple(said["specs"].values()), python_version=_python(store, env)))
        return note(store, env, actor=actor, asked=asked)


@contextmanager
def _taken_back(env: Environment, request: Request, on_line: OnLine | None) -> Iterator[None]:
    """Where somebody stops the engine, take back what it has put in place by then: it may still have much to fetch."""
    was_whole, before = conda_meta.unfinished(env.prefix) is None, conda_meta.records(env.prefix)
    cancelling.not_yet_late()
    try:
        yield
    except (KeyboardInterrupt, SystemExit, cancelling.Cancelled):
        with cancelling.whole():
            moved = conda_meta.unfinished(env.prefix) is not None or conda_meta.records(env.prefix) != before
            if was_whole and moved:
                _as_before(env, request, before, on_line)
        raise


def _as_before(env: Environment, request: Request, before: Iterable[conda_meta.Record], on_line: OnLine | None) -> None:
    def say(line: str) -> None:
        if on_line is not None:
            with suppress(OSError):  # whoever would read it may be gone by the same signal
                on_line(line)

    back = Request(
        verb="exactly",
        source=replace(request.source, offline=True),
        prefix=request.prefix,
        pins=engine.pins(each.package() for each in before),
        specs=asked_of(env),
        command=request.command,
    )
    say("Taking back what was put in place …")
    try:
        conda.ask(back, doing=f"cannot take back what was begun in {env.name!r}", timeout=_BACK, on_line=say)
    except VenvoyError as error:
        say(f"{error.message}\n  to mend it: venvoy repair {env.name}")


def _python(store: Store, env: Environment) -> str:
    return observe(store, env).language_version


@contextmanager
def _told(doing: str) -> Iterator[None]:
    """Have the error say what could not be done, and why."""
    try:
        yield
    except CommandFailed as error:
        raise CommandFailed(f"{doing}: {why(error)}", hint=error.hint, code=error.code) from error


def _listed(store: Store, name: str, requirements: tuple[str, ...], *, dev: bool) -> None:
    """Have config.yaml and the requirements file list them, too."""
    current = store.environment(name)
    if dev:
        store.save(replace(current, dev_packages=merged(current.dev_packages, requirements)))
    else:
        store.save(replace(current, packages=merged(current.packages, requirements)))
    _list(store, current, DEV_REQUIREMENTS if dev else REQUIREMENTS, requirements)


def _list(store: Store, env: Environment, name: str, added: tuple[str, ...], *, without: Iterable[str] = ()) -> None:
    """Have the environment's own requirements file say the same, so that `init --force` builds the same again."""
    file = store.folder(env.name) / name
    written = file.read_text("utf-8") if file.exists() else ""
    gone = frozenset(without).union(canonical(requirement(each).name) for each in added)
    # A requirement may go on over several lines, each but the last ending in a backslash.
    kept = [each for each in entries(written) if not named(bare(each), gone)]
    text = "".join(f"{each}\n" for each in (*kept, *added))
    if text != written and not env.adopted:
        files.replace(file, text)
