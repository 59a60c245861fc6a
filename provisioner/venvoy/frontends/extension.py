"""`%load_ext venvoy`: in an ipykernel that venvoy did not start, we attend the kernel from inside."""

from __future__ import annotations

import atexit
import os
import sys
import uuid
from pathlib import Path
from typing import Any

from .. import settings
from ..actions.adopt import adopt
from ..errors import VenvoyError
from ..guest import startup
from ..model import Actor, Environment
from ..session import create
from ..store import Store
from .attendant import Attendant

_loaded: list[Attendant] = []


def load(shell: Any) -> None:
    """Attend this kernel and let the guest in; nothing happens where that was done already.

    An environment that is not known yet is adopted under its folder's name. Raises VenvoyError where recording cannot
    begin: outside any venv, say.
    """
    if _loaded or "_venvoy_guest" in sys.modules:
        return
    store = Store(settings.current())
    env = _environment(store, Path(sys.prefix))
    session = create(store.settings.runtime, uuid.uuid4().hex)
    attendant = Attendant(store=store, env=env, session=session, notebook=os.environ.get("JPY_SESSION_NAME", ""))
    attendant.listen()
    attendant.watch()
    _loaded.append(attendant)
    atexit.register(session.remove)
    atexit.register(attendant.stop)
    startup.start(shell, str(session.folder))


def _environment(store: Store, prefix: Path) -> Environment:
    if known := store.at(prefix):
        return known
    if sys.prefix == sys.base_prefix:
        raise VenvoyError(
            "this kernel runs on the interpreter itself, in no environment that could be recorded",
            hint="make one and choose its kernel: venvoy init NAME",
        )
    return adopt(store, prefix, name=None, actor=Actor(kind="command", command="%load_ext venvoy"))
