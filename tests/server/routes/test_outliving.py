"""A server that is killed leaves its jobs to the next one."""

import json
import os
import secrets
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from jupyter_core.paths import jupyter_runtime_dir
from waiting import eventually

PATIENCE = 60


class _Server:
    """A real one, in a process of its own."""

    def __init__(self, root, listening):
        self.token = secrets.token_hex(8)
        words = [
            "--no-browser",
            "--allow-root",
            "--port=0",
            f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={root}",
        ]
        extension = "--ServerApp.jpserver_extensions=venvoy.frontends.server=True"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *words, extension], stderr=subprocess.DEVNULL
        )
        self.address = listening(self.process, Path(jupyter_runtime_dir()))

    def ask(self, method, path, body=None):
        request = urllib.request.Request(  # noqa: S310  # an address of ours
            f"{self.address}/venvoy/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            return json.loads(answer.read())


def _ended(server, job):
    said = server.ask("GET", f"jobs/{job}")
    return said if said["ended"] else None


@pytest.fixture
def started(jp_environ, jp_root_dir, listening):
    servers = []

    def start():
        servers.append(_Server(jp_root_dir, listening))
        return servers[-1]

    yield start
    for each in servers:
        each.process.kill()
        each.process.wait()


def test_a_job_goes_on_when_its_server_is_killed_and_the_next_one_shows_it(started, demo, store, wheels):
    wheels.add("gamma")
    first = started()
    with store.held("demo"):
        job = first.ask("POST", "jobs", {"verb": "install", "environment": "demo", "words": ["gamma"]})["id"]
        eventually(lambda: first.ask("GET", f"jobs/{job}")["state"] == "running")
        os.kill(first.process.pid, signal.SIGKILL)
        first.process.wait()
        second = started()
        there = second.ask("GET", f"jobs/{job}")
    ended = eventually(lambda: _ended(second, job))

    assert there["state"] == "running"
    assert ended["state"] == "succeeded"
    assert ended["seq"] > there["seq"]


def test_a_server_that_is_told_to_end_stops_what_it_began(started, demo, store, wheels):
    wheels.add("gamma")
    server = started()
    with store.held("demo"):
        job = server.ask("POST", "jobs", {"verb": "install", "environment": "demo", "words": ["gamma"]})["id"]
        eventually(lambda: server.ask("GET", f"jobs/{job}")["state"] == "running")
        server.process.terminate()
        server.process.wait(PATIENCE)

    assert store.jobs.job(job).state == "cancelled"
