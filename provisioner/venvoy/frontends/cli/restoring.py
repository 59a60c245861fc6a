"""`venvoy restore` and `venvoy undo`."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

import click

from ...actions.changes import changes
from ...actions.detect import AUTO
from ...actions.go_back import Returned
from ...actions.go_back import go_back as gone_back
from ...actions.place import HOST
from ...actions.plan import plan
from ...actions.points import Point
from ...actions.restore import How
from ...actions.restore import restore as restored
from ...actions.undo import before_last
from ...actions.undo import undo as undone
from ...containers import ENGINES
from ...model import Environment, Kind
from ...session import running
from ...settings import DEFAULT_NAME, policy
from ...store import Store
from .. import binding
from ..views.record import history_view, plan_view, restored_view, returned_view
from . import kernels
from .containing import Contained, container_options, wanted_of
from .options import (
    actor,
    agreed,
    current_store,
    environment_names,
    gathered,
    name_option,
    named,
    output,
    patient,
    usable,
)
from .output import Output, usage_error
from .points import is_name, point_of

LISTED = 20
"""How many entries of the record are shown to choose from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What the words mean: a file to make an environment from, or an environment to take back to a point."""

    source: Path | None = None
    name: str | None = None
    point: str | None = None


def _how(
    python: str | None,
    r: str | None,
    as_of: datetime | None,
    channels: tuple[str, ...],
    *,
    link_scripts: bool,
    offline: bool,
) -> How:
    day = as_of.date() if as_of else None
    return How(python=python, r=r, as_of=day, channels=channels, scripts=link_scripts, offline=offline)


how_options = gathered(
    "how",
    _how,
    click.option("--python", metavar="VERSION", help="Another Python than the file's: 3.12, 3.12.1, or a path."),
    click.option("--r-version", "r", metavar="VERSION", help="Another R than the lock's: 4.4, 4.4.1, or a path."),
    click.option(
        "--as-of",
        type=click.DateTime(["%Y-%m-%d"]),
        metavar="DAY",
        help="For a file without exact versions: the index as it stood on that day (2018-12-01).",
    ),
    click.option("--channel", "-c", "channels", multiple=True, metavar="NAME", help="conda: instead of the file's."),
    click.option(
        "--link-scripts", is_flag=True, help="conda: let packages run their own scripts when they are linked."
    ),
    click.option("--offline", is_flag=True, help="Use no network: files beside a lock, or uv's cache, must do."),
)


@click.command
@click.argument("words", metavar="[FILE] [NAME]", nargs=-1, shell_complete=environment_names)
@name_option
@click.option("--to", "point", metavar="POINT", help="Go back to it: a number, digest or time of the history.")
@click.option("--dry-run", is_flag=True, help="With --to: only say what would change and what it would take.")
@click.option("--yes", "-y", is_flag=True, help="With --to: do not ask.")
@click.option(
    "--runtime",
    type=click.Choice([*HOST, AUTO, *ENGINES]),
    help="What to make of the FILE; by default a venv, or conda where it has packages that only conda has.",
)
@container_options
@how_options
@click.option("--force", is_flag=True, help="Replace the one of that name; it stays until the new one is whole.")
@output
def restore(
    words: tuple[str, ...],
    option: str | None,
    point: str | None,
    runtime: str | None,
    contained: Contained,
    how: How,
    *,
    dry_run: bool,
    yes: bool,
    force: bool,
    out: Output,
) -> int:
    """Make an environment from a file, or go back to a state.

    With a FILE an environment is made: every hash of a lock is checked, and what is installed at the end is compared
    with the file; where it differs the command fails, and nothing is left. Without a name it is the one that the file,
    or its folder, says. FILE is a pylock.toml, uv.lock, conda-lock.yml, pixi.lock, renv.lock, an explicit list of
    conda, our own lock, an environment.yml, a requirements.txt, a script or notebook with a '# /// script' block (PEP
    723), or a folder as repo2docker reads it. In a container it stands on the image of --image, of the lock, or of its
    Python or R.

    Without a file the environment goes back to a state of its own history, in place: to the one that --to says or, at
    a terminal, that you choose. The new prefix is built aside and swapped in whole; `venvoy undo` takes that back.
    """
    store = current_store()
    wish = _wish(store, words, option, point)
    if wish.source is None:
        return _return(store, wish, dry_run=dry_run, yes=yes, out=out)
    wish = _followed(store, wish, wish.source)
    wanted = wanted_of(runtime, contained) if runtime not in HOST or contained else None
    out.concerns(wish.name or "")
    with out.measured(f"Restoring {wish.source} …") as (on_line, on_progress):
        how = replace(
            how, runtime=cast("Kind", runtime) if runtime in HOST else None, on_line=on_line, on_progress=on_progress
        )
        made = restored(
            store,
            wish.source or Path(),
            name=wish.name,
            actor=actor(out),
            force=force,
            how=how,
            wanted=wanted,
            policy=policy(),
        )
    out.concerns(made.environment.name)
    kernel = None if how.offline else kernels.offered(store, made.environment, out, first="Preparing the kernel …")
    for remark in made.remarks:
        out.warn(remark)
    out.show(restored_view(made, kernel=kernel))
    return 0


@click.command
@named
@click.option("--dry-run", is_flag=True, help="Only say what would change and what it would take.")
@output
def undo(name: str, *, dry_run: bool, out: Output) -> None:
    """Take back the last change of an environment.

    Once more takes back the one before that. `venvoy restore --to` goes to any state, also forward again.
    """
    store = current_store()
    env = usable(store.environment(name))
    if dry_run:
        out.show(plan_view(name, plan(store, env, before_last(store.history(name)))))
        return
    patient(store, name, out)
    with out.progress(f"Taking back the last change of {name!r} …") as on_line:
        returned = undone(store, env, actor=actor(out), on_line=on_line)
    _tell(store, returned, out)


def _wish(store: Store, words: tuple[str, ...], option: str | None, point: str | None) -> _Wish:
    if len(words) > (1 if option or point else 2):
        raise click.UsageError(f"too many words: {' '.join(words)}")
    if point or not words or (len(words) == 1 and not option and _is_environment(store, words[0])):
        return _Wish(name=option or (words[0] if words else DEFAULT_NAME), point=point)
    return _Wish(source=Path(words[0]), name=option or (words[1] if len(words) > 1 else None))


def _followed(store: Store, wish: _Wish, source: Path) -> _Wish:
    """A notebook that names its environment leads to that one's lock; any other file is followed itself."""
    if source.suffix != ".ipynb" or binding.bound_in(binding.metadata_of(source)) is None:
        return wish
    name = wish.name or binding.read(source).environment
    return replace(wish, source=binding.lock_of(store, source), name=name)


def _is_environment(store: Store, word: str) -> bool:
    """A file comes before an environment of the same name, and that before a folder."""
    return os.sep not in word and not Path(word).is_file() and is_name(store, word)


def _return(store: Store, wish: _Wish, *, dry_run: bool, yes: bool, out: Output) -> int:
    name = wish.name or DEFAULT_NAME
    env = usable(store.environment(name))
    target = point_of(store, name, wish.point or _chosen(store, name, out))
    if dry_run:
        out.show(plan_view(name, plan(store, env, target)))
        return 0
    if sys.stdin.isatty() and not yes and not _confirmed(store, env, target, out):
        return 1
    patient(store, name, out)
    with out.measured(f"Taking {name!r} back to {target.label} …") as (on_line, on_progress):
        returned = gone_back(store, env, target, actor=actor(out), on_line=on_line, on_progress=on_progress)
    _tell(store, returned, out)
    return 0


def _chosen(store: Store, name: str, out: Output) -> str:
    """Have the user choose from the history."""
    if not sys.stdin.isatty():
        raise usage_error(
            "there is no terminal to choose at", hint=f"say where to: venvoy restore --name {name} --to POINT"
        )
    shown = history_view(name, changes(store.history(name)), last=LISTED)
    out.say(shown.text)
    answer: str = click.prompt("back to which (number, digest or time)?", err=True)
    return answer


def _confirmed(store: Store, env: Environment, target: Point, out: Output) -> bool:
    out.say(plan_view(env.name, plan(store, env, target)).text)
    return agreed("go back?", hint=f"if you mean it: venvoy restore --name {env.name} --to … --yes")


def _tell(store: Store, returned: Returned, out: Output) -> None:
    env = returned.environment
    kernels.offered(store, env, out)
    out.show(returned_view(env.name, returned, kernels=len(running(store.settings.runtime, env.name))))
