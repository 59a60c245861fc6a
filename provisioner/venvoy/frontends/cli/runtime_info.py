"""`venvoy runtime-info`."""

from __future__ import annotations

import click

from ... import settings
from ...actions.detect import AUTO, ELSEWHERE, choose, detect
from ...errors import RuntimeUnavailable
from ..views.runtimes import runtimes_view
from .options import output
from .output import Output


@click.command
@click.option("--runtime", type=click.Choice([AUTO, *ELSEWHERE]), default=AUTO, help="Ask for this one.")
@output
def runtime_info(runtime: str, out: Output) -> int:
    """Show which container runtimes are here, and which one is taken.

    On a cluster Apptainer comes first, then Singularity, Podman and Docker; elsewhere Docker, Podman, Apptainer and
    Singularity. The first that can be used is taken, unless --runtime or the variable VENVOY_RUNTIME names one. Where
    that cannot be used the exit code is 6.
    """
    detected = detect()
    try:
        choice = choose(detected, runtime, usual=settings.current().containers)
    except RuntimeUnavailable as error:
        out.show(runtimes_view(detected, None, problem=error.message))
        return error.exit_code
    out.show(runtimes_view(detected, choice))
    return 0
