"""`venvoy import-archive`."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.detect import AUTO
from ...actions.import_archive import import_archive as imported
from ...actions.lay_out import lay_out
from ...actions.place import HOST
from ...containers import ENGINES
from ...settings import policy
from ..views.archives import imported_view, laid_out_view
from . import kernels
from .containing import Contained, container_options, wanted_of
from .options import FILE, actor, current_store, name_option, one_name, output
from .output import Output
from .speaking import Versions, versions_options


@click.command("import-archive")
@click.argument("archive", metavar="FILE", type=FILE)
@click.argument("position", metavar="[NAME]", required=False)
@name_option
@click.option(
    "--runtime",
    type=click.Choice([*HOST, AUTO, *ENGINES]),
    help="What to make it for; by default what it was packed from, or the best container runtime of this machine.",
)
@container_options
@versions_options
@click.option(
    "--folder",
    type=FILE,
    metavar="DIR",
    help="Make no environment: lay image, packages and files into a plain folder, to look at it.",
)
@click.option("--force", is_flag=True, help="Replace the one of that name; it stays until the new one is whole.")
@click.option(
    "--trust-repositories", is_flag=True, help="Of R: install from the repositories that it names, whoever keeps them."
)
@click.option("--allowed-signers", type=FILE, metavar="FILE", help="Only if one of these signed it (ssh-keygen).")
@output
def import_archive(
    archive: Path,
    position: str | None,
    option: str | None,
    runtime: str | None,
    contained: Contained,
    versions: Versions,
    allowed_signers: Path | None,
    folder: Path | None,
    *,
    force: bool,
    trust_repositories: bool,
    out: Output,
) -> None:
    """Make an environment from an archive.

    Every file is checked against the archive's manifest, nothing of it is executed, and no network is used. Its record
    is taken over where there is none of that name, and its notebooks and other files are put into the project folder;
    files that are there already are left alone.

    A container environment is made by any runtime: its image is taken from the archive, by its digest; Apptainer and
    Singularity make a SIF of it. Where there is none, --folder shows what is in it.
    """
    if folder is not None:
        if position or option or runtime or contained or versions or force or trust_repositories:
            raise click.UsageError("--folder makes no environment: it goes with --allowed-signers alone")
        with out.measured(f"Checking {archive} …") as (_, on_progress):
            laid = lay_out(archive, folder, allowed_signers=allowed_signers, on_progress=on_progress)
        out.show(laid_out_view(laid))
        return
    store = current_store()
    with out.measured(f"Checking {archive} …") as (on_line, on_progress):
        made = imported(
            store,
            archive,
            actor=actor(out),
            name=one_name(position, option),
            force=force,
            python=versions.python,
            r=versions.r,
            wanted=wanted_of(runtime, contained),
            trust_repositories=trust_repositories,
            policy=policy(),
            allowed_signers=allowed_signers,
            on_progress=on_progress,
            on_line=on_line,
        )
    out.concerns(made.environment.name)
    kernel = kernels.offered(store, made.environment, out, first="Preparing the kernel …")
    out.show(imported_view(made, kernel=kernel))
