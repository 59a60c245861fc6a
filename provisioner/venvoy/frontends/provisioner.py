"""The Jupyter side of launching: a kernel provisioner that runs kernels inside named environments."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo, LocalPortCache
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Enum, Float, Unicode

from .. import runtimes, settings
from ..actions.launch import Kernel, kernel_job, kernel_of
from ..errors import KernelUnusable, NotPermitted, VenvoyError
from ..model import Environment
from ..session import Session, create
from ..store import Store
from .attendant import Attendant
from .kernelspecs import KEY
from .shims import Shim

_PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")


class EnvironmentProvisioner(LocalProvisioner):
    """Runs a kernel in a venvoy environment, records what is installed there and answers its magics.

    What kernel.json says under `config` wins over these traits when they are set by an administrator; so what must
    hold for everybody stands in the policy file (see `settings.policy`).
    """

    environment = Unicode(config=True, help="Name of the environment; by default the one that the kernelspec names.")
    transport = Enum(
        ["ipc", "tcp"],
        default_value="ipc",
        config=True,
        help="How the channels travel: Unix sockets in a private folder (ipc), or ports of this machine (tcp).",
    )
    launch_timeout = Float(60.0, config=True, help="Seconds within which a kernel must have bound its channels.")
    record = Bool(True, config=True, help="Whether what is installed is written into the environment's record.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._shim: Shim | None = None
        self._session: Session | None = None
        self._attendant: Attendant | None = None
        self._store = Store(settings.current())

    @property
    def has_process(self) -> bool:
        return self._shim is not None

    # ---- start

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Decide all about the launch; nothing is left behind when it cannot be."""
        try:
            return await self._prepared(kwargs)
        except VenvoyError as error:
            self._abandon()
            raise _shown(error) from error
        except BaseException:
            self._abandon()
            raise

    async def _prepared(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        manager = cast("KernelManager", self.parent)
        policy = settings.policy()
        env = await asyncio.to_thread(self._store.environment, self._environment_name())
        kernel = await asyncio.to_thread(kernel_of, self._store, env)
        self._session = create(self._store.settings.runtime, self.kernel_id)
        self._choose_channels(manager, policy.transport or self.transport, self._session)
        kwargs["transport_encryption"] = self._encryption(manager, kwargs, kernel, policy, env)
        arguments = tuple(kwargs.get("extra_arguments") or ())
        kwargs = await super().pre_launch(**kwargs)
        given: dict[str, str] = kwargs["env"]
        job = kernel_job(
            self._store,
            env,
            kernel,
            connection_file=Path(manager.connection_file).absolute(),
            session=self._session.folder,
            variables=given,
            policy=policy,
            cwd=Path(kwargs["cwd"]) if kwargs.get("cwd") else None,
            arguments=arguments,
        )
        self._command = runtimes.get(env.runtime).command(env, job)
        self._env = env
        self._recording = self.record or bool(policy.record)
        return kwargs | {"cmd": list(self._command.argv)}

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:  # noqa: ARG002  # ours is richer
        """Start the kernel under its shim and return once it has bound its channels.

        Raises KernelUnusable, with its last words, when it dies before or takes longer than `launch_timeout`.
        """
        assert self._session is not None  # noqa: S101  # pre_launch came first
        manager = cast("KernelManager", self.parent)
        given: dict[str, str] = kwargs["env"]
        try:
            self._attend(given.get("JPY_SESSION_NAME", ""))
            forget = (Path(manager.connection_file).absolute(), self._session.folder)
            self._shim = Shim(self._command, base=given, forget=forget)
            self.cwd = kwargs.get("cwd") or Path.cwd()
            await self._bound(manager)
        except VenvoyError as error:
            self._abandon()
            raise _shown(error) from error
        except BaseException:
            self._abandon()
            raise
        self.pid = self._shim.pid
        self.pgid = self.pid
        return self.connection_info

    def _environment_name(self) -> str:
        named = self.environment or (self.kernel_spec.metadata.get(KEY) or {}).get("environment", "")
        if not named:
            raise KernelUnusable(
                "the kernelspec names no environment",
                hint="make one with: venvoy init NAME, and choose its kernel",
            )
        return str(named)

    def _choose_channels(self, manager: KernelManager, transport: str, session: Session) -> None:
        if transport == "ipc":
            manager.transport = "ipc"
            manager.cache_ports = False
            manager.ip = session.channels
        elif manager.transport == "ipc" and manager.ip == session.channels:
            manager.transport = "tcp"

    def _encryption(
        self,
        manager: KernelManager,
        kwargs: dict[str, Any],
        kernel: Kernel,
        policy: settings.Policy,
        env: Environment,
    ) -> str:
        """Curve keys only for a kernel that understands them: one that does not leaves its client hanging for ever."""
        asked = kwargs.get("transport_encryption") or getattr(manager, "transport_encryption", "disabled")
        wanted = policy.encryption or str(asked)
        if wanted == "disabled" or kernel.encrypts:
            return wanted
        if wanted == "required":
            raise NotPermitted(
                f"encryption is required here, and ipykernel {kernel.version} in {env.name!r} has none",
                hint=f"give it a newer one: venvoy install {env.name} 'ipykernel>=7.3'",
            )
        return "disabled"

    async def _bound(self, manager: KernelManager) -> None:
        assert self._shim is not None  # noqa: S101  # launch_kernel started it
        deadline = time.monotonic() + self.launch_timeout
        while not _listening(manager):
            if self._shim.code() is not None:
                raise self._died()
            if time.monotonic() > deadline:
                raise KernelUnusable(
                    f"the kernel of {self._env.name!r} did not answer within {self.launch_timeout:g} seconds",
                    hint="give it longer: c.EnvironmentProvisioner.launch_timeout = 180, or look: "
                    f"venvoy check {self._env.name}",
                )
            await asyncio.sleep(0.01)

    def _died(self) -> KernelUnusable:
        assert self._shim is not None  # noqa: S101  # called for a shim that ended
        code = self._shim.code() or 0
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"
        return KernelUnusable(
            f"the kernel of {self._env.name!r} {how} before it was ready:\n{self._shim.last_lines()}",
            hint=f"look: venvoy check {self._env.name}, mend: venvoy repair {self._env.name}",
        )

    def _attend(self, notebook: str) -> None:
        assert self._session is not None  # noqa: S101  # pre_launch came first
        if self._attendant is None:
            self._attendant = Attendant(
                store=self._store,
                env=self._env,
                session=self._session,
                recording=self._recording,
                log=cast("logging.Logger", self.log),
            )
            self._attendant.start()
        self._attendant.notebook = notebook

    def _abandon(self) -> None:
        """After a launch that failed nobody calls `cleanup`: leave no process, port, key, folder or file."""
        shim, self._shim = self._shim, None
        if shim is not None:
            shim.let_go()
        self._leave()
        manager = cast("KernelManager", self.parent)
        self._return_ports()
        manager.cleanup_connection_file()
        manager.cleanup_random_ports()

    # ---- life

    async def poll(self) -> int | None:
        return self._shim.code() if self._shim is not None else 0

    async def wait(self) -> int | None:
        shim = self._shim
        if shim is None:
            return 0
        await asyncio.to_thread(shim.wait)
        if self._attendant is not None:
            self._attendant.ended()
        await asyncio.to_thread(shim.let_go)
        self._shim = None
        return shim.code()

    async def send_signal(self, signum: int) -> None:
        if self._shim is not None:
            self._shim.send(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # Jupyter's signature
        await self.send_signal(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # Jupyter's signature
        await self.send_signal(signal.SIGTERM)

    # ---- end

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002  # Jupyter's signature
        """Write the final state and leave nothing behind; on a restart the session stays."""
        if not restart:
            self._return_ports()
            await asyncio.to_thread(self._leave)

    def _leave(self) -> None:
        attendant, self._attendant = self._attendant, None
        if attendant is not None:
            attendant.stop()
        session, self._session = self._session, None
        if session is not None:
            session.remove()

    def _return_ports(self) -> None:
        if self.ports_cached:
            manager = cast("KernelManager", self.parent)
            for port in _PORTS:
                LocalPortCache.instance().return_port(getattr(manager, port))
            self.ports_cached = False


def _listening(manager: KernelManager) -> bool:
    ports = [getattr(manager, port) for port in _PORTS]
    if manager.transport == "ipc":
        return all(os.path.exists(f"{manager.ip}-{port}") for port in ports)  # noqa: PTH110  # a string, not a path
    return all(_answers(manager.ip, port) for port in ports)


def _answers(ip: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((ip, port)) == 0


def _shown(error: VenvoyError) -> VenvoyError:
    """The error as it survives the way to the notebook: Jupyter Server doubles every % of a message."""
    return type(error)(error.message.replace("%", "\uff05"), hint=error.hint.replace("%", "\uff05"))
