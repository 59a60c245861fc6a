"""A Jupyter Server with our extension in this very process; each test has its own."""

import asyncio
import json
import shutil
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

# Its fixtures and hooks are for this folder alone: one of them cleans a server up after every test.
from pytest_jupyter.jupyter_server import *  # noqa: F403
from ruamel.yaml import YAML
from tornado.httpclient import HTTPClientError

import venvoy.frontends.server
from venvoy.formats.snapshot_json import digest
from venvoy.model import Actor, Environment
from venvoy.settings import Settings
from venvoy.store import Store

PATIENCE = 60
SAID = YAML(typ="safe").load(Path(venvoy.frontends.server.__file__).with_name("openapi.yaml"))
"""What is described (OpenAPI)."""


def conforms(method: str, route: str, status: int, answer: object) -> None:
    """Raise where an answer is not as it is described."""
    asked = f"/venvoy/{route}".split("/")
    for path, item in SAID["paths"].items():
        words = path.split("/")
        if len(words) == len(asked) and all(
            one == two or one[:1] == "{" for one, two in zip(words, asked, strict=True)
        ):
            described = item.get(method.lower(), {"responses": {}})["responses"].get(str(status))
            break
    else:
        described = None
    described = described or SAID["components"]["responses"]["Problem"]
    if "content" in described:
        (schema,) = (each["schema"] for each in described["content"].values())
        Draft202012Validator({**schema, "components": SAID["components"]}).validate(answer)


@pytest.fixture(autouse=True)
def clean(settings: Settings) -> None:
    """The tests of a module share a home, and these want one that is empty."""
    for folder in (settings.home / "environments", settings.home / "jobs", settings.projects):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def jp_server_config() -> dict[str, Any]:
    return {"ServerApp": {"jpserver_extensions": {"venvoy.frontends.server": True}}}


@dataclass
class Server:
    """What a browser does with the server."""

    fetch: Callable[..., Awaitable[Any]]
    sockets: Callable[..., Awaitable[Any]]
    root: Path

    async def ask(self, method: str, route: str, body: object = None, **query: str) -> tuple[int, Any]:
        """One request; the status and what the JSON says, which must be as it is described."""
        words: dict[str, Any] = {"method": method, "params": query, "request_timeout": PATIENCE}
        if method in ("POST", "PUT", "PATCH"):
            words["body"] = body if isinstance(body, str | bytes) else json.dumps(body)
        try:
            answer = await self.fetch("venvoy", *route.split("/"), **words)
            status, said = answer.code, json.loads(answer.body) if answer.body else None
        except HTTPClientError as error:
            status, said = error.code, json.loads(error.response.body)
        conforms(method, route, status, said)
        return status, said

    async def get(self, route: str, **query: str) -> Any:
        status, said = await self.ask("GET", route, **query)
        assert status == 200, said
        return said

    async def begin(self, verb: str, environment: str, *words: str, **more: Any) -> dict[str, Any]:
        wish = {"verb": verb, "environment": environment, "words": list(words), **more}
        status, job = await self.ask("POST", "jobs", wish)
        assert status == 202, job
        return job

    async def until(self, job: str, *states: str) -> dict[str, Any]:
        """The job once it is in one of these states."""
        for _ in range(PATIENCE * 10):
            said = await self.get(f"jobs/{job}")
            if said["state"] in states:
                return said
            assert said["state"] in ("queued", "running", "cancelling"), said
            await asyncio.sleep(0.1)
        raise AssertionError(f"the job never was {states}: {said}")

    async def ended(self, job: str) -> dict[str, Any]:
        """The job once it has ended."""
        return await self.until(job, "succeeded", "failed", "cancelled", "lost")

    async def listen(self) -> Any:
        return await self.sockets("api", "events", "subscribe")

    async def events(self, socket: Any, schema: str, until: Callable[[Any], object]) -> list[Any]:
        """What is told on the socket of one kind, until that holds for one of it."""
        found: list[Any] = []
        while not found or not until(found[-1]):
            said = json.loads(await asyncio.wait_for(socket.read_message(), PATIENCE))
            if said["schema_id"] == schema:
                found.append(said)
        return found


@pytest.fixture
def server(jp_fetch: Any, jp_ws_fetch: Any, jp_root_dir: Path) -> Server:
    return Server(jp_fetch, jp_ws_fetch, jp_root_dir)


@pytest.fixture
def demo(wheels: Any, make: Callable[..., Environment]) -> Environment:
    """An environment with alpha, which needs beta, and an ipykernel of its own, so that none needs to be lent."""
    wheels.add("alpha", requires=("beta",))
    wheels.add("beta")
    wheels.add("ipykernel", "7.4.0")
    return make("demo", "alpha", "ipykernel")


@pytest.fixture
def freeze(store: Store) -> Callable[[Environment], None]:
    """Have the record say that it was frozen as it is; a real one asks the index."""

    def frozen(env: Environment) -> None:
        from venvoy.actions.observe import observe

        seen = observe(store, env)
        history = store.history(env.name)
        history.append("freeze", at=seen.taken, actor=Actor(kind="terminal"), asked=(), snapshot=digest(seen))

    return frozen


@pytest.fixture
def write(jp_root_dir: Path) -> Callable[..., Path]:
    """Write a notebook: `write("a.ipynb", {"venvoy": {...}}, "import alpha")`."""

    def written(path: str, metadata: Mapping[str, Any] | None = None, *cells: str) -> Path:
        file = jp_root_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        listed = [
            {
                "cell_type": "code",
                "id": f"c{number}",
                "source": cell,
                "outputs": [],
                "metadata": {},
                "execution_count": None,
            }
            for number, cell in enumerate(cells)
        ]
        file.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": metadata or {}, "cells": listed}))
        return file

    return written


class Hangs(BaseHTTPRequestHandler):
    """An index that has a page for every package, and never gives the file of one that is called slow."""

    folder: Path
    asked = threading.Event()
    over = threading.Event()

    def do_GET(self):
        if "slow" in self.path and self.path.endswith(".whl"):
            type(self).asked.set()
            type(self).over.wait(120)
            return
        if self.path.endswith(".whl"):
            self._answer((self.folder / self.path.rpartition("/")[2]).read_bytes(), "application/zip")
            return
        name = self.path.strip("/").rpartition("/")[2].replace("-", "_")
        page = f'<a href="/files/{name}-1.0-py3-none-any.whl">{name}-1.0-py3-none-any.whl</a>'.encode()
        self._answer(page, "text/html")

    def _answer(self, body, kind):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # its caller's name

    def log_message(self, *_words):
        pass


@pytest.fixture
def hanging(monkeypatch, tmp_path, wheels):
    """An index on which some files never come; those of `wheels` do."""
    Hangs.folder = wheels.folder
    Hangs.asked.clear()
    Hangs.over.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Hangs) as index:
        threading.Thread(target=index.serve_forever, daemon=True).start()
        said = tmp_path / "hanging.toml"
        said.write_text("")
        monkeypatch.setenv("UV_CONFIG_FILE", str(said))
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{index.server_address[1]}/simple")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield Hangs
        Hangs.over.set()
        index.shutdown()


@pytest.fixture
def files_of() -> Callable[[Path], set[str]]:
    """The paths of all that is in a prefix."""
    return lambda prefix: {str(each.relative_to(prefix)) for each in prefix.rglob("*")}
