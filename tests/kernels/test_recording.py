"""Whatever is installed, by whomever and however, is in the record once it is done, with who asked for what."""

import asyncio
import errno
import hashlib
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import uv

from venvoy import inventory
from venvoy.actions.direct import told_apart
from venvoy.actions.note import note
from venvoy.actions.observe import observe
from venvoy.actions.record import recorded, wanted
from venvoy.frontends import attendant
from venvoy.frontends.attendant import SETTLED
from venvoy.history import Entry
from venvoy.model import Environment, Package
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("recording")
Start = Callable[..., Any]
Told = Callable[[], tuple[Entry, ...]]


@pytest.fixture
def env(environment: Callable[..., Environment]) -> Environment:
    return environment("recorded")


@pytest.fixture
def told(store: Store, env: Environment) -> Told:
    """The entries of the record since the test began."""
    history = store.history(env.name)
    before = len(history.entries())
    return lambda: history.entries()[before:]


@pytest.fixture
def offline(wheels: Any) -> str:
    """The options by which an installer takes everything from the wheelhouse."""
    return f"--no-index --find-links {wheels.folder}"


def _terminal(env: Environment, *words: str) -> None:
    subprocess.run([uv.find_uv_bin(), "pip", *words[:1], "--quiet", "--python", env.python, *words[1:]], check=True)


def _package(store: Store, env: Environment, entry: Entry, name: str) -> Package | None:
    return recorded(store.history(env.name), entry).package(name)


def _names(entry: Entry) -> list[tuple[str, tuple[str, ...]]]:
    return [(each.verb, each.names) for each in entry.asked]


# --- how it may come -------------------------------------------------------------------------------------------------

WAYS = {
    "%pip": "%pip install {options} {name}",
    "!pip": "!pip install {options} {name}",
    "%uv": "%uv pip install {options} {name}",
    "!uv": "!uv pip install {options} {name}",
    "subprocess": "import subprocess, sys\n"
    "subprocess.run([sys.executable, '-m', 'pip', 'install', *'{options}'.split(), '{name}'], check=True)",
    "%%bash": "%%bash\nuv pip install {options} {name}",
}


@pytest.mark.everywhere
@pytest.mark.parametrize("way", WAYS)
def test_what_a_cell_installs_is_recorded_with_the_cell_and_what_it_asked_for(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start, way: str
) -> None:
    name, needed = f"cell-{list(WAYS).index(way)}", f"needed-{list(WAYS).index(way)}"
    wheels.add(needed)
    wheels.add(name, requires=(needed,))
    live = start(env, env_vars={"JPY_SESSION_NAME": "/home/somebody/analysis.ipynb"})
    live.run("'nothing happens in this one'")

    ran = live.run(WAYS[way].format(options=offline, name=name))
    eventually(told)

    assert ran.status == "ok", ran.text
    (entry,) = told()
    assert (entry.event, entry.actor.kind, entry.actor.notebook) == ("change", "cell", "/home/somebody/analysis.ipynb")
    assert entry.actor.count == int(live.run("len(In) - 1").result) - 1
    assert _names(entry) == [("install", (name,))]
    assert _package(store, env, entry, needed)
    known = {
        each.name: each.direct
        for each in told_apart(observe(store, env), wanted(told()), inventory.distributions(env.prefix)).packages
    }
    assert (known[name], known[needed]) == (True, False)


@pytest.mark.everywhere
def test_environment_yml_and_its_timed_copy_are_written_when_things_are_still(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("still")
    project = store.project(env.name)
    live = start(env)
    copies = set(project.glob("environment_*.yml"))

    live.run(f"%uv pip install {offline} still")
    eventually(told)

    (entry,) = told()
    (copy,) = set(project.glob("environment_*.yml")) - copies
    moved = max(time for _, time in inventory.stamp(env.prefix)) / 1e9
    assert entry.at.timestamp() - moved >= SETTLED
    assert "still==1.0" in (project / "environment.yml").read_text()
    assert copy.read_text() == (project / "environment.yml").read_text()
    assert copy.name.startswith(f"environment_{entry.at:%Y%m%d_%H%M%S}")
    assert (project / ".last_updated").read_text().startswith(f"{entry.at:%Y-%m-%dT%H:%M:%S}")


CUT_SHORT = """
from _venvoy_guest import wire
stock, cut = wire.ask, []
def ask(folder, message, patience=None):
    if message == {{'note': 'installing', 'yes': {yes}}} and not cut:
        cut.append(message)
        {first}
        raise KeyboardInterrupt
    yield from stock(folder, message, patience)
wire.ask = ask
"""


@pytest.mark.parametrize(
    ("name", "yes", "first"),
    [("unsaid", True, "pass"), ("unanswered", True, "wire.tell(folder, message)"), ("unended", False, "pass")],
)
def test_an_interrupt_that_meets_the_word_for_an_installer_keeps_nothing_from_the_record(
    env: Environment,
    start: Start,
    store: Store,
    told: Told,
    wheels: Any,
    offline: str,
    eventually: Start,
    name: str,
    yes: bool,
    first: str,
) -> None:
    wheels.add(name)
    live = start(env)
    live.run(CUT_SHORT.format(yes=yes, first=first))
    cut = live.run(f"!uv pip install {offline} {name}")

    _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), name)
    eventually(lambda: any(_package(store, env, each, name) for each in told()))

    assert (cut.status, "KeyboardInterrupt" in cut.text) == ("error", True)
    assert live.run("len(cut)").result == "1"


def test_what_a_terminal_installs_is_recorded_while_a_kernel_runs(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, eventually: Start
) -> None:
    wheels.add("by-hand")
    live = start(env)
    live.run("1")

    _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), "by-hand")
    eventually(told)

    (entry,) = told()
    assert (entry.actor.kind, entry.asked) == ("terminal", ())
    assert _package(store, env, entry, "by-hand")


def test_a_cell_that_runs_after_it_takes_no_credit_for_what_a_terminal_installed(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, eventually: Start
) -> None:
    wheels.add("not-mine")
    live = start(env)
    live.run("1")

    _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), "not-mine")
    live.run("'pip install not-mine'")
    eventually(told)

    (entry,) = told()
    assert (entry.actor.kind, entry.asked) == ("terminal", ())


def test_nothing_is_written_while_an_installer_is_at_work(
    env: Environment, start: Start, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("long-winded")
    live = start(env)

    live.run(f"!uv pip install {offline} long-winded && sleep {SETTLED * 2.5}")
    meanwhile = told()
    eventually(told)

    assert meanwhile == ()
    assert _names(told()[0]) == [("install", ("long-winded",))]


def test_what_changed_while_no_kernel_ran_is_recorded_with_the_next_and_as_nobodys_doing(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("meanwhile")
    wheels.add("afterwards")
    _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), "meanwhile")

    live = start(env)
    live.run(f"%uv pip install {offline} afterwards")
    eventually(lambda: len(told()) == 2)

    first, second = told()
    assert first.actor.kind == "terminal"
    assert _package(store, env, first, "meanwhile")
    assert not _package(store, env, first, "afterwards")
    assert _names(second) == [("install", ("afterwards",))]


def test_nothing_is_written_of_a_running_kernel_while_its_environment_says_so(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("unsaid")
    wheels.add("said")
    live = start(env)

    store.save(replace(store.environment(env.name), record=False))
    live.run(f"%pip install {offline} unsaid")
    shown = live.run("%env-status")
    meanwhile = told()
    store.save(replace(store.environment(env.name), record=True))
    live.run(f"%pip install {offline} said")
    eventually(told)

    assert shown.status == "ok", shown.text
    assert meanwhile == ()
    assert _names(told()[-1]) == [("install", ("said",))]


@pytest.mark.everywhere
def test_each_of_two_cells_in_a_row_is_told_for_itself(
    env: Environment, start: Start, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("one-cell")
    wheels.add("next-cell")
    live = start(env)
    live.run("1")

    live.run(f"%uv pip install {offline} one-cell")
    live.run(f"%uv pip install {offline} next-cell")
    eventually(lambda: len(told()) == 2)

    first, second = told()
    assert _names(first) == [("install", ("one-cell",))]
    assert _names(second) == [("install", ("next-cell",))]
    assert second.actor.count == first.actor.count + 1


@pytest.mark.everywhere
def test_what_a_process_installs_behind_the_cells_back_is_recorded(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("behind")
    live = start(env)

    live.run(f"import subprocess; subprocess.Popen('sleep 0.5; uv pip install --quiet {offline} behind', shell=True)")
    eventually(told)

    (entry,) = told()
    assert _package(store, env, entry, "behind")


# --- what it may be --------------------------------------------------------------------------------------------------


@pytest.mark.everywhere
def test_upgrades_reinstalls_and_removals(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("mover", "1.0")
    wheels.add("mover", "2.0")
    live = start(env)

    live.run(f"%pip install {offline} mover==1.0")
    eventually(lambda: len(told()) == 1)
    live.run(f"%pip install {offline} --upgrade mover")
    eventually(lambda: len(told()) == 2)
    live.run(f"%pip install {offline} --force-reinstall mover==2.0")
    live.run("%pip uninstall --yes mover")
    eventually(lambda: len(told()) == 3)

    versions = [getattr(_package(store, env, entry, "mover"), "version", None) for entry in told()]
    assert versions == ["1.0", "2.0", None]
    assert [_names(entry) for entry in told()] == [
        [("install", ("mover",))],
        [("install", ("mover",))],
        [("remove", ("mover",))],
    ]


def test_a_wish_for_what_is_there_already_is_remembered_and_changes_nothing(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("wished")
    _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), "wished")
    live = start(env)
    eventually(told)

    live.run(f"%pip install {offline} wished")
    live.run(f"%pip install {offline} wished")
    live.manager.shutdown_kernel()

    change, wish = told()
    assert (change.event, wish.event) == ("change", "asked")
    assert _names(wish) == [("install", ("wished",))]
    assert wish.snapshot == change.snapshot


_BACKEND = """
import os, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None, editable=False):
    name = "{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        info = "{name}-1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: 1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr("{name}.pth" if editable else "{name}.py", os.getcwd() if editable else "")
        wheel.writestr(info + "RECORD", "")
    return name
def build_editable(folder, config_settings=None, metadata_directory=None):
    return build_wheel(folder, editable=True)
"""


def _project(folder: Path, name: str) -> Path:
    """A project that builds itself, without anything from an index."""
    folder.mkdir()
    (folder / "backend.py").write_text(_BACKEND.format(name=name))
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\n'
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    )
    return folder


def test_an_editable_install_is_told_as_such(
    env: Environment, start: Start, store: Store, told: Told, tmp_path: Path, eventually: Start
) -> None:
    project = _project(tmp_path / "workshop", "workshop")
    live = start(env)

    ran = live.run(f"%pip install --no-index -e {project}")
    eventually(told)

    assert ran.status == "ok", ran.text
    package = _package(store, env, told()[-1], "workshop")
    assert (package.origin, package.url) == ("editable", project.as_uri())


def test_what_came_from_a_file_or_a_repository_is_told_as_such(
    env: Environment, start: Start, store: Store, told: Told, tmp_path: Path, wheels: Any, eventually: Start
) -> None:
    wheel = wheels.add("from-a-file")
    repository = _project(tmp_path / "repository", "fromgit")
    git = ["git", "-C", repository, "-c", "user.name=T", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    live = start(env)

    live.run(f"%pip install --no-index {wheel}")
    ran = live.run(f"%pip install --no-index git+{repository.as_uri()}")
    eventually(lambda: len(told()) == 2)

    assert ran.status == "ok", ran.text
    file, vcs = _package(store, env, told()[0], "from-a-file"), _package(store, env, told()[1], "fromgit")
    assert (file.origin, file.url) == ("local", wheel.as_uri())
    assert (vcs.origin, vcs.url) == ("vcs", f"git+{repository.as_uri()}@{commit}")


# --- what is not recorded --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "code",
    [
        "%pip install {0} there-is-no-such-thing",
        "!uv pip install {0} there-is-no-such-thing",
        "import subprocess\nsubprocess.run('pip install there-is-no-such-thing {0}'.split(), check=True)",
        "1 / 0",
        "import math",
        "!echo pip install flask",
    ],
)
def test_cells_that_change_nothing_leave_no_trace(
    env: Environment, start: Start, told: Told, offline: str, code: str
) -> None:
    live = start(env)

    live.run(code.format(offline))
    live.manager.shutdown_kernel()

    assert told() == ()


@pytest.mark.everywhere
def test_a_cell_that_fails_after_it_installed_something_is_recorded(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("then-fails")
    live = start(env)

    ran = live.run(f"%uv pip install {offline} then-fails\n1 / 0")
    eventually(told)

    assert ran.error.startswith("ZeroDivisionError")
    assert _names(told()[0]) == [("install", ("then-fails",))]
    assert _package(store, env, told()[0], "then-fails")


def test_credentials_of_a_command_are_written_nowhere(
    env: Environment, start: Start, store: Store, told: Told, private_index: Any, wheels: Any, eventually: Start
) -> None:
    wheels.add("from-within")
    address = private_index.url.replace("://", "://somebody:s3cret-word@")
    live = start(env, env_vars={"PIP_NO_INDEX": "0", "PIP_FIND_LINKS": ""})

    ran = live.run(f"%pip install --disable-pip-version-check --index-url {address} from-within")
    eventually(told)

    assert ran.status == "ok", ran.text
    assert _names(told()[0]) == [("install", ("from-within",))]
    assert "***@" in told()[0].asked[0].command
    written = [each for each in store.project(env.name).rglob("*") if each.is_file()]
    assert written
    assert not [each for each in written if b"s3cret-word" in each.read_bytes()]


def test_nothing_is_recorded_where_kernel_json_says_so(
    environment: Callable[..., Environment], start: Start, store: Store, wheels: Any, offline: str, configure: Start
) -> None:
    env = environment("unrecorded")
    configure(env, record=False)
    wheels.add("unseen")
    before = store.history(env.name).entries()
    live = start(env)

    live.run(f"%uv pip install {offline} unseen")
    said = live.run("%env-status")
    live.manager.shutdown_kernel()

    assert store.history(env.name).entries() == before
    assert said.status == "ok"


# --- endings and crowds ----------------------------------------------------------------------------------------------


@pytest.mark.everywhere
@pytest.mark.parametrize("now", [False, True], ids=["politely", "now"])
def test_what_was_installed_just_before_the_end_is_recorded(
    env: Environment, start: Start, told: Told, wheels: Any, offline: str, now: bool
) -> None:
    name = f"just-before-{now}".lower()
    wheels.add(name)
    live = start(env)

    live.run(f"%uv pip install {offline} {name}")
    live.manager.shutdown_kernel(now=now)

    (entry,) = told()
    assert entry.actor.kind == "cell"
    assert _names(entry) == [("install", (name,))]


def test_an_install_that_the_end_of_the_kernel_cuts_short_is_recorded_as_far_as_it_came(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str
) -> None:
    wheels.add("cut-short")
    live = start(env)

    live.begin(f"!uv pip install {offline} cut-short && echo is-there && sleep 60", until="is-there")
    live.manager.shutdown_kernel(now=True)

    assert _package(store, env, told()[-1], "cut-short")


def test_what_finds_no_room_is_recorded_as_the_cells_doing_when_there_is_some(
    env: Environment,
    start: Start,
    store: Store,
    told: Told,
    wheels: Any,
    offline: str,
    eventually: Start,
    monkeypatch: Any,
) -> None:
    waits: list[int] = []
    monkeypatch.setattr(attendant, "again_after", lambda failed: waits.append(failed) or 0.1)
    wheels.add("roomless")
    refused: list[str] = []

    def full(*words: Any, **said: Any) -> Any:
        if len(refused) < 3:
            refused.append("")
            attending.starts(env, "")  # somebody restarts the kernel meanwhile
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), f"log.jsonl.{len(refused)}.partial")
        return note(*words, **said)

    live = start(env)
    live.run("1")
    attending = live.manager.provisioner.attendant
    warned = Mock()
    monkeypatch.setattr(attending, "log", warned)
    monkeypatch.setattr(attendant, "note", full)
    live.run(f"%pip install {offline} roomless")
    eventually(told)

    (entry,) = told()
    assert (entry.actor.kind, _names(entry), waits) == ("cell", [("install", ("roomless",))], [0, 1, 2])
    assert warned.warning.call_count == 1


def test_a_kernel_that_jupyter_has_given_up_in_the_middle_of_an_installer_keeps_nothing_from_the_record(
    env: Environment, start: Start, told: Told, wheels: Any, eventually: Start
) -> None:
    live = start(env)
    live.begin("!echo on; sleep 600 # pip install", until="on")

    asyncio.run(live.manager.provisioner.cleanup(restart=True))
    _terminal(env, "install", "--no-index", str(wheels.add("given-up")))

    eventually(told)
    asyncio.run(live.manager.provisioner.cleanup(restart=False))  # nobody else does it for one that is given up


def test_what_goes_on_failing_is_tried_ever_less_often() -> None:
    assert [attendant.again_after(failed) for failed in (0, 1, 2, 5, 2000)] == [10, 20, 40, 300, 300]


def test_a_file_server_that_does_not_answer_for_a_moment_ends_no_recording(
    env: Environment, start: Start, told: Told, wheels: Any, eventually: Start, monkeypatch: Any
) -> None:
    monkeypatch.setattr(attendant, "AGAIN", 0.1)
    stamp, stale = inventory.stamp, iter(range(5))

    def answers_late(prefix: Path) -> Any:
        for _ in stale:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return stamp(prefix)

    monkeypatch.setattr(inventory, "stamp", answers_late)
    live = start(env)
    live.run("1")
    eventually(lambda: next(stale, None) is None)

    _terminal(env, "install", "--no-index", str(wheels.add("afterwards")))
    eventually(told)

    assert told()[0].actor.kind == "terminal"


def test_while_a_venvoy_command_is_at_work_the_record_waits_for_it(
    env: Environment, start: Start, store: Store, told: Told, wheels: Any, offline: str, eventually: Start
) -> None:
    wheels.add("patient")
    live = start(env)
    live.run("1")
    waited = threading.Event()

    with store.held(env.name):
        live.run(f"%uv pip install {offline} patient")
        waited.wait(SETTLED * 2)
        meanwhile = told()
    eventually(told)

    assert meanwhile == ()
    assert _names(told()[0]) == [("install", ("patient",))]


def test_a_save_while_an_installer_is_at_work_makes_nothing_half_a_state(
    env: Environment, start: Start, told: Told, eventually: Start, monkeypatch: Any
) -> None:
    monkeypatch.setattr(attendant, "LOOKS", 0.05)
    stamp, looks = inventory.stamp, list[Any]()
    monkeypatch.setattr(inventory, "stamp", lambda prefix: looks.append(stamp(prefix)) or looks[-1])
    live = start(env)
    live.run("1")
    site = inventory.site_folders(env.prefix)[0]
    for name in ("halfone", "halftwo"):
        info = site / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "RECORD").write_text("")
        whole = stamp(env.prefix)
        eventually(lambda whole=whole: looks[-2:] == [whole, whole])
        live.manager.provisioner.attendant.used()
    eventually(told)

    (entry,) = told()
    assert entry.actor.kind == "terminal"
    for name in ("halfone", "halftwo"):
        shutil.rmtree(site / f"{name}-1.0.dist-info")
    eventually(lambda: len(told()) == 2)


def test_two_kernels_and_a_terminal_at_once_lose_nothing(
    environment: Callable[..., Environment], start: Start, store: Store, wheels: Any, offline: str, eventually: Start
) -> None:
    env = environment("crowded")
    history = store.history(env.name)
    who = {"first": start(env), "second": start(env)}
    names = [f"{one}-{number}" for one in (*who, "terminal") for number in range(4)]
    for name in names:
        wheels.add(name)

    for number in range(4):
        for one, live in who.items():
            live.client.execute(f"%uv pip install {offline} {one}-{number}")
    for number in range(4):
        _terminal(env, "install", "--no-index", "--find-links", str(wheels.folder), f"terminal-{number}")
    for live in who.values():
        live.run("'done with them all'")
    eventually(lambda: set(names) <= {each.name for each in recorded(history, history.entries()[-1]).packages})
    for live in who.values():
        live.manager.shutdown_kernel()

    last = recorded(history, history.entries()[-1])
    assert last == observe(store, env)
    assert {f"{one}-{number}" for one in who for number in range(4)} <= wanted(history.entries())
    lines = history.log.read_bytes().splitlines()
    chain = ["", *(hashlib.sha256(line).hexdigest() for line in lines)]
    assert [entry.previous for entry in history.entries()] == chain[:-1]
    assert all(f"{name}==1.0" in history.latest.read_text() for name in names)
