"""`venvoy init`, `adopt`, `list`, `show` and `delete`: environments come, are seen, and go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path

import click

from ... import cancelling, inventory
from ...actions.adopt import adopt as adopted
from ...actions.contain import Wanted, contain
from ...actions.create import Plan, create
from ...actions.delete import delete as removed
from ...actions.detect import AUTO, detect
from ...actions.direct import told_apart
from ...actions.record import wanted
from ...actions.status import status
from ...actions.variables import variables_from
from ...containers import ENGINES
from ...errors import VenvoyError
from ...formats.reading import read
from ...model import Environment, OnProgress
from ...process import OnLine
from ...settings import DEFAULT_NAME, policy
from ...store import Store
from .. import kernelspecs
from ..glances import glance, seen
from ..views.environments import deleted_view, environment_view, environments_view, made_view
from . import kernels
from .containing import Contained, container_options, wanted_of
from .options import FILE, actor, agreed, current_store, named, output, patient
from .output import Output
from .solving import Solved, solving_options
from .speaking import Spoken, place_of_r, refuse_for_both, refuse_for_r, refuse_not_of_r, speaking_options

PREPARING = "Preparing the kernel …"


@click.command
@named
@click.option(
    "--runtime",
    type=click.Choice(["venv", "conda", "auto", *ENGINES, "python", "r"]),
    help="What it is made as: on this machine, or in a container ('auto' chooses which: venvoy runtime-info); "
    "python and r say what its kernel speaks.",
)
@container_options
@speaking_options
@solving_options
@click.option(
    "--file", "--from", "source", type=FILE, metavar="FILE", help="What to install, in any form that restore reads."
)
@click.option("--requirements", "-r", type=FILE, metavar="FILE", help="What to install, as pip writes it.")
@click.option("--dev-requirements", type=FILE, metavar="FILE", help="The same, for what only development needs.")
@click.option("--env-file", type=FILE, multiple=True, metavar="FILE", help="Variables for its kernels and runs (.env).")
@click.option("--prefix", type=FILE, metavar="DIR", help="The folder for the packages, if not venvoy's own.")
@click.option("--force", is_flag=True, help="Replace the one of that name; it stays until the new one is whole.")
@output
def init(
    name: str,
    runtime: str | None,
    source: Path | None,
    requirements: Path | None,
    dev_requirements: Path | None,
    env_file: tuple[Path, ...],
    prefix: Path | None,
    contained: Contained,
    spoken: Spoken,
    solved: Solved,
    *,
    force: bool,
    out: Output,
) -> None:
    """Make an environment, with its kernel in Jupyter.

    Nothing of venvoy is installed in it. The requirements files are kept with the environment, and --force without any
    builds it from those again. With --file it is made as `venvoy restore FILE` makes it, and has the file's name where
    you give none.
    """
    if source and (requirements or dev_requirements or prefix or solved.specs):
        raise click.UsageError(
            "--file says all that is installed; it goes with no other files, nor --conda or --prefix"
        )
    if solved and runtime != "conda" and not source:
        raise click.UsageError("--channel, --conda and --link-scripts are for --runtime conda")
    if source and name == DEFAULT_NAME:
        name = read(source).name or name
    store = current_store()
    language = spoken.asked(runtime)
    refuse_for_both(spoken, source, runtime, contained)
    if language == "r":
        refuse_for_r(runtime, python=spoken.python, others=bool(requirements or dev_requirements or solved))
        refuse_not_of_r(source, runtime, as_of=spoken.as_of)
        runtime = None if source else place_of_r(store, name, runtime, spoken.r, contained, out)
    files = tuple(each.absolute() for each in env_file)
    variables_from(files)  # a file that cannot be read is better known before than after
    in_container = runtime in (AUTO, *ENGINES)
    if contained and not in_container:
        raise click.UsageError("--image, --mount, --network and limits are for containers: --runtime auto")
    plan = Plan(
        name=name,
        runtime=None if runtime == "auto" else "venv" if runtime == "python" else runtime,
        language=language,
        also=("r",) if spoken.both else (),
        python=spoken.python,
        r=spoken.r,
        repositories=spoken.repositories(store.settings),
        channels=solved.channels,
        specs=solved.specs or None,
        scripts=solved.scripts,
        requirements=requirements,
        dev_requirements=dev_requirements,
        prefix=prefix,
        env_file=files,
        force=force,
    )
    patient(store, name, out)
    recorded = store.project(name).exists()
    before = _installed(store, name)
    with out.measured(f"Making {name!r} …") as (on_line, on_progress):
        wanted = wanted_of(runtime, contained) if in_container else None
        if source:
            env = _from(store, plan, source, wanted, out, on_line, on_progress)
        else:
            if wanted:
                wanted = replace(wanted, language=language or "python", python=spoken.python, r=spoken.r)
                kind, container = contain(store, wanted, policy(), on_line=on_line, on_progress=on_progress)
                plan = replace(plan, runtime=kind, container=container)
            env = create(store, plan, actor=actor(out), on_line=on_line, on_progress=on_progress)
    if force:
        kernel = kernels.offered(store, env, out, first=PREPARING)
    else:
        kernel = _with_kernel(store, env, out, recorded=recorded)
    _tell_lost(before, _installed(store, name), name, out)
    out.show(made_view(env, project=store.project(name), kernel=kernel))


def _with_kernel(store: Store, env: Environment, out: Output, *, recorded: bool) -> str | None:
    """The kernel of an environment that was made just now; where somebody stops this, both go again."""
    try:
        cancelling.not_yet_late()
        kernel = kernels.offered(store, env, out, first=PREPARING)
        cancelling.too_late()
    except (KeyboardInterrupt, SystemExit):
        with cancelling.whole():
            kernelspecs.remove(store, env.name)
            removed(store, env, record=not recorded)
        raise
    return kernel


@click.command
@click.argument("path", type=FILE)
@click.option("--name", metavar="NAME", help="What to call it; by default as its folder, or its project's for .venv.")
@click.option("--writable", is_flag=True, help="conda: let venvoy install into it, too.")
@output
def adopt(path: Path, name: str | None, *, writable: bool, out: Output) -> None:
    """Take a venv or a conda prefix that is there already, as it is.

    It gets a name, a kernel and a record; nothing in it is changed, and `venvoy delete` leaves it alone. A prefix of
    conda, mamba or pixi is somebody else's to change: venvoy installs into it only with --writable.
    """
    store = current_store()
    env = adopted(store, path, name=name, actor=actor(out), writable=writable)
    kernel = kernels.offered(store, env, out, first=PREPARING)
    out.show(made_view(env, project=store.project(env.name), kernel=kernel))


@click.command("list")
@click.option("--images", is_flag=True, help="Show the images that they use, and those that nobody uses any more.")
@output
def listed(out: Output, *, images: bool) -> None:
    """Show all environments.

    With --images these are the images that environments in containers stand on, and by which they are used.
    """
    store = current_store()
    if images:
        from ...actions.image_uses import held
        from ..views.images import images_view

        out.show(images_view(held(store)))
        return
    look = cache(detect)
    out.show(environments_view([glance(store, name, lambda env: seen(store, env, look)) for name in store.names()]))


@click.command
@named
@output
def show(name: str, out: Output) -> None:
    """Show one environment and what is installed in it.

    Packages that were asked for by name are told from those that only came along.
    """
    store = current_store()
    env = store.environment(name)
    history = store.history(name)
    snapshot, problem = seen(store, env, detect)
    snapshot = told_apart(
        snapshot, wanted(history.entries()), (*inventory.distributions(env.prefix), *inventory.r_packages(env.prefix))
    )
    if problem:
        out.warn(problem, hint=f"more: venvoy check {name}")
    out.show(
        environment_view(
            env,
            folder=store.folder(name),
            project=store.project(name),
            kernel=kernelspecs.known(store, env),
            status=status(history, snapshot),
            size=inventory.size(env.prefix),
            problem=problem,
        )
    )


@click.command
@named
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--record", is_flag=True, help="Remove its record, too.")
@output
def delete(name: str, *, yes: bool, record: bool, out: Output) -> int:
    """Remove an environment; its record stays.

    An adopted venv is only forgotten: venvoy did not make it.
    """
    store = current_store()
    env = store.salvaged(name)
    if not yes and not _agreed(store, env, record=record):
        out.say(f"{name}: kept")
        return 1
    patient(store, name, out)
    kernelspecs.remove(store, name)
    removed(store, env, record=record)
    out.show(deleted_view(env, project=store.project(name), record=record))
    return 0


def _installed(store: Store, name: str) -> dict[str, str]:
    """The packages of an environment with their versions; none where it is not there or cannot be read."""
    try:
        return {each.name: each.version for each in inventory.packages(store.environment(name).prefix)}
    except VenvoyError:
        return {}


def _tell_lost(before: Mapping[str, str], now: Mapping[str, str], name: str, out: Output) -> None:
    if gone := sorted(before.keys() - now.keys()):
        lost = ", ".join(f"{each} {before[each]}" for each in gone)
        out.warn(f"what the one before had and this one has not: {lost}", hint=f"have it back: venvoy undo {name}")


def _from(
    store: Store,
    plan: Plan,
    source: Path,
    wanted: Wanted | None,
    out: Output,
    on_line: OnLine,
    on_progress: OnProgress,
) -> Environment:
    """Make the environment from a file of any format, with the settings of the plan; in a container where wanted."""
    from ...actions.restore import How, restore

    how = How(
        runtime=None if wanted or not plan.runtime else "conda" if plan.runtime == "conda" else "venv",
        python=plan.python,
        r=plan.r,
        channels=plan.channels,
        scripts=plan.scripts,
        on_line=on_line,
        on_progress=on_progress,
    )
    made = restore(
        store, source, name=plan.name, actor=actor(out), force=plan.force, how=how, wanted=wanted, policy=policy()
    )
    for remark in made.remarks:
        out.warn(remark)
    if not plan.env_file:
        return made.environment
    with store.held(plan.name):
        env = replace(made.environment, env_file=plan.env_file)
        store.save(env)
    return env


def _agreed(store: Store, env: Environment, *, record: bool) -> bool:
    words = ["venvoy delete", env.name, *(["--record"] if record else []), "--yes"]
    what = "forget" if env.adopted else "delete"
    where = env.prefix if env.adopted else store.folder(env.name)
    also = f" and its record in {store.project(env.name)}" if record else ""
    return agreed(f"{what} {env.name!r} ({where}){also}?", hint=f"if you mean it: {' '.join(words)}")
