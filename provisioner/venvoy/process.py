"""The only room where a program starts."""

from __future__ import annotations

import contextlib
import fnmatch
import logging
import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Thread
from typing import IO

from .errors import CommandFailed, RuntimeUnavailable
from .model import Command

_log = logging.getLogger(__name__)

OnLine = Callable[[str], None]
LAST_WORDS = 30
"""How many lines of a failed program's output an error carries."""
GRACE = 3.0
"""Seconds that an interrupted program has for its own cleaning up."""


def environment(command: Command, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that `command` runs with when its caller has those of `base`."""
    kept = {
        name: value
        for name, value in base.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in command.dropped)
    }
    laid = {**kept, **command.variables}
    folders = [*map(str, command.search), laid.get("PATH") or os.defpath, *map(str, command.fallback)]
    laid["PATH"] = os.pathsep.join(folders)
    return {name: value for name, value in laid.items() if value is not None}


def run(command: Command, *, on_line: OnLine | None = None, timeout: float | None = None) -> str:
    """Run `command` to its end and return what it printed on stdout.

    `on_line` is called with every line of stderr as it comes, in a thread of its own; what it raises is raised here
    at the end. Raises CommandFailed when the program exits with an error or takes longer than `timeout` seconds,
    RuntimeUnavailable when it is not there. After a timeout or an interrupt nothing of its process group is left.
    """
    _log.debug("run %s", command.argv)
    with _started(command) as child:
        listener = _Listener(child, on_line)
        try:
            printed = child.communicate(command.stdin, timeout=timeout)[0]
        except subprocess.TimeoutExpired as error:
            _send(child, signal.SIGKILL)
            raise CommandFailed(f"{_name(command)} did not end within {timeout:g} seconds") from error
        except BaseException:
            _end(child)
            raise
        said = listener.heard()
    if child.returncode:
        raise CommandFailed(
            f"{_name(command)} {_ending(child.returncode)}", hint="\n".join(said), code=child.returncode
        )
    return printed


def attend(command: Command) -> int:
    """Run `command` at the user's terminal and return its exit code, 128 + n for death by signal n.

    The child stays in the terminal's foreground group, so it gets what the user types and interrupts with; signals
    sent to us alone are passed on.
    """

    def pass_on(signum: int, _frame: object) -> None:
        child.send_signal(signum)

    typed = _leave_to_child if _in_foreground() else pass_on
    try:
        child = subprocess.Popen(command.argv, env=environment(command), cwd=command.cwd)
    except OSError as error:
        raise _not_there(command, error) from error
    passed = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    kept = {signum: signal.signal(signum, pass_on) for signum in passed}
    kept |= {signum: signal.signal(signum, typed) for signum in (signal.SIGINT, signal.SIGQUIT)}
    try:
        code = child.wait()
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)
    return code if code >= 0 else 128 - code


def spawn(argv: tuple[str, ...], *, variables: Mapping[str, str], cwd: Path | None) -> subprocess.Popen[bytes]:
    """Start a shim in a session of its own, with pipes on its stdin and stdout; stderr stays the caller's."""
    _log.debug("spawn %s", argv)
    return subprocess.Popen(
        argv,
        env=dict(variables),
        cwd=cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )


class _Listener:
    """Reads a child's stderr to its end, so that the child never waits for us, and keeps its last words."""

    def __init__(self, child: subprocess.Popen[str], on_line: OnLine | None) -> None:
        self._said: deque[str] = deque(maxlen=LAST_WORDS)
        self._on_line = on_line
        self._error: Exception | None = None
        # stderr is ours now; communicate would read it too.
        stream, child.stderr = child.stderr, None
        self._thread = Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def heard(self) -> tuple[str, ...]:
        """Wait for the end and return the last words. Raises what `on_line` raised."""
        self._thread.join()
        if self._error:
            raise self._error
        return tuple(self._said)

    def _listen(self, stream: IO[str]) -> None:
        with stream:
            for line in stream:
                self._said.append(line.rstrip())
                self._tell(line.rstrip())

    def _tell(self, line: str) -> None:
        if self._on_line is None or self._error:
            return
        try:
            self._on_line(line)
        except Exception as error:  # noqa: BLE001  # raised again in `heard`; here it would block the child
            self._error = error


def _started(command: Command) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command.argv,
            env=environment(command),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise _not_there(command, error) from error


def _end(child: subprocess.Popen[str]) -> None:
    """End the child and its group: politely, then not."""
    _send(child, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(GRACE)
    _send(child, signal.SIGKILL)


def _send(child: subprocess.Popen[str], signum: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signum)


def _in_foreground() -> bool:
    """Whether an interrupt typed at a terminal reaches our process group, and the child in it, by itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY)
    except OSError:
        return False
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    finally:
        os.close(terminal)


def _leave_to_child(_signum: int, _frame: object) -> None:
    """The terminal has sent it to the child as well."""


def _name(command: Command) -> str:
    return Path(command.argv[0]).name


def _ending(code: int) -> str:
    return f"exited with {code}" if code > 0 else f"was ended by signal {-code} ({signal.strsignal(-code)})"


def _not_there(command: Command, error: OSError) -> RuntimeUnavailable:
    missing = error.filename if error.filename not in (None, command.argv[0]) else ""
    where = f" in {missing}" if missing else ""
    return RuntimeUnavailable(f"cannot start {command.argv[0]}{where}: {error.strerror or error}")
