"""`venvoy status`, `history` and `freeze`."""

from __future__ import annotations

import click

from ...actions.changes import changes
from ...actions.freeze import freeze as frozen
from ...actions.observe import observe
from ...actions.status import status as compared
from ..views.record import frozen_view, history_view, status_view
from .options import actor, current_store, named, output, usable
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
