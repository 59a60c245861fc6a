"""One kernel's private folder: its channels' sockets, and the line between the guest and whoever attends it.

Guest and attendant speak JSON lines over the Unix stream socket `guest.sock`. The guest opens a connection for each
thing it has to say: a note `{"note": ...}` gets no answer; a request `{"verb": ..., "arguments": {...}}` gets any
number of `{"progress": text}` and then one `{"answer": ...}` or `{"error": text, "hint": text}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable, Mapping
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

    def remove(self) -> None:
        files.remove(self.folder)


def create(runtime: Path, kernel_id: str) -> Session:
    """Make the private folder of one kernel below `runtime`. Raises VenvoyError where that would not be safe."""
    files.private(runtime)
    owner = runtime.stat().st_uid
    if owner != os.getuid() or runtime.is_symlink():
        raise VenvoyError(
            f"{runtime} is not ours, so nothing private can lie there",
            hint="set XDG_RUNTIME_DIR to a folder of your own",
        )
    session = Session(runtime / kernel_id.replace("-", "")[:12])
    if len(os.fsencode(session.socket)) > PATH_LIMIT:
        raise VenvoyError(
            f"{session.socket} is too long for a Unix socket",
            hint="set XDG_RUNTIME_DIR to a shorter folder of your own, or the provisioner's transport to tcp",
        )
    files.private(session.folder)
    return session


class Line:
    """The attendant's end: accepts guests and hands what they say to `hear(message, say)`, each in its own thread."""

    def __init__(self, session: Session, hear: Callable[[Message, Say], None]) -> None:
        self._hear = hear
        session.socket.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(session.socket))
        session.socket.chmod(stat.S_IRUSR | stat.S_IWUSR)
        self._listener.listen(64)
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
            try:
                stream.write(json.dumps(message).encode() + b"\n")
                stream.flush()
            except (BrokenPipeError, ConnectionResetError):
                pass  # the guest was interrupted and no longer listens; what it asked for is done all the same

        with connection, connection.makefile("rwb") as stream:
            for line in stream:
                self._hear(json.loads(line), say)
