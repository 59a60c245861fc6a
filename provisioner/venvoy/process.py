"""The only room where a program starts."""

from __future__ import annotations

import fnmatch
import logging
import os
import signal
import subprocess
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


def environment(command: Command, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that `command` runs with when its caller has those of `base`."""
    kept = {
        name: value
        for name, value in base.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in command.dropped)
    }
    folders = [*map(str, command.search), kept.get("PATH", os.defpath), *map(str, command.fallback)]
    laid = {**kept, **command.variables, "PATH": os.pathsep.join(folder for folder in folders if folder)}
    return {name: value for name, value in laid.items() if value is not None}


def run(command: Command, *, on_line: OnLine | None = None, timeout: float | None = None) -> str:
    """Run `command` to its end and return what it printed on stdout.

    `on_line` is called with every line of stderr as it comes. Raises CommandFailed when the program exits with an
    error or takes longer than `timeout` seconds, RuntimeUnavailable when it is not there.
    """
    _log.debug("run %s", command.argv)
    said: list[str] = []
    with _started(command) as child:
        reader = Thread(target=_listen, args=(child.stderr, said, on_line), daemon=True)
        reader.start()
        try:
            printed = _communicate(child, command.stdin, timeout)
        except subprocess.TimeoutExpired as error:
            os.killpg(child.pid, signal.SIGKILL)
            raise CommandFailed(f"{command.argv[0]} did not end within {timeout} seconds") from error
        except BaseException:
            os.killpg(child.pid, signal.SIGTERM)
            raise
        reader.join()
    if child.returncode:
        raise CommandFailed(
            f"{Path(command.argv[0]).name} exited with {child.returncode}",
            hint="\n".join(said[-LAST_WORDS:]),
        )
    return printed


def attend(command: Command) -> int:
    """Run `command` at the user's terminal and return its exit code, 128 + n for death by signal n.

    The child stays in the terminal's foreground group, so it gets what the user types and interrupts with; only
    signals sent to us alone are passed on.
    """

    def pass_on(signum: int, _frame: object) -> None:
        child.send_signal(signum)

    try:
        child = subprocess.Popen(command.argv, env=environment(command), cwd=command.cwd)
    except OSError as error:
        raise _not_there(command, error) from error
    passed = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
    kept = {signum: signal.signal(signum, pass_on) for signum in passed}
    kept |= {signum: signal.signal(signum, _leave_to_child) for signum in (signal.SIGINT, signal.SIGQUIT)}
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


def _started(command: Command) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            command.argv,
            env=environment(command),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise _not_there(command, error) from error


def _communicate(child: subprocess.Popen[str], stdin: str | None, timeout: float | None) -> str:
    # stderr belongs to the listening thread; communicate would read it too.
    child.stderr = None
    return child.communicate(stdin, timeout=timeout)[0]


def _listen(stream: IO[str], said: list[str], on_line: OnLine | None) -> None:
    with stream:
        for line in stream:
            said.append(line.rstrip())
            if on_line is not None:
                on_line(line.rstrip())


def _leave_to_child(_signum: int, _frame: object) -> None:
    """The terminal has sent it to the child as well."""


def _not_there(command: Command, error: OSError) -> RuntimeUnavailable:
    return RuntimeUnavailable(f"cannot start {command.argv[0]}: {error.strerror or error}")
