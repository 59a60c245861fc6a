"""`venvoy` inside a batch job of a real Slurm: containers are chosen, made and run there as anywhere."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from waiting import eventually

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "sinfo")
SEARCH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
CONFIGURED = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
AuthInfo=socket={folder}/munge.sock
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
PropagateResourceLimits=NONE
ReturnToService=2
MailProg=/bin/true
MpiDefault=none
KillWait=2
SchedulerParameters=batch_sched_delay=0,sched_interval=5
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={node_port} CPUs=2 RealMemory=2000
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE
"""


@pytest.fixture(scope="module")
def slurm() -> Iterator[Mapping[str, str]]:
    """A cluster of one node, all of it the user's own: the variables by which its commands find it."""
    if missing := [each for each in PROGRAMS if not shutil.which(each, path=SEARCH)]:
        pytest.skip(f"no {', '.join(missing)} on this machine (Debian: slurmctld slurmd slurm-client munge)")
    folder = Path(tempfile.mkdtemp(prefix="slm", dir="/tmp"))  # sockets need short paths
    port, node_port = _free_ports()
    user = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip()
    folder.chmod(0o755)  # whoever has a job there must reach munge's socket
    (folder / "state").mkdir(mode=0o700)
    (folder / "n1").mkdir()
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(
        CONFIGURED.format(host=socket.gethostname(), port=port, node_port=node_port, folder=folder, user=user)
    )
    variables = {**os.environ, "SLURM_CONF": str(conf), "PATH": SEARCH}
    munged = [
        "munged",
        *(f"--{what}-file={folder}/munge{end}" for what, end in _MUNGE),
        f"--socket={folder}/munge.sock",
    ]
    try:
        for argv in (munged, ["slurmctld"], ["slurmd", "-N", "n1"]):
            subprocess.run(argv, env=variables, check=True, capture_output=True)
        eventually(lambda: _state(variables), lambda said: said == "idle")
        yield {"SLURM_CONF": str(conf)}
    finally:
        for each in (*folder.glob("slurm*.pid"), folder / "munge.pid"):
            if each.exists():
                subprocess.run(["kill", "-KILL", each.read_text().strip()], check=False)
        shutil.rmtree(folder, ignore_errors=True)


_MUNGE = (("key", ".key"), ("pid", ".pid"), ("log", ".log"), ("seed", ".seed"))


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _state(variables: Mapping[str, str]) -> str:
    argv = ["sinfo", "-h", "-o", "%T"]
    asked = subprocess.run(argv, env=variables, capture_output=True, text=True, check=False)
    return asked.stdout.strip() or asked.stderr


@pytest.fixture
def batch(user, slurm):
    """Run a script as a batch job to its end; what it printed, and its exit code."""

    def ran(*lines: str) -> tuple[int, str]:
        script, said = user.work / "job.sh", user.work / "job.out"
        script.write_text("#!/bin/sh\nset -e\n" + "".join(f"{line}\n" for line in lines))
        variables = {**user.variables, **slurm, "PATH": f"{user.variables['PATH']}:/usr/sbin:/sbin"}
        argv = ["sbatch", "--wait", "--quiet", "--output", str(said), str(script)]
        done = subprocess.run(
            argv, env=variables, cwd=user.work, capture_output=True, text=True, check=False, timeout=280
        )
        return done.returncode, said.read_text() if said.exists() else done.stderr

    return ran


def test_the_job_is_seen_and_decides_the_order_of_runtimes(batch):
    code, said = batch("venvoy runtime-info --output json")

    answer = json.loads(said)
    assert code == 0
    assert (answer["machine"]["cluster"], answer["machine"]["scheduler"], answer["machine"]["in_job"]) == (
        True,
        "Slurm",
        True,
    )
    assert [each["name"] for each in answer["runtimes"]] == ["apptainer", "singularity", "podman", "docker"]


def test_an_environment_is_made_and_run_in_a_batch_job(batch, user, detected, image):
    if not detected.named("apptainer").usable:
        pytest.skip("apptainer cannot be used here")
    sif = image(detected.named("apptainer"), "python:3.11")
    data = user.home / "scratch/data"
    data.mkdir(parents=True)
    (data / "in").write_text("42")
    (user.work / "script.py").write_text(
        "import os\nprint(open('/workspace/data/in').read(), os.environ['SLURM_JOB_ID'].isdigit())\n"
        "open('/workspace/data/out', 'w').write('done')\n"
    )

    code, said = batch(
        f"venvoy init --runtime auto --image {sif} --name batch",
        f"venvoy run --name batch --mount {data}:/workspace/data --command 'python script.py'",
    )

    assert (code, said.splitlines()[-1]) == (0, "42 True")
    out = data / "out"
    assert (out.read_text(), out.stat().st_uid) == ("done", os.getuid())


def test_the_jobs_exit_code_is_the_programs(batch, user, detected, image):
    sif = image(detected.named("apptainer"), "python:3.11")
    user.done("init", "--runtime", "apptainer", "--image", sif, "--name", "codes")

    assert batch("venvoy run --name codes --command 'exit 7'")[0] == 7
