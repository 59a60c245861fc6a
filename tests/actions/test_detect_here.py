"""What the real programs of this machine say when something is wrong with them, and how quickly that is known."""

import os
import pwd
import shutil
import socket
import subprocess
import threading
import time
from dataclasses import replace

import pytest

from venvoy import process
from venvoy.actions.detect import ELSEWHERE, PATIENCE, choose, current, detect
from venvoy.errors import RuntimeUnavailable
from venvoy.model import Command

USER = "researcher"


@pytest.fixture
def docker():
    """The client; its daemon is the test's affair."""
    if not shutil.which("docker"):
        pytest.skip("docker is not here")


@pytest.fixture
def deaf(tmp_path_factory):
    """A socket that accepts and never answers; returns its path and those who came."""
    folder = tmp_path_factory.mktemp("deaf")
    came = []
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "sock"))
        server.listen()

        def accept():
            while True:
                try:
                    came.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=accept, daemon=True).start()
        yield folder / "sock", came
        server.shutdown(socket.SHUT_RDWR)
    for each in came:
        each.close()


def test_a_daemon_that_accepts_and_never_answers_holds_nobody_up(docker, deaf, monkeypatch):
    path, came = deaf
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    begun = time.monotonic()

    found = detect().named("docker")

    assert came
    assert not found.usable
    assert found.problem == f"its daemon does not answer within {PATIENCE:g} seconds"
    assert time.monotonic() - begun < PATIENCE + 20  # the machine may be busy; without an end it would be for ever
    assert not subprocess.run(["pgrep", "-f", f"unix://{path}"], capture_output=True, check=False).stdout


def test_a_daemon_that_is_not_there_is_named_with_its_place(docker, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/sock")

    found = detect().named("docker")

    assert found.problem == f"no daemon answers at unix://{tmp_path}/sock"
    assert found.cure == "mend or unset DOCKER_HOST"


def test_a_socket_that_is_somebody_elses_is_a_matter_of_permission(docker, deaf, monkeypatch):
    if os.geteuid() != 0 or USER not in {each.pw_name for each in pwd.getpwall()}:
        pytest.skip("not obtainable: root and a user without rights")
    path, came = deaf
    path.chmod(0o600)
    for folder in path.parents:
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o711)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    entry = pwd.getpwnam(USER)

    def as_user(command: Command, *, timeout: float | None = None) -> str:
        words = ("setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups", *command.argv)
        return process.run(replace(command, argv=words), timeout=timeout)

    here = replace(current(), uid=entry.pw_uid, user=USER)
    found = detect(here, run=as_user).named("docker")

    assert found.problem == "you have no permission on the daemon's socket"
    assert f"usermod -aG docker {USER}" in found.cure
    assert not came


def test_a_docker_that_is_podman_is_recognised(tmp_path, monkeypatch):
    real = shutil.which("podman")
    if not real:
        pytest.skip("podman is not here")
    (tmp_path / "docker").symlink_to(real)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    found = detect().named("docker")

    assert found.engine == "podman"
    assert found.version == detect().named("podman").version


def test_the_users_setting_counts_where_none_is_named(detected):
    usable = next((each.name for each in reversed(detected.runtimes) if each.usable), None)
    if usable is None:
        pytest.skip("no runtime is here")

    assert choose(detected, usual=usable).runtime.name == usable
    assert "VENVOY_RUNTIME" in choose(detected, usual=usable).rule
    other = next(each.name for each in detected.runtimes if each.usable)
    assert choose(detected, other, usual=usable).runtime.name == other
    with pytest.raises(RuntimeUnavailable, match="no container runtime 'lxc'"):
        choose(detected, usual="lxc")


def test_all_are_asked_side_by_side():
    """The slowest decides, not the sum: each waits until all others have begun."""
    programs = {os.path.realpath(path) for path in map(shutil.which, ELSEWHERE) if path}  # one may have two names
    together = threading.Barrier(len(programs), timeout=60)

    def run(command: Command, *, timeout: float | None = None) -> str:
        together.wait()
        return process.run(command, timeout=timeout)

    here = replace(current(), uid=0)
    once = set()

    def first(command: Command, *, timeout: float | None = None) -> str:
        if command.argv[0] in once:
            return process.run(command, timeout=timeout)
        once.add(command.argv[0])
        return run(command, timeout=timeout)

    assert detect(here, run=first).runtimes
