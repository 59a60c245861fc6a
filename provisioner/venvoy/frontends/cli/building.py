"""`venvoy build`: an image of an environment that anybody can run."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.build import Wished
from ...actions.build import build as built
from ...containers import ENGINES
from ..views.carrying import lacking
from ..views.containers import built_view
from .options import FILE, actor, current_store, named, output, patient, usable
from .output import Output


@click.command
@named
@click.option(
    "--runtime", type=click.Choice(ENGINES), help="Which program builds it; by default the environment's own."
)
@click.option(
    "--tag", "-t", metavar="NAME", help="Docker, Podman: what to call the image; by default as the environment."
)
@click.option("--file", "-f", type=FILE, metavar="FILE", help="Apptainer: where to; by default ./NAME.sif.")
@click.option("--platform", "platforms", metavar="LIST", help="For other machines, too: linux/amd64,linux/arm64.")
@click.option("--push", is_flag=True, help="Send it to the registry that --tag names.")
@output
def build(
    name: str,
    runtime: str | None,
    tag: str | None,
    file: Path | None,
    platforms: str | None,
    *,
    push: bool,
    out: Output,
) -> None:
    """Build an image of an environment that needs nothing of venvoy.

    It is built of what `venvoy export --format dockerfile` (or apptainer) writes: from the environment's own image, or
    the official one of its Python, every hash checked. Variables for a proxy and PIP_INDEX_URL reach its steps, and do
    not stay in it. For processors other than this machine's the engine needs buildx (Docker) and qemu.
    """
    if push and not tag:
        raise click.UsageError("--push needs a --tag with the name of a registry in it")
    store = current_store()
    env = usable(store.environment(name))
    patient(store, name, out)
    wanted = tuple(each for each in (platforms or "").split(",") if each)
    wished = Wished(runtime=runtime, tag=tag, file=file, platforms=wanted, push=push)
    with out.progress(f"Building an image of {name!r} …") as on_line:
        done = built(store, env, wished, actor=actor(out), on_line=on_line)
    if missing := lacking(done.recipe):
        out.warn("these packages are not in it:", hint=missing)
    out.show(built_view(name, done))
