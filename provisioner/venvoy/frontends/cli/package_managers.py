"""`venvoy package-managers`."""

from __future__ import annotations

import click

from ...actions.package_managers import package_managers as found
from ..views.package_managers import managers_view
from .options import current_store, output
from .output import Output


@click.command
@output
def package_managers(out: Output) -> None:
    """Show which package managers are here, and what for.

    Conda packages are for the engine inside venvoy (py-rattler), an extra; micromamba, mamba and conda are for what
    notebooks ask of them. Packages of the Python index are for uv, and for pip what uv has no command for.
    """
    out.show(managers_view(found(current_store())))
