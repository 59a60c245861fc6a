"""An environment is built aside and swapped in whole, whoever looks on and whenever it is cut short."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from waiting import eventually

from venvoy import inventory
from venvoy.actions.check import check
from venvoy.actions.create import Plan, create
from venvoy.actions.delete import delete
from venvoy.actions.record import recorded
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput, RuntimeUnavailable
from venvoy.model import Environment
from venvoy.store import Store

MAKE = """
import sys
from pathlib import Path
from venvoy import settings
from venvoy.actions.create import Plan, create
from venvoy.model import Actor
from venvoy.store import Store

name, python, requirements, force = sys.argv[1:]
plan = Plan(name=name, python=python, requirements=Path(requirements), force=force == "force")
print("ready", flush=True)
sys.stdin.readline()
create(Store(settings.current()), plan, actor=Actor(kind="command"))
"""

# Runs `create` once for every line on stdin and kills it at its nth step, unless it ends before.
CRASH = """
import os
import signal
import sys
from pathlib import Path

from venvoy import settings
from venvoy.actions.create import Plan, create
from venvoy.model import Actor
from venvoy.store import Store

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
FINE = {"open", "os.chmod", "os.mkdir"}
COARSE = {"os.rename", "os.symlink", "os.remove", "os.rmdir", "os.truncate", "shutil.rmtree", "subprocess.Popen"}
SAMPLE = 12
store = Store(settings.current())
places = (str(store.environments_folder), str(store.settings.projects), *sys.argv[1:])


class Steps:
    def __init__(self, last, events):
        self.count = self.inside = 0
        self.last, self.events = last, events

    def hear(self, event, args):
        if event in self.events and self.counts(event, args):
            self.step()

    def counts(self, event, args):
        if event == "subprocess.Popen":
            return True
        if event == "open" and not args[2] & WRITING:
            return False
        paths = [os.fsdecode(each) for each in args if isinstance(each, (str, bytes, os.PathLike))]
        if event == "os.symlink":
            paths = paths[1:]  # the first is what the link says
        if event == "os.mkdir" and os.path.isdir(paths[0]):
            return False
        if any("/.prefix-" in each or "/.demo-" in each or not each.startswith("/") for each in paths):
            self.inside += 1  # files of one generation are many, and alike
            return self.inside % SAMPLE == 1
        return any(each.startswith(place) for each in paths for place in places)

    def step(self, *_line):
        self.count += 1
        if self.count == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


def run(last, events, python, requirements, force, prefix):
    steps = Steps(int(last), COARSE | FINE if events == "fine" else COARSE)
    sys.addaudithook(steps.hear)
    plan = Plan(
        name="demo",
        python=python,
        requirements=Path(requirements),
        force=force == "force",
        prefix=Path(prefix) if prefix != "-" else None,
    )
    # What uv says is a step, too: then we die while it is at work.
    create(store, plan, actor=Actor(kind="command"), on_line=steps.step if events == "fine" else None)


for line in sys.stdin:
    child = os.fork()
    if not child:
        run(*line.split())
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def said(env: Environment, code: str) -> str:
    return subprocess.run([env.python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def marker(env: Environment) -> str:
    return said(env, "import marker; print(marker.__version__)")


def lying(folder: Path) -> list[str]:
    """What lies in an environment's folder; the one generation that is in use goes by that word.

    The recipe is left out: it follows the record, and a death between the two leaves the earlier one, or none.
    """
    used = os.readlink(folder / "prefix") if (folder / "prefix").is_symlink() else ""
    return sorted(
        "generation" if each.name == used else each.name for each in folder.iterdir() if each.name != "Dockerfile"
    )


CLEAN = ["config.yaml", "generation", "prefix", "requirements-dev.txt", "requirements.txt"]


# --- one that is new


def test_a_new_environment_is_whole_and_recorded(init, store, wheelhouse):
    wheelhouse.add("marker", requires=("other",), scripts={"marker": "marker:main"})
    wheelhouse.add("other")

    env = init("marker")

    assert check(store, env) == ()
    assert store.environment("demo") == env
    assert lying(store.folder("demo")) == CLEAN
    assert (store.folder("demo") / "Dockerfile").is_file()
    assert (env.prefix / ".gitignore").read_text() == "*\n"
    entry = store.history("demo").last()
    assert {each.name for each in recorded(store.history("demo"), entry).packages} == {"pip", "marker", "other"}
    assert [each.names for each in entry.asked] == [("marker",)]


def test_its_scripts_name_the_prefix_and_not_the_generation_behind_it(init, store, wheelhouse):
    wheelhouse.add(
        "marker", scripts={"hello": "marker:main"}, files={"marker/__init__.py": "def main(): print('hi')\n"}
    )

    env = init("marker")

    written = [each.read_bytes() for each in (env.prefix / "bin").iterdir() if not each.is_symlink()]
    assert not any(b"/.prefix-" in each for each in written)
    assert (env.prefix / "bin/hello").read_text().startswith(f"#!{env.prefix}/bin/python\n")
    assert subprocess.check_output([env.prefix / "bin/hello"], text=True) == "hi\n"


def test_a_shell_that_activates_it_shows_its_name(init):
    env = init()

    shown = subprocess.check_output(
        [
            "bash",
            "-c",
            '. "$0"/bin/activate; echo "$VIRTUAL_ENV $VIRTUAL_ENV_PROMPT $(command -v pip)"',
            str(env.prefix),
        ],
        text=True,
    )

    assert shown.split() == [str(env.prefix), "demo", f"{env.prefix}/bin/pip"]


def test_requirements_name_files_from_where_they_lie(store, python, wheels, wheelhouse, actor, tmp_path, monkeypatch):
    apart = tmp_path / "apart"
    apart.mkdir()
    for name, place in (("one", wheels.folder), ("two", apart), ("three", apart)):
        shutil.move(wheels.add(name), place) if place is apart else wheels.add(name)
    (apart / "more.txt").write_text("one\n")
    (apart / "listed.txt").write_text(
        "# what we need\n-r more.txt\n./two-1.0-py3-none-any.whl\nthree @ ./three-1.0-py3-none-any.whl  # beside\n"
    )
    monkeypatch.chdir(apart)

    env = create(store, Plan(name="demo", python=python, requirements=Path("listed.txt")), actor=actor)
    monkeypatch.chdir("/")
    create(store, Plan(name="demo", python=python, force=True), actor=actor)

    assert {"one", "two", "three"} <= inventory.names(env.prefix).keys()
    assert check(store, store.environment("demo")) == ()


@pytest.mark.parametrize("text", ["", "# nothing yet\n\n", "--no-index\n"])
def test_a_requirements_file_may_ask_for_nothing(init, store, light, listed, actor, python, text):
    env = create(store, Plan(name="demo", python=python, requirements=listed(text)), actor=actor)

    assert (env.packages, inventory.names(env.prefix)) == ((), {"pip": "99.0"})


def test_a_requirements_file_may_only_point_to_others(store, light, listed, actor, python):
    listed("marker==1.0", name="other.txt")

    env = create(store, Plan(name="demo", python=python, requirements=listed("-r other.txt")), actor=actor)

    assert marker(env) == "1.0"


def test_a_requirements_file_that_is_not_there_is_named(store, python, actor, tmp_path):
    with pytest.raises(InvalidInput, match=f"there is no {tmp_path}/none.txt"):
        create(store, Plan(name="demo", python=python, requirements=tmp_path / "none.txt"), actor=actor)

    assert store.names() == ()
    assert not store.folder("demo").exists()


def test_an_interpreter_that_is_not_there_is_answered_with_those_that_are(store, actor):
    with pytest.raises(RuntimeUnavailable, match=r"there is no Python 3\.2 on this machine") as refused:
        create(store, Plan(name="demo", python="3.2"), actor=actor)

    assert re.search(r"^  3\.\d+\.\d+ +/", refused.value.hint, re.MULTILINE)
    assert not store.folder("demo").exists()


def test_a_build_that_fails_leaves_nothing(init, store, wheelhouse, tmp_path):
    with pytest.raises(CommandFailed) as failed:
        init("absent==1")

    assert "absent" in failed.value.hint
    assert (store.names(), store.folder("demo").exists(), store.project("demo").exists()) == ((), False, False)


def test_a_build_that_fails_leaves_what_the_user_had_put_there(init, store, wheelhouse):
    store.folder("demo").mkdir(parents=True)
    (store.folder("demo") / "requirements-dev.txt").write_text("absent==1\n")

    with pytest.raises(CommandFailed):
        init()

    assert os.listdir(store.folder("demo")) == ["requirements-dev.txt"]


def test_requirements_that_lie_in_its_folder_are_taken(init, store, wheelhouse):
    wheelhouse.add("marker")
    store.folder("demo").mkdir(parents=True)
    (store.folder("demo") / "requirements-dev.txt").write_text("marker\n")

    env = init()

    assert (env.dev_packages, marker(env)) == (("marker",), "1.0")


# --- one that is there already


def test_a_name_that_is_taken_says_where_and_what_can_be_done(init, store):
    init()

    with pytest.raises(EnvironmentExists) as refused:
        init()

    assert str(store.folder("demo")) in refused.value.message
    assert all(each in refused.value.hint for each in ("init demo --force", "--name", "run demo", "venvoy list"))


def test_force_replaces_it_and_keeps_what_was_set(init, store, light):
    old = init("marker==1.0")
    config = store.folder("demo") / "config.yaml"
    config.write_text(f"# mine\n{config.read_text()}env_file:\n  - /secret/.env\n")

    new = init("marker==2.0", force=True)

    assert (marker(new), new.packages, new.env_file) == ("2.0", ("marker==2.0",), (Path("/secret/.env"),))
    assert config.read_text().startswith("# mine\n")
    assert old.generation != new.generation
    assert lying(store.folder("demo")) == CLEAN


def test_force_without_files_takes_those_from_before_and_the_same_python(init, store, actor, pythons, light):
    oldest = min(pythons.keys() & {"3.9", "3.10", "3.11", "3.12", "3.13"}, key=lambda each: int(each[2:]))
    init("marker==1.0", python=str(pythons[oldest]))

    new = create(store, Plan(name="demo", force=True), actor=actor)

    assert (marker(new), new.python_version.rpartition(".")[0]) == ("1.0", oldest)


def test_a_forced_build_that_fails_leaves_the_old_one_untouched(init, store, light):
    old = init("marker==1.0")
    before = (store.folder("demo") / "config.yaml").read_text()

    with pytest.raises(CommandFailed):
        init("absent==1", force=True)

    assert (marker(old), store.environment("demo")) == ("1.0", old)
    assert (store.folder("demo") / "config.yaml").read_text() == before
    assert (store.folder("demo") / "requirements.txt").read_text() == "marker==1.0\n"
    assert lying(store.folder("demo")) == CLEAN


def test_what_was_adopted_is_not_rebuilt(init, store, light, actor, tmp_path, python):
    from venvoy.actions.adopt import adopt

    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "mine"], check=True)
    adopt(store, tmp_path / "mine", name="demo", actor=actor)

    with pytest.raises(EnvironmentExists, match="was adopted"):
        init(force=True)


# --- where it lies


@pytest.fixture
def shared_memory() -> Iterator[Path]:
    """A folder on another file system."""
    place = Path("/dev/shm")
    if not os.access(place, os.W_OK) or place.stat().st_dev == Path("/tmp").stat().st_dev:
        pytest.skip("not obtainable: no second file system")
    folder = place / f"venvoy-{os.getpid()}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def at(prefix: Path, *, force: bool = False, requirements: Path | None = None, python: str) -> Plan:
    return Plan(name="demo", python=python, prefix=prefix, force=force, requirements=requirements)


def test_a_prefix_may_lie_on_another_file_system(store, actor, light, listed, python, shared_memory):
    prefix = shared_memory / "deep" / ".." / "demo"

    env = create(store, at(prefix, python=python, requirements=listed("marker==1.0")), actor=actor)
    env = create(store, at(prefix, python=python, requirements=listed("marker==2.0"), force=True), actor=actor)

    assert env.prefix == shared_memory / "demo"
    assert store.environment("demo").prefix == env.prefix
    assert (marker(env), check(store, env)) == ("2.0", ())
    assert sorted(os.listdir(shared_memory)) == [f".demo-{env.generation}", "demo"]


def test_another_prefix_empties_the_old_place(store, actor, light, listed, python, tmp_path):
    create(store, at(tmp_path / "one/demo", python=python), actor=actor)

    env = create(store, at(tmp_path / "two/demo", python=python, force=True), actor=actor)

    assert os.listdir(tmp_path / "one") == []
    assert store.environment("demo").prefix == env.prefix == tmp_path / "two/demo"
    assert (check(store, env), lying(store.folder("demo"))) == ((), sorted({*CLEAN} - {"generation", "prefix"}))


def test_an_empty_folder_becomes_the_prefix(store, actor, light, python, tmp_path):
    (tmp_path / "empty").mkdir()

    env = create(store, at(tmp_path / "empty", python=python), actor=actor)

    assert env.prefix.is_symlink()
    assert [each.name for each in tmp_path.glob(".empty-*")] == [os.readlink(env.prefix)]


@pytest.mark.parametrize("kind", ["full", "file", "link", "dangling", "mount"])
def test_a_place_that_is_somebodys_is_refused_before_anything_is_built(store, actor, light, python, tmp_path, kind):
    place = tmp_path / kind
    match kind:
        case "full":
            (place / "thesis").mkdir(parents=True)
        case "file":
            place.touch()
        case "link":
            (tmp_path / "other").mkdir()
            place.symlink_to("other")
        case "dangling":
            place.symlink_to("nowhere")
        case "mount":
            place = Path("/")

    with pytest.raises(EnvironmentExists, match="mount point" if kind == "mount" else "is not empty"):
        create(store, at(place, python=python), actor=actor)

    assert not store.folder("demo").exists()
    assert not list(tmp_path.glob(".*-2*"))


def test_the_prefix_of_another_environment_is_refused_also_with_force(store, actor, light, python, tmp_path, init):
    other = create(store, Plan(name="other", python=python, prefix=tmp_path / "place"), actor=actor)
    init()

    with pytest.raises(EnvironmentExists):
        create(store, at(other.prefix, python=python, force=True), actor=actor)

    assert check(store, store.environment("other")) == check(store, store.environment("demo")) == ()


def test_a_prefix_that_was_copied_without_its_link_is_replaced(init, store, light):
    """As `cp -rL` or an unpacked archive leaves it."""
    env = init("marker==1.0")
    shutil.copytree(env.prefix, env.prefix.with_name("copy"), symlinks=True)
    shutil.rmtree(env.prefix.resolve())
    env.prefix.unlink()
    env.prefix.with_name("copy").rename(env.prefix)
    assert marker(env) == "1.0"

    new = init("marker==2.0", force=True)

    assert (marker(new), check(store, new), lying(store.folder("demo"))) == ("2.0", (), CLEAN)


# --- together with others


@pytest.fixture
def started(tmp_path, python, listed) -> Iterator[Callable[..., subprocess.Popen]]:
    """Start `create` in a process of its own; it waits for a line on stdin."""
    running = []

    def start(*requirements: str, force: bool = False) -> subprocess.Popen:
        file = listed(*requirements, name=f"{len(running)}.txt")
        argv = [sys.executable, "-c", MAKE, "demo", python, str(file), "force" if force else "new"]
        process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def go(*processes: subprocess.Popen) -> list[str]:
    """Let them run together; the last line that each says."""
    for each in processes:
        each.stdin.write("\n")
        each.stdin.flush()
    return [(each.communicate(timeout=60)[1].strip().splitlines() or [""])[-1] for each in processes]


def test_of_two_that_make_the_same_name_one_is_refused(store, light, started):
    said = go(started("marker==1.0"), started("marker==2.0"))

    assert (said.count(""), len(said)) == (1, 2)
    env = store.environment("demo")
    assert env.packages == (f"marker=={1 + said.index('')}.0",)
    assert (f"{marker(env)}", check(store, env)) == (env.packages[0].removeprefix("marker=="), ())
    assert lying(store.folder("demo")) == CLEAN


def test_of_two_that_replace_it_the_later_stays(init, store, light, started):
    init("marker==1.0")

    said = go(*(started(f"marker=={version}", force=True) for version in ("1.0", "2.0")))

    env = store.environment("demo")
    assert said == ["", ""]
    assert env.packages == (f"marker=={marker(env)}",)
    assert (check(store, env), lying(store.folder("demo"))) == ((), CLEAN)
    kept = recorded(store.history("demo"), store.history("demo").last())
    assert kept.package("marker").version == marker(env)


def test_a_reader_never_sees_half_an_environment(init, store, light, started):
    init("marker==1.0")
    builders = [started(f"marker=={each}.0", force=True) for each in (2, 1, 2)]
    for each in builders:
        each.stdin.write("\n")
        each.stdin.flush()

    seen = set()
    while any(each.poll() is None for each in builders):
        env = store.environment("demo")
        seen.add(marker(env))

    assert seen <= {"1.0", "2.0"}
    assert [each.returncode for each in builders] == [0, 0, 0]
    assert (check(store, store.environment("demo")), lying(store.folder("demo"))) == ((), CLEAN)


# --- cut short


@pytest.fixture
def crashing(light, tmp_path) -> Iterator[Callable[..., int]]:
    """Run `create` and kill it at its nth step; 0 is none. Returns its exit code."""
    argv = [sys.executable, "-c", CRASH, str(tmp_path / "place")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:

        def crash(
            step: int,
            python: str,
            requirements: Path,
            *,
            force: bool = True,
            prefix: Path | str = "-",
            fine: bool = False,
        ) -> int:
            words = (step, "fine" if fine else "coarse", python, requirements, "force" if force else "new", prefix)
            server.stdin.write(" ".join(map(str, words)) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield crash
        server.stdin.close()
        server.wait(timeout=30)


def killed(crash: Callable[[int], int]) -> Iterator[int]:
    """Every step at which it can be killed, and once more for the run that nothing stops."""
    for step in range(1, 500):
        code = crash(step)
        assert code in (0, -signal.SIGKILL), f"at step {step}"
        yield step
        if code == 0:
            return
    raise AssertionError("it never came to its end")


def due(step: int, seen: list[str]) -> bool:
    """Whether a whole build comes next; the others find what one or two that were killed have left."""
    return seen[-1] == "2.0" or step % 3 == 0


def wrong(store: Store, env: Environment) -> list[str]:
    return [each.message for each in check(store, env) if each.code != "leftovers"]


@pytest.mark.slow
def test_a_replacement_killed_at_any_step_leaves_the_old_one_or_the_new_one_whole(
    crashing, init, store, listed, pythons, python
):
    other = str(next(pythons[each] for each in ("3.13", "3.11", "3.10") if each in pythons))
    one, two = listed("marker==1.0", name="one.txt"), listed("marker==2.0", name="two.txt")
    states = {("marker==1.0",): (version(python), "1.0"), ("marker==2.0",): (version(other), "2.0")}
    init("marker==1.0")
    seen = []

    for step in killed(lambda step: crashing(step, other, two, fine=True)):
        env = store.environment("demo")
        assert (env.python_version, marker(env)) == (version(env.python), marker(env)) == states[env.packages], step
        assert wrong(store, env) == [], step
        seen.append(marker(env))
        if due(step, seen):
            assert crashing(0, python, one) == 0, step
            assert (marker(env), lying(store.folder("demo"))) == ("1.0", CLEAN), step

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ("1.0", "2.0")


def version(python: str | Path) -> str:
    asked = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    return subprocess.check_output(asked, text=True).strip()


@pytest.mark.slow
def test_a_first_build_killed_at_any_step_leaves_nothing_or_the_whole(crashing, store, listed, python, tmp_path):
    place = tmp_path / "place"
    file = listed("marker==1.0")
    seen = []

    for step in killed(lambda step: crashing(step, python, file, force=False, prefix=place / "demo")):
        there = store.exists("demo")
        seen.append(there)
        if there:
            env = store.environment("demo")
            assert (marker(env), wrong(store, env)) == ("1.0", []), step
        else:
            assert store.names() == (), step
        assert crashing(0, python, file, force=there, prefix=place / "demo") == 0, step
        env = store.environment("demo")
        assert (check(store, env), marker(env)) == ((), "1.0"), step
        delete(store, env)
        assert (os.listdir(place), store.folder("demo").exists()) == ([], False), step

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (False, True)


@pytest.mark.slow
def test_a_move_killed_at_any_step_leaves_it_whole_at_the_old_place_or_the_new(
    crashing, init, store, listed, python, tmp_path
):
    init("marker==1.0")
    one, two = listed("marker==1.0", name="one.txt"), listed("marker==2.0", name="two.txt")
    usual, place = store.folder("demo") / "prefix", tmp_path / "place/demo"
    seen = []

    for step in killed(lambda step: crashing(step, python, two, prefix=place)):
        env = store.environment("demo")
        assert (env.prefix, marker(env)) in ((usual, "1.0"), (place, "2.0")), step
        assert wrong(store, env) == [], step
        seen.append(marker(env))
        if due(step, seen):
            assert crashing(0, python, one, prefix=usual) == 0, step
            assert (check(store, store.environment("demo")), marker(store.environment("demo"))) == ((), "1.0"), step
            assert (lying(store.folder("demo")), list(place.parent.glob("*"))) == (CLEAN, []), step

    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == ("1.0", "2.0")


BACKEND = """
import time, zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    Path("started").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    name = "slow-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("slow.py", "")
        wheel.writestr("slow-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: slow\\nVersion: 1.0\\n")
        wheel.writestr("slow-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("slow-1.0.dist-info/RECORD", "")
    return name
"""


def test_an_installer_that_outlives_a_killed_build_does_no_harm(init, store, light, started, tmp_path):
    source = tmp_path / "slow"
    source.mkdir()
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1.0"\n'
    )
    init("marker==1.0")
    builder = started(f"slow @ {source.as_uri()}", force=True)
    builder.stdin.write("\n")
    builder.stdin.flush()
    eventually((source / "started").exists)
    installers = [each for each in psutil.Process(builder.pid).children(recursive=True) if each.is_running()]

    builder.kill()
    builder.wait()
    assert [each.code for each in check(store, store.environment("demo"))] == ["leftovers"]
    env = init("marker==2.0", force=True)
    assert any(each.is_running() for each in installers)
    (source / "go").touch()
    psutil.wait_procs(installers, timeout=30)

    assert (marker(env), wrong(store, env)) == ("2.0", [])
    init("marker==1.0", force=True)
    assert (check(store, store.environment("demo")), lying(store.folder("demo"))) == ((), CLEAN)
