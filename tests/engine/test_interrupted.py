"""Two at once, and one that is cut short: the prefix is whole, or it can be told that it is not and mended."""

import os
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from venvoy import cancelling, files
from venvoy.actions.check import check
from venvoy.actions.create import Plan, create
from venvoy.actions.install import install, remove
from venvoy.actions.repair import repair
from venvoy.actions.undo import undo
from venvoy.engine.request import LOCK, UNFINISHED, Pin, Request
from venvoy.errors import CommandFailed
from venvoy.inventory import conda_files, conda_meta
from venvoy.managers import conda

MANY = 60


@pytest.fixture
def many(near) -> tuple[Pin, ...]:
    """Packages enough for an installation to be found in the middle of it."""
    entries = [
        near.build.made(
            near.folder,
            near.build.Recipe(name=f"part-{number}", version="1.0", noarch="generic"),
            {f"share/part-{number}/{each}": f"{number} {each}\n" * 200 for each in range(40)},
        )
        for number in range(MANY)
    ]
    near.build.index(near.folder)
    return tuple(near.pin(each) for each in entries)


def started(request: Request) -> subprocess.Popen[str]:
    job = conda.job(request)
    assert job.stdin is not None
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    child = subprocess.Popen(job.argv, cwd=job.cwd, text=True, start_new_session=True, **pipes)
    assert child.stdin is not None
    child.stdin.write(job.stdin)
    child.stdin.close()
    child.stdin = None
    return child


def cut_short(request: Request, signum: int) -> tuple[str, int]:
    """Send the signal to the engine's group when some packages are there and others are not; returns its stderr."""
    meta = Path(request.prefix, "conda-meta")
    child = started(request)
    while child.poll() is None and not ((meta / UNFINISHED).exists() and len(list(meta.glob("*.json"))) > 3):
        time.sleep(0.001)
    os.killpg(child.pid, signum)
    said = child.communicate(timeout=30)[1]
    return said, child.returncode


def pins_of(said) -> tuple[Pin, ...]:
    return tuple(Pin(**{**each, "depends": None}) for each in said["pins"])


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_installation_that_was_cut_short_is_told_and_can_be_finished(engine, near, prefix, many, signum):
    request = Request(verb="exactly", source=near.source(), prefix=str(prefix), pins=many, specs=("part-1",))

    said, code = cut_short(request, signum)

    assert code != 0
    assert "Traceback" not in said
    unfinished = conda_meta.unfinished(prefix)
    assert unfinished is not None
    assert len(conda_meta.records(prefix)) < MANY
    engine("exactly", pins=pins_of(unfinished), names=tuple(unfinished["names"]), specs=("part-1",))
    assert conda_meta.unfinished(prefix) is None
    assert len(conda_meta.records(prefix)) == MANY
    assert conda_files.audit(prefix).deviations == ()
    assert conda_files.audit(prefix).files == MANY * 40
    assert conda_files.lacking(prefix) == {}


def test_an_update_that_was_cut_short_can_be_taken_back(engine, near, prefix, many, there):
    engine("change", specs=("plain",))
    before = near.pin(near.folder / "noarch/plain-2.0-0.conda")
    pins = (near.pin(near.folder / "noarch/plain-1.0-0.conda"), *many)

    cut_short(Request(verb="exactly", source=near.source(), prefix=str(prefix), pins=pins), signal.SIGKILL)
    engine("exactly", pins=(before,), names=("plain",))

    assert there() == {"plain": "2.0"}
    assert conda_meta.unfinished(prefix) is None
    assert conda_files.audit(prefix).deviations == ()


@pytest.mark.parametrize("mend", ["repair", "undo"])
def test_an_environment_that_was_cut_short_is_named_and_mended(near, many, store, actor, mend):
    env = create(
        store, Plan(name="demo", runtime="conda", channels=(near.address,), specs=("plain", "needing")), actor=actor
    )
    specs = tuple(each.name for each in many)

    with ThreadPoolExecutor(1) as pool:
        installing = pool.submit(install, store, env, (), specs=specs, actor=actor)
        kill_engine(env.prefix / "conda-meta", beyond=len(conda_meta.records(env.prefix)) + 3)
        with pytest.raises(CommandFailed, match="cannot install into 'demo'"):
            installing.result(timeout=60)

    assert "install-interrupted" in [each.code for each in check(store, store.environment("demo"))]
    if mend == "repair":
        assert repair(store, store.environment("demo"), actor=actor).done
    else:
        undo(store, store.environment("demo"), actor=actor)
    env = store.environment("demo")
    named = {each.name for each in conda_meta.records(env.prefix)} & {"plain", "needing", *specs}
    assert named == ({"plain", "needing", *specs} if mend == "repair" else {"plain", "needing"})
    assert "install-interrupted" not in [each.code for each in check(store, env)]
    assert (conda_files.lacking(env.prefix), conda_files.audit(env.prefix).deviations) == ({}, ())


def put_in(store, env, specs, **others):
    install(store, env, (), specs=specs, **others)


@pytest.mark.parametrize("change", [put_in, remove])
def test_what_is_cancelled_while_it_is_put_in_place_is_taken_back(near, many, store, actor, change):
    specs = tuple(each.name for each in many)
    wanted = ("plain", *specs) if change is remove else ("plain",)
    env = create(store, Plan(name="demo", runtime="conda", channels=(near.address,), specs=wanted), actor=actor)
    meta, before = env.prefix / "conda-meta", conda_meta.records(env.prefix)
    then = store.environment("demo")
    heard = []

    with cancelling.scope() as cancel:

        def watch():
            os.kill(engine_at_work(meta, other_than=len(before)), signal.SIGSTOP)
            cancel()

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        with pytest.raises(cancelling.Cancelled):
            change(store, env, specs, actor=actor, on_line=heard.append)
        watcher.join()

    assert {(each.name, each.version) for each in conda_meta.records(env.prefix)} == {
        (each.name, each.version) for each in before
    }
    assert (conda_meta.unfinished(env.prefix), conda_files.lacking(env.prefix)) == (None, {})
    assert conda_files.audit(env.prefix).deviations == ()
    assert (store.environment("demo"), len(store.history("demo").entries())) == (then, 1)
    assert not [line for line in heard if "repair" in line]


def kill_engine(meta: Path, *, beyond: int) -> None:
    """SIGKILL to the engine that this process has started, as soon as more packages than `beyond` are there."""
    while not ((meta / UNFINISHED).exists() and len(list(meta.glob("*.json"))) > beyond):
        time.sleep(0.001)
    os.kill(engine_below_us(), signal.SIGKILL)


def engine_at_work(meta: Path, *, other_than: int) -> int:
    """The engine that this process has started, as soon as the packages that are there are not that many any more."""
    while not ((meta / UNFINISHED).exists() and len(list(meta.glob("*.json"))) != other_than):
        time.sleep(0.001)
    return engine_below_us()


def engine_below_us() -> int:
    children = [
        child for task in Path("/proc/self/task").iterdir() for child in (task / "children").read_text().split()
    ]
    [engine] = [each for each in children if b"venvoy.engine" in Path("/proc", each, "cmdline").read_bytes()]
    return int(engine)


def test_a_removal_that_was_cut_short_can_be_finished(engine, near, prefix, many, there):
    pins = (*many, near.pin(near.folder / "noarch/plain-1.0-0.conda"))
    engine("exactly", pins=pins)
    meta = prefix / "conda-meta"

    child = started(Request(verb="exactly", source=near.source(), prefix=str(prefix), pins=pins[-1:]))
    while child.poll() is None and not ((meta / UNFINISHED).exists() and len(list(meta.glob("*.json"))) < MANY):
        time.sleep(0.001)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    said = conda_meta.unfinished(prefix)
    assert said is not None
    engine("exactly", pins=pins_of(said), names=tuple(said["names"]))

    assert there() == {"plain": "1.0"}
    assert (conda_meta.unfinished(prefix), conda_files.audit(prefix).deviations) == (None, ())


def test_a_change_after_one_that_was_cut_short_puts_in_anew_what_was_under_way(engine, near, prefix, many, there):
    pins = (*many, near.pin(near.folder / "noarch/plain-1.0-0.conda"))
    cut_short(Request(verb="exactly", source=near.source(), prefix=str(prefix), pins=pins), signal.SIGKILL)
    came = conda_meta.records(prefix)[0]
    (prefix / came.paths[0].path).unlink()

    said = engine("change", specs=("needing",))

    assert came.name in [each["name"] for each in said["added"]]
    assert there().keys() >= {"needing", "plain", came.name}
    assert (conda_meta.unfinished(prefix), conda_files.audit(prefix).deviations) == (None, ())


def test_word_of_what_was_cut_short_that_cannot_be_read_is_still_word(prefix):
    (prefix / "conda-meta").mkdir(parents=True)
    marker = prefix / "conda-meta" / UNFINISHED

    found = []
    for text in ("{", "[]", "", '"pins"'):
        marker.write_text(text)
        found.append(conda_meta.unfinished(prefix))

    assert found == [{}, {}, {}, {}]


def test_what_failed_after_some_was_done_is_told(engine, near, prefix, many):
    lost = near.folder / "noarch/part-7-1.0-0.conda"
    lost.unlink()

    with pytest.raises(CommandFailed, match="part-7") as caught:
        engine("exactly", pins=many)

    there = conda_meta.records(prefix)
    assert caught.value.hint
    assert (conda_meta.unfinished(prefix) is not None) == bool(there)
    assert "nothing was installed" not in caught.value.hint or not there


def test_what_failed_before_anything_was_done_leaves_no_word(engine, near, prefix, there):
    engine("change", specs=("plain",))
    file = near.folder / "noarch/needing-1.0-0.conda"
    file.unlink()

    with pytest.raises(CommandFailed, match="needing") as caught:
        engine("change", specs=("needing",))

    assert "when the channel can be reached" in str(caught.value.hint)
    assert there() == {"plain": "2.0"}
    assert conda_meta.unfinished(prefix) is None


def test_of_two_at_once_neither_loses_anything(engine, near, prefix, there):
    names = tuple(f"other-{number}" for number in range(4))
    for each in names:
        near.add(each)

    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda each: engine("change", specs=(each,)), names))

    assert there() == dict.fromkeys(names, "1.0")
    assert {each.name: each.spec for each in conda_meta.records(prefix)} == {each: each for each in names}
    assert conda_files.audit(prefix).deviations == ()
    history = (prefix / "conda-meta/history").read_text()
    assert all(history.count(f"::{each}-1.0-0") == 1 for each in names)


def test_two_prefixes_are_made_at_once_from_one_cache(engine, near, many, tmp_path):
    prefixes = [tmp_path / f"prefix-{number}" for number in range(3)]

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda each: engine("exactly", pins=many[:20], prefix=str(each)), prefixes))

    assert [conda_files.audit(each).deviations for each in prefixes] == [(), (), ()]
    assert [len(conda_meta.records(each)) for each in prefixes] == [20, 20, 20]


def test_who_holds_the_prefix_is_waited_for(engine, prefix, there):
    with ThreadPoolExecutor(1) as pool:
        with files.locked(prefix / "conda-meta" / LOCK):
            asked = pool.submit(engine, "change", specs=("plain",))
            time.sleep(1)
            assert there() == {}
        asked.result(60)

    assert there() == {"plain": "2.0"}
