"""A notebook that its client saves is told which environment it was run in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from ...errors import VenvoyError
from .kernels import kernel_of, provisioner_of, shared

PATIENCE = 3.0
"""Seconds that a save waits at most for what its cells did to be written down; usually that takes milliseconds."""
Given = TypeVar("Given")
_log = logging.getLogger(__name__)


def stamp_saved_notebooks(app: Any) -> None:
    """Have every save go by us; `app` is the ServerApp."""
    manager = app.contents_manager
    # A contents manager that is made otherwise (a database, a gateway) may have no hooks.
    if hasattr(manager, "register_pre_save_hook"):
        manager.register_pre_save_hook(_Stamp(app))


def soon(work: Callable[[], Given]) -> Given:
    """What `work` gives. Raises TimeoutError after PATIENCE: while a hook runs the server answers nobody."""
    given: Future[Given] = Future()

    def run() -> None:
        try:
            given.set_result(work())
        except BaseException as error:  # noqa: BLE001  # raised again where it is waited for
            given.set_exception(error)

    threading.Thread(target=run, name="venvoy-stamp", daemon=True).start()
    return given.result(PATIENCE)


class _Stamp:
    """The hook (`ContentsManager.register_pre_save_hook`): changes the model on its way to the disk, nothing else."""

    __name__ = "venvoy"

    def __init__(self, app: Any) -> None:
        self._app = app

    def __call__(self, *, model: dict[str, Any], path: str, contents_manager: Any, **_more: Any) -> None:
        if model.get("type") != "notebook" or not isinstance(model.get("content"), dict):
            return
        kernel = kernel_of(self._app.session_manager, path)
        provisioner = provisioner_of(self._app.kernel_manager, kernel) if kernel else None
        if provisioner is None:
            return
        notebook = Path(getattr(contents_manager, "root_dir", ""), path.strip("/")).absolute()
        alone = kernel is not None and not shared(self._app.session_manager, kernel)
        try:
            said = soon(lambda: provisioner.binding(notebook, alone=alone))
        except (VenvoyError, OSError) as error:
            _log.warning("venvoy: %s is saved without word of its environment: %s", path, str(error) or "it takes long")
            return
        if said is not None:
            from ..kernelspecs import KEY

            model["content"].setdefault("metadata", {})[KEY] = said.said()
