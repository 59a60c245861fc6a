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
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from . import files
from .errors import VenvoyError

PATH_LIMIT = 103
"""Bytes of a Unix socket's path that every system accepts (macOS has 104 with the closing zero, Linux 108)."""

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

    def ready(self) -> bool:
        """Whether the kernel has said that it is ready to be spoken to."""
        return os.path.exists(f"{self.folder}/ready")  # noqa: PTH110  # looked at every few milliseconds of a start

    def clear(self) -> None:
        """Take away what an earlier kernel of the session left: its sockets, which nobody answers, and its word."""
        for name in ("ready", *(f"k-{number}" for number in range(1, 6))):
            (self.folder / name).unlink(missing_ok=True)

    def note(self, environment: str, notebook: str) -> None:
        """Say beside the sockets which environment's kernel this is, and of which notebook (its path, or "")."""
        said = json.dumps({"environment": environment, "notebook": notebook})
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
    """Remove sessions that nobody attends any more: a machine that lost its power leaves some."""
    for folder in runtime.iterdir():
        left = Session(folder)
        if _attended(left) is False:
            left.remove()


def _attended(session: Session) -> bool | None:
    """Whether somebody listens there; None for what is not a session, or one that is only being made."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as knock:
        try:
            knock.connect(str(session.socket))
        except ConnectionRefusedError:
            return False
        except OSError:
            return None
    return True


def _noted(session: Session) -> Iterator[Running]:
    try:
        said = json.loads((session.folder / "note.json").read_text("utf-8"))
        yield Running(environment=said["environment"], notebook=said["notebook"], session=session)
    except (OSError, ValueError, KeyError, TypeError):
        return


class Line:
    """The attendant's end: accepts guests and hands what they say to `hear(message, say)`, each in its own thread."""

    def __init__(self, session: Session, hear: Callable[[Message, Say], None]) -> None:
        self._hear = hear
        self._listener = _listening(session)
        Thread(target=self._accept, name="venvoy-line", daemon=True).start()

    def close(self) -> None:
        """Hear nobody any more."""
        with contextlib.suppress(OSError):  # macOS refuses to shut down a listening socket; closing is enough there
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._attend, args=(connection,), name="venvoy-guest", daemon=True).start()

    def _attend(self, connection: socket.socket) -> None:
        def say(message: Message) -> None:
            # The guest may have been interrupted and no longer listen; what it asked for is done all the same.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(json.dumps(message).encode() + b"\n")

        with connection, connection.makefile("rb") as heard, contextlib.suppress(ConnectionResetError):
            for line in heard:
                try:
                    message = json.loads(line)
                except ValueError:
                    return  # none of our guests
                self._hear(message, say)


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
