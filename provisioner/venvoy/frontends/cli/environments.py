"""`venvoy init`, `adopt`, `list`, `show` and `delete`: environments come, are seen, and go."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from ... import inventory
from ...actions.adopt import adopt as adopted
from ...actions.create import Plan, create
from ...actions.delete import delete as removed
from ...actions.direct import told_apart
from ...actions.observe import observe
from ...actions.record import wanted
from ...actions.status import status
from ...actions.variables import variables_from
from ...errors import InvalidInput, RuntimeUnavailable, VenvoyError
from ...formats.reading import read
from ...model import Environment, Kind, OnProgress, Snapshot
from ...process import OnLine
from ...settings import DEFAULT_NAME
from ...store import Store
from .. import kernelspecs
from ..views.environments import Glance, deleted_view, environment_view, environments_view, made_view
from . import kernels
from .options import FILE, actor, agreed, current_store, named, output, patient
from .output import Output

PREPARING = "Preparing the kernel …"


@click.command
@named
@click.option(
    "--runtime",
    type=click.Choice(["venv", "conda", "python", "r"]),
    help="What it is made as; 'python' is the usual one for Python. By default what --file asks for, or a venv.",
)
@click.option(
    "--python", "--python-version", "python", metavar="VERSION", help="3.12, 3.12.1, or the path of an interpreter."
)
@click.option(
    "--channel", "-c", "channels", multiple=True, metavar="NAME", help="conda: where packages are looked for."
)
@click.option("--conda", "specs", multiple=True, metavar="SPEC", help="conda: a package, as in numpy or 'numpy>=2'.")
@click.option("--link-scripts", is_flag=True, help="conda: let packages run their own scripts when they are linked.")
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
    python: str | None,
    channels: tuple[str, ...],
    specs: tuple[str, ...],
    source: Path | None,
    requirements: Path | None,
    dev_requirements: Path | None,
    env_file: tuple[Path, ...],
    prefix: Path | None,
    *,
    link_scripts: bool,
    force: bool,
    out: Output,
) -> None:
    """Make an environment, with its kernel in Jupyter.

    Nothing of venvoy is installed in it. The requirements files are kept with the environment, and --force without any
    builds it from those again. With --file it is made as `venvoy restore FILE` makes it, and has the file's name where
    you give none.
    """
    if source and (requirements or dev_requirements or prefix or specs):
        raise click.UsageError(
            "--file says all that is installed; it goes with no other files, nor --conda or --prefix"
        )
    if (channels or specs or link_scripts) and runtime != "conda" and not source:
        raise click.UsageError("--channel, --conda and --link-scripts are for --runtime conda")
    if source and name == DEFAULT_NAME:
        name = read(source).name or name
    if runtime == "r":
        raise InvalidInput("R environments are not part of this version", hint=f"one for Python: venvoy init {name}")
    store = current_store()
    files = tuple(each.absolute() for each in env_file)
    variables_from(files)  # a file that cannot be read is better known before than after
    kind: Kind | None = "conda" if runtime == "conda" else "venv" if runtime else None
    plan = Plan(
        name=name,
        runtime=kind,
        python=python,
        channels=channels,
        specs=specs or None,
        scripts=link_scripts,
        requirements=requirements,
        dev_requirements=dev_requirements,
        prefix=prefix,
        env_file=files,
        force=force,
    )
    patient(store, name, out)
    recorded = store.project(name).exists()
    with out.measured(f"Making {name!r} …") as (on_line, on_progress):
        if source:
            env = _from(store, plan, source, out, on_line, on_progress)
        else:
            env = create(store, plan, actor=actor(out), on_line=on_line, on_progress=on_progress)
    try:
        kernel = kernels.offered(store, env, out, first=PREPARING)
    except (KeyboardInterrupt, SystemExit):
        if not force:
            removed(store, env, record=not recorded)
        raise
    out.show(made_view(env, project=store.project(name), kernel=kernel))


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
@output
def listed(out: Output) -> None:
    """Show all environments."""
    store = current_store()
    out.show(environments_view([_glance(store, name) for name in store.names()]))


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
    snapshot, problem = _seen(store, env)
    snapshot = told_apart(snapshot, wanted(history.entries()), inventory.distributions(env.prefix))
    if problem:
        out.warn(problem, hint=f"more: venvoy check {name}")
    out.show(
        environment_view(
            env,
            folder=store.folder(name),
            project=store.project(name),
            kernel=kernels.known(store, env),
            status=status(history, snapshot),
            size=_size(env.prefix),
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
    env = store.environment(name)
    if not yes and not _agreed(store, env, record=record):
        out.say(f"{name}: kept")
        return 1
    patient(store, name, out)
    kernelspecs.remove(name)
    removed(store, env, record=record)
    out.show(deleted_view(env, project=store.project(name), record=record))
    return 0


def _from(store: Store, plan: Plan, source: Path, out: Output, on_line: OnLine, on_progress: OnProgress) -> Environment:
    """Make the environment from a file of any format, with the settings of the plan."""
    from ...actions.restore import How, restore

    how = How(
        runtime=plan.runtime,
        python=plan.python,
        channels=plan.channels,
        scripts=plan.scripts,
        on_line=on_line,
        on_progress=on_progress,
    )
    made = restore(store, source, name=plan.name, actor=actor(out), force=plan.force, how=how)
    for remark in made.remarks:
        out.warn(remark)
    if not plan.env_file:
        return made.environment
    with store.held(plan.name):
        env = replace(made.environment, env_file=plan.env_file)
        store.save(env)
    return env


def _glance(store: Store, name: str) -> Glance:
    """One line's worth of an environment; also of one that is broken."""
    try:
        env = store.environment(name)
    except VenvoyError as error:
        return Glance(name=name, problem=error.message)
    try:
        snapshot, problem = _seen(store, env)
        state = status(store.history(name), snapshot).state
    except InvalidInput as error:
        return Glance(name=name, environment=env, problem=error.message, kernel=kernels.known(store, env))
    return Glance(
        name=name,
        environment=env,
        packages=len(snapshot.packages),
        state=state,
        kernel=kernels.known(store, env),
        problem=problem,
    )


def _seen(store: Store, env: Environment) -> tuple[Snapshot, str]:
    """What is installed, and what is wrong; without the interpreter the disk tells as much as config.yaml knows."""
    try:
        return observe(store, env), ""
    except RuntimeUnavailable as error:
        snapshot = Snapshot(
            environment=env.name,
            taken=datetime.now(UTC),
            base="",
            language=env.language,
            language_version=env.python_version,
            platform=env.platform,
            packages=inventory.packages(env.prefix),
        )
        return snapshot, error.message


def _size(prefix: Path) -> int:
    """The bytes on disk below a prefix; files that uv's cache holds as well (hard links) are counted in full."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder, _, names in os.walk(prefix.resolve()):
        for name in names:
            found = os.lstat(os.path.join(folder, name))  # noqa: PTH118  # tens of thousands of files
            if (key := (found.st_dev, found.st_ino)) not in seen:
                seen.add(key)
                total += found.st_blocks * 512
    return total


def _agreed(store: Store, env: Environment, *, record: bool) -> bool:
    words = ["venvoy delete", env.name, *(["--record"] if record else []), "--yes"]
    what = "forget" if env.adopted else "delete"
    where = env.prefix if env.adopted else store.folder(env.name)
    also = f" and its record in {store.project(env.name)}" if record else ""
    return agreed(f"{what} {env.name!r} ({where}){also}?", hint=f"if you mean it: {' '.join(words)}")
