"""`venvoy status`, `history`, `freeze` and `restore`."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.changes import changes
from ...actions.freeze import freeze as frozen
from ...actions.observe import observe
from ...actions.restore import restore as restored
from ...actions.status import status as compared
from ..views.record import frozen_view, history_view, restored_view, status_view
from . import kernels
from .options import FILE, actor, current_store, environment_names, name_option, named, one_name, output, usable
from .output import Output


@click.command
@named
@output
def status(name: str, out: Output) -> int:
    """Say how an environment stands against its last freeze.

    The exit code is 1 when something changed since, and 0 when nothing did or it was never frozen.
    """
    store = current_store()
    env = usable(store.environment(name))
    found = compared(store.history(name), observe(store, env))
    out.show(status_view(name, found))
    return 1 if found.state == "changed" else 0


@click.command
@named
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N entries.")
@output
def history(name: str, last: int | None, out: Output) -> None:
    """Show every change of an environment, with when and who.

    It can be asked for also when the environment itself is deleted.
    """
    store = current_store()
    kept = store.history(name)
    if not kept.log.exists():
        store.environment(name)
    out.show(history_view(name, changes(kept), last=last))


@click.command
@named
@output
def freeze(name: str, out: Output) -> None:
    """Lock what is installed, every package with its url and hash.

    The lock is the file pylock.toml in the environment's project folder. What cannot be fetched again is named.
    """
    store = current_store()
    env = usable(store.environment(name))
    with out.progress("Looking every installed package up on the index …") as on_line:
        lock = frozen(store, env, actor=actor(out), on_line=on_line)
    out.show(frozen_view(name, lock))


@click.command
@click.argument("source", metavar="FILE", type=FILE)
@click.argument("position", metavar="[NAME]", required=False, shell_complete=environment_names)
@name_option
@click.option("--python", metavar="VERSION", help="Another Python than the file's: 3.12, 3.12.1, or a path.")
@click.option("--force", is_flag=True, help="Replace the one of that name; it stays until the new one is whole.")
@output
def restore(
    source: Path, position: str | None, option: str | None, python: str | None, *, force: bool, out: Output
) -> None:
    """Make an environment from a lock or an environment.yml.

    Every hash of a lock is checked, and what is installed at the end is compared with the file: where it differs the
    command fails, and nothing is left. Without a name it is the one that the file, or its folder, says.
    """
    store = current_store()
    with out.progress(f"Restoring {source} …") as on_line:
        made = restored(
            store,
            source,
            name=one_name(position, option),
            actor=actor(out),
            force=force,
            python=python,
            on_line=on_line,
        )
    kernel = kernels.offered(store, made.environment, out, first="Preparing the kernel …")
    out.show(restored_view(made, kernel=kernel))
