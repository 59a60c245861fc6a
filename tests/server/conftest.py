"""A real JupyterLab server, and a browser's way to speak with it: REST and a websocket."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import websocket

from venvoy.settings import Settings

PATIENCE = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and "_lab" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.network)  # the kernel that is lent comes from the index


@pytest.fixture(scope="module")
def _home(new_home: Callable[[str], AbstractContextManager[Mapping[str, str]]]) -> Iterator[Mapping[str, str]]:
    with new_home("server") as variables:
        Path(variables["HOME"], "work").mkdir()
        yield variables


@pytest.fixture(autouse=True)
def settings(moved: Callable[[Mapping[str, str]], Settings], _home: Mapping[str, str]) -> Settings:
    return moved(_home)


@dataclass
class Answer:
    """What a cell came to."""

    text: str = ""
    html: str = ""
    error: str = ""


@dataclass
class Channels:
    """A notebook's websocket to its kernel."""

    address: str
    headers: list[str]
    socket: websocket.WebSocket = field(init=False)
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    states: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = websocket.create_connection(self.address, header=self.headers, timeout=PATIENCE)

    def send(self, code: str) -> str:
        return self._request(
            "execute_request", {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        )

    def _request(self, kind: str, content: Mapping[str, object]) -> str:
        sent = uuid.uuid4().hex
        header = {"msg_id": sent, "msg_type": kind, "session": self.session, "username": "", "version": "5.3"}
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self.socket.send(json.dumps(message))
        return sent

    def hear(self, sent: str, *, until: str = "") -> Answer:
        """What comes of a cell, to its end or until it prints `until`."""
        answer, done, end = Answer(), set[str](), time.monotonic() + PATIENCE
        while done != {"reply", "idle"}:
            message = self.message(end)
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            match message["msg_type"]:
                case "stream":
                    answer.text += content["text"]
                case "display_data" | "execute_result":
                    answer.text += content["data"]["text/plain"]
                    answer.html += content["data"].get("text/html", "")
                case "error":
                    answer.error = f"{content['ename']}: {content['evalue']}"
                case "execute_reply":
                    done.add("reply")
                case "status" if content["execution_state"] == "idle":
                    done.add("idle")
            if until and until in answer.text:
                break
        return answer

    def message(self, end: float) -> dict[str, Any]:
        """The next message; pings of the server are no sign of life of its kernel."""
        code = websocket.ABNF.OPCODE_PING
        while code in (websocket.ABNF.OPCODE_PING, websocket.ABNF.OPCODE_PONG):
            self.socket.settimeout(max(end - time.monotonic(), 0.01))
            code, frame = self.socket.recv_data_frame(control_frame=True)
        message: dict[str, Any] = json.loads(frame.data)
        if message["msg_type"] == "status":
            self.states.append(message["content"]["execution_state"])
        return message

    def run(self, code: str) -> Answer:
        return self.hear(self.send(code))

    def until(self, state: str) -> None:
        end = time.monotonic() + PATIENCE
        while state not in self.states:
            self.message(end)

    def reopen(self) -> None:
        """Connect anew and ask the kernel who it is until it is heard on both channels, as JupyterLab does.

        The server connects to each channel of a restarted kernel by itself and in no order: what the kernel says to a
        request that came first may be said before anybody listens.
        """
        self.socket.close()
        self.__post_init__()
        for _ in range(PATIENCE):
            heard, asked, end = set[str](), self._request("kernel_info_request", {}), time.monotonic() + 1
            with contextlib.suppress(websocket.WebSocketTimeoutException):
                while heard != {"kernel_info_reply", "status"}:
                    message = self.message(end)
                    if message["parent_header"].get("msg_id") == asked:
                        heard.add(message["msg_type"])
                return
        raise AssertionError("the restarted kernel was never heard")


@dataclass
class Lab:
    """A server that runs, as its browser sees it."""

    address: str
    token: str
    log: Path
    work: Path

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request to Jupyter's own routes; returns the status and what the JSON says."""
        return self._asked(method, f"api/{path}", body)

    def venvoy(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """One request to ours."""
        return self._asked(method, f"venvoy/{path}", body)

    def _asked(self, method: str, path: str, body: object) -> tuple[int, Any]:
        request = urllib.request.Request(  # noqa: S310  # an address of ours
            f"{self.address}/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def open(self, kernel: str, notebook: str = "analysis.ipynb") -> tuple[int, Any]:
        """Open a notebook with a kernel; returns the status and the session's model, or the error's."""
        return self.ask(
            "POST", "sessions", {"name": notebook, "path": notebook, "type": "notebook", "kernel": {"name": kernel}}
        )

    def channels(self, kernel: str) -> Channels:
        address = f"{self.address.replace('http', 'ws', 1)}/api/kernels/{kernel}/channels?session_id={uuid.uuid4().hex}"
        return Channels(address, [f"Authorization: token {self.token}"])


@pytest.fixture(scope="module")
def _extended(_home: Mapping[str, str]) -> None:
    """The server has our extension, as an installed venvoy enables it."""
    folder = Path(_home["JUPYTER_CONFIG_DIR"], "jupyter_server_config.d")
    folder.mkdir(parents=True)
    said = {"ServerApp": {"jpserver_extensions": {"venvoy.frontends.server": True}}}
    (folder / "venvoy.json").write_text(json.dumps(said))


def _address(process: subprocess.Popen[bytes], runtime: Path) -> str:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        assert process.poll() is None, f"the server has ended with {process.returncode}"
        with contextlib.suppress(OSError, ValueError):
            port = json.loads((runtime / f"jpserver-{process.pid}.json").read_text())["port"]
            socket.create_connection(("127.0.0.1", port)).close()
            return f"http://127.0.0.1:{port}"
        time.sleep(0.05)
    raise AssertionError("the server does not listen")


@pytest.fixture(scope="session")
def listening() -> Callable[[subprocess.Popen[bytes], Path], str]:
    """The address of a server that was started, once it listens.

    Jupyter makes its file in that folder first, then writes what is in it, and listens after that.
    """
    return _address


@pytest.fixture(scope="module")
def _lab(
    _home: Mapping[str, str], _machine: Mapping[str, str], listening: Callable[[subprocess.Popen[bytes], Path], str]
) -> Iterator[Lab]:
    token, log = secrets.token_hex(16), Path(_home["HOME"], "server.log")
    argv = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={_home['HOME']}/work", "--KernelRestarter.time_to_dead=0.3",
    ]  # fmt: skip
    with log.open("w") as said:
        process = subprocess.Popen(argv, env={**os.environ, **_machine, **_home}, stdout=said, stderr=said)
    try:
        address = listening(process, Path(_home["JUPYTER_RUNTIME_DIR"]))
    except AssertionError as error:
        raise AssertionError(log.read_text()) from error
    yield Lab(address, token, log, Path(_home["HOME"], "work"))
    process.terminate()
    process.wait(30)


@pytest.fixture
def lab(_lab: Lab, settings: Settings) -> Iterator[Lab]:
    """The server; what the test leaves open in it is closed in the end."""
    yield _lab
    for session in _lab.ask("GET", "sessions")[1]:
        _lab.ask("DELETE", f"sessions/{session['id']}")
