"""Whether a machine is a cluster's: by what schedulers set, bring and call their machines."""

import pytest

from venvoy.actions.machine import this_machine, time_zone


def seen(*commands: str, host: str = "ada-laptop", **environ: str):
    return this_machine(environ, host=host, which=lambda name: f"/usr/bin/{name}" if name in commands else None)


@pytest.mark.parametrize(
    ("variable", "scheduler"),
    [("SLURM_JOB_ID", "Slurm"), ("PBS_JOBID", "PBS"), ("LSB_JOBID", "LSF"), ("SGE_TASK_ID", "Grid Engine"), ("FLUX_JOB_ID", "Flux")],
)  # fmt: skip
def test_in_a_job_of_any_scheduler(variable, scheduler):
    machine = seen(**{variable: "17"})

    assert (machine.cluster, machine.in_job, machine.scheduler) == (True, True, scheduler)
    assert machine.signs[0].told == f"{variable} is set"


@pytest.mark.parametrize(
    ("command", "scheduler"), [("sbatch", "Slurm"), ("pbsnodes", "PBS"), ("bsub", "LSF"), ("qconf", "Grid Engine")]
)
def test_where_a_scheduler_has_its_commands(command, scheduler):
    machine = seen(command)

    assert (machine.cluster, machine.in_job, machine.scheduler) == (True, False, scheduler)


def test_the_job_that_we_are_in_tells_more_than_the_commands_that_are_here():
    assert seen("sbatch", PBS_JOBID="17.server").scheduler == "PBS"


@pytest.mark.parametrize(
    "host", ["login1", "node042", "nid001234", "r1i2n3", "x1000c0s0b0n1", "cn-12", "uan01", "gpu3.cluster.example.org", "ada-login2", "gpu-a100.hpc.example.org"],
)  # fmt: skip
def test_a_name_and_modules_are_signs_together_and_not_alone(host):
    assert seen(host=host, MODULEPATH="/apps").cluster
    assert not seen(host=host).cluster
    assert [each.kind for each in seen(host=host).signs] == ["host"]


@pytest.mark.parametrize("host", ["ada-laptop", "vm", "server", "jupyter", "3f2a9c1d77b0", "ip-10-0-0-1", "hpccat"])
def test_other_names_are_no_sign(host):
    assert seen(host=host).signs == ()
    assert not seen(host=host, MODULEPATH="/apps").cluster


def test_the_flux_of_kubernetes_is_no_scheduler(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/flux").touch()

    def which(name):
        return str(tmp_path / "bin/flux") if name == "flux" else None

    assert not this_machine({}, host="vm", which=which).cluster
    (tmp_path / "libexec/flux").mkdir(parents=True)
    assert this_machine({}, host="vm", which=which).scheduler == "Flux"


def test_the_time_zone_is_the_users_else_the_machines(tmp_path):
    link = tmp_path / "localtime"

    assert time_zone({"TZ": "Asia/Tokyo"}, link) == "Asia/Tokyo"
    assert time_zone({}, link) is None
    link.symlink_to("/usr/share/zoneinfo/America/Argentina/Salta")
    assert time_zone({}, link) == "America/Argentina/Salta"
    link.unlink()
    link.symlink_to("/somewhere/else $x")
    assert time_zone({}, link) is None
