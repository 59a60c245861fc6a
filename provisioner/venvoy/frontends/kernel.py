"""The launcher behind every kernelspec of ours, for clients that ignore provisioners: `venvoy kernel NAME -f FILE`."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from pathlib import Path

from .. import runtimes, settings
from ..actions.launch import kernel_job, kernel_of
from ..session import create
from ..store import Store
from .attendant import Attendant
from .shims import Shim

_PASSED = (signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


def run_kernel(name: str, connection_file: Path, arguments: tuple[str, ...] = ()) -> int:
    """Run the kernel of an environment on a connection file that the client wrote; returns its exit code.

    The kernel has a session of its own, so a signal that the client sends, to us or to our whole group, reaches it
    through us and once. When we are killed the shim ends it.
    """
    store = Store(settings.current())
    policy = settings.policy()
    env = store.environment(name)
    kernel = kernel_of(store, env)
    session = create(store.settings.runtime, uuid.uuid4().hex)
    attendant = Attendant(store=store, env=env, session=session, notebook=os.environ.get("JPY_SESSION_NAME", ""))
    try:
        job = kernel_job(
            store,
            env,
            kernel,
            connection_file=connection_file.absolute(),
            session=session.folder,
            variables=os.environ,
            policy=policy,
            arguments=arguments,
        )
        attendant.start()
        shim = Shim(runtimes.get(env.runtime).command(env, job), base=os.environ, forget=(session.folder,))
        return _held(shim)
    finally:
        attendant.stop()
        session.remove()


def _held(shim: Shim) -> int:
    for signum in _PASSED:
        signal.signal(signum, lambda number, _frame: shim.send(number))
    signal.signal(signal.SIGTERM, lambda _number, _frame: shim.send(signal.SIGTERM))
    parent = os.getppid()
    while (code := shim.wait(0.5)) is None:
        if os.getppid() != parent:
            break  # the client died; letting go ends the kernel
    shim.let_go()
    code = shim.code() or 0
    if code and shim.last_lines():
        sys.stderr.write(f"venvoy: the kernel ended with {code}\n")
    return code if code >= 0 else 128 - code
