"""Packages come and go, and it is written down: in the record, and in config.yaml."""

from pathlib import Path

import pytest

from venvoy import inventory
from venvoy.actions.create import Plan, create
from venvoy.actions.install import install, remove
from venvoy.actions.record import wanted
from venvoy.errors import CommandFailed, InvalidInput
from venvoy.model import Asked, Environment


@pytest.fixture
def env(make, wheelhouse) -> Environment:
    wheelhouse.add("alpha", "1.0", requires=("beta>=1",))
    wheelhouse.add("alpha", "2.0", requires=("beta>=1",))
    wheelhouse.add("beta", "1.5")
    wheelhouse.add("gamma", "1.0")
    return make("demo", "gamma")


def installed(env: Environment) -> dict[str, str]:
    return {each.name: each.version for each in inventory.packages(env.prefix) if each.name != "pip"}


def test_what_is_installed_is_recorded_with_who_asked_for_what(store, env, actor):
    entry = install(store, env, ("Alpha==1.0",), actor=actor)

    assert installed(env) == {"alpha": "1.0", "beta": "1.5", "gamma": "1.0"}
    assert (entry.event, entry.actor) == ("change", actor)
    assert entry.asked == (Asked(tool="venvoy", verb="install", names=("alpha",)),)
    assert "alpha==1.0" in store.history("demo").latest.read_text()


def test_what_was_asked_for_stands_in_config_yaml_and_is_replaced_by_a_newer_wish(store, env, actor):
    install(store, env, ("alpha==1.0", "beta"), actor=actor)
    install(store, env, ("ALPHA>=2",), actor=actor)

    assert store.environment("demo").packages == ("ALPHA>=2", "beta", "gamma")


def test_packages_for_development_stand_apart(store, env, actor):
    install(store, env, ("beta",), actor=actor, dev=True)

    kept = store.environment("demo")
    assert (kept.packages, kept.dev_packages) == (("gamma",), ("beta",))


def test_requirements_files_are_followed(store, env, actor, tmp_path):
    (tmp_path / "more.txt").write_text("-r deep/list.txt\n")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/list.txt").write_text("beta\n")

    install(store, env, (), actor=actor, lists=(tmp_path / "more.txt",))

    assert "beta" in installed(env)


def test_asking_for_what_is_there_records_the_wish_once(store, env, actor):
    install(store, env, ("alpha",), actor=actor)

    first = install(store, env, ("beta",), actor=actor)
    second = install(store, env, ("beta",), actor=actor)

    assert (first.event, second) == ("asked", None)
    assert {"alpha", "beta", "gamma"} <= wanted(store.history("demo").entries())


def test_lines_of_the_installer_are_heard(store, env, actor):
    heard = []

    install(store, env, ("alpha",), actor=actor, on_line=heard.append)

    assert any("alpha" in line for line in heard)


@pytest.mark.parametrize("word", ["not a requirement", "-e .", "--index-url=https://evil", "./local", "", "alpha=="])
def test_what_is_no_requirement_is_refused_and_nothing_happens(store, env, actor, word):
    before = store.history("demo").log.read_bytes()

    with pytest.raises(InvalidInput, match="is not a requirement"):
        install(store, env, ("alpha", word), actor=actor)

    assert installed(env) == {"gamma": "1.0"}
    assert store.history("demo").log.read_bytes() == before


def test_what_cannot_be_had_changes_nothing(store, env, actor):
    before = (store.folder("demo") / "config.yaml").read_bytes(), store.history("demo").log.read_bytes()

    with pytest.raises(CommandFailed, match=r"cannot install into .*: Because nowhere-to-be-found was not") as failed:
        install(store, env, ("alpha", "nowhere-to-be-found"), actor=actor)

    assert "nowhere-to-be-found" in failed.value.hint
    assert installed(env) == {"gamma": "1.0"}
    assert before == ((store.folder("demo") / "config.yaml").read_bytes(), store.history("demo").log.read_bytes())


def test_what_is_removed_is_recorded_and_leaves_config_yaml(store, env, actor):
    install(store, env, ("alpha", "beta"), actor=actor)

    entry = remove(store, env, ("Alpha", "GAMMA"), actor=actor)

    assert installed(env) == {"beta": "1.5"}
    assert entry.asked == (Asked(tool="venvoy", verb="remove", names=("alpha", "gamma")),)
    assert store.environment("demo").packages == ("beta",)
    assert "alpha" not in wanted(store.history("demo").entries())


def test_what_is_not_installed_cannot_be_removed_and_nothing_else_is(store, env, actor):
    with pytest.raises(InvalidInput, match="alpha, nothing is not installed in 'demo'"):
        remove(store, env, ("gamma", "nothing", "alpha"), actor=actor)

    assert installed(env) == {"gamma": "1.0"}


def test_another_environment_that_is_active_is_left_alone(store, env, make, actor, monkeypatch):
    other = make("other")
    monkeypatch.setenv("VIRTUAL_ENV", str(other.prefix))
    monkeypatch.setenv("UV_PYTHON", str(other.python))
    monkeypatch.setenv("CONDA_PREFIX", str(other.prefix))

    install(store, env, ("alpha",), actor=actor)

    assert ("alpha" in installed(env), "alpha" in installed(other)) == (True, False)


def test_an_environment_whose_interpreter_is_gone_says_so(store, env, actor):
    env.python.resolve()
    (env.prefix / "bin/python").unlink()

    with pytest.raises(CommandFailed):
        install(store, env, ("alpha",), actor=actor)

    assert Path(store.folder("demo") / "config.yaml").exists()


def test_the_requirements_file_says_the_same_so_that_a_rebuild_keeps_it(store, make, wheelhouse, actor):
    for name in ("alpha", "beta", "gamma"):
        wheelhouse.add(name)
    env = make("demo", "alpha  # the first")

    install(store, env, ("beta>=1",), actor=actor)
    install(store, env, ("gamma",), actor=actor, dev=True)
    remove(store, env, ("alpha",), actor=actor)

    assert (store.folder("demo") / "requirements.txt").read_text() == "beta>=1\n"
    assert (store.folder("demo") / "requirements-dev.txt").read_text() == "gamma\n"
    rebuilt = create(store, Plan(name="demo", force=True), actor=actor)
    assert set(installed(rebuilt)) == {"beta", "gamma"}


def test_entries_over_several_lines_are_replaced_whole(store, make, wheelhouse, actor):
    wheelhouse.add("alpha")
    env = make("demo")
    listed = store.folder("demo") / "requirements.txt"
    listed.write_text(f"# pinned\nalpha==1.0 \\\n    --hash=sha256:{'0' * 64}\n")

    install(store, env, ("alpha",), actor=actor)

    assert listed.read_text() == "# pinned\nalpha\n"
