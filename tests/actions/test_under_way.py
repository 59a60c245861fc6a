"""Whoever stops an installation finds all of it afterwards, or nothing of it."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from venvoy import cancelling, inventory
from venvoy.actions.install import install, remove
from venvoy.inventory.damage import damages
from venvoy.process import TOO_LATE

PARTS = tuple(f"part-{number}" for number in range(12))
BUILDS_FOR_EVER = """
import pathlib, time

def build_wheel(*_, **__):
    pathlib.Path("building").touch()
    time.sleep(600)
"""


@pytest.fixture
def env(make, wheelhouse, monkeypatch):
    """One that knows packages enough for an installation to be found in the middle of it."""
    for name in PARTS:
        add(wheelhouse, name, "1.0")
    monkeypatch.setenv("UV_CONCURRENT_INSTALLS", "1")
    monkeypatch.setenv("UV_LINK_MODE", "copy")
    return make("demo")


def add(wheelhouse, name, version):
    module = name.replace("-", "_")
    wheelhouse.add(name, version, files={f"{module}/m{each}.py": f"x = {version!r}\n" for each in range(200)})


def first_files(site):
    return [site / name.replace("-", "_") / "m0.py" for name in PARTS]


def names(env):
    return {each.name for each in inventory.packages(env.prefix)} - {"pip"}


def uv_below_us():
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            if Path("/proc", child, "comm").read_text().strip() == "uv":
                return int(child)
    return None


@contextmanager
def cancelled_as_soon_as(moved) -> Iterator[None]:
    """What is done in it is cancelled at that moment, and uv goes no step on before."""
    with cancelling.scope() as cancel:

        def watch():
            until = time.monotonic() + 60
            while not moved() and time.monotonic() < until:
                time.sleep(0.0005)
            uv = uv_below_us()
            if uv is not None:
                os.kill(uv, signal.SIGSTOP)
            cancel()
            time.sleep(0.5)  # by then the word has come
            if uv is not None:
                with suppress(ProcessLookupError):
                    os.kill(uv, signal.SIGCONT)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        yield
        watcher.join()


def test_an_installation_that_is_under_way_goes_on_to_its_end(store, env, actor):
    heard = []
    [site] = inventory.site_folders(env.prefix)
    with cancelled_as_soon_as(lambda: any(site.glob("part_*"))):
        entry = install(store, env, PARTS, actor=actor, on_line=heard.append)

    assert TOO_LATE in heard
    assert names(env) == set(PARTS)
    assert damages((site,)) == ()
    assert entry.asked[0].names == tuple(sorted(PARTS))
    assert set(store.environment("demo").packages) == set(PARTS)


def test_an_upgrade_that_is_under_way_goes_on_to_its_end(store, env, wheelhouse, actor):
    heard = []
    [site] = inventory.site_folders(env.prefix)
    install(store, env, PARTS, actor=actor)
    for name in PARTS:
        add(wheelhouse, name, "2.0")
    with cancelled_as_soon_as(lambda: not all(each.exists() for each in first_files(site))):
        install(store, env, tuple(f"{name}==2.0" for name in PARTS), actor=actor, on_line=heard.append)

    assert TOO_LATE in heard
    assert {each.name: each.version for each in inventory.packages(env.prefix) if each.name in PARTS} == dict.fromkeys(
        PARTS, "2.0"
    )
    assert damages((site,)) == ()


def test_a_removal_that_is_under_way_goes_on_to_its_end(store, env, actor):
    [site] = inventory.site_folders(env.prefix)
    install(store, env, PARTS, actor=actor)
    with cancelled_as_soon_as(lambda: not all(each.exists() for each in first_files(site))):
        remove(store, env, PARTS, actor=actor)

    assert (names(env), damages((site,)), store.environment("demo").packages) == (set(), (), ())
    assert not any(each.parent.exists() for each in first_files(site))


def test_what_is_not_yet_put_in_place_is_stopped(store, env, actor, tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "slow"\nbackend-path = ["."]\n'
        '[project]\nname = "slow-one"\nversion = "1"\n'
    )
    (tmp_path / "slow.py").write_text(BUILDS_FOR_EVER)
    before = store.environment("demo")
    with cancelled_as_soon_as((tmp_path / "building").exists), pytest.raises(cancelling.Cancelled):
        install(store, env, (f"slow-one @ {tmp_path.as_uri()}", "part-1"), actor=actor)

    assert (names(env), store.environment("demo")) == (set(), before)
    assert store.history("demo").entries()[-1].event == "change"
    assert len(store.history("demo").entries()) == 1


def test_what_was_damaged_before_is_no_sign_of_being_under_way(store, env, actor):
    install(store, env, ("part-1",), actor=actor)
    [site] = inventory.site_folders(env.prefix)
    (site / "part_1/m1.py").unlink()
    time.sleep(0.01)

    with cancelled_as_soon_as(lambda: True), pytest.raises(cancelling.Cancelled):
        install(store, env, ("part-2",), actor=actor)

    assert names(env) == {"part-1"}
    assert [each.name for each in damages((site,))] == ["part-1"]
