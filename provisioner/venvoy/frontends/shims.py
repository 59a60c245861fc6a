"""The holder's end of a shim's lease: start a kernel under it, pass signals to it, hear how it ended."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from .. import process, runtimes
from ..containers import size_text
from ..errors import VenvoyError
from ..model import Command, Environment, Job

_PATIENCE = 10.0
_NO_CONTAINER = re.compile(r"no such (container|object)", re.IGNORECASE)
LAST_LINES = 12
"""How many lines of a dead kernel's stderr are shown to people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """How a kernel in a container gets signals, says how it ended and is removed, where that takes commands.

    `memory` is its limit in bytes, None where it has none. With `told` an interrupt goes down its lifeline, for
    `guest/boot.sh` to give it to all that the kernel has started.
    """

    deliver: Command | None
    state: Command | None
    stop: Command | None
    memory: int | None = None
    told: bool = False


def contained(env: Environment, job: Job) -> Contained | None:
    """The same of a job; None where it does not run in a container."""
    if env.container is None:
        return None
    runtime = runtimes.get(env.runtime)
    return Contained(
        deliver=runtime.deliver(job.label),
        state=runtime.state(job.label),
        stop=runtime.stop(job.label),
        memory=env.container.resources.memory,
        # ipykernel passes interrupts on to what it has started, when it is asked to by a message.
        told=env.language == "r",
    )


class Shim:
    """One kernel held by `guest/shim.py`; as long as we live and do not `let_go`, so does the lease.

    When we die it ends the kernel and removes the paths to `forget`.
    """

    def __init__(
        self, command: Command, *, base: Mapping[str, str], forget: Iterable[Path], contained: Contained | None = None
    ) -> None:
        shim = Path(str(package_files("venvoy.guest"))) / "shim.py"
        given = process.environment(command, base)
        words = [word for path in forget for word in ("--forget", str(path))]
        if contained:
            words += ["--lifeline", "--alone", *(["--told"] if contained.told else [])]
            told_by = (("--deliver", contained.deliver), ("--ask", contained.state), ("--last", contained.stop))
            for option, told in told_by:
                words += [word for each in (told.argv if told else ()) for word in (option, each)]
        argv = (sys.executable, "-I", "-S", str(shim), *words, "--", *process.words(command, given))
        self._contained = contained
        self._child = process.spawn(argv, variables=given, cwd=command.cwd)
        self.pid: int | None = None
        self._code: int | None = None
        self._said = b""
        self._answer: str | None = None
        self._killed = False
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
        self._killed = self._killed or signum == signal.SIGKILL
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
        if lost := self._lost():
            return lost
        if code == -signal.SIGKILL and not self._killed:
            return self._out_of_memory()
        return f"was ended by {_signal_name(-code)}" if code < 0 else f"exited with {code}"

    def _lost(self) -> str:
        """What became of its container, where that is not there any more; "" where it is, or where there is none."""
        if self._answer is None:
            return ""
        state = self._state()
        # Docker kills first what it removes.
        if _NO_CONTAINER.search(self._answer) if state is None else state.get("Status") == "removing":
            return "was lost: somebody has removed its container"
        if state is not None:
            return ""
        said = self._answer.strip().splitlines()[-1:] or ["it does not answer"]
        return f"was lost: its container cannot be reached ({said[0]})"

    def _out_of_memory(self) -> str:
        """Docker knows why; Podman 4 says nothing of it, nor does the system."""
        limit = self._contained.memory if self._contained else None
        of_limit = f" (its limit is {size_text(limit)})" if limit else ""
        if (self._state() or {}).get("OOMKilled") is True:
            return f"was killed (SIGKILL) because the memory ran out{of_limit}"
        return f"was killed (SIGKILL), most often because the memory ran out{of_limit}"

    def _state(self) -> Mapping[str, Any] | None:
        """What the engine says of its container; None where it knows none."""
        try:
            said = json.loads(self._answer or "")
        except ValueError:
            return None
        return said if isinstance(said, dict) else None

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
                    self._said = bytes.fromhex(rest[1][1:])
                    self._answer = None if rest[2] == "-" else bytes.fromhex(rest[2][1:]).decode("utf-8", "replace")
                    self._code = self._meant(int(rest[0]))
                    self._over.set()
        if self._code is None:
            self._bereaved()

    def _meant(self, code: int) -> int:
        """The kernel's code: engines give 128 + n for signal n."""
        return 128 - code if self._contained and 128 < code <= 128 + signal.SIGRTMAX else code

    def _bereaved(self) -> None:
        """The shim itself was killed: what it held must not outlive it."""
        if self._contained and self._contained.stop:
            with contextlib.suppress(VenvoyError):
                process.run(self._contained.stop, timeout=_PATIENCE)
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
