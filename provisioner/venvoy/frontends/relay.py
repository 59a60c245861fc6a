"""Ports for kernels in containers: only sockets lead out of those, and some clients speak over nothing but ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any
from weakref import WeakSet

from jupyter_client.connect import write_connection_file

from .. import files
from ..errors import InvalidInput, KernelUnusable
from ..session import Session

PORTS = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
_NAP = 0.02
_PIECE = 1 << 16
_TURNS = 4
"""Turns of the loop in which nothing may come any more: what was accepted last, and what was closed, takes a few."""


def connection_inside(connection_file: Path, session: Session) -> tuple[Path, Relay | None]:
    """The connection file for a kernel in a container, in its session; for beside the client's lie those of others.

    Where the client speaks over ports a relay listens on these, to be closed when the kernel is over. Raises
    InvalidInput for what is no connection file, KernelUnusable where a port is taken.
    """
    said = _read(connection_file)
    relay = None
    if said.get("transport", "tcp") == "tcp":
        try:
            ports = [int(said[each]) for each in PORTS]
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidInput(f"{connection_file} is no connection file: it has no {error}") from error
        relay = Relay(str(said.get("ip") or "127.0.0.1"), ports, session)
        said |= {"transport": "ipc", "ip": session.channels}
        said |= {each: number for number, each in enumerate(PORTS, 1)}
    inside = session.folder / "connection.json"
    files.replace(inside, json.dumps(said), mode=0o600, lasting=False)
    return inside, relay


def _read(connection_file: Path) -> dict[str, Any]:
    try:
        if not connection_file.exists():
            write_connection_file(str(connection_file))
        said = json.loads(connection_file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{connection_file} is no connection file: {error}") from error
    if not isinstance(said, Mapping):
        raise InvalidInput(f"{connection_file} is no connection file: it holds no mapping")
    return dict(said)


class Relay:
    """Carries bytes between ports of this machine and a session's sockets; what it carries may be encrypted.

    Who comes before the kernel listens is held until it does.
    """

    def __init__(self, host: str, ports: list[int], session: Session) -> None:
        self._open: list[socket.socket] = []
        try:
            for port in ports:
                self._open.append(socket.create_server(("" if host == "*" else host, port)))
        except OSError as error:
            self._close()
            raise KernelUnusable(
                f"port {port} of {host} cannot be used: {error.strerror}", hint="start the kernel again"
            ) from error
        self._session = session
        self._tasks: set[asyncio.Task[None]] = set()
        self._carried: WeakSet[asyncio.WriteTransport] = WeakSet()
        self._over = asyncio.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, name="venvoy-relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End all connections and give the ports back."""
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(5)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        servers = [
            await asyncio.start_server(partial(self._take, f"{self._session.channels}-{number}"), sock=each)
            for number, each in enumerate(self._open, 1)
        ]
        await self._over.wait()
        for each in self._open:
            self._loop.remove_reader(each)
        still = 0
        while still < _TURNS:
            for task in tuple(self._tasks):
                task.cancel()
            for transport in tuple(self._carried):
                transport.abort()  # what nobody reads any more would keep its socket open
            # What asyncio has just accepted is ours in a moment, if its server is open; otherwise it is never closed.
            still = 0 if asyncio.all_tasks() - {asyncio.current_task()} else still + 1
            await asyncio.sleep(0)
        for server in servers:
            server.close()

    def _close(self) -> None:
        for each in self._open:
            each.close()

    def _take(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Note a connection before its task begins: one that is cancelled before that closes nothing."""
        self._carried.add(writer.transport)
        task = self._loop.create_task(self._carry(path, reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError), contextlib.closing(writer):
            from_kernel, to_kernel = await _connected(path)
            self._carried.add(to_kernel.transport)
            with contextlib.closing(to_kernel):
                await asyncio.gather(_pumped(reader, to_kernel), _pumped(from_kernel, writer))


async def _connected(path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    while True:
        with contextlib.suppress(OSError):
            return await asyncio.open_unix_connection(path)
        await asyncio.sleep(_NAP)


async def _pumped(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Carry one way until the source ends, or nobody takes it any more."""
    try:
        with contextlib.suppress(OSError):
            while piece := await source.read(_PIECE):
                target.write(piece)
                await target.drain()
    finally:
        target.close()
