"""What a job meets wherever it runs, asked of real environments: on this machine and in each container runtime."""

import json
import os
import signal
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from venvoy import inventory, process, runtimes
from venvoy import settings as venvoy_settings
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.start_of import start_of
from venvoy.containers import ENGINES
from venvoy.errors import CommandFailed
from venvoy.model import Environment, Job, Mount, Resources
from venvoy.runtimes.inside import without_prefix
from venvoy.runtimes.oci import OciRuntime
from venvoy.settings import Policy
from venvoy.store import Store

pytestmark = pytest.mark.network  # pip of a new environment comes from the index
ODD = ("a b", "", "*", "$HOME", "`id`", "--flag", "it's", 'say "so"', "two\nlines", "\\", "ünïcode", "a,b=c:d")
SAY = "import json, os, sys; print(json.dumps("


@dataclass(frozen=True)
class Place:
    """An environment that stands for all tests of the run."""

    env: Environment

    def command(self, *argv: str, **said) -> process.Command:
        env = said.pop("env", self.env)
        job = Job(argv=argv, **said)
        return runtimes.get(env.runtime).command(env, job if job.cwd else replace(job, cwd=Path("/")))

    def run(self, *argv: str, **said) -> str:
        return process.run(self.command(*argv, **said), timeout=120)

    def said(self, expression: str, *argv: str, **said):
        """What an expression of Python is, evaluated inside."""
        return json.loads(self.run("python", "-c", f"{SAY}{expression}))", *argv, **said))

    def with_resources(self, **said) -> Environment:
        return replace(self.env, container=replace(self.env.container, resources=Resources(**said)))

    @property
    def contained(self) -> bool:
        return self.env.container is not None


@pytest.fixture(scope="session")
def _standing() -> dict[str, Environment]:
    return {}


@pytest.fixture(scope="session")
def _folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("standing")


@pytest.fixture
def standing(request, actor, _standing, _folder, _shared, pythons, monkeypatch) -> Callable[[str], Place]:
    def made(name: str) -> Place:
        if name not in _standing:
            monkeypatch.setenv("VENVOY_HOME", str(_folder / "home"))
            monkeypatch.setenv("VENVOY_PROJECTS", str(_folder / "projects"))
            store = Store(venvoy_settings.current())
            _standing[name] = create(store, _plan(request, store, name, pythons), actor=actor)
        return Place(_standing[name])

    return made


def _plan(request, store: Store, name: str, pythons) -> Plan:
    if name == "venv":
        return Plan(name=name, python=str(next(pythons[each] for each in ("3.11", "3.12", "3.13") if each in pythons)))
    found = request.getfixturevalue("detected").named(name)
    if not found.usable:
        pytest.skip(f"{name} cannot be used here: {found.problem}")
    image = request.getfixturevalue("image")(found, "python:3.11")
    kind, container = contain(store, Wanted(runtime=name, image=image, home=False), Policy())
    return Plan(name=name, runtime=kind, container=container)


@pytest.fixture(params=["venv", *ENGINES])
def place(request, standing) -> Place:
    return standing(request.param)


@pytest.fixture(params=ENGINES)
def contained(request, standing) -> Place:
    return standing(request.param)


def test_words_arrive_whole(place):
    assert place.said("sys.argv[1:]", *ODD) == list(ODD)


def test_variables_arrive_whole_and_those_of_the_caller_do_not_lead_astray(place, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/else")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    given = {f"VV_{at}": each for at, each in enumerate(ODD)}

    said = place.said("dict(os.environ)", variables=given)

    assert {name: said[name] for name in given} == given
    assert not said.keys() & {"PYTHONPATH", "PYTHONHOME"}


def test_what_an_image_sets_stays_where_the_caller_has_nothing_of_that_name(contained, monkeypatch):
    monkeypatch.delenv("LANG", raising=False)
    own = contained.said("os.environ.get('LANG')")
    monkeypatch.setenv("LANG", "de_CH.UTF-8")

    assert (own, contained.said("os.environ.get('LANG')")) == ("C.UTF-8", "de_CH.UTF-8")


@pytest.mark.parametrize("folder", ["/tmp", "/var/tmp", "/run"])
def test_a_folder_may_be_mounted_where_a_container_has_one_of_its_own(contained, folder, tmp_path):
    (tmp_path / "more room").write_text("")
    mounts = (Mount(source=tmp_path, target=folder),)
    env = replace(contained.env, container=replace(contained.env.container, mounts=mounts))

    assert "more room" in contained.said(f"os.listdir({folder!r})", env=env)


@pytest.mark.parametrize("code", [0, 1, 3, 125, 126, 127, 255])
def test_exit_codes_are_the_programs_own(place, code):
    assert process.attend(place.command("python", "-c", f"raise SystemExit({code})")) == code


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_death_by_a_signal_is_told_from_an_exit(place, signum):
    command = place.command("python", "-c", f"import os, signal; os.kill(os.getpid(), {int(signum)}); signal.pause()")

    assert process.attend(command) == 128 + signum


def test_a_failure_brings_the_last_words(place):
    with pytest.raises(CommandFailed) as failed:
        place.run("python", "-c", "import sys; sys.exit('that was it')")

    assert "that was it" in failed.value.hint
    assert failed.value.code == 1


def test_stdin_arrives_to_its_end(place):
    text = "ünïcode\n" * 20_000

    said = place.run("python", "-c", "import sys; t = sys.stdin.read(); print(len(t), t[-2])", stdin=text)

    assert said.split() == [str(len(text)), "e"]


def test_without_stdin_there_is_none(place):
    assert place.said("sys.stdin.read()", stdin="") == ""


def test_a_job_runs_where_it_is_told_and_what_it_writes_is_the_users(place, tmp_path):
    folder = tmp_path / "a b,c:d 'e'"
    folder.mkdir()

    assert place.said("os.getcwd()", cwd=folder) == str(folder)
    place.run("python", "-c", "open('made', 'w').write('x')", cwd=folder)

    assert ((folder / "made").read_text(), (folder / "made").stat().st_uid) == ("x", os.getuid())


def test_programs_are_the_environments_own_before_all_but_those_put_first(place, tmp_path):
    for folder in ("first", "last"):
        for name in ("python", f"only-{folder}"):
            program = tmp_path / folder / name
            program.parent.mkdir(exist_ok=True)
            program.write_text(f"#!/bin/sh\necho {folder}\n")
            program.chmod(0o755)

    assert place.run("/bin/sh", "-c", "python; only-first", search=(tmp_path / "first",)) == "first\nfirst\n"
    assert place.run("/bin/sh", "-c", "only-last", tools=(tmp_path / "last",)) == "last\n"
    said = place.run("python", "-c", "import sys; print(sys.prefix)", tools=(tmp_path / "last",))
    assert said.strip() == ("/venvoy/env" if place.contained else str(place.env.prefix))


def test_what_pip_installs_lies_in_the_prefix_and_stays(place, wheels):
    name = f"marker-{place.env.name}"
    wheel = wheels.add(name)
    into = ("python", "-m", "pip", "install", "--no-index", "--quiet", "--disable-pip-version-check")

    if place.contained:
        place.run(*into, str(wheel), mounts=(Mount(source=wheels.folder, target=str(wheels.folder), read_only=True),))
    else:
        place.run(*into, str(wheel))

    assert inventory.names(place.env.prefix)[name] == "1.0"
    assert place.said(f"__import__('{name.replace('-', '_')}').__version__") == "1.0"


def test_time_zone_and_language_are_the_users(place, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")

    said = place.said("[os.environ['TZ'], sys.getfilesystemencoding(), __import__('time').strftime('%z')]")

    assert said == ["Asia/Tokyo", "utf-8", "+0900"]


# --- in containers ---------------------------------------------------------------------------------------------------


def test_variables_that_steer_the_program_that_runs_it_arrive_whole_and_steer_nothing(contained, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    bind = f"{secret}:/seen"
    given = {
        **{f"APPTAINER_X{at}": each for at, each in enumerate(ODD)},
        **dict.fromkeys(("APPTAINER_BIND", "SINGULARITY_BIND", "APPTAINERENV_X"), bind),
        "DOCKER_HOST": "tcp://nowhere:1",
        "CONTAINER_HOST": "unix:///nowhere",
        "TMPDIR": "/tmp/a,b $HOME",
    }

    said, seen = contained.said("[dict(os.environ), os.path.exists('/seen')]", variables={**given, "PATH": "/nowhere"})

    assert {name: said[name] for name in given} == given
    assert not seen
    assert "/venvoy/env/bin" in said["PATH"].split(":")
    assert "/nowhere" not in said["PATH"]


def test_a_folder_that_a_link_in_the_home_folder_leads_to_is_worked_in(contained, tmp_path):
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    (scratch / "study").mkdir(parents=True)
    (home / "work").symlink_to(scratch)
    env = replace(contained.env, container=replace(contained.env.container, home=home))
    job = Job(argv=("/bin/sh", "-c", "pwd; echo x > made"), cwd=home / "work/study")

    assert process.run(start_of(env, job), timeout=120) == f"{scratch}/study\n"
    assert (scratch / "study/made").read_text() == "x\n"


def test_home_is_the_users_and_can_be_left_out(contained, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "notes").write_text("mine")
    seen = replace(contained.env, container=replace(contained.env.container, home=home))
    without = replace(contained.env, container=replace(contained.env.container, home=None))

    assert contained.said("open(os.path.expanduser('~/notes')).read()", env=seen) == "mine"
    expression = "[os.path.exists(os.path.expanduser('~/notes')), os.access(os.path.expanduser('~'), os.W_OK)]"
    assert contained.said(expression, env=without) == [False, True]


@pytest.mark.parametrize("has_home", [True, False])
def test_one_that_is_apart_has_temporary_folders_of_its_own(contained, tmp_path, has_home):
    empty = tmp_path / "empty"
    empty.mkdir()
    apart = replace(contained.env.container, home=empty if has_home else None, apart=True)
    with tempfile.NamedTemporaryFile(dir="/tmp") as one, tempfile.NamedTemporaryFile(dir="/var/tmp") as other:
        there = f"[os.path.exists(each) for each in {[one.name, other.name]}]"
        writes = (
            "[__import__('tempfile').mkstemp(dir=each) and each for each in ('/tmp', '/var/tmp', os.environ['HOME'])]"
        )

        said = contained.said(f"[{there}, {writes}]", env=replace(contained.env, container=apart))

    assert said == [[False, False], ["/tmp", "/var/tmp", str(empty) if has_home else "/tmp"]]


def test_the_users_other_groups_are_theirs_inside(contained):
    """As Docker and Podman with root are told; Apptainer and Singularity leave the user who they are."""
    engine = runtimes.get(contained.env.runtime)
    if not isinstance(engine, OciRuntime):
        assert set(os.getgroups()) <= set(contained.said("os.getgroups()"))
        return
    members = replace(engine, user=1234, group=1234, groups=(1234, 4321, 27))
    job = Job(argv=("id", "-G"), cwd=Path("/"))
    bare = replace(contained.env, container=replace(contained.env.container, apart=True))

    assert sorted(map(int, process.run(members.command(without_prefix(bare), job), timeout=120).split())) == [
        27,
        1234,
        4321,
    ]


def test_the_user_has_a_name_and_the_temporary_folder_is_writable(contained):
    uid, name = contained.said(
        "[os.getuid(), __import__('getpass').getuser()]", variables={"USER": None, "LOGNAME": None}
    )

    assert name
    assert uid == os.getuid()
    assert contained.said("__import__('tempfile').mkdtemp()").startswith("/tmp/")


def test_the_images_own_files_cannot_be_changed(contained):
    with pytest.raises(CommandFailed) as refused:
        contained.run("python", "-c", "open('/usr/new', 'w')")

    assert "Read-only file system" in refused.value.hint or "Permission denied" in refused.value.hint


def test_mounts_are_seen_where_they_are_said_and_as_they_are_said(contained, tmp_path):
    data = tmp_path / "data,of:mine"
    data.mkdir()
    (data / "table").write_text("1")
    mounts = (Mount(source=data, target="/workspace/data", read_only=True),)

    assert contained.said("open('/workspace/data/table').read()", mounts=mounts) == "1"
    with pytest.raises(CommandFailed) as refused:
        contained.run("python", "-c", "open('/workspace/data/new', 'w')", mounts=mounts)
    assert "Read-only" in refused.value.hint
    assert [each.name for each in data.iterdir()] == ["table"]


def test_a_mount_that_is_not_there_is_refused_and_not_made(contained, tmp_path):
    with pytest.raises(CommandFailed):
        contained.run("python", "-c", "", mounts=(Mount(source=tmp_path / "nope", target="/data"),))

    assert not (tmp_path / "nope").exists()


def test_without_network_there_is_none_but_for_jobs_that_need_it(contained):
    env = contained.with_resources(network="none")
    others = "[each for _, each in __import__('socket').if_nameindex() if each != 'lo' and open(f'/sys/class/net/{each}/operstate').read() != 'down\\n']"

    assert contained.said(others, env=env) == []
    assert contained.said(others, env=env, online=True)


def test_two_mounts_one_in_the_other_are_both_seen(contained, tmp_path):
    for name in ("outer/inner", "other"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "other/file").write_text("x")
    mounts = (Mount(source=tmp_path / "other", target="/work/inner"), Mount(source=tmp_path / "outer", target="/work"))

    assert contained.said("os.listdir('/work/inner')", mounts=mounts) == ["file"]


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_nothing_of_an_unnamed_job_is_left(standing, name):
    contained = standing(name)
    label = ("--filter", "label=org.venvoy.environment=unlike-any")
    contained.run("python", "-c", "", env=replace(contained.env, name="unlike-any"))

    listed = process.Command(argv=(contained.env.runtime, "ps", "--all", "--quiet", *label))
    assert process.run(listed) == ""
