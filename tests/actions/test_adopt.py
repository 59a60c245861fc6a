"""Any venv can be taken as it is, and stays as it is."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import uv

from venvoy.actions.adopt import adopt
from venvoy.actions.check import check
from venvoy.actions.record import recorded
from venvoy.errors import EnvironmentExists, InvalidInput, RuntimeUnavailable


@pytest.fixture(params=["venv", "uv"])
def theirs(request, tmp_path, python, light) -> Path:
    """A venv that somebody made, with a package in it."""
    folder = tmp_path / "thesis" / ".venv"
    make = [python, "-m", "venv", "--without-pip"] if request.param == "venv" else [uv.find_uv_bin(), "venv", "--quiet"]
    subprocess.run([*make, folder], check=True)
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", folder / "bin/python", "marker==1.0"]
    subprocess.run(install, check=True)
    return folder


@pytest.fixture
def plain(tmp_path, python) -> Path:
    folder = tmp_path / "plain"
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    return folder


def everything(folder: Path) -> dict[str, object]:
    """Each file with its content and the time of its last change, each folder with its time."""
    return {
        str(each): (each.lstat().st_mtime_ns, each.read_bytes() if each.is_file() else b"")
        for each in sorted((folder, *folder.rglob("*")))
    }


def test_it_gets_its_projects_name_and_a_record_and_is_not_changed(store, theirs, actor):
    before = everything(theirs)

    env = adopt(store, theirs, name=None, actor=actor)

    assert everything(theirs) == before
    assert (env.name, env.prefix, env.adopted) == ("thesis", theirs, True)
    assert store.environment("thesis") == env
    history = store.history("thesis")
    assert [each.name for each in recorded(history, history.last()).packages] == ["marker"]
    assert check(store, env) == ()


@pytest.mark.parametrize(
    ("place", "name"),
    [("my project (old)", "my-project-old"), ("_x_", "x"), ("a" * 80, "a" * 64), ("Daten.2026", "Daten.2026")],
)
def test_a_folder_whose_name_is_none_for_an_environment_gives_one_that_is(store, plain, actor, place, name):
    plain = plain.rename(plain.with_name(place))

    assert adopt(store, plain, name=None, actor=actor).name == name


def test_the_way_to_it_may_be_written_in_any_form(store, plain, actor, monkeypatch):
    (plain.parent / "elsewhere").mkdir()
    monkeypatch.chdir(plain.parent / "elsewhere")

    assert adopt(store, Path("../plain"), name=None, actor=actor).prefix == plain


def test_a_folder_that_is_no_venv_is_refused(store, tmp_path, actor):
    with pytest.raises(InvalidInput, match=r"is neither a venv \(it has no pyvenv.cfg\) nor a conda prefix"):
        adopt(store, tmp_path, name=None, actor=actor)


def test_the_same_venv_is_not_adopted_twice_also_through_a_link(store, plain, actor, tmp_path):
    adopt(store, plain, name="one", actor=actor)
    (tmp_path / "link").symlink_to(plain)

    with pytest.raises(EnvironmentExists, match="is the environment 'one' already"):
        adopt(store, tmp_path / "link", name="two", actor=actor)


def test_what_venvoy_made_is_not_adopted_either(store, init, light, actor):
    env = init()

    with pytest.raises(EnvironmentExists, match="is the environment 'demo' already"):
        adopt(store, env.prefix.resolve(), name="two", actor=actor)


def test_a_name_that_is_taken_is_refused_with_the_way_out(store, init, light, plain, actor):
    env = init()

    with pytest.raises(EnvironmentExists) as refused:
        adopt(store, plain, name="demo", actor=actor)

    assert f"venvoy adopt {plain} --name OTHER" in refused.value.hint
    assert store.environment("demo") == env


def test_a_venv_whose_interpreter_is_gone_is_refused_and_leaves_nothing(store, plain, actor):
    (plain / "bin/python").unlink()
    (plain / "bin/python").symlink_to("/nowhere/python3")

    with pytest.raises(RuntimeUnavailable, match="is gone"):
        adopt(store, plain, name=None, actor=actor)

    assert (store.names(), store.project("plain").exists()) == ((), False)


def test_what_cannot_be_recorded_is_not_adopted(store, plain, actor):
    store.settings.projects.touch()

    with pytest.raises(OSError, match="venvoy-projects"):
        adopt(store, plain, name=None, actor=actor)

    assert (store.names(), store.folder("plain").exists()) == ((), False)


def test_one_broken_environment_does_not_keep_others_out(store, plain, init, light, actor):
    init()
    (store.folder("demo") / "config.yaml").write_text("name: [")

    assert adopt(store, plain, name=None, actor=actor).name == "plain"


def test_a_venv_that_was_moved_is_found_again_under_its_name(store, plain, actor, tmp_path):
    env = adopt(store, plain, name="mine", actor=actor)
    store.save(replace(env, packages=("marker",), env_file=(Path("/secret/.env"),)))
    shutil.move(plain, tmp_path / "moved")

    moved = adopt(store, tmp_path / "moved", name="mine", actor=actor)

    assert moved == replace(env, prefix=tmp_path / "moved", packages=("marker",), env_file=(Path("/secret/.env"),))
    assert store.environment("mine") == moved
    assert len(store.history("mine").entries()) == 1
