"""The only room where a program starts."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import math
import os
import pty
import re
import secrets
import signal
import struct
import subprocess
import termios
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO

from . import cancelling
from .errors import CommandFailed, RuntimeUnavailable
from .model import HANDED_ON, UNIQUE, Command, is_among

_log = logging.getLogger(__name__)

OnLine = Callable[[str], None]
LAST_WORDS = 30
"""How many lines of a failed program's output an error carries."""
_MOVES = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
"""What programs write to a terminal to colour it and to move its cursor."""
_LOGIN = re.compile(r"(?<=://)[^\s/@:'\"]*:[^\s/'\"]*@")
"""Who somebody is, in an address that a program complains of; R and its packages print it as they were given it."""
PRINTED, SAID = 128 << 20, 16 << 20
"""Characters on stdout and on stderr that nothing which we run has to say, and at which it is ended."""
_PIECE = 1 << 16
_LONGEST = 4000
"""Characters of a line that people or errors are told."""
PATIENCE = 15.0
"""Seconds that the removal of what a killed program left may take, and within which a signal must be delivered."""
GRACE = 3.0
"""Seconds that an interrupted program has for its own cleaning up."""
TOO_LATE = "It is too late to stop: what was begun goes on to its end …"
_NAP = 0.05
_TYPED = (signal.SIGINT, signal.SIGQUIT)
_SENT = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
# Twice, for an engine may be in the middle of making what is to be removed.
_LEASE = 'read -r over || { "$@"; sleep 2; exec "$@"; }'
"""What the shell does that ends what we have started when our end of its stdin closes without a word."""


def environment(command: Command, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variables that `command` runs with when its caller has those of `base`."""
    handed_on = {
        name: value
        for name, value in base.items()
        if not is_among(name, command.dropped) and (not command.kept or is_among(name, command.kept))
    }
    copied = {name: handed_on[theirs] for name, theirs in command.copied.items() if theirs in handed_on}
    laid = {**handed_on, **copied, **command.variables}
    folders = [*map(str, command.search), laid.get("PATH") or os.defpath, *map(str, command.fallback)]
    laid["PATH"] = os.pathsep.join(folders)
    return {name: value for name, value in laid.items() if value is not None}


def words(command: Command, variables: Mapping[str, str]) -> tuple[str, ...]:
    """The argv that `command` is started with when it runs with these variables."""
    if not command.handed_on:
        return command.argv
    at = command.argv.index(HANDED_ON)
    named = (word for name in command.handed_on if name in variables for word in ("--env", name))
    return (*command.argv[:at], *named, *command.argv[at + 1 :])


def run(
    command: Command,
    *,
    on_line: OnLine | None = None,
    timeout: float | None = None,
    limit: int | None = None,
    terminal: bool = False,
    begun: Callable[[], bool] | None = None,
) -> str:
    """Run `command` to its end and return what it printed on stdout.

    `on_line` is called with every line of stderr as it comes, in a thread of its own; what it raises is raised here
    at the end. With `terminal` it hears all that the program draws for people, without colours and moves of the cursor,
    and nothing is returned. Raises CommandFailed when the program exits with an error, takes longer than `timeout`
    seconds or prints more than `limit` characters, RuntimeUnavailable when it is not there. After a timeout or an
    interrupt, or when somebody cancels (`cancelling`), nothing of its process group is left; but what can say that it
    has `begun`, and must not be ended any more, is waited for, and once it is done it is too late to cancel.
    """
    command = _drawn(command)
    _log.debug("run %s", command.argv)
    drawn = _terminal() if terminal else None
    with _leased(command), _started(command, drawn) as child:
        try:
            listener = _Listener(child, on_line, drawn and drawn[0])
            printer = _Printer(child, PRINTED if limit is None else limit)
            left = _Left(timeout)
            _attended(child, command.stdin, timeout, begun, on_line)
            printed = printer.printed(left())
            listener.wait(left())
        except subprocess.TimeoutExpired as error:
            _send(child, signal.SIGKILL)
            _run_last(command)
            raise CommandFailed(f"{_name(command)} did not end within {timeout:g} seconds") from error
        except BaseException:
            with cancelling.whole():
                _end(child)
                _run_last(command)
            raise
        try:
            said = listener.heard()
        except OSError:
            if begun is None:
                raise
            said = ()  # it is done, though nobody could be told
    if printer.endless or listener.endless:
        _run_last(command)
        raise CommandFailed(f"{_name(command)} printed without end", hint="\n".join(said))
    if child.returncode:
        raise CommandFailed(
            f"{_name(command)} {_ending(child.returncode)}", hint="\n".join(said), code=child.returncode
        )
    return printed


def _attended(
    child: subprocess.Popen[str],
    stdin: str | None,
    timeout: float | None,
    begun: Callable[[], bool] | None,
    on_line: OnLine | None,
) -> None:
    if begun is not None:
        cancelling.not_yet_late()
    try:
        _wait(child, stdin, timeout)
        if begun is not None:
            cancelling.too_late()
    except (KeyboardInterrupt, SystemExit, cancelling.Cancelled) as error:
        with cancelling.whole():
            if begun is None or not _has(begun, child):
                raise
            cancelling.too_late(error)
        if on_line is not None:
            with contextlib.suppress(OSError):  # whoever would read it may be gone by the same signal
                on_line(TOO_LATE)
        child.wait()


def _has(begun: Callable[[], bool], child: subprocess.Popen[str]) -> bool:
    """Look while the child stands still: it goes on if it has begun, and else stands still for `_end`.

    What a container's engine does for the child goes on meanwhile.
    """
    if child.poll() is not None:
        return child.returncode == 0 or begun()
    _send(child, signal.SIGSTOP)
    try:
        if hasattr(os, "waitid"):  # macOS has it since Python 3.13
            os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        found = begun()
    except OSError:
        found = True  # nobody knows, and half of it would be the worse end
    if found:
        _send(child, signal.SIGCONT)
    return found


def _wait(child: subprocess.Popen[str], stdin: str | None, timeout: float | None) -> None:
    """Hand in `stdin` and wait for the end of the child. Raises TimeoutExpired, Cancelled."""
    if not cancelling.possible():
        child.communicate(stdin, timeout=timeout)
        return
    if child.stdin is not None:
        # What `communicate` has begun to hand in it does not go on with after a timeout.
        stream, child.stdin = child.stdin, None
        Thread(target=_hand_in, args=(stream, stdin or ""), daemon=True).start()
    end = math.inf if timeout is None else time.monotonic() + timeout
    while child.poll() is None:
        cancelling.look()
        left = end - time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(min(cancelling.STEP, max(left, 0)))
        if left <= 0 and child.poll() is None:
            raise subprocess.TimeoutExpired(child.args, timeout or 0)


def _hand_in(stream: IO[str], text: str) -> None:
    with contextlib.suppress(OSError), stream:  # it may end, or close its stdin, before it has read all
        stream.write(text)


def attend(command: Command) -> int:
    """Run `command` at the user's terminal and return its exit code, 128 + n for death by signal n.

    A signal that comes to us is passed on, once: to the child, or by `command.deliver` to what the child has an engine
    do; then no such thing outlives the child, or us. Only where the terminal is its stdin is the child in our process
    group, so that it is stopped and continued with us, and has got itself what was typed.
    """
    command = _drawn(command)
    apart = bool(command.deliver) and not os.isatty(0)
    typed = _TYPED if _in_foreground() and not apart else ()
    with _caught() as caught, _leased(command):
        given = environment(command)
        try:
            child = subprocess.Popen(words(command, given), env=given, cwd=command.cwd, start_new_session=apart)
        except OSError as error:
            raise _not_there(command, error) from error
        courier = _Courier(command, child, caught, typed)
        code = child.wait()
        if code and _run_last(command) and courier.left:
            return 128 + courier.left[-1]  # a client gives up at the third, and says nothing of what goes on
    return code if code >= 0 else 128 - code


@contextmanager
def _caught() -> Iterator[int]:
    """A pipe out of which come the numbers of the signals that come to us, from now on and to its end.

    Those that we were started to ignore are ignored, by our children, too. The pipe hears of a signal also while the
    main thread is about to wait.
    """
    heard, speaks = os.pipe()
    os.set_blocking(speaks, False)
    kept = {signum: signal.getsignal(signum) for signum in (*_SENT, *_TYPED)}
    taken = [signum for signum, handler in kept.items() if handler is not signal.SIG_IGN]
    former = signal.set_wakeup_fd(speaks)
    for signum in taken:
        signal.signal(signum, _told_elsewhere)
    try:
        yield heard
    finally:
        for signum in taken:
            signal.signal(signum, kept[signum])
        signal.set_wakeup_fd(former)
        os.close(speaks)


def _told_elsewhere(_signum: int, _frame: FrameType | None) -> None:
    """Its number is in the pipe."""


class _Courier:
    """Gives a child each signal that is caught, one after the other; what was typed it has got, and is `left` to it."""

    def __init__(
        self, command: Command, child: subprocess.Popen[bytes], caught: int, typed: tuple[signal.Signals, ...]
    ) -> None:
        self.left: list[int] = []
        self._command, self._child, self._caught, self._typed = command, child, caught, typed
        Thread(target=self._carry, name="venvoy-signals", daemon=True).start()

    def _carry(self) -> None:
        with open(self._caught, "rb", buffering=0) as numbers:  # noqa: PTH123  # a pipe
            while number := numbers.read(1):
                if number[0] in self._typed:
                    self.left.append(number[0])
                elif number[0] in (*_SENT, *_TYPED) and not self._delivered(number[0]):
                    self._child.send_signal(number[0])

    def _delivered(self, signum: int) -> bool:
        """Whether the engine took it, which it does once there is a container; with the child all is over."""
        words = tuple(word.replace("{}", str(signum)) for word in self._command.deliver)
        left = _Left(PATIENCE)
        while words and self._child.poll() is None and left():
            if (done := _beside(self._command, words)) and not done.returncode:
                return True
            time.sleep(_NAP)
        return self._child.poll() is not None


@contextmanager
def _leased(command: Command) -> Iterator[None]:
    """Have somebody there who ends what `command` would leave running should we be killed meanwhile."""
    if not command.last:
        yield
        return
    with subprocess.Popen(
        ("/bin/sh", "-c", _LEASE, "lease", *command.last),
        env=environment(replace(command, variables={})),
        cwd=command.cwd,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as holder:
        try:
            yield
        finally:
            holder.communicate(b"over\n")


class _Left:
    """The seconds that are left of a time, none that is negative; None for ever."""

    def __init__(self, timeout: float | None) -> None:
        self._late = None if timeout is None else time.monotonic() + timeout

    def __call__(self) -> float | None:
        return None if self._late is None else max(self._late - time.monotonic(), 0.0)


def _drawn(command: Command) -> Command:
    """The command with a token of its own in the place of UNIQUE; only words of `last` are looked for elsewhere."""
    if not any(UNIQUE in word for word in command.last):
        return command
    token = secrets.token_hex(6)
    named = {word: word.replace(UNIQUE, token) for word in command.last if UNIQUE in word}
    argv, last, deliver = (
        tuple(named.get(word, word) for word in words) for words in (command.argv, command.last, command.deliver)
    )
    return replace(command, argv=argv, last=last, deliver=deliver)


def _run_last(command: Command) -> bool:
    """End what the killed program left running, and say whether there was something; `venvoy check` finds the rest."""
    done = _beside(command, command.last) if command.last else None
    return done is not None and not done.returncode and bool(done.stdout)


def _beside(command: Command, words: tuple[str, ...]) -> subprocess.CompletedProcess[bytes] | None:
    """Run a word or two to the same engine; None where it does not answer."""
    try:
        return subprocess.run(
            words,
            env=environment(replace(command, variables={})),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            start_new_session=True,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None


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


def detach(argv: tuple[str, ...], *, variables: Mapping[str, str], cwd: Path, said: Path) -> subprocess.Popen[bytes]:
    """Start a program that goes on without us, in a session of its own; what it prints goes into the file `said`."""
    _log.debug("detach %s", argv)
    with os.fdopen(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as stream:
        return subprocess.Popen(
            argv,
            env=dict(variables),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


class _Printer:
    """Reads a child's stdout to its end; a child that prints without end is ended, for memory is not without end."""

    def __init__(self, child: subprocess.Popen[str], limit: int) -> None:
        self.endless = False
        self._child, self._limit = child, limit
        self._parts: list[str] = []
        stream, child.stdout = child.stdout, None
        self._thread = Thread(target=self._read, args=(stream,), daemon=True)
        self._thread.start()

    def printed(self, timeout: float | None) -> str:
        """All of it. Raises TimeoutExpired while somebody who outlived the child may still print."""
        _join(self._thread, self._child, timeout)
        return "".join(self._parts)

    def _read(self, stream: IO[str] | None) -> None:
        if stream is None:  # it prints where it speaks
            return
        size = 0
        with stream:
            while part := stream.read(_PIECE):
                size += len(part)
                if size > self._limit:
                    self.endless = True
                    _send(self._child, signal.SIGKILL)
                    return
                self._parts.append(part)


class _Listener:
    """Reads a child's stderr, or what it draws, to its end: the child never waits for us. Keeps its last words."""

    def __init__(self, child: subprocess.Popen[str], on_line: OnLine | None, drawn: IO[str] | None) -> None:
        self.endless = False
        self._child = child
        self._said: deque[str] = deque(maxlen=LAST_WORDS)
        self._on_line = on_line
        self._error: Exception | None = None
        # stderr is ours now; communicate would read it too.
        stream, child.stderr = drawn or child.stderr or child.stdout, None
        if stream is child.stdout:
            child.stdout = None
        self._drawn = drawn is not None
        self._thread = Thread(target=self._listen, args=(stream,), daemon=True)
        self._thread.start()

    def wait(self, timeout: float | None) -> None:
        """Wait for the end. Raises TimeoutExpired while somebody who outlived the child may still speak."""
        _join(self._thread, self._child, timeout)

    def heard(self) -> tuple[str, ...]:
        """The last words. Raises what `on_line` raised."""
        if self._error:
            raise self._error
        return tuple(self._said)

    def _listen(self, stream: IO[str]) -> None:
        size = 0
        # Linux ends a terminal that nobody has open any more with an error (EIO).
        with stream, contextlib.suppress(OSError):
            while line := stream.readline(_PIECE):
                size += len(line)
                if size > SAID:
                    self.endless = True
                    _send(self._child, signal.SIGKILL)
                    return
                said = _LOGIN.sub("***@", _MOVES.sub("", line)).rstrip()[:_LONGEST]
                if said or not self._drawn:
                    self._said.append(said)
                    self._tell(said)

    def _tell(self, line: str) -> None:
        if self._on_line is None or self._error:
            return
        try:
            self._on_line(line)
        except Exception as error:  # noqa: BLE001  # raised again in `heard`; here it would block the child
            self._error = error


def _join(thread: Thread, child: subprocess.Popen[str], timeout: float | None) -> None:
    """Wait for the end of what a thread reads; a child that has just ended in time is heard out."""
    thread.join(None if timeout is None else max(timeout, 0.1))
    if thread.is_alive():
        raise subprocess.TimeoutExpired(child.args, timeout or 0)


def _started(command: Command, drawn: tuple[IO[str], int] | None) -> subprocess.Popen[str]:
    given = environment(command)
    try:
        return subprocess.Popen(
            words(command, given),
            env=given,
            cwd=command.cwd,
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=drawn[1] if drawn else subprocess.PIPE,
            stderr=drawn[1] if drawn else subprocess.STDOUT if command.together else subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        if drawn:
            drawn[0].close()
        raise _not_there(command, error) from error
    finally:
        if drawn:
            os.close(drawn[1])


def _terminal() -> tuple[IO[str], int]:
    """What is drawn on a terminal of our own, and the end of it that the child gets."""
    ours, theirs = pty.openpty()
    # Wide enough for a line of progress with its numbers.
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    return os.fdopen(ours, encoding="utf-8", errors="replace"), theirs


def _end(child: subprocess.Popen[str]) -> None:
    """End the child and its group: politely, then not."""
    _send(child, signal.SIGTERM)
    _send(child, signal.SIGCONT)  # it may stand still
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


def _name(command: Command) -> str:
    return Path(command.argv[0]).name


def _ending(code: int) -> str:
    return f"exited with {code}" if code > 0 else f"was ended by signal {-code} ({signal.strsignal(-code)})"


def _not_there(command: Command, error: OSError) -> RuntimeUnavailable:
    missing = error.filename if error.filename not in (None, command.argv[0]) else ""
    where = f" in {missing}" if missing else ""
    return RuntimeUnavailable(f"cannot start {command.argv[0]}{where}: {error.strerror or error}")
