"""One kernel's private folder: its channels' sockets, and the line between the guest and whoever attends it.

Guest and attendant speak JSON lines over the Unix stream socket `guest.sock`. The guest opens a connection for each
thing it has to say: a note `{"note": ...}` gets no answer; a request `{"verb": ..., "words": [...]}` gets any
number of `{"progress": text}` and then one `{"answer": ...}` or `{"error": text, "hint": text}`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import re
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import BoundedSemaphore, Thread
from typing import Any

from . import files
from .errors import VenvoyError

PATH_LIMIT = 103
"""Bytes of a Unix socket's path that every system accepts (macOS has 104 with the closing zero, Linux 108)."""

LONGEST = 16 << 20
"""Bytes of one line of a guest's; one that tells all modules of a kernel has some hundreds of thousands."""
AT_ONCE = 32
"""How many guests of one kernel are heard at a time; others wait."""
PATIENCE = 10
"""Seconds within which a guest must read what it is told."""
_INSTALLING = "installing"
_TO = re.compile(r"[0-9]{1,20}-[0-9]{1,20}")
Message = Mapping[str, Any]
Say = Callable[[Message], None]


@dataclass(frozen=True, slots=True)
class Session:
    """The folder; `channels` is the stem of the kernel's own sockets ("…/k" for "…/k-1" to "…/k-5")."""

    folder: Path

    @property
    def channels(self) -> str:
        return str(self.folder / "k")

    @property
    def socket(self) -> Path:
        return self.folder / "guest.sock"

    @property
    def pipe(self) -> Path:
        return self.folder / "guest.fifo"

    def ready(self) -> bool:
        """Whether the kernel has said that it is ready to be spoken to."""
        return os.path.exists(f"{self.folder}/ready")  # noqa: PTH110  # looked at every few milliseconds of a start

    def busy(self) -> bool:
        """Whether the guest says that a cell runs; only those say so that cannot tell when an installer is at work."""
        return (self.folder / "busy").exists()

    def installs(self, *, now: bool) -> None:
        """Say to those who attend other kernels of the environment whether an installer is at work in a cell."""
        if now:
            files.replace(self.folder / _INSTALLING, "", mode=0o600, lasting=False)
        else:
            (self.folder / _INSTALLING).unlink(missing_ok=True)

    def others_install(self, environment: str) -> bool:
        """Whether a cell of another kernel of that environment may be installing something right now."""
        others = (each for each in self.folder.parent.iterdir() if each != self.folder)
        at_work = (each for each in others if any((each / name).exists() for name in (_INSTALLING, "busy")))
        found = (noted for each in at_work for noted in _noted(Session(each)))
        return any(each.environment == environment and _attended(each.session) for each in found)

    def idle(self) -> None:
        """Whatever ran is over: the kernel is gone."""
        with contextlib.suppress(OSError):
            for name in ("busy", _INSTALLING):
                (self.folder / name).unlink(missing_ok=True)

    def clear(self) -> None:
        """Take away what an earlier kernel of the session left: its sockets, which nobody answers, and its word."""
        for name in ("ready", "busy", _INSTALLING, *(f"k-{number}" for number in range(1, 6))):
            with contextlib.suppress(OSError):  # the guest has put a folder there, and will find it
                (self.folder / name).unlink(missing_ok=True)
        for unheard in (*self.folder.glob("answer-*"), *self.folder.glob("ask-*")):
            with contextlib.suppress(OSError):
                unheard.unlink(missing_ok=True)

    def note(self, environment: str, notebook: str) -> None:
        """Say beside the sockets which environment's kernel this is, and of which notebook (its path, or "")."""
        said = json.dumps({"environment": environment, "notebook": notebook, "host": platform.node()})
        files.replace(self.folder / "note.json", said, mode=0o600, lasting=False)

    def leave(self, word: str) -> None:
        """Leave a word that the guest of the next kernel shows with its first cell."""
        files.replace(self.folder / "word", word, mode=0o600)

    def remove(self) -> None:
        files.remove(self.folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A kernel that runs: in which environment, and for which notebook ("" where its client does not say)."""

    environment: str
    notebook: str
    session: Session


def running(runtime: Path, environment: str | None = None) -> tuple[Running, ...]:
    """The kernels that run below `runtime`: all, or those of one environment; sorted by their notebooks."""
    if not runtime.is_dir():
        return ()
    found = [each for folder in runtime.iterdir() for each in _noted(Session(folder))]
    wanted = (each for each in found if environment in (None, each.environment) and _attended(each.session))
    return tuple(sorted(wanted, key=lambda each: (each.notebook, str(each.session.folder))))


def create(runtime: Path, kernel_id: str) -> Session:
    """Make the private folder of one kernel below `runtime`. Raises VenvoyError where that would not be safe."""
    session = Session(runtime / hashlib.sha256(kernel_id.encode()).hexdigest()[:12])
    if len(os.fsencode(session.socket)) > PATH_LIMIT:
        raise VenvoyError(
            f"{session.socket} is too long for a Unix socket",
            hint="set XDG_RUNTIME_DIR or TMPDIR to a shorter folder of your own",
        )
    try:
        runtime.mkdir(parents=True, exist_ok=True, mode=files.PRIVATE)
        found = runtime.lstat()
    except OSError as error:
        raise VenvoyError(
            f"cannot make {error.filename}: {error.strerror}", hint="set XDG_RUNTIME_DIR to a folder of your own"
        ) from error
    if found.st_uid != os.getuid() or not stat.S_ISDIR(found.st_mode):
        raise VenvoyError(
            f"{runtime} is not ours, so nothing private can lie there",
            hint="set XDG_RUNTIME_DIR to a folder of your own",
        )
    files.private(runtime)
    _sweep(runtime)
    files.private(session.folder)
    return session


def _sweep(runtime: Path) -> None:
    """Remove sessions that nobody attends any more: a machine that lost its power leaves some.

    The folder may be shared with other machines, whose sockets refuse us although somebody listens there.
    """
    for folder in runtime.iterdir():
        left = Session(folder)
        if _attended(left) is False and _host(left) in ("", platform.node()):
            left.remove()


def _host(session: Session) -> str:
    """The machine that a session is on, "" where nobody has said."""
    try:
        return str(_note(session).get("host", ""))
    except (OSError, ValueError):
        return ""


def _attended(session: Session) -> bool | None:
    """Whether somebody listens there; None for what is not a session, or one that is only being made."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        knock.setblocking(False)
        try:
            knock.connect(str(session.socket))
        except ConnectionRefusedError:
            return False
        except BlockingIOError:  # so many knock that they stand in line
            return True
        except OSError:
            return None
    return True


def _note(session: Session) -> Message:
    """What `Session.note` has written. Raises OSError, ValueError."""
    return _message(files.content(session.folder / "note.json"))


def _noted(session: Session) -> Iterator[Running]:
    try:
        said = _note(session)
        yield Running(environment=str(said["environment"]), notebook=str(said["notebook"]), session=session)
    except (OSError, ValueError, KeyError):
        return


def _message(line: bytes) -> Message:
    """What a guest has said. Raises ValueError for what none of ours says."""
    try:
        said = json.loads(line)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(said, dict):
        raise ValueError(f"{type(said).__name__} is no mapping")  # noqa: TRY004  # as of anything that is no message
    return said


def listed(message: Message, key: str) -> Sequence[Any]:
    """What a message lists there; nothing where it says something else."""
    said = message.get(key)
    return said if isinstance(said, list) else ()


class Line:
    """The attendant's end: accepts guests and hands what they say to `hear(message, say)`, each in its own thread."""

    def __init__(self, session: Session, hear: Callable[[Message, Say], None], *, patience: int = PATIENCE) -> None:
        self._hear, self._patience = hear, patience
        self._guests: set[socket.socket] = set()
        self._room = BoundedSemaphore(AT_ONCE)
        self._listener = _listening(session)
        self._post = Post(session, hear)
        Thread(target=self._accept, name="venvoy-line", daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more."""
        with contextlib.suppress(OSError):  # macOS refuses to shut down a listening socket; closing is enough there
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._post.close()

    def drop(self) -> None:
        """Hang up on every guest; one that holds the line for its life ends."""
        for connection in tuple(self._guests):
            _hang_up(connection)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._room.acquire()  # given back in `_attend`
            Thread(target=self._attend, args=(connection,), name="venvoy-guest", daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        def say(message: Message) -> None:
            # The guest may have been interrupted and no longer listen; what it asked for is done all the same.
            try:
                connection.sendall(json.dumps(message).encode() + b"\n")
            except OSError:
                _hang_up(connection)

        self._guests.add(connection)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", self._patience, 0))
            with connection, connection.makefile("rb") as heard, contextlib.suppress(ConnectionResetError):
                while line := heard.readline(LONGEST):
                    try:
                        message = _message(line)
                    except ValueError:
                        return  # none of our guests
                    self._hear(message, say)
        finally:
            self._guests.discard(connection)
            self._room.release()


def _hang_up(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it has done so itself
        connection.shutdown(socket.SHUT_RDWR)


class Post:
    """The attendant's end of the pipe: hands what comes through it to `hear`, each in its own thread."""

    def __init__(self, session: Session, hear: Callable[[Message, Say], None]) -> None:
        self._session, self._hear = session, hear
        self._closed = False
        self._room = BoundedSemaphore(AT_ONCE)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(session.pipe, stat.S_IRUSR | stat.S_IWUSR)
        # Both ends are ours, so that it comes to no end when a guest has said what it had to say.
        self._pipe = os.open(session.pipe, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        Thread(target=self._read, name="venvoy-post", daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more."""
        if not self._closed:
            self._closed = True
            os.write(self._pipe, b"\n")

    def _read(self) -> None:
        with os.fdopen(self._pipe, "rb") as lines:
            while line := lines.readline(LONGEST):
                if self._closed:
                    return
                with contextlib.suppress(ValueError):  # none of our guests
                    message = self._whole(_message(line))
                    self._room.acquire()
                    Thread(target=self._answer, args=(message,), daemon=True).start()

    def _answer(self, message: Message) -> None:
        try:
            self._hear(message, self._sayer(message))
        finally:
            self._room.release()

    def _whole(self, said: Message) -> Message:
        """The message, or what lies in the file for it: of a long one a pipe may take a part and lose the rest.

        Raises ValueError for what is no message.
        """
        if not said.get("filed"):
            return said
        to = said.get("to")
        if not (isinstance(to, str) and _TO.fullmatch(to)):
            raise ValueError(to)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            with os.fdopen(os.open(self._session.folder / f"ask-{to}", flags), "rb") as filed:
                return {**_message(filed.read(LONGEST)), "to": to}
        except OSError as error:
            raise ValueError(to) from error

    def _sayer(self, message: Message) -> Say:
        """How whoever wrote it is answered; nobody is where the line names no file that is there."""
        to = message.get("to")
        file = self._session.folder / f"answer-{to}"
        wanted = isinstance(to, str) and _TO.fullmatch(to)

        def say(said: Message) -> None:
            if wanted:
                _add(file, json.dumps(said).encode() + b"\n")

        return say


def _add(file: Path, line: bytes) -> None:
    """Add to a file that is there; whoever made it may have been interrupted and have taken it away."""
    with contextlib.suppress(OSError):
        handle = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "wb") as answers:
            answers.write(line)


def _listening(session: Session) -> socket.socket:
    """The session's socket; it appears under its name when it listens already, so that no sweep takes it for dead."""
    aside = session.folder / ".guest"
    aside.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(aside))
    except OSError as error:
        listener.close()
        raise VenvoyError(
            f"no socket can be made in {session.folder}: {error.strerror}",
            hint="set XDG_RUNTIME_DIR to a folder of your own on a disk of this machine",
        ) from error
    listener.listen(64)
    aside.chmod(stat.S_IRUSR | stat.S_IWUSR)
    aside.replace(session.socket)
    return listener
