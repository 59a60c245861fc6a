"""The server beside a notebook with 300 packages: how soon it answers, how soon a browser hears of a job, its start."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import websocket
from side_by_side import compare, own_home, report
from snapshot import _fill, _real_metadata

from venvoy import settings
from venvoy.actions.create import Plan, create
from venvoy.actions.observe import observe
from venvoy.actions.record import record
from venvoy.jobs import Work
from venvoy.model import Actor
from venvoy.store import Store

PACKAGES = 300
IMPORTED = """
import time, jupyter_server.serverapp, jupyter_server.extension.application, jupyter_server.auth.decorator
began = time.perf_counter()
import venvoy.frontends.server
venvoy.frontends.server._jupyter_server_extension_points()
from venvoy.frontends.server import rooms, root, routes, saving
print(time.perf_counter() - began)
"""


def main() -> None:
    with own_home() as home:
        store, root = Store(settings.current()), home / "work"
        prepare(store, home, root)
        with serving(root) as (address, token):

            def ask(path: str) -> bytes:
                said = {"Authorization": f"token {token}"}
                request = urllib.request.Request(f"{address}{path}", headers=said)  # noqa: S310  # an address of ours
                with urllib.request.urlopen(request) as answer:  # noqa: S310
                    return bytes(answer.read())

            compare(
                f"answers for a notebook with {PACKAGES} packages",
                {
                    "its sentence": lambda: ask("venvoy/notebook?path=a.ipynb"),
                    "its packages": lambda: ask("venvoy/environments/demo/packages?path=a.ipynb"),
                    "its history": lambda: ask("venvoy/environments/demo/history"),
                    "Jupyter's own list of kernels": lambda: ask("api/kernelspecs"),
                },
                rounds=15,
            )
            report("from a job's line to a browser", {"event": _latencies(store, address, token)})
    python = (sys.executable, "-c", IMPORTED)
    starts = [float(subprocess.run(python, check=True, capture_output=True, text=True).stdout) for _ in range(7)]
    report("what the server's start waits for", {"our imports": starts})


def prepare(store: Store, home: Path, root: Path) -> None:
    """An environment that was frozen, and a notebook that was run in it."""
    actor = Actor(kind="command", command="benchmark")
    env = create(store, Plan(name="demo"), actor=actor)
    _fill(env, _real_metadata(home), PACKAGES)
    record(store.history("demo"), lambda: observe(store, env), actor=actor)
    last = store.history("demo").last()
    assert last is not None
    store.history("demo").append("freeze", at=datetime.now(UTC), actor=actor, asked=(), snapshot=last.snapshot)
    root.mkdir()
    said = {"venvoy": {"environment": "demo", "snapshot": last.snapshot}}
    (root / "a.ipynb").write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": said, "cells": []}))


@contextmanager
def serving(root: Path, module: str = "jupyter_server", *also: str) -> Iterator[tuple[str, str]]:
    """A real one, or a JupyterLab; its address and token."""
    token = secrets.token_hex(8)
    words = ["--no-browser", "--allow-root", "--port=0", f"--IdentityProvider.token={token}"]
    words += [f"--ServerApp.root_dir={root}", "--ServerApp.jpserver_extensions=venvoy.frontends.server=True", *also]
    server = subprocess.Popen(
        [sys.executable, "-m", module, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    file = Path(os.environ["JUPYTER_RUNTIME_DIR"], f"jpserver-{server.pid}.json")
    try:
        while not file.exists():
            time.sleep(0.05)
        time.sleep(3)  # it makes itself ready a second after its start
        yield json.loads(file.read_text())["url"], token
    finally:
        server.terminate()
        server.wait()


def _latencies(store: Store, address: str, token: str) -> list[float]:
    """Seconds from each of a few lines of a job that another process runs to the browser's socket."""
    socket = websocket.create_connection(
        f"{address.replace('http', 'ws', 1)}api/events/subscribe", header=[f"Authorization: token {token}"]
    )
    found = []
    with Work(store.jobs, store.jobs.begin("freeze", origin="command", environment="demo")) as work:
        for number in range(11):
            began = time.perf_counter()
            work.say(f"line {number}")
            while json.loads(socket.recv()).get("message") != f"line {number}":
                pass
            found.append(time.perf_counter() - began)
        work.end("succeeded")
    socket.close()
    return found


if __name__ == "__main__":
    main()
