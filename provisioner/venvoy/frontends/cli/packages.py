"""`venvoy install` and `venvoy remove`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import click

from ...actions.check_conda import shadow_sentences
from ...actions.create import DEV_REQUIREMENTS, REQUIREMENTS
from ...actions.diff import diff
from ...actions.install import install as installed
from ...actions.install import remove as removed
from ...actions.record import recorded
from ...errors import EnvironmentNotFound
from ...history import Entry, History
from ...model import Diff, Environment
from ...settings import DEFAULT_NAME
from ...store import Store
from ..views.environments import changed_view
from . import kernels
from .options import FILE, actor, current_store, environment_names, name_option, output, patient, usable
from .output import Output


@click.command
@click.argument("words", metavar="[NAME] [PACKAGE]...", nargs=-1, shell_complete=environment_names)
@name_option
@click.option("--requirements", "-r", type=FILE, multiple=True, metavar="FILE", help="What this file lists, too.")
@click.option("--dev", is_flag=True, help="Note them as what only development needs.")
@click.option("--pip", "by_pip", is_flag=True, help="In a conda environment: from the Python index.")
@click.option("--r", "of_r", is_flag=True, help="In an environment of Python and R: these are R packages.")
@click.option("--channel", "-c", "channels", multiple=True, metavar="NAME", help="conda: look in it, too, this time.")
@click.option("--link-scripts", is_flag=True, help="conda: let packages run their own scripts when they are linked.")
@click.option("--system", is_flag=True, help="Containers: packages of the image's system (apt, apk, dnf).")
@output
def install(
    words: tuple[str, ...],
    option: str | None,
    requirements: tuple[Path, ...],
    channels: tuple[str, ...],
    *,
    dev: bool,
    by_pip: bool,
    of_r: bool,
    link_scripts: bool,
    system: bool,
    out: Output,
) -> None:
    """Install packages into an environment.

    With --system they are put into a new image on top of the one that the environment stands on, by the manager that
    this one has; `venvoy undo` goes back to it.

    Into an R environment, or with --r into one of Python and R, they come from CRAN, or what R's option "repos" names
    (dplyr, ggplot2==3.4.0).

    Into a conda environment they come from its channels, as match specs say ('numpy>=2', conda-forge::numpy); what
    only the Python index has comes with --pip. Files of requirements are always pip's.

    The first word is the environment's name unless --name says it. Without packages and -r it is what the
    environment's own requirements.txt and requirements-dev.txt list (with --dev, the latter alone), and the conda
    packages in its config.yaml.
    """
    name, wanted = _told(words, option)
    store = current_store()
    if system:
        if requirements or channels or dev or by_pip or of_r or link_scripts:
            raise click.UsageError("--system goes with packages of a system alone")
        _change_system(store, name, wanted, out)
        return
    env = _meant(store, name, words=words if option is None else ())
    if of_r and (requirements or channels or dev or by_pip):
        raise click.UsageError("--r goes with R packages alone")
    by_r, wanted = (wanted, ()) if of_r else ((), wanted)
    if not (wanted or by_r or requirements or dev or by_pip) and env.speaks("r"):
        by_r = env.speaking("r").packages
    files = requirements if wanted or requirements or of_r else _own_lists(store, name, dev=dev)
    if not wanted and not by_r and not files and not env.conda_packages:
        out.say(f"{store.folder(name) / REQUIREMENTS} lists nothing")
    patient(store, name, out)
    history = store.history(name)
    before = history.last()
    shadowed = dict(shadow_sentences(env.prefix))
    entry = None
    listed = env.conda_packages if not (wanted or requirements or dev or by_pip) else ()
    if wanted or by_r or files or listed:
        by_conda = env.runtime == "conda" and not (by_pip or dev)
        with out.measured(f"Installing into {name!r} …") as (on_line, on_progress):
            entry = installed(
                store,
                env,
                () if by_conda else wanted,
                specs=(wanted if by_conda else ()) or listed,
                channels=channels,
                actor=actor(out),
                lists=files,
                by_r=by_r,
                dev=dev,
                scripts=link_scripts,
                on_line=on_line,
                on_progress=on_progress,
            )
    kernels.offered(store, env, out)
    for package, sentence in shadow_sentences(env.prefix):
        if package not in shadowed:
            out.warn(sentence, hint=f"conda's comes back with: venvoy repair {name}")
    out.show(changed_view(name, _difference(history, before, entry)))


@click.command
@click.argument("words", metavar="[NAME] PACKAGE...", nargs=-1, shell_complete=environment_names)
@name_option
@click.option("--r", "of_r", is_flag=True, help="In an environment of Python and R: these are R packages.")
@click.option("--system", is_flag=True, help="Containers: what was installed with --system.")
@output
def remove(words: tuple[str, ...], option: str | None, *, of_r: bool, system: bool, out: Output) -> None:
    """Take packages out of an environment.

    The first word is the environment's name unless --name says it.
    """
    name, unwanted = _told(words, option)
    if not unwanted:
        raise click.UsageError(f"no package is named that should go from {name!r}")
    store = current_store()
    if system:
        _change_system(store, name, unwanted, out, remove=True)
        return
    env = usable(store.environment(name))
    patient(store, name, out)
    history = store.history(name)
    before = history.last()
    with out.measured(f"Removing from {name!r} …") as (on_line, on_progress):
        entry = removed(store, env, unwanted, actor=actor(out), by_r=of_r, on_line=on_line, on_progress=on_progress)
    kernels.offered(store, env, out)
    out.show(changed_view(name, _difference(history, before, entry)))


def _change_system(store: Store, name: str, packages: tuple[str, ...], out: Output, *, remove: bool = False) -> None:
    from ...actions.add_system import add_system, remove_system
    from ..views.containers import extended_view

    if not packages:
        raise click.UsageError("--system needs the names of packages")
    env = store.environment(name)
    patient(store, name, out)
    change = remove_system if remove else add_system
    with out.progress(f"Building an image for {name!r} …") as on_line:
        done = change(store, env, packages, actor=actor(out), on_line=on_line)
    kernels.offered(store, done.environment, out)
    out.show(extended_view(name, done))


def _meant(store: Store, name: str, *, words: tuple[str, ...]) -> Environment:
    """The environment; where the first of the `words` names none, it may have been meant for a package."""
    try:
        return usable(store.environment(name))
    except EnvironmentNotFound as error:
        if not words:
            raise
        there = DEFAULT_NAME if store.exists(DEFAULT_NAME) else "NAME"
        other = shlex.join(["venvoy", "install", "--name", there, *words])
        raise EnvironmentNotFound(error.message, hint=f"{error.hint}\nif that is a package: {other}") from error


def _told(words: tuple[str, ...], option: str | None) -> tuple[str, tuple[str, ...]]:
    """The environment's name, and the packages."""
    if option:
        return option, words
    return (words[0], words[1:]) if words else (DEFAULT_NAME, ())


def _own_lists(store: Store, name: str, *, dev: bool) -> tuple[Path, ...]:
    names = (DEV_REQUIREMENTS,) if dev else (REQUIREMENTS, DEV_REQUIREMENTS)
    lists = (store.folder(name) / each for each in names)
    return tuple(each for each in lists if each.exists() and each.read_text("utf-8").strip())


def _difference(history: History, before: Entry | None, entry: Entry | None) -> Diff:
    """What the command changed, as the record has it."""
    if entry is None or entry.event != "change":
        return Diff()
    after = recorded(history, entry)
    return diff(recorded(history, before) if before else replace(after, packages=()), after)
