"""Put packages into an environment or take them out, and write it down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .. import files, process, runtimes
from ..engine.request import Request, name_in
from ..errors import InvalidInput, NotPermitted
from ..history import Entry
from ..inventory import conda_meta
from ..inventory.dist_info import canonical
from ..managers import uv
from ..model import Actor, Asked, Environment, Job, OnProgress
from ..process import OnLine
from ..store import Store
from . import conda
from .create import DEV_REQUIREMENTS, REQUIREMENTS
from .lists import bare, entries, merged, named, requirement, without_names
from .observe import observe
from .record import record


def install(
    store: Store,
    env: Environment,
    requirements: tuple[str, ...],
    *,
    actor: Actor,
    specs: tuple[str, ...] = (),
    channels: tuple[str, ...] = (),
    lists: tuple[Path, ...] = (),
    dev: bool = False,
    scripts: bool = False,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Entry | None:
    """Install requirements (PEP 508) and what requirements files list; returns the new entry of the record, or None.

    Into a conda environment conda packages come by `specs` (match specs), before the others, also from `channels` that
    are not the environment's; with `scripts` their own scripts run after they are linked. Raises InvalidInput for what
    is no requirement or spec, NotPermitted for an environment that is read only, CommandFailed when it cannot be done;
    then nothing of it was changed.
    """
    parsed = tuple(requirement(each) for each in requirements)
    refuse_read_only(env)
    if specs and env.runtime != "conda":
        raise InvalidInput(f"{env.name!r} is a venv, and takes no conda packages: {', '.join(specs)}")
    entry = None
    with store.held(env.name):
        if specs:
            names = tuple(sorted(map(name_in, specs)))
            source = conda.source((*channels, *env.channels, *conda.named_in(specs)), prefix=env.prefix)
            request = Request(verb="change", source=source, specs=specs, scripts=scripts, command=actor.command)
            asked = (Asked(tool="venvoy", verb="install", names=names),)
            entry = _by_conda(
                store, env, request, f"cannot install into {env.name!r}", actor, asked, on_line, on_progress
            )
        if requirements or lists:
            job = uv.install(env.python, *requirements, files=lists)
            names = tuple(sorted(canonical(each.name) for each in parsed))
            by_name = (Asked(tool="venvoy", verb="install", names=names),) if parsed else ()
            entry = _changed(store, env, job, actor, by_name, on_line) or entry
        current = store.environment(env.name)
        if dev:
            store.save(replace(current, dev_packages=merged(current.dev_packages, requirements)))
        else:
            store.save(replace(current, packages=merged(current.packages, requirements)))
        _list(store, current, DEV_REQUIREMENTS if dev else REQUIREMENTS, requirements)
    return entry


def remove(
    store: Store,
    env: Environment,
    names: tuple[str, ...],
    *,
    actor: Actor,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Entry | None:
    """Remove packages by name, a conda package with all that needs it.

    Raises InvalidInput for what is not installed, then nothing was changed; NotPermitted for what is read only.
    """
    refuse_read_only(env)
    there = {each.name: each.ecosystem for each in observe(store, env).packages}
    by_conda = tuple(sorted(each.lower() for each in names if there.get(each.lower()) == "conda"))
    wanted = tuple(sorted(canonical(requirement(each).name) for each in names if each.lower() not in by_conda))
    if missing := [each for each in wanted if each not in there]:
        raise InvalidInput(
            f"{', '.join(missing)} is not installed in {env.name!r}", hint=f"see: venvoy show {env.name}"
        )
    entry = None
    with store.held(env.name):
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
            entry = _changed(store, env, uv.remove(env.python, *wanted), actor, asked, on_line) or entry
        forget(store, env.name, wanted)
    return entry


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
    said = conda.ask(request, doing=doing, on_line=on_line, on_progress=on_progress)
    for each in said.get("scripts", ()):
        if on_line:
            on_line(
                f"{each} has a script that conda would run now, and venvoy has not. To run it: "
                f"venvoy remove {env.name} {each}, then: venvoy install {env.name} {each} --link-scripts"
            )
    current = store.environment(env.name)
    store.save(replace(current, conda_packages=tuple(said["specs"].values()), python_version=_python(store, env)))
    return record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked)


def _python(store: Store, env: Environment) -> str:
    return observe(store, env).language_version


def _changed(
    store: Store, env: Environment, job: Job, actor: Actor, asked: tuple[Asked, ...], on_line: OnLine | None
) -> Entry | None:
    process.run(runtimes.get(env.runtime).command(env, job), on_line=on_line)
    return record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked)


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
