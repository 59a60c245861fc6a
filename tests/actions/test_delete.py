"""What venvoy made is removed, what it has not made stays, and so does the record."""

import os
import signal
import subprocess
import sys

import pytest

from venvoy import files
from venvoy.actions.adopt import adopt
from venvoy.actions.create import Plan, create
from venvoy.actions.delete import delete
from venvoy.errors import EnvironmentNotFound, VenvoyError

CRASH = """
import os, signal, sys
from venvoy import settings
from venvoy.actions.delete import delete
from venvoy.store import Store

last, count = int(sys.argv[1]), 0

def hear(event, args):
    global count
    if event in ("os.remove", "os.rmdir", "os.rename"):
        count += 1
        if count == last:
            os.kill(os.getpid(), signal.SIGKILL)

store = Store(settings.current())
env = store.environment("demo")
sys.addaudithook(hear)
delete(store, env)
print(count)
"""


def test_everything_of_it_is_removed_but_the_record(store, init, light):
    env = init("marker==1.0")

    delete(store, env)

    assert (store.names(), store.folder("demo").exists()) == ((), False)
    assert store.history("demo").latest.exists()
    assert len(store.history("demo").entries()) == 1


def test_the_record_goes_where_that_is_asked_for(store, init, light):
    delete(store, init(), record=True)

    assert not store.project("demo").exists()


def test_a_prefix_elsewhere_goes_with_it_and_its_neighbours_stay(store, actor, light, python, tmp_path):
    place = tmp_path / "place"
    env = create(store, Plan(name="demo", python=python, prefix=place / "demo"), actor=actor)
    for neighbour in ("demo2", ".demo-notes"):
        (place / neighbour).mkdir()

    delete(store, env)

    assert sorted(os.listdir(place)) == [".demo-notes", "demo2"]


def test_what_interrupted_builds_left_goes_with_it(store, init, light, actor, python, tmp_path):
    place = tmp_path / "place"
    env = create(store, Plan(name="demo", python=python, prefix=place / "demo"), actor=actor)
    for folder in (place / ".demo-20260102T030405-abcdef", store.folder("demo") / ".prefix-20260102T030405-abcdef"):
        (folder / "lib").mkdir(parents=True)
    files.replace(store.folder("demo") / "requirements.txt.20260102T030405-abcdef.next", "")

    delete(store, env)

    assert (os.listdir(place), store.folder("demo").exists()) == ([], False)


def test_what_was_adopted_is_only_forgotten(store, actor, python, tmp_path):
    subprocess.run([python, "-m", "venv", "--without-pip", tmp_path / "mine"], check=True)
    before = sorted(tmp_path.joinpath("mine").rglob("*"))
    env = adopt(store, tmp_path / "mine", name=None, actor=actor)

    delete(store, env)

    assert store.names() == ()
    assert sorted(tmp_path.joinpath("mine").rglob("*")) == before


def test_an_environment_whose_folder_is_gone_can_be_deleted(store, init, light):
    env = init()
    files.remove(env.prefix.resolve())

    delete(store, env)

    assert (store.names(), store.folder("demo").exists()) == ((), False)


def test_who_comes_second_is_told_that_it_is_gone(store, init, light):
    env = init()
    delete(store, env)

    with pytest.raises(EnvironmentNotFound):
        delete(store, env)


def test_the_environment_is_removed_as_it_is_now_and_not_as_it_was_read(store, init, light):
    old = init("marker==1.0")
    init("marker==2.0", force=True)

    delete(store, old)

    assert not store.folder("demo").exists()


def test_what_cannot_be_removed_is_named_and_stays_listed(store, init, light):
    env = init("marker==1.0")
    folder = env.prefix.resolve()
    protect, release = (
        (("chattr", "+i"), ("chattr", "-i")) if os.getuid() == 0 else (("chmod", "a-w"), ("chmod", "u+w"))
    )
    if subprocess.run([*protect, folder / "bin"], check=False, capture_output=True).returncode:
        pytest.skip("not obtainable: this file system protects nothing from root")

    try:
        with pytest.raises(VenvoyError, match="could not be removed completely") as refused:
            delete(store, env)
    finally:
        subprocess.run([*release, folder / "bin"], check=True)

    assert "venvoy delete demo" in refused.value.hint
    assert store.names() == ("demo",)
    delete(store, env)
    assert not store.folder("demo").exists()


def test_a_deletion_killed_at_any_step_is_finished_by_the_next(store, init, light):
    delete(store, init("marker==1.0"))  # what is written once for all is there then
    init("marker==1.0")
    steps = cut(0)
    seen = []

    for step in (1, 2, steps // 2, *range(steps - 4, steps + 1)):
        init("marker==1.0")
        assert cut(step) == -signal.SIGKILL
        seen.append(store.exists("demo"))
        if store.exists("demo"):
            delete(store, store.environment("demo"))
        left = list(store.folder("demo").glob("*"))
        assert left == [], step

    assert seen == sorted(seen, reverse=True)
    assert (seen[0], seen[-1]) == (True, False)


def cut(step: int) -> int:
    """Delete in another process and kill it at its nth step; for 0, how many steps there are."""
    with subprocess.Popen([sys.executable, "-c", CRASH, str(step)], stdout=subprocess.PIPE) as process:
        said = process.communicate()[0]
    return process.returncode or int(said)
