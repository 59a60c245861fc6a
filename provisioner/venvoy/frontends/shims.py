"""The holder's end of a shim's lease: start a kernel under it, pass signals to it, hear how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from importlib.resources import files as package_files
from pathlib import Path

from .. import process
from ..model import Command

LAST_LINES = 12
"""How many lines of a dead kernel's stderr are shown to people."""


class Shim:
    """One kernel held by `guest/shim.py`; as long as we live and do not `let_go`, so does the lease.

    When we die it ends the kernel and removes the paths to `forget`.
    """

    def __init__(self, command: Command, *, base: Mapping[str, str], forget: Iterable[Path]) -> None:
        shim = Path(str(package_files("venvoy.guest"))) / "shim.py"
        words = [word for path in forget for word in ("--forget", str(path))]
        argv = (sys.executable, "-I", "-S", str(shim), *words, "--", *command.argv)
        self._child = process.spawn(argv, variables=process.environment(command, base), cwd=command.cwd)
        self.pid: int | None = None
        self._code: int | None = None
        self._said = b""
        self._over = threading.Event()
        threading.Thread(target=self._listen, name="venvoy-shim", daemon=True).start()

    def code(self) -> int | None:
        """The kernel's exit code, -n for death by signal n; None while it runs."""
        return self._code if self._over.is_set() else None

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end; returns the code, or None when `timeout` seconds were not enough."""
        self._over.wait(timeout)
        return self.code()

    def send(self, signum: int) -> None:
        """Have one signal delivered to the kernel's group, once; to a kernel that is gone, nothing happens.

        It may be called from a signal's handler.
        """
        self._order(f"signal {signum}")

    def let_go(self) -> None:
        """Give the lease up: the shim ends the kernel if it still runs, and forgets nothing that is ours to remove."""
        self._order("over")
        if self._child.stdin is not None:
            self._child.stdin.close()
        if self._over.wait(5):  # a kernel that hangs in the system (a dead file server) cannot be ended by anybody
            self._child.wait()

    def ending(self) -> str:
        """How the kernel ended, in a few words; "" while it runs."""
        code = self.code()
        if code is None:
            return ""
        if code == -signal.SIGKILL:
            return "was killed (SIGKILL), most often because the memory ran out"
        return f"was ended by {_signal_name(-code)}" if code < 0 else f"exited with {code}"

    def last_lines(self) -> str:
        """The kernel's last words on stderr."""
        lines = [line.rstrip() for line in self._said.decode("utf-8", "replace").splitlines() if line.strip()]
        return "\n".join(lines[-LAST_LINES:])

    def _order(self, order: str) -> None:
        stream = self._child.stdin
        if stream is not None and not stream.closed:
            with contextlib.suppress(BrokenPipeError):  # it ended between the question and the write
                os.write(stream.fileno(), f"{order}\n".encode())

    def _listen(self) -> None:
        assert self._child.stdout is not None  # noqa: S101  # spawned with a pipe
        with self._child.stdout as stream:
            for line in stream:
                word, *rest = line.decode().split()
                if word == "pid":
                    self.pid = int(rest[0])
                elif word == "exit":
                    self._code = int(rest[0])
                    self._said = bytes.fromhex(rest[1] if len(rest) > 1 else "")
                    self._over.set()
        if self._code is None:
            self._bereaved()

    def _bereaved(self) -> None:
        """The shim itself was killed: what it held must not outlive it."""
        if self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._code = -signal.SIGKILL
        self._said = b"the process that held the kernel was killed"
        self._over.set()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # the real-time signals have no names
        return f"signal {number}"
