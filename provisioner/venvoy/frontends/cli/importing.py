"""`venvoy import-archive`."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.import_archive import import_archive as imported
from ..views.archives import imported_view
from . import kernels
from .options import FILE, actor, current_store, name_option, one_name, output
from .output import Output


@click.command("import-archive")
@click.argument("archive", metavar="FILE", type=FILE)
@click.argument("position", metavar="[NAME]", required=False)
@name_option
@click.option("--python", metavar="VERSION", help="Another Python than the archive's: 3.12, 3.12.1, or a path.")
@click.option("--force", is_flag=True, help="Replace the one of that name; it stays until the new one is whole.")
@click.option("--allowed-signers", type=FILE, metavar="FILE", help="Only if one of these signed it (ssh-keygen).")
@output
def import_archive(
    archive: Path,
    position: str | None,
    option: str | None,
    python: str | None,
    allowed_signers: Path | None,
    *,
    force: bool,
    out: Output,
) -> None:
    """Make an environment from an archive.

    Every file is checked against the archive's manifest, nothing of it is executed, and no network is used. Its record
    is taken over where there is none of that name, and its notebooks and other files are put into the project folder;
    files that are there already are left alone.
    """
    store = current_store()
    with out.measured(f"Checking {archive} …") as (on_line, on_progress):
        made = imported(
            store,
            archive,
            actor=actor(out),
            name=one_name(position, option),
            force=force,
            python=python,
            allowed_signers=allowed_signers,
            on_progress=on_progress,
            on_line=on_line,
        )
    kernel = kernels.offered(store, made.environment, out, first="Preparing the kernel …")
    out.show(imported_view(made, kernel=kernel))
