"""`venvoy restore`."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.restore import restore as restored
from ..views.record import restored_view
from . import kernels
from .options import FILE, actor, current_store, environment_names, name_option, one_name, output
from .output import Output


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
