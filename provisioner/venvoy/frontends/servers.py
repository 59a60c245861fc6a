"""The Jupyter servers of this user that run on this machine, and what is open in them."""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from jupyter_core.paths import jupyter_runtime_dir

PATIENCE = 3.0
"""Seconds for which a server may think about what it has open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One that runs, as its file in Jupyter's runtime folder says (`jpserver-PID.json`)."""

    address: str
    token: str
    root: Path
    socket: str = ""

    def notebooks(self) -> frozenset[Path] | None:
        """The notebooks that have a session, resolved; none for one that nobody answers for, None where it says no."""
        try:
            status, said = self._asked(f"{urlsplit(self.address).path.rstrip('/')}/api/sessions")
        except (ConnectionRefusedError, FileNotFoundError):
            return frozenset()
        except (OSError, http.client.HTTPException):
            return None
        if status != http.client.OK:
            return None
        try:
            paths = [str(each["path"]).removeprefix("RTC:") for each in json.loads(said)]
        except (ValueError, KeyError, TypeError):
            return None
        return frozenset((self.root / each.strip("/")).resolve() for each in paths)

    def _asked(self, path: str) -> tuple[int, bytes]:
        # Straight to the machine itself: no proxy of the user's stands between.
        connection = self._connection()
        try:
            connection.request("GET", path, headers={"Authorization": f"token {self.token}"} if self.token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        said = urlsplit(self.address)
        if self.socket:
            return _UnixConnection(self.socket)
        if said.scheme == "https":
            import ssl

            # Its certificate is most often its own, and we ask the machine that we are on.
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            return http.client.HTTPSConnection(
                said.hostname or "localhost", said.port, timeout=PATIENCE, context=context
            )
        return http.client.HTTPConnection(said.hostname or "localhost", said.port, timeout=PATIENCE)


def running() -> Iterator[Server]:
    """All of them; those that ended without removing their file are left out."""
    for file in sorted(Path(jupyter_runtime_dir()).glob("*server-*.json")):
        try:
            said = json.loads(file.read_text("utf-8"))
            if _lives(int(said["pid"])):
                yield Server(
                    address=str(said["url"]),
                    token=str(said.get("token") or ""),
                    root=Path(said.get("root_dir") or said["notebook_dir"]).resolve(),
                    socket=str(said.get("sock") or ""),
                )
        except (OSError, ValueError, KeyError, TypeError):
            continue  # being written, or no server's


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class _UnixConnection(http.client.HTTPConnection):
    """To a server that listens on a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(self._path)
