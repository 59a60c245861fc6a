"""`venvoy runtime-info`."""

from __future__ import annotations

import click

from ... import settings
from ...actions.detect import AUTO, ELSEWHERE, choose, detect
from ..views.runtimes import runtimes_view
from .options import output
from .output import Output


@click.command
@click.option("--runtime", type=click.Choice([AUTO, *ELSEWHERE]), default=AUTO, help="Ask for this one.")
@output
def runtime_info(runtime: str, out: Output) -> None:
    """Show which container runtimes are here, and which one is taken.

    On a cluster Apptainer comes first, then Singularity, Podman and Docker; elsewhere Docker, Podman, Apptainer and
    Singularity. The first that can be used is taken, unless --runtime or the variable VENVOY_RUNTIME names one.
    """
    detected = detect()
    out.show(runtimes_view(detected, choose(detected, runtime, usual=settings.current().containers)))
