"""What every runtime promises, asked of all of them: a pure function from a job to one command."""

from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import runtimes
from venvoy.containers import ENGINES
from venvoy.errors import RuntimeUnavailable
from venvoy.model import Container, Environment, Image, Job, Mount, Resources
from venvoy.process import environment, words
from venvoy.runtimes import RUNTIMES
from venvoy.runtimes.inside import PREFIX

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
DIGEST = "sha256:" + "a1" * 32
ON_HOST = [name for name in RUNTIMES if name not in ENGINES]


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    return RUNTIMES[request.param]


@pytest.fixture
def env(env, runtime, tmp_path) -> Environment:
    """On paper: neither its prefix nor its image is there."""
    env = replace(env, runtime=runtime.name)
    if runtime.name not in ENGINES:
        return env
    file = tmp_path / "image.sif" if runtime.name in ("apptainer", "singularity") else None
    image = Image(reference="python:3.12", digest=DIGEST, file=file)
    return replace(env, container=Container(image=image, engine=runtime.name))


@pytest.fixture
def with_resources(env):
    return lambda **said: replace(env, container=replace(env.container, resources=Resources(**said)))


@pytest.fixture
def job() -> Job:
    return Job(argv=("python", "-c", "print(1)"))


# --- all of them -----------------------------------------------------------------------------------------------------


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


def test_variables_and_stdin_arrive_and_what_is_taken_away_does_not(runtime, env):
    job = Job(argv=("python",), variables={"A": "1", "TZ": None}, dropped=("SECRET_*",), stdin="text")

    command = runtime.command(env, job)
    said = environment(command, {"TZ": "UTC", "SECRET_A": "x", "PATH": "/usr/bin"})

    assert (said["A"], command.stdin) == ("1", "text")
    assert not said.keys() & {"TZ", "SECRET_A"}


@pytest.mark.parametrize(
    "name",
    ["API_TOKEN", "GOOGLE_API_KEY", "DOCKER_PASSWORD", "DOCKER_AUTH_CONFIG", "CONTAINER_REGISTRY_TOKEN", "PODMAN_X"],
)
def test_no_value_of_a_variable_is_on_the_command_line(runtime, env, name):
    job = Job(argv=("python",), variables={name: "hunter2"})

    assert not [word for word in runtime.command(env, job).argv if "hunter2" in word]


# --- on this machine -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", [RUNTIMES[each] for each in ON_HOST], ids=ON_HOST)
class TestOnThisMachine:
    def test_programs_are_found_in_the_environment_first_and_lent_tools_last(self, runtime, env, job):
        command = runtime.command(env, Job(argv=job.argv, search=(Path("/first"),), tools=(Path("/tools"),)))

        folders = environment(command, {"PATH": "/usr/bin"})["PATH"].split(":")

        assert folders == ["/first", str(env.prefix / "bin"), "/usr/bin", "/tools"]

    def test_the_program_of_the_environment_is_started_even_if_path_names_another(self, runtime, env, job):
        python = env.prefix / "bin/python"
        python.parent.mkdir(parents=True)
        python.touch()

        assert runtime.command(env, job).argv[0] == str(python)

    @pytest.mark.parametrize("program", ["git", "/bin/sh", "./script"])
    def test_other_programs_are_left_as_they_are(self, runtime, env, program):
        assert runtime.command(env, Job(argv=(program,))).argv == (program,)

    def test_another_environment_that_was_active_does_not_reach_in(self, runtime, env, job):
        said = environment(runtime.command(env, job), {**LEAKING, "HOME": "/home/ada", "PATH": "/usr/bin"})

        ours = {"UV_PYTHON": str(env.python), "PIP_PYTHON": str(env.python)}
        if runtime.name == "conda":
            ours |= {"CONDA_PREFIX": str(env.prefix), "CONDA_DEFAULT_ENV": env.name, "CONDA_SHLVL": "1"}
        else:
            ours["VIRTUAL_ENV"] = str(env.prefix)
        assert said == {"HOME": "/home/ada", "PATH": f"{env.prefix}/bin:/usr/bin", **ours}

    def test_it_runs_where_the_job_says_and_leaves_nothing_to_remove(self, runtime, env, job, tmp_path):
        assert runtime.command(env, replace(job, cwd=tmp_path)).cwd == tmp_path
        assert (runtime.stop("label"), runtime.deliver("label")) == (None, None)


# --- in containers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", [RUNTIMES[each] for each in ENGINES], ids=ENGINES)
class TestInContainers:
    def test_paths_in_the_prefix_are_those_of_its_place_inside(self, runtime, env):
        job = Job(argv=("python", str(env.prefix / "lib/x.py"), f"{env.prefix}-not", str(env.prefix)))

        assert runtime.command(env, job).argv[-3:] == (f"{PREFIX}/lib/x.py", f"{env.prefix}-not", PREFIX)

    def test_only_what_is_named_is_mounted(self, runtime, env, job):
        job = replace(job, cwd=Path("/work"), mounts=(Mount(source=Path("/data"), target="/d", read_only=True),))

        argv = runtime.command(env, job).argv

        mounted = [argv[at + 1] for at, word in enumerate(argv) if word == "--mount"]
        wanted = {
            f"type=bind,src={env.prefix},dst={PREFIX}",
            "type=bind,src=/data,dst=/d,readonly",
            "type=bind,src=/work,dst=/work",
        }
        assert {each for each in mounted if "certificates" not in each} == wanted

    def test_what_may_only_be_read_is_mounted_so(self, runtime, env, job):
        argv = runtime.command(replace(env, read_only=True), job).argv

        assert f"type=bind,src={env.prefix},dst={PREFIX},readonly" in argv

    @pytest.mark.parametrize(
        ("path", "word"),
        [
            ("/a b", "src=/a b"),
            ("/a,b", '"src=/a,b"'),
            ("/a:b", "src=/a:b"),
            ('/a"b', '"src=/a""b"'),
        ],
    )
    def test_a_folder_may_be_called_anything(self, runtime, env, job, path, word):
        argv = runtime.command(env, replace(job, mounts=(Mount(source=Path(path), target="/d"),))).argv

        assert f"type=bind,{word},dst=/d" in argv

    def test_a_line_break_in_a_folders_name_is_refused(self, runtime, env, job):
        with pytest.raises(RuntimeUnavailable, match="line break"):
            runtime.command(env, replace(job, mounts=(Mount(source=Path("/a\nb"), target="/d"),)))

    def test_without_network_only_jobs_that_need_one_have_one(self, runtime, with_resources, job):
        env = with_resources(network="none")

        assert "none" in runtime.command(env, job).argv
        assert "none" not in runtime.command(env, replace(job, online=True)).argv

    def test_limits_are_said_or_refused(self, runtime, with_resources, job):
        env = with_resources(cpus=0.5, memory=1 << 30)

        argv = runtime.command(env, job).argv

        assert (argv[argv.index("--cpus") + 1], argv[argv.index("--memory") + 1]) == ("0.5", str(1 << 30))

    def test_who_sets_limits_is_reached_and_by_nobody_else(self, runtime, with_resources, job):
        bus = {
            "DBUS_SESSION_BUS_ADDRESS": "unix:path=/b",
            "XDG_RUNTIME_DIR": "/r",
            "LD_LIBRARY_PATH": "/l",
            "PATH": "/",
        }

        free = environment(runtime.command(with_resources(gpus="all"), job), bus)
        limited = environment(runtime.command(with_resources(memory=1 << 30), job), bus)
        mine = environment(replace(runtime, user=1000).command(with_resources(cpus=2.0), job), bus)

        alone = runtime.name in ("apptainer", "singularity")  # what those have, the container has
        lacking = {"DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR"} if alone else set()
        assert bus.items() <= mine.items()
        assert bus.keys() - free.keys() == bus.keys() - limited.keys() == lacking

    def test_variables_of_this_machine_stay_here(self, runtime, env, job):
        command = runtime.command(env, job)
        said = environment(command, {**LEAKING, "HOME": "/home/ada", "PATH": "/usr/bin"})
        if runtime.name in ("apptainer", "singularity"):  # what it has, the container has
            assert not said.keys() & (LEAKING.keys() - {"VIRTUAL_ENV", "UV_PYTHON", "R_LIBS_USER"})
            assert (said["VIRTUAL_ENV"], said["UV_PYTHON"]) == (PREFIX, f"{PREFIX}/bin/python")
            return
        argv = words(command, said)
        names = {argv[at + 1] for at, word in enumerate(argv) if word == "--env"}
        assert not names & (LEAKING.keys() - {"VIRTUAL_ENV", "UV_PYTHON", "R_LIBS_USER"})
        assert said["VIRTUAL_ENV"] == PREFIX

    def test_only_a_container_with_a_label_stays_after_its_end(self, runtime, env, job):
        if runtime.name in ("apptainer", "singularity"):
            assert runtime.stop("label") is None
            return
        assert "--rm" in runtime.command(env, job).argv
        named = runtime.command(env, replace(job, label="venvoy-x-1", labels={"kernel": "x"}))
        assert "--rm" not in named.argv
        assert {"venvoy-x-1", "org.venvoy.kernel=x", "org.venvoy.environment=demo"} <= set(named.argv)
        assert runtime.stop("venvoy-x-1").argv[-1] == "venvoy-x-1"
        assert runtime.deliver("venvoy-x-1").argv[-2:] == ("{}", "venvoy-x-1")
