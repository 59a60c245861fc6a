"""Jupyter Server's extension: a notebook that its client saves is told which environment it was run in."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import VenvoyError
from .kernelspecs import KEY

if TYPE_CHECKING:
    from .provisioner import EnvironmentProvisioner

_log = logging.getLogger(__name__)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "venvoy.frontends.server", "name": "venvoy"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Have every save go by us; `app` is the ServerApp."""
    manager = app.contents_manager
    # A contents manager that is made otherwise (a database, a gateway) may have no hooks.
    if hasattr(manager, "register_pre_save_hook"):
        manager.register_pre_save_hook(_Stamp(app))


class _Stamp:
    """The hook (`ContentsManager.register_pre_save_hook`): changes the model on its way to the disk, nothing else."""

    __name__ = "venvoy"

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, *, model: dict[str, Any], path: str, contents_manager: Any, **_more: Any) -> None:
        if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
            return
        provisioner = self._provisioner(path)
        if provisioner is None:
            return
        notebook = Path(getattr(contents_manager, "root_dir", ""), path.strip("/")).absolute()
        try:
            said = provisioner.binding(notebook)
        except (VenvoyError, OSError) as error:
            _log.warning("venvoy: %s is saved without word of its environment: %s", path, error)
            return
        if said is not None:
            model["content"].setdefault("metadata", {})[KEY] = said.said()

    def _provisioner(self, path: str) -> EnvironmentProvisioner | None:
        """The provisioner of the kernel that this notebook's session has, where it is ours.

        Jupyter imports ours with the first kernel that needs it; a server without such kernels starts no slower.
        """
        kernel = self._kernel(path.strip("/"))
        kernels = self._app.kernel_manager
        manager = kernels.get_kernel(kernel) if kernel and kernel in kernels else None
        room = sys.modules.get(f"{__package__}.provisioner")
        provisioner = getattr(manager, "provisioner", None)
        return provisioner if room is not None and isinstance(provisioner, room.EnvironmentProvisioner) else None

    def _kernel(self, path: str) -> str | None:
        """The kernel of the session for that path.

        A hook cannot wait, and `get_session` must be waited for; the table that it looks into is asked instead.
        """
        # Real-time collaboration puts the name of its drive before the path.
        query = "SELECT kernel_id FROM session WHERE type = 'notebook' AND path IN (?, ?)"
        connection = getattr(self._app.session_manager, "connection", None)
        if connection is None:
            return None
        row = connection.execute(query, (path, f"RTC:{path}")).fetchone()
        return str(row[0]) if row else None
