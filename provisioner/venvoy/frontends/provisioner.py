"""The Jupyter side of launching: a kernel provisioner that runs kernels inside named environments."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from jupyter_client.connect import KernelConnectionInfo, LocalPortCache
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning.local_provisioner import LocalProvisioner
from traitlets import Bool, Enum, Float, Unicode

from .. import settings
from ..actions.launch import Kernel, kernel_job, kernel_of
from ..actions.permission import within_policy
from ..actions.start_of import start_of
from ..errors import InvalidInput, KernelUnusable, NotPermitted, VenvoyError
from ..model import Environment
from ..session import Session, create
from ..store import Store
from .kernelspecs import KEY, half
from .shims import Shim, contained

if TYPE_CHECKING:
    from .attendant import Attendant
    from .binding import Bound
    from .relay import Relay

_PORTS = ("shell_port", "iopub_port", "stdin_port", "hb_port", "control_port")
_NAP = 0.005


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
    launch_timeout = Float(60.0, config=True, help="Seconds within which a kernel must be ready.")
    record = Bool(True, config=True, help="Whether what is installed is written into the environment's record.")

    def __init__(self, **kwargs: Any) -> None:
        """Raise InvalidInput for a key of kernel.json's `config` that is none of the settings above."""
        self._check(kwargs)
        super().__init__(**kwargs)
        self._shim: Shim | None = None
        self._session: Session | None = None
        self._attendant: Attendant | None = None
        self._relay: Relay | None = None
        self._restarting = False
        self._wanted_dead = False
        # A kernelspec carries the places of its environment where they are not the usual ones.
        self._store = Store(settings.current({**os.environ, **self.kernel_spec.env}))

    @property
    def has_process(self) -> bool:
        return self._shim is not None

    @property
    def attendant(self) -> Attendant | None:
        """Who attends the kernel, for whoever asks about it; None while none runs."""
        return self._attendant

    def binding(self, notebook: Path, *, alone: bool) -> Bound | None:
        """What that notebook, an absolute path, is to say of the environment it runs in; None where none runs.

        With `alone` no other runs in this kernel, so what its cells do is done by the notebook that is called so.
        """
        if self._attendant is None:
            return None
        from .binding import bound

        if alone:
            self._attendant.called(str(notebook))
        return bound(self._store, self._env.name, self._attendant.used(), notebook)

    # ---- start

    async def pre_launch(self, **kwargs: Any) -> dict[str, Any]:
        """Decide all about the launch. Raises VenvoyError, then nothing is left behind."""
        try:
            return await self._prepared(kwargs)
        except VenvoyError as error:
            await self._abandon()
            raise _shown(error) from error
        except BaseException:
            await self._abandon()
            raise

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:  # noqa: ARG002  # ours is richer
        """Start the kernel under its shim and return once it is ready.

        Raises KernelUnusable, with its last words, when it dies before or takes longer than `launch_timeout`.
        """
        try:
            self._start(kwargs["env"])
            await self._ready()
        except VenvoyError as error:
            await self._abandon()
            raise _shown(error) from error
        except BaseException:
            await self._abandon()
            raise
        self.cwd = kwargs.get("cwd") or Path.cwd()
        return self.connection_info

    def _check(self, given: dict[str, Any]) -> None:
        known = set(self.class_trait_names(config=True)) - {"log"}
        if unknown := sorted(given.keys() - known - {"kernel_id", "kernel_spec", "parent"}):
            raise InvalidInput(
                f"the kernelspec's provisioner has no setting {unknown[0]!r}",
                hint=f"mend kernel.json (metadata.kernel_provisioner.config); there is: {', '.join(sorted(known))}",
            )

    async def _prepared(self, kwargs: dict[str, Any]) -> dict[str, Any]:
        manager = cast("KernelManager", self.parent)
        policy = settings.policy()
        env = await asyncio.to_thread(self._store.environment, self._environment_name())
        env = within_policy(half(env, self._said().get("language")), policy)
        kernel = await asyncio.to_thread(kernel_of, self._store, env)
        self._session = create(self._store.settings.runtime, self.kernel_id)
        self._session.clear()
        self._choose_channels(manager, policy.transport or self.transport, self._session)
        kwargs["transport_encryption"] = self._encryption(manager, kwargs, kernel, policy, env)
        arguments = tuple(kwargs.get("extra_arguments") or ())
        kwargs = await super().pre_launch(**kwargs)
        job = await asyncio.to_thread(
            kernel_job,
            self._store,
            env,
            kernel,
            connection_file=await asyncio.to_thread(self._connection_file, manager, env),
            session=self._session.folder,
            variables=kwargs["env"],
            policy=policy,
            cwd=Path(kwargs["cwd"]) if kwargs.get("cwd") else None,
            arguments=arguments,
        )
        self._command = await asyncio.to_thread(start_of, env, job, policy)
        self._contained = contained(env, job)
        self._env = env
        self._recording = self.record or bool(policy.record)
        return kwargs | {"cmd": list(self._command.argv)}

    def _connection_file(self, manager: KernelManager, env: Environment) -> Path:
        """The file that the kernel reads; one in a container has its own, and a relay where its client wants ports."""
        file = Path(manager.connection_file).absolute()
        if env.container is None or self._session is None:
            return file
        from .relay import connection_inside

        self._close_relay()
        inside, self._relay = connection_inside(file, self._session)
        return inside

    def _close_relay(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.close()

    def _environment_name(self) -> str:
        named = self.environment or self._said().get("environment", "")
        if not named:
            raise KernelUnusable(
                "the kernelspec names no environment",
                hint="make one with: venvoy init NAME, and choose its kernel",
            )
        return str(named)

    def _said(self) -> dict[str, Any]:
        """What its kernelspec says to us."""
        said = self.kernel_spec.metadata.get(KEY)
        return said if isinstance(said, dict) else {}

    def _choose_channels(self, manager: KernelManager, transport: str, session: Session) -> None:
        if transport == "ipc":
            manager.transport = "ipc"
            manager.cache_ports = False
            manager.ip = session.channels

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
        if kernel.encrypts:
            return wanted
        if wanted == "required" or getattr(manager, "curve_publickey", None) is not None:
            newer = f"give it a newer one: venvoy install {env.name} 'ipykernel>=7.3'"
            speaks = f"{kernel.name} {kernel.version} in {env.name!r}"
            raise NotPermitted(
                f"this connection is encrypted, which {speaks} does not understand",
                hint=newer if env.language == "python" else "its Unix sockets are the user's own: transport ipc",
            )
        return "disabled"

    def _start(self, given: dict[str, str]) -> None:
        assert self._session is not None  # noqa: S101  # pre_launch came first
        manager = cast("KernelManager", self.parent)
        self._wanted_dead = False
        forget = (Path(manager.connection_file).absolute(), self._session.folder)
        self._shim = Shim(self._command, base=given, forget=forget, contained=self._contained)
        if self._attendant is None:
            # The kernel starts while we learn to attend it.
            from .attendant import Attendant

            self._attendant = Attendant(
                store=self._store,
                env=self._env,
                session=self._session,
                recording=self._recording,
                log=cast("logging.Logger", self.log),
            )
            self._attendant.listen()
        self._attendant.starts(self._env, given.get("JPY_SESSION_NAME", ""))

    async def _ready(self) -> None:
        assert self._shim is not None  # noqa: S101
        assert self._session is not None  # noqa: S101
        assert self._attendant is not None  # noqa: S101  # all three are there since _start
        deadline = time.monotonic() + self.launch_timeout
        while not self._session.ready():
            if self._shim.code() is not None:
                await asyncio.to_thread(self._refuse_unusable)
                raise KernelUnusable(
                    f"the kernel of {self._env.name!r} {self._shim.ending()} before it was ready:\n"
                    f"{self._shim.last_lines()}",
                    hint=f"look: venvoy check {self._env.name}, mend: venvoy repair {self._env.name}",
                )
            if time.monotonic() > deadline:
                raise KernelUnusable(
                    f"the kernel of {self._env.name!r} was not ready within {self.launch_timeout:g} seconds",
                    hint="give it longer: c.EnvironmentProvisioner.launch_timeout = 180, or look: "
                    f"venvoy check {self._env.name}",
                )
            await asyncio.sleep(_NAP)
        self.pid = self.pgid = self._shim.pid
        self._attendant.watch()

    def _refuse_unusable(self) -> None:
        """Say what stood in a container's way: its image is gone, a folder, the engine."""
        from ..actions.check_container import of_container

        if not self._env.container:
            return
        found = next((each for each in of_container(self._store, self._env) if each.severity == "error"), None)
        if found:
            raise KernelUnusable(found.message, hint=f"mend it: {found.mend}")

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
        if not self._wanted_dead:
            self._explain(shim)
        await asyncio.to_thread(shim.let_go)
        self._shim = None
        return shim.code()

    async def send_signal(self, signum: int) -> None:
        if self._shim is not None:
            self._shim.send(signum)

    async def kill(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # Jupyter's signature
        await self._end(signal.SIGKILL)

    async def terminate(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # Jupyter's signature
        await self._end(signal.SIGTERM)

    async def shutdown_requested(self, restart: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002  # Jupyter's signature
        self._wanted_dead = True

    async def _end(self, signum: signal.Signals) -> None:
        # A restart after a crash comes by here, too, and then the kernel is dead already.
        if self._shim is not None and self._shim.code() is None:
            self._wanted_dead = True
            self._shim.send(signum)

    def _explain(self, shim: Shim) -> None:
        """Say how a kernel that died by itself did: in the log, and to the user with the next kernel's first cell."""
        word = f"venvoy: the kernel before this one {shim.ending()}"
        if said := shim.last_lines():
            word += f"; its last words:\n{said}"
        self.log.warning(word)
        if self._session is not None:
            self._session.leave(word)

    # ---- end

    async def cleanup(self, restart: bool = False) -> None:  # noqa: FBT001, FBT002  # Jupyter's signature
        """Write the final state and leave nothing behind; on a restart the session stays."""
        self._restarting = restart
        await self._let_go()  # one that would not die for so long that Jupyter gave it up
        if not restart:
            self._return_ports()
            await asyncio.to_thread(self._leave)

    async def _abandon(self) -> None:
        """After a launch that failed nobody calls `cleanup`: leave no process, port, key, folder or file."""
        await self._let_go()
        await asyncio.to_thread(self._leave)
        self._return_ports()
        manager = cast("KernelManager", self.parent)
        manager.cleanup_connection_file()
        manager.cleanup_random_ports()
        if self._restarting:
            _give_up(manager)

    async def _let_go(self) -> None:
        """Have the shim end the kernel, where it still holds one."""
        shim, self._shim = self._shim, None
        if shim is not None:
            await asyncio.to_thread(shim.let_go)
            if self._attendant is not None:
                self._attendant.ended()

    def _leave(self) -> None:
        attendant, self._attendant = self._attendant, None
        if attendant is not None:
            attendant.stop()
        self._close_relay()
        session, self._session = self._session, None
        if session is not None:
            session.remove()

    def _return_ports(self) -> None:
        if self.ports_cached:
            manager = cast("KernelManager", self.parent)
            for port in _PORTS:
                LocalPortCache.instance().return_port(getattr(manager, port))
            self.ports_cached = False


def _give_up(manager: KernelManager) -> None:
    """Tell everybody that the kernel is dead.

    A restarter that could not restart is stopped and says nothing more: its clients would show "Restarting" for ever.
    """
    restarter = manager._restarter  # noqa: SLF001  # nothing public leads to the callbacks
    for callback in tuple(restarter.callbacks["dead"]) if restarter is not None else ():
        callback()


def _shown(error: VenvoyError) -> VenvoyError:
    """The error as it survives the way to the notebook: Jupyter Server doubles every % of a message."""
    return type(error)(error.message.replace("%", "\uff05"), hint=error.hint.replace("%", "\uff05"))
