"""Which container runtimes are found, what keeps them from being used, and which one is taken.

Small scripts on PATH stand for the programs, as the real ones answer; tests/containers asks the real ones.
"""

import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.actions.detect import AUTO, ELSEWHERE, ON_CLUSTERS, PATIENCE, Here, choose, detect, usable
from venvoy.actions.machine import Machine, Sign
from venvoy.errors import RuntimeUnavailable

ALONE = Machine(host="laptop", signs=())
CLUSTER = Machine(host="node1", signs=(Sign(kind="job", scheduler="Slurm", told="SLURM_JOB_ID is set"),))
DOCKER = {
    "Client": {"Version": "28.2.2", "ApiVersion": "1.41"},
    "Server": {"Version": "20.10.24", "Components": [{"Name": "Engine"}]},
}
PODMAN = {"Client": {"APIVersion": "4.3.1", "Version": "4.3.1", "OsArch": "linux/amd64"}}
SOCKET = "unix:///var/run/docker.sock"
CONTEXT = f"h/.docker/contexts/meta/{hashlib.sha256(b'far').hexdigest()}/meta.json"
FAR = json.dumps({"Name": "far", "Endpoints": {"docker": {"Host": "ssh://far"}}})
DOWN = f"Cannot connect to the Docker daemon at {SOCKET}. Is the docker daemon running?"
DENIED = (
    f"permission denied while trying to connect to the Docker daemon socket at {SOCKET}: connect: permission denied"
)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put a program on PATH that answers every call so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    known = {*ELSEWHERE, "newuidmap", "crun"}

    def which(name: str) -> str | None:
        return shutil.which(name, path=str(folder)) if name in known else shutil.which(name)

    def put(name: str, answer: object = "", *, error: str = "", code: int = 1, body: str = "") -> Path:
        text = answer if isinstance(answer, str) else json.dumps(answer)
        told = f"printf '%s\\n' '{error}' >&2; exit {code}" if error else f"printf '%s\\n' '{text}'"
        (folder / name).write_text(f"#!/bin/sh\n{body or told}\n")
        (folder / name).chmod(0o755)
        return folder / name

    put.which, put.folder = which, folder
    return put


@pytest.fixture
def here(tmp_path):
    """A machine of one's own making: `here(uid=1000, **{"etc/subuid": "ada:100000:65536"})`."""
    root = tmp_path / "root"

    def made(uid: int = 1000, environ=None, **files: str) -> Here:
        root.mkdir(exist_ok=True)
        for name, text in files.items():
            file = root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        said = {"PATH": os.environ["PATH"], "HOME": "/home/ada", **(environ or {})}
        return Here(uid=uid, user="ada" if uid else "root", environ=said, root=root)

    return made


RANGES = {
    "etc/subuid": "ada:100000:65536\n",
    "etc/subgid": "ada:100000:65536\n",
    "sys/fs/cgroup/cgroup.controllers": "",
}


def found(programs, here, name, machine=ALONE):
    return detect(here, machine=machine, which=programs.which).named(name)


def test_a_machine_without_any_has_none(programs, here):
    seen = detect(here(), machine=ALONE, which=programs.which)

    assert [(each.name, each.usable, each.problem) for each in seen.runtimes] == [
        (name, False, "not found") for name in ELSEWHERE
    ]
    assert all("install it: https://" in each.cure for each in seen.runtimes)
    assert choose(seen).runtime is None


def test_docker_is_used_where_its_daemon_answers(programs, here):
    programs("docker", DOCKER)

    docker = found(programs, here(), "docker")

    assert (docker.usable, docker.engine, docker.version, docker.rootless) == (True, "docker", "20.10.24", False)


@pytest.mark.parametrize(
    ("error", "environ", "files", "problem", "cure"),
    [(DOWN, {}, {}, "its daemon does not run", "sudo service docker start"),
     (DOWN, {}, {"run/systemd/system": ""}, "its daemon does not run", "sudo systemctl start docker"),
     (DENIED, {}, {}, "you have no permission on the daemon's socket", "sudo usermod -aG docker ada"),
     (DOWN.replace(SOCKET, "tcp://localhost:1"), {"DOCKER_HOST": "tcp://localhost:1"}, {}, "no daemon answers at tcp://localhost:1", "DOCKER_HOST"),
     (DOWN, {"DOCKER_HOST": "ssh://h"}, {}, "its daemon is on another machine (ssh://h), which sees none of this one's folders", "unset DOCKER_HOST"),
     (DOWN, {"DOCKER_HOST": "tcp://10.0.0.1:2376"}, {}, "its daemon is on another machine (tcp://10.0.0.1:2376), which sees none of this one's folders", "unset DOCKER_HOST"),
     (DOWN, {"HOME": "/h", "DOCKER_CONTEXT": "far"}, {CONTEXT: FAR}, "its daemon is on another machine (ssh://far), which sees none of this one's folders", "DOCKER_CONTEXT"),
     ("a word that nobody knows", {}, {}, "a word that nobody knows", "docker version")],
)  # fmt: skip
def test_why_docker_cannot_be_used(programs, here, error, environ, files, problem, cure):
    programs("docker", error=error)

    docker = found(programs, here(environ=environ, **files), "docker")

    assert (docker.usable, docker.problem) == (False, problem)
    assert cure in docker.cure
    with pytest.raises(RuntimeUnavailable, match=re.escape(f"docker cannot be used: {problem}")):
        usable(docker)


def test_a_dead_daemon_holds_nobody_up_for_long(programs, here):
    programs("docker", body="sleep 30")
    programs("podman", PODMAN)
    programs("newuidmap")
    began = time.monotonic()

    seen = detect(here(**RANGES), machine=ALONE, which=programs.which)

    assert time.monotonic() - began < PATIENCE + 1.5
    assert seen.named("docker").problem == "its daemon does not answer within 2 seconds"
    assert seen.named("podman").usable


def test_a_docker_that_is_podman_is_known_as_such(programs, here):
    programs("docker", PODMAN)
    programs("newuidmap")

    docker = found(programs, here(**RANGES), "docker")

    assert (docker.usable, docker.name, docker.engine, docker.rootless) == (True, "docker", "podman", True)


def test_a_docker_whose_daemon_has_no_root_is_known_as_such(programs, here):
    components = [{"Name": "Engine"}, {"Name": "rootlesskit"}]
    programs("docker", DOCKER | {"Server": {"Version": "27.1.1", "Components": components}})

    assert found(programs, here(), "docker").rootless


def test_a_docker_that_speaks_to_podmans_service_says_so(programs, here):
    programs("docker", DOCKER | {"Server": {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}})

    assert found(programs, here(), "docker").remarks == ("its daemon is Podman's service",)


@pytest.mark.parametrize("own", [True, False])
def test_a_docker_that_speaks_to_the_users_own_podman_is_not_taken(programs, here, own):
    """It knows no --userns keep-id: in its containers the user would be a number that owns nothing of the user's."""
    programs("docker", DOCKER | {"Server": {"Version": "4.3.1", "Components": [{"Name": "Podman Engine"}]}})
    machine = here(environ={"DOCKER_HOST": "unix:///run/user/podman.sock"}, **{"run/user/podman.sock": ""})
    socket = machine.root / "run/user/podman.sock"
    if os.getuid() == 0:
        os.chown(socket, 1000, 1000)
    user = socket.stat().st_uid + (0 if own else 1)

    docker = found(programs, replace(machine, uid=user), "docker")

    assert docker.usable == (not own)
    assert ("--runtime podman" in docker.cure) == own


@pytest.mark.parametrize(
    ("files", "problem", "cure"),
    [({"etc/subuid": ""}, "you have no range of user numbers in /etc/subuid", "--add-subuids"),
     ({"etc/subgid": "eve:1:2\n"}, "you have no range of user numbers in /etc/subgid", "podman system migrate"),
     ({"proc/sys/user/max_user_namespaces": "0\n"}, "user namespaces are switched off", "max_user_namespaces"),
     ({"proc/sys/kernel/unprivileged_userns_clone": "0"}, "user namespaces are for root alone", "userns_clone=1")],
)  # fmt: skip
def test_why_a_user_cannot_use_podman(programs, here, files, problem, cure):
    programs("podman", PODMAN)
    programs("newuidmap")

    podman = found(programs, here(**RANGES | files), "podman")

    assert (podman.usable, podman.problem) == (False, problem)
    assert cure in podman.cure


@pytest.mark.parametrize(
    "files",
    [{"etc/subuid": "1000:1:2", "etc/subgid": "1000:1:2"}, {"etc/subuid": "", "etc/nsswitch.conf": "subid: sss\n"}],
)
def test_ranges_may_be_given_by_number_or_lie_elsewhere(programs, here, files):
    programs("podman", PODMAN)
    programs("newuidmap")

    assert found(programs, here(**RANGES | files), "podman").usable


def test_root_needs_no_ranges(programs, here):
    programs("podman", PODMAN)

    podman = found(programs, here(uid=0), "podman")

    assert (podman.usable, podman.rootless, podman.version) == (True, False, "4.3.1")


def test_crun_and_cgroups_of_both_versions_do_not_go_together(programs, here):
    programs("podman", PODMAN)
    programs("crun")
    mixed = here(uid=0, **{"sys/fs/cgroup/unified/x": ""})
    assert found(programs, mixed, "podman").problem.startswith("crun cannot start containers")

    mixed = here(uid=0, **{"etc/containers/containers.conf": '[engine]\nruntime = "runc"\n'})
    assert found(programs, mixed, "podman").usable


@pytest.mark.parametrize(
    ("answer", "engine", "version"),
    [("apptainer version 1.4.5", "apptainer", "1.4.5"), ("singularity-ce version 4.1.0-jammy", "singularity", "4.1.0-jammy"),
     ("singularity version 3.11.5-1.el8", "singularity", "3.11.5-1.el8"), ("2.6.1-dist", "", "")],
)  # fmt: skip
def test_whose_singularity_it_is(programs, here, answer, engine, version):
    programs("singularity", answer)

    singularity = found(programs, here(), "singularity")

    assert (singularity.version, singularity.usable) == (version, bool(engine))
    assert not engine or singularity.engine == engine


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("singularity", "singularity version 3.8.7-1.el8"),
        ("singularity", "singularity-ce version 3.9.9"),
        ("apptainer", "apptainer version 1.0.3"),
    ],
)
def test_one_that_is_older_than_what_is_said_to_it_is_not_chosen(programs, here, name, answer):
    programs(name, answer)

    old = found(programs, here(), name)

    assert not old.usable
    assert "is older than" in old.problem


def test_a_program_of_two_names_is_asked_once(programs, here):
    asked = programs.folder / "asked"
    apptainer = programs("apptainer", body=f"echo $0 >> {asked}; echo 'apptainer version 1.4.5'")
    (programs.folder / "singularity").symlink_to(apptainer)

    seen = detect(here(), machine=CLUSTER, which=programs.which)

    assert asked.read_text().splitlines() == [str(apptainer)]
    names = [(each.name, each.engine, each.path.name, each.version) for each in seen.runtimes[:2]]
    assert names == [(name, "apptainer", name, "1.4.5") for name in ("apptainer", "singularity")]


def test_apptainer_needs_namespaces_or_its_helper(programs, here):
    programs("apptainer", "apptainer version 1.4.5")
    off = {"proc/sys/user/max_user_namespaces": "0"}
    assert found(programs, here(**off), "apptainer").problem == "user namespaces are switched off"

    starter = programs.folder.parent / "libexec/apptainer/bin/starter-suid"
    starter.parent.mkdir(parents=True)
    starter.touch()
    starter.chmod(0o4755)
    assert found(programs, here(**off), "apptainer").usable
    assert found(programs, here(uid=0, **off), "apptainer").usable


def test_without_fuse_an_image_is_unpacked_which_is_said(programs, here):
    programs("apptainer", "apptainer version 1.4.5")

    assert "/dev/fuse" in found(programs, here(), "apptainer").remarks[0]
    assert found(programs, here(**{"dev/fuse": "", "sys/fs/cgroup/cgroup.controllers": ""}), "apptainer").remarks == ()


def test_on_a_cluster_apptainer_comes_first_and_elsewhere_docker(programs, here):
    programs("docker", DOCKER)
    programs("apptainer", "apptainer version 1.4.5")

    alone, cluster = (detect(here(), machine=each, which=programs.which) for each in (ALONE, CLUSTER))

    assert [each.name for each in alone.runtimes] == list(ELSEWHERE)
    assert [each.name for each in cluster.runtimes] == list(ON_CLUSTERS)
    assert choose(alone).runtime.name == "docker"
    assert choose(cluster).runtime.name == "apptainer"
    assert "on a cluster (Slurm)" in choose(cluster).rule
    assert choose(cluster, "docker").runtime.name == "docker"
    assert choose(cluster, AUTO).runtime.name == "apptainer"
    with pytest.raises(RuntimeUnavailable, match="podman cannot be used: not found"):
        choose(cluster, "podman")
