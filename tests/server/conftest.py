"""A real JupyterLab server on this machine, and a client of its REST API and websockets."""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import websocket

from venvoy.settings import Settings

PATIENCE = 90
TOKEN = "a-token-of-the-tests"  # noqa: S105


@dataclass
class Server:
    """One running server; `log` is its standard error."""

    process: subprocess.Popen[bytes]
    log: Path
    address: str
    open: "Channels | None" = None

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """The status and the JSON that the server answers with, errors too."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"token {TOKEN}", "Content-Type": "application/json"}
        request = Request(f"http://{self.address}{path}", data=data, headers=headers, method=method)
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def channels(self, kernel: str) -> "Channels":
        """Open a kernel's websocket; the one opened before is closed."""
        self.hang_up()
        url = f"ws://{self.address}/api/kernels/{kernel}/channels?token={TOKEN}"
        self.open = Channels(websocket.create_connection(url, timeout=PATIENCE))
        return self.open

    def hang_up(self) -> None:
        if self.open is not None:
            self.open.socket.close(timeout=1)
            self.open = None


@dataclass
class Channels:
    """A kernel's websocket, as JupyterLab opens it."""

    socket: websocket.WebSocket

    def send(self, code: str) -> str:
        header = {
            "msg_id": uuid.uuid4().hex,
            "msg_type": "execute_request",
            "username": "",
            "session": "s",
            "version": "5.3",
        }
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False, "stop_on_error": True}
        message = {
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": content,
            "channel": "shell",
            "buffers": [],
        }
        self.socket.send(json.dumps(message))
        return header["msg_id"]

    def until_idle(self, sent: str) -> list[dict[str, Any]]:
        """All that came of one cell."""
        heard, waiting = [], {"idle", "execute_reply"}
        while waiting:
            message = json.loads(self.socket.recv())
            if message["parent_header"].get("msg_id") == sent:
                heard.append(message)
                waiting -= {message["msg_type"], message["content"].get("execution_state")}
        return heard

    def run(self, code: str) -> str:
        """What a person would read below the cell."""
        return "\n".join(_read(each) for each in self.until_idle(self.send(code)))


def _read(message: dict[str, Any]) -> str:
    content = message["content"]
    shown = content.get("data", {}).get("text/plain", "") if isinstance(content.get("data"), dict) else ""
    return content.get("text", "") or shown or content.get("ename", "")


@pytest.fixture
def serve(settings: Settings, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start JupyterLab as a user would, without a browser."""
    running: list[Server] = []

    def served(*arguments: str) -> Server:
        log = tmp_path / f"server-{len(running)}.log"
        argv = [
            sys.executable,
            "-m",
            "jupyterlab",
            "--no-browser",
            "--allow-root",
            "--port=0",
            f"--IdentityProvider.token={TOKEN}",
        ]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*argv, f"--ServerApp.root_dir={tmp_path}", *arguments], stderr=stream, stdout=stream, env=os.environ
            )
        running.append(Server(process=process, log=log, address=_address(process, log)))
        return running[-1]

    yield served
    for server in running:
        server.hang_up()
        _stop(server.process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        # After any kernel that failed to start, ours or not, jupyter_server does not end on SIGTERM: the kernel stays
        # among MultiKernelManager._pending_kernels, and shutdown_all fails on it (jupyter_client 8.10, server 2.21).
        process.kill()
        process.wait()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        found = re.search(r"http://((?:localhost|127\.0\.0\.1):\d+)/lab", log.read_text("utf-8", "replace"))
        if found:
            return found[1]
        assert process.poll() is None, log.read_text("utf-8", "replace")
        time.sleep(0.1)
    raise AssertionError(log.read_text("utf-8", "replace"))
