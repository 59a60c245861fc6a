"""What a runtime cannot give on a machine is refused before anything is started, with what to do."""

from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.actions.detect import Here
from venvoy.actions.limits import refuse_impossible
from venvoy.errors import RuntimeUnavailable
from venvoy.model import Resources

GPUS = Resources(gpus="all")
V2 = "sys/fs/cgroup/cgroup.controllers"
OWN = "sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/cgroup.controllers"


@pytest.fixture
def here(tmp_path):
    """A machine with those files (name to text), and those programs."""

    def made(*, uid=1000, programs=(), **files: str) -> Here:
        for name, text in {**files, **{f"bin/{each}": "#!/bin/sh\n" for each in programs}}.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(0o755)
        return Here(uid=uid, user="ada", environ={"PATH": str(tmp_path / "bin")}, root=Path(tmp_path))

    return made


@pytest.mark.parametrize("engine", ["docker", "podman", "apptainer", "singularity"])
def test_gpus_are_refused_where_there_are_none(here, engine):
    with pytest.raises(RuntimeUnavailable, match="this machine has none of NVIDIA's") as refused:
        refuse_impossible(GPUS, engine=engine, rootless=False, name="demo", here=here())

    assert refused.value.hint == "do without: venvoy configure demo --set gpus="


def test_gpus_take_what_each_engine_needs_for_them(here):
    bare = here(**{"dev/nvidiactl": ""})

    with pytest.raises(RuntimeUnavailable, match="without NVIDIA's container toolkit"):
        refuse_impossible(GPUS, engine="docker", rootless=False, here=bare)
    with pytest.raises(RuntimeUnavailable, match="no file in /etc/cdi describes"):
        refuse_impossible(GPUS, engine="podman", rootless=False, here=bare)
    refuse_impossible(GPUS, engine="apptainer", rootless=True, here=bare)

    whole = here(programs=("nvidia-container-cli",), **{"dev/nvidiactl": "", "etc/cdi/nvidia.yaml": "kind: gpu"})
    refuse_impossible(GPUS, engine="docker", rootless=False, here=whole)
    refuse_impossible(GPUS, engine="podman", rootless=False, here=whole)


@pytest.mark.parametrize(
    ("resources", "words"), [(Resources(memory=1 << 30), "memory"), (Resources(cpus=2.0), "processors")]
)
def test_limits_that_would_not_hold_are_refused(here, resources, words):
    with pytest.raises(RuntimeUnavailable, match=f"podman cannot limit {words} here: .* cgroup v2") as refused:
        refuse_impossible(resources, engine="podman", rootless=True, here=here())
    assert refused.value.hint.startswith("do without: leave --")

    with pytest.raises(RuntimeUnavailable, match="the system leaves users no controller of"):
        refuse_impossible(resources, engine="podman", rootless=True, here=here(**{V2: "", OWN: "pids"}))

    refuse_impossible(resources, engine="podman", rootless=True, here=here(**{V2: "", OWN: "cpu memory pids"}))
    refuse_impossible(resources, engine="docker", rootless=False, here=here())
    refuse_impossible(resources, engine="podman", rootless=True, here=here(uid=0))


@pytest.mark.parametrize("engine", ["apptainer", "singularity"])
def test_limits_that_nobody_would_set_are_refused(here, engine):
    alone = here(**{V2: "", OWN: "cpu memory pids"})
    bus = {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/1000/bus", "XDG_RUNTIME_DIR": "/run/user/1000"}

    with pytest.raises(RuntimeUnavailable, match=r"DBUS_SESSION_BUS_ADDRESS and XDG_RUNTIME_DIR not set"):
        refuse_impossible(Resources(cpus=2.0), engine=engine, rootless=True, here=alone)

    refuse_impossible(Resources(cpus=2.0), engine=engine, rootless=True, here=replace(alone, environ=bus))


def test_what_nobody_asked_for_is_not_looked_at(here):
    refuse_impossible(Resources(network="none", shm_size=1 << 20), engine="podman", rootless=True, here=here())
