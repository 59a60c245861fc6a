"""The options that say what a conda environment is solved from."""

from __future__ import annotations

from dataclasses import dataclass

import click

from .options import gathered


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """What was said of it on the command line; false where nothing was."""

    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    scripts: bool = False

    def __bool__(self) -> bool:
        return self != Solved()


def _solved(channels: tuple[str, ...], specs: tuple[str, ...], *, link_scripts: bool) -> Solved:
    return Solved(channels=channels, specs=specs, scripts=link_scripts)


solving_options = gathered(
    "solved",
    _solved,
    click.option("--channel", "-c", "channels", multiple=True, metavar="NAME", help="conda: where packages are found."),
    click.option(
        "--conda", "specs", multiple=True, metavar="SPEC", help="conda: a package, as in numpy or 'numpy>=2'."
    ),
    click.option(
        "--link-scripts", is_flag=True, help="conda: let packages run their own scripts when they are linked."
    ),
)
"""Add them; the command is given one `solved`."""
