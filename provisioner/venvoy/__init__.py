"""Named environments that are at once a Jupyter kernel, a record and a lock."""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def load_ipython_extension(shell: Any) -> None:
    """Load the magics, and record the environment of this kernel: `%load_ext venvoy` in any ipykernel."""
    from .frontends.extension import load

    load(shell)


def _jupyter_labextension_paths() -> list[dict[str, str]]:
    """Where the built JupyterLab extension lies: what `jupyter-builder develop` links (JupyterLab's documentation)."""
    return [{"src": "labextension", "dest": "venvoy"}]
