"""The launcher behind every kernelspec of ours, for clients that ignore provisioners: `venvoy kernel NAME -f FILE`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import uuid
from pathlib import Path

from .. import settings
from ..actions.launch import Kernel, kernel_job, kernel_of
from ..actions.permission import within_policy
from ..actions.start_of import start_of
from ..errors import InvalidInput, NotPermitted
from ..session import create
from ..store import Store
from .kernelspecs import half
from .shims import Shim, contained

_PASSED = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def run_kernel(name: str, connection_file: Path, arguments: tuple[str, ...] = (), *, language: str = "") -> int:
    """Run the kernel of an environment on a connection file that the client wrote; returns its exit code.

    It is that of the environment's own language unless another one that it speaks is named.

    The kernel has a session of its own, so a signal that the client sends, to us or to our whole group, reaches it
    through us and once. When we are killed the shim ends it.
    """
    client = os.getppid()
    store = Store(settings.current())
    policy = settings.policy()
    env = within_policy(half(store.environment(name), language), policy)
    kernel = kernel_of(store, env)
    _check(policy, kernel, connection_file)
    session = create(store.settings.runtime, uuid.uuid4().hex)
    with contextlib.ExitStack() as ending:
        ending.callback(session.remove)
        file = connection_file.absolute()
        if env.container:
            from .relay import connection_inside

            file, relay = connection_inside(file, session)
            if relay:
                ending.callback(relay.close)
        job = kernel_job(
            store,
            env,
            kernel,
            connection_file=file,
            session=session.folder,
            variables=os.environ,
            policy=policy,
            arguments=arguments,
        )
        command = start_of(env, job, policy)
        shim = Shim(command, base=os.environ, forget=(session.folder,), contained=contained(env, job))
        ending.callback(shim.let_go)
        _pass_on(shim)
        # The kernel starts while we learn to attend it.
        from .attendant import Attendant

        attendant = Attendant(store=store, env=env, session=session, notebook=os.environ.get("JPY_SESSION_NAME", ""))
        ending.callback(attendant.stop)
        attendant.listen()
        attendant.watch()
        return _held(shim, client)


def _pass_on(shim: Shim) -> None:
    """Pass every signal on from now on; one that we were started to ignore stays ignored."""
    for signum in _PASSED:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, lambda number, _frame: shim.send(number))


def _held(shim: Shim, client: int) -> int:
    """Wait until the kernel ends, or the client does; who ignores hang-ups (nohup) is to outlive it."""
    alone = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
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
        speaks = f"{kernel.name} {kernel.version}"
        raise NotPermitted(f"the client wants to speak encrypted, which {speaks} does not understand")
