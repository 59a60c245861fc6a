"""Back to an earlier state, in place, and back from there."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from venvoy.actions.adopt import adopt
from venvoy.actions.check import check
from venvoy.actions.create import REQUIREMENTS, Plan, create
from venvoy.actions.go_back import go_back
from venvoy.actions.install import install
from venvoy.actions.observe import observe
from venvoy.actions.plan import plan
from venvoy.actions.points import point
from venvoy.actions.prune import prunable, prune
from venvoy.actions.record import wanted
from venvoy.actions.undo import undo
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput, VenvoyError
from venvoy.store import generation_folder


@pytest.fixture
def env(make, wheels, store, actor):
    """Four states: pip; alpha 1.0; alpha 1.0 and beta; alpha 2.0 and beta."""
    for name, version in (("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0")):
        wheels.add(name, version, scripts={name: f"{name}:main"})
    made = make("demo")
    for wish in ("alpha==1.0", "beta", "alpha>=2"):
        install(store, made, (wish,), actor=actor)
    return made


@pytest.fixture
def back(store, env, actor):
    def gone(text: str):
        now = store.environment(env.name)
        target = point(store.history(env.name), text, look=lambda: observe(store, now))
        return go_back(store, now, target, actor=actor)

    return gone


@pytest.fixture
def installed(store, env):
    def there() -> dict[str, str]:
        found = observe(store, store.environment(env.name)).packages
        return {each.name: each.version for each in found if each.name != "pip"}

    return there


def test_an_environment_goes_back_in_place_and_that_is_recorded(env, back, installed, store):
    returned = back("2")

    assert installed() == {"alpha": "1.0"}
    assert returned.built
    assert returned.environment.prefix == env.prefix
    assert ([each.name for each in returned.changes.removed], len(returned.changes.changed)) == (["beta"], 1)
    assert store.history("demo").last().event == "change"
    assert check(store, store.environment("demo")) == ()


def test_its_programs_run_from_the_prefix_that_it_always_had(env, back):
    back("2")

    script = env.prefix / "bin/alpha"
    assert script.read_text().splitlines()[0] == f"#!{env.prefix}/bin/python"
    assert generation_folder(env.prefix, env.generation).is_dir()


def test_what_another_command_has_put_there_meanwhile_is_left(env, back, installed, store, actor):
    """What is decided before the lock is had is not true any more when it is."""
    stale = store.environment("demo")
    back("2")
    target = point(store.history("demo"), "4", look=lambda: observe(store, stale))

    with pytest.raises(VenvoyError, match="was changed while this waited"):
        go_back(store, stale, target, actor=actor)

    assert installed() == {"alpha": "1.0"}
    assert check(store, store.environment("demo")) == ()


def test_a_prefix_that_is_gone_is_not_swapped_in(env, back, installed, store):
    stale = store.environment("demo")
    back("2")
    shutil.rmtree(generation_folder(stale.prefix, stale.generation))

    with pytest.raises(VenvoyError, match="is gone"):
        store.commit(stale, {})

    assert installed() == {"alpha": "1.0"}


def test_the_prefix_before_is_kept_and_undo_swaps_it_back_without_building(env, back, installed, store, actor):
    before = os.readlink(env.prefix)
    back("2")

    returned = undo(store, store.environment("demo"), actor=actor)

    assert not returned.built
    assert os.readlink(env.prefix) == before
    assert installed() == {"alpha": "2.0", "beta": "1.0"}
    assert store.history("demo").last().event == "undo"


def test_undo_goes_back_one_change_after_another_until_there_is_none(env, installed, store, actor):
    seen = []
    for _ in range(3):
        undo(store, store.environment("demo"), actor=actor)
        seen.append(installed())

    assert seen == [{"alpha": "1.0", "beta": "1.0"}, {"alpha": "1.0"}, {}]
    with pytest.raises(InvalidInput, match="nothing to take back"):
        undo(store, store.environment("demo"), actor=actor)
    assert store.history("demo").check() == ()


def test_undo_takes_back_what_nobody_has_recorded_yet(env, wheels, installed, store, actor):
    gamma = wheels.add("gamma")
    subprocess.run([env.python, "-m", "pip", "install", "--quiet", "--no-deps", gamma], check=True)

    undo(store, env, actor=actor)

    assert installed() == {"alpha": "2.0", "beta": "1.0"}


def test_forward_again_is_a_state_like_any_other(back, installed, store, actor):
    back("1")
    back("4")

    assert installed() == {"alpha": "2.0", "beta": "1.0"}


def test_where_it_stands_already_nothing_is_done(back, store):
    entries = store.history("demo").entries()

    assert not back("4").changes
    assert store.history("demo").entries() == entries


def test_the_requirements_files_fit_the_state_so_that_a_rebuild_gives_it_again(env, back, installed, store, actor):
    (store.folder("demo") / REQUIREMENTS).write_text("# mine\nalpha>=2\nbeta\n")

    back("2")

    listed = (store.folder("demo") / REQUIREMENTS).read_text()
    assert listed == "# mine\nalpha==1.0\n"
    assert store.environment("demo").packages == ("alpha==1.0",)
    create(store, Plan(name="demo", force=True), actor=actor)
    assert installed() == {"alpha": "1.0"}


def test_what_was_asked_for_is_what_was_asked_for_then(back, store):
    back("2")
    assert wanted(store.history("demo").entries()) == {"alpha"}

    back("3")
    assert wanted(store.history("demo").entries()) == {"alpha", "beta"}


def test_a_state_that_cannot_be_had_any_more_leaves_everything_as_it_was(env, back, installed, wheels, store):
    (wheels.folder / "alpha-1.0-py3-none-any.whl").unlink()
    entries = store.history("demo").entries()

    with pytest.raises(CommandFailed):
        back("2")

    assert installed() == {"alpha": "2.0", "beta": "1.0"}
    assert store.history("demo").entries() == entries
    assert store.leftovers("demo") == ()
    assert store.kept("demo") == ()


def test_an_adopted_environment_is_not_replaced(store, actor, pythons, tmp_path, wheelhouse):
    prefix = tmp_path / "theirs"
    subprocess.run([pythons["3.12"], "-m", "venv", prefix], check=True)
    theirs = adopt(store, prefix, name=None, actor=actor)
    subprocess.run([prefix / "bin/pip", "uninstall", "--quiet", "--yes", "pip"], check=True)

    with pytest.raises(EnvironmentExists, match="was adopted"):
        undo(store, theirs, actor=actor)

    assert not prefix.is_symlink()


def test_only_one_replaced_prefix_is_kept(env, back, store):
    for text in ("1", "2", "3"):
        back(text)

    assert len(store.kept("demo")) == 1
    assert len(list(env.prefix.parent.glob(".prefix-*"))) == 2
    assert store.leftovers("demo") == ()


def test_deleting_an_environment_deletes_what_was_kept(env, back, store):
    from venvoy.actions.delete import delete

    back("2")

    delete(store, store.environment("demo"))

    assert not store.folder("demo").exists()


def test_a_plan_says_what_would_change_and_does_nothing(env, store, installed):
    target = point(store.history("demo"), "2", look=lambda: observe(store, env))

    planned = plan(store, env, target)

    assert (planned.kept, planned.python) == (False, env.python_version)
    assert {each.name for each in (*planned.download, *planned.cached)} == {"alpha", "pip"}
    assert [each.name for each in planned.changes.removed] == ["beta"]
    assert installed() == {"alpha": "2.0", "beta": "1.0"}


def test_a_plan_knows_the_prefix_that_is_kept(env, back, store):
    back("2")
    now = store.environment("demo")

    planned = plan(store, now, point(store.history("demo"), "4", look=lambda: observe(store, now)))

    assert planned.kept
    assert (planned.download, planned.cached) == ((), ())


def test_pruning_takes_old_copies_and_the_kept_prefix_and_leaves_the_record(env, back, installed, store, actor):
    back("2")
    history = store.history("demo")
    assert len(history.timed()) == 5

    found = prune(store, "demo", keep=1)

    assert (len(found.copies), len(found.prefixes), store.kept("demo")) == (4, 1, ())
    assert len(history.timed()) == 1
    assert history.check() == ()
    assert prunable(store, "demo", keep=1).copies == ()
    undo(store, store.environment("demo"), actor=actor)
    assert installed() == {"alpha": "2.0", "beta": "1.0"}


def test_pruning_keeps_the_prefix_of_a_state_that_is_recent(env, back, store):
    back("2")

    assert prune(store, "demo", keep=3).prefixes == ()
    assert len(store.kept("demo")) == 1


KILLED = textwrap.dedent("""
    import os, signal, sys
    from pathlib import Path
    from venvoy import settings
    from venvoy.actions.observe import observe
    from venvoy.actions.points import point
    from venvoy.actions.go_back import go_back
    from venvoy.model import Actor
    from venvoy.store import Store

    store = Store(settings.current())
    env = store.environment("demo")
    target = point(store.history("demo"), sys.argv[1], look=lambda: observe(store, env))
    left, home = int(sys.argv[2]), str(store.settings.home)

    def audit(event, words):
        global left
        if event in ("os.rename", "os.symlink", "os.remove", "os.rmdir") and home in str(words[0]) + str(words[1:2]):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(audit)
    go_back(store, env, target, actor=Actor(kind="terminal"))
""")


@pytest.mark.parametrize("text", ["2", "kept"])
def test_killed_at_any_step_it_is_the_one_state_or_the_other(env, back, installed, store, actor, text):
    """Also when what is swapped in is the prefix that was kept."""
    states = ({"alpha": "2.0", "beta": "1.0"}, {"alpha": "1.0"})
    back("2")
    if text == "2":
        back("4")
        prune(store, "demo", keep=0)
    goal = "2" if text == "2" else "4"
    for steps in range(60):
        ran = subprocess.run([sys.executable, "-c", KILLED, goal, str(steps)], check=False, capture_output=True)
        assert ran.returncode in (0, -signal.SIGKILL), ran.stderr.decode()
        now = store.environment("demo")
        assert installed() in states
        assert Path(now.python).exists()
        if ran.returncode == 0:
            break
        with store.held("demo"):
            store.tidy("demo")
    assert steps > 3
    assert installed() == states[goal == "2"]
    undo(store, store.environment("demo"), actor=actor)
    assert check(store, store.environment("demo")) == ()
