"""What every runtime promises, asked of all of them: a pure function from a job to one command."""

from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import runtimes
from venvoy.errors import RuntimeUnavailable
from venvoy.model import Environment, Job
from venvoy.process import environment
from venvoy.runtimes import RUNTIMES

LEAKING = {
    "CONDA_PREFIX": "/opt/conda",
    "CONDA_DEFAULT_ENV": "base",
    "_CE_M": "",
    "PIXI_PROJECT_ROOT": "/p",
    "PYTHONHOME": "/usr",
    "PYTHONPATH": "/somewhere",
    "VIRTUAL_ENV": "/other/env",
    "VIRTUAL_ENV_PROMPT": "other",
    "R_LIBS_USER": "/r",
    "PIP_TARGET": "/t",
    "PIP_USER": "1",
    "UV_PROJECT_ENVIRONMENT": "/p/.venv",
    "UV_PYTHON": "/usr/bin/python3",
    "UV_TARGET": "/t",
}


@pytest.fixture(params=RUNTIMES.values(), ids=RUNTIMES)
def runtime(request):
    return request.param


@pytest.fixture
def env(env, runtime) -> Environment:
    return replace(env, runtime=runtime.name)


@pytest.fixture
def job() -> Job:
    return Job(argv=("python", "-c", "print(1)"))


def test_it_is_found_by_its_name(runtime):
    assert runtimes.get(runtime.name) is runtime


def test_an_unknown_name_is_answered_with_those_that_there_are():
    with pytest.raises(RuntimeUnavailable, match="no runtime 'nope'") as refused:
        runtimes.get("nope")

    assert "venv" in refused.value.hint


def test_the_job_comes_last_and_whole(runtime, env, job):
    assert runtime.command(env, job).argv[-2:] == ("-c", "print(1)")


def test_the_same_job_gives_the_same_command(runtime, env, job):
    assert runtime.command(env, job) == runtime.command(env, job)


def test_nothing_is_started_or_written(runtime, env, job, tmp_path):
    runtime.command(env, job)

    assert list(tmp_path.iterdir()) == []


def test_words_are_never_joined_into_a_shell_line(runtime, env):
    odd = ("python", "-c", "import os; print('a b' + \"$HOME\" && `x`)", "*", "")

    assert runtime.command(env, Job(argv=odd)).argv[-4:] == odd[1:]


def test_what_the_job_says_arrives(runtime, env, tmp_path):
    job = Job(argv=("python",), variables={"A": "1", "B": None}, dropped=("SECRET_*",), cwd=tmp_path, stdin="text")

    command = runtime.command(env, job)

    assert (command.variables["A"], command.variables["B"], command.cwd, command.stdin) == ("1", None, tmp_path, "text")
    assert "SECRET_*" in command.dropped


def test_the_environments_own_programs_come_before_all_others_and_lent_tools_behind(runtime, env, job):
    command = runtime.command(env, Job(argv=job.argv, search=(Path("/first"),), tools=(Path("/tools"),)))

    folders = environment(command, {"PATH": "/usr/bin"})["PATH"].split(":")

    assert folders == ["/first", str(env.prefix / "bin"), "/usr/bin", "/tools"]


def test_the_program_of_the_environment_is_started_even_if_path_names_another(runtime, env, job):
    python = env.prefix / "bin/python"
    python.parent.mkdir(parents=True)
    python.touch()

    assert runtime.command(env, job).argv[0] == str(python)


@pytest.mark.parametrize("program", ["git", "/bin/sh", "./script"])
def test_other_programs_are_left_as_they_are(runtime, env, program):
    assert runtime.command(env, Job(argv=(program,))).argv == (program,)


def test_another_environment_that_was_active_does_not_reach_in(runtime, env, job):
    said = environment(runtime.command(env, job), {**LEAKING, "HOME": "/home/ada", "PATH": "/usr/bin"})

    ours = {"UV_PYTHON": str(env.python), "PIP_PYTHON": str(env.python)}
    if runtime.name == "conda":
        ours |= {"CONDA_PREFIX": str(env.prefix), "CONDA_DEFAULT_ENV": env.name, "CONDA_SHLVL": "1"}
    else:
        ours["VIRTUAL_ENV"] = str(env.prefix)
    assert said == {"HOME": "/home/ada", "PATH": f"{env.prefix}/bin:/usr/bin", **ours}
