"""The launcher behind every kernelspec of ours, for clients that ignore provisioners: `venvoy kernel NAME -f FILE`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import uuid
from pathlib import Path

from .. import runtimes, settings
from ..actions.launch import Kernel, kernel_job, kernel_of
from ..errors import InvalidInput, NotPermitted, VenvoyError
from ..session import create
from ..store import Store
from .shims import Shim

_PASSED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


_USAGE = "usage: venvoy kernel NAME -f CONNECTION_FILE [ARGUMENT]..."


def kernel(words: list[str]) -> int:
    """What `venvoy kernel` does with its words; returns the exit code."""
    if len(words) < 3 or words[1] != "-f":
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    try:
        return run_kernel(words[0], Path(words[2]), tuple(words[3:]))
    except VenvoyError as error:
        sys.stderr.write(f"venvoy: {error}\n")
        return error.exit_code


def run_kernel(name: str, connection_file: Path, arguments: tuple[str, ...] = ()) -> int:
    """Run the kernel of an environment on a connection file that the client wrote; returns its exit code.

    The kernel has a session of its own, so a signal that the client sends, to us or to our whole group, reaches it
    through us and once. When we are killed the shim ends it.
    """
    client = os.getppid()
    store = Store(settings.current())
    policy = settings.policy()
    env = store.environment(name)
    kernel = kernel_of(store, env)
    _check(policy, kernel, connection_file)
    session = create(store.settings.runtime, uuid.uuid4().hex)
    with contextlib.ExitStack() as ending:
        ending.callback(session.remove)
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
        shim = Shim(runtimes.get(env.runtime).command(env, job), base=os.environ, forget=(session.folder,))
        ending.callback(shim.let_go)
        # The kernel starts while we learn to attend it.
        from .attendant import Attendant

        attendant = Attendant(store=store, env=env, session=session, notebook=os.environ.get("JPY_SESSION_NAME", ""))
        ending.callback(attendant.stop)
        attendant.listen()
        attendant.watch()
        return _held(shim, client)


def _held(shim: Shim, client: int) -> int:
    """Pass signals on until the kernel ends, or the client does; who ignores hang-ups (nohup) is to outlive it."""
    alone = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    for signum in _PASSED:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, lambda number, _frame: shim.send(number))
    while shim.wait(0.5) is None and (alone or os.getppid() == client):
        pass
    shim.let_go()
    code = shim.code() or 0
    return code if code >= 0 else 128 - code


def _check(policy: settings.Policy, kernel: Kernel, connection_file: Path) -> None:
    """Raise NotPermitted where the client chose other channels than the administrator demands or the kernel can."""
    try:
        said = json.loads(connection_file.read_text("utf-8")) if connection_file.exists() else {}
        transport, encrypted = said.get("transport", "tcp"), "curve_publickey" in said
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidInput(f"{connection_file} is no connection file: {error}") from error
    if policy.transport not in (None, transport):
        raise NotPermitted(f"kernels must speak over {policy.transport} here, and the client chose {transport}")
    if policy.encryption and not encrypted:
        raise NotPermitted("kernels must speak encrypted here, and the client brought no keys")
    if encrypted and not kernel.encrypts:
        raise NotPermitted(f"the client wants to speak encrypted, which ipykernel {kernel.version} does not understand")
