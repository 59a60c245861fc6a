"""The interpreters of this machine: found, asked once, and named when the wanted one is not there."""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.actions.bases import base_of, interpreter, interpreters, without_environment
from venvoy.errors import InvalidInput, RuntimeUnavailable
from venvoy.model import Job
from venvoy.store import Store

FAKE = """#!/bin/sh
cat > /dev/null
echo '{said}'
echo asked >> {count}
"""


@pytest.fixture
def store(settings, tmp_path) -> Store:
    """A store that remembers nothing of other tests."""
    return Store(replace(settings, home=tmp_path / "fresh"))


@pytest.fixture
def fake(tmp_path):
    """Put an interpreter that says it is of a version into a folder: `fake("3.12.1", folder)`."""

    def made(version: str, folder: Path, *, name: str = "python3", **said: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        digits = version.split(".")
        answer = {
            "version": version,
            "abi": f"cp{digits[0]}{digits[1]}",
            "platform": "linux-x86_64",
            "libc": "",
            "digest": version,
            **said,
        }
        program = folder / name
        program.write_text(FAKE.format(said=json.dumps(answer), count=tmp_path / f"asked-{version}"))
        program.chmod(0o755)
        return program

    return made


@pytest.fixture
def only(tmp_path, monkeypatch, fake):
    """A machine that has only these versions: `only("3.9.18", "3.12.1")`."""

    def having(*versions: str) -> None:
        folders = [tmp_path / "path" / version for version in versions]
        for version, folder in zip(versions, folders, strict=True):
            fake(version, folder)
        for tool in ("sh", "cat"):
            (tmp_path / "tools").mkdir(exist_ok=True)
            (tmp_path / "tools" / tool).symlink_to(shutil.which(tool))
        monkeypatch.setenv("PATH", os.pathsep.join(map(str, (*folders, tmp_path / "tools"))))
        monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "no-pyenv"))
        monkeypatch.setenv("UV_PYTHON_INSTALL_DIR", str(tmp_path / "no-uv"))

    return having


# --- one interpreter -------------------------------------------------------------------------------------------------


def test_an_interpreter_says_what_it_is(store):
    base = base_of(store, Path(sys.executable))

    assert base.version == ".".join(map(str, sys.version_info[:3]))
    assert base.minor == ".".join(map(str, sys.version_info[:2]))
    assert base.abi.startswith(f"cp{sys.version_info[0]}{sys.version_info[1]}")
    assert base.platform.startswith(sys.platform)
    assert len(base.digest) == 64


def test_an_interpreter_is_asked_once_and_again_when_its_file_changed(store, fake, tmp_path):
    python = fake("3.12.1", tmp_path / "one")
    asked = tmp_path / "asked-3.12.1"

    first, second = base_of(store, python), base_of(store, python)
    os.utime(python, ns=(1, 1))
    third = base_of(store, python)

    assert first == second == third
    assert asked.read_text().count("asked") == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", "3", '{"version": "3.12.1"}', '{"surprise": 1}'])
def test_a_damaged_memory_is_asked_for_again(store, fake, tmp_path, damage):
    python = fake("3.12.1", tmp_path / "one")
    base = base_of(store, python)
    (memory,) = store.bases.iterdir()
    memory.write_text(damage)

    assert base_of(store, python) == base


def test_an_interpreter_that_is_gone_is_named(store, tmp_path):
    with pytest.raises(RuntimeUnavailable, match="python is gone"):
        base_of(store, tmp_path / "python")


@pytest.mark.parametrize(
    "script", ["#!/bin/sh\nexit 1\n", "#!/bin/sh\necho hello\n", "#!/bin/sh\necho []\n", "#!/nonexistent\n"]
)
def test_what_is_no_interpreter_is_named(store, tmp_path, script):
    program = tmp_path / "python"
    program.write_text(script)
    program.chmod(0o755)

    with pytest.raises(RuntimeUnavailable, match="python does not run"):
        base_of(store, program)


def test_two_paths_to_the_same_build_agree(store, tmp_path):
    link = tmp_path / "python"
    link.symlink_to(sys.executable)

    assert base_of(store, link).digest == base_of(store, Path(sys.executable)).digest


def test_an_active_environment_does_not_speak_for_the_interpreter(store, monkeypatch, tmp_path):
    (tmp_path / "platform.py").write_text("raise SystemExit('shadowed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONHOME", str(tmp_path))

    assert base_of(store, Path(sys.executable)).version == ".".join(map(str, sys.version_info[:3]))


# --- all of them -----------------------------------------------------------------------------------------------------


def test_the_newest_comes_first_and_prereleases_last(store, only):
    only("3.9.18", "3.14.0rc1", "3.13.0", "3.12.10", "3.12.9")

    assert [base.version for base in interpreters(store)] == ["3.13.0", "3.12.10", "3.12.9", "3.9.18", "3.14.0rc1"]


def test_what_no_kernel_runs_on_is_left_out(store, only, fake, tmp_path):
    only("3.8.18", "3.7.1", "3.12.1")
    fake("3.11.1", tmp_path / "path/3.7.1", name="python3.11", abi="pp311")

    assert [base.version for base in interpreters(store)] == ["3.12.1"]


def test_a_broken_one_does_not_hide_the_others(store, only, tmp_path):
    only("3.12.1", "3.11.1")
    (tmp_path / "path/3.12.1/python3").write_text("#!/bin/sh\nexit 1\n")

    assert [base.version for base in interpreters(store)] == ["3.11.1"]


def test_a_venv_on_the_path_is_no_base(store, only, tmp_path):
    only("3.12.1", "3.11.1")
    venv = tmp_path / "venv/bin"
    shutil.copytree(tmp_path / "path/3.11.1", venv)
    (venv.parent / "pyvenv.cfg").touch()
    os.environ["PATH"] = f"{venv}:{os.environ['PATH']}"

    assert [str(base.path) for base in interpreters(store)] == [
        f"{tmp_path}/path/3.12.1/python3",
        f"{tmp_path}/path/3.11.1/python3",
    ]


@pytest.mark.parametrize("place", [".pyenv/versions/3.12.1/bin", "miniforge3/bin", "miniconda3/envs/demo/bin"])
def test_pyenvs_and_condas_are_found_where_they_lie(store, only, fake, settings, monkeypatch, place):
    only()
    monkeypatch.delenv("PYENV_ROOT")
    folder = settings.user_home / place
    fake("3.12.1", folder)
    fake("3.12.1", folder, name="python")

    assert [base.path.parent for base in interpreters(store)] == [folder]


# --- choosing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "version"),
    [
        (None, "3.13.0"),
        ("", "3.13.0"),
        ("3", "3.13.0"),
        ("3.12", "3.12.10"),
        ("3.12.9", "3.12.9"),
        ("3.1", None),
        ("3.12.1", None),
        ("3.14", "3.14.0rc1"),
        ("3.14.0rc1", "3.14.0rc1"),
        (">=3.9", "3.13.0"),
        (">=3.9,<3.13", "3.12.10"),
        ("==3.12.*", "3.12.10"),
        ("~=3.12.5", "3.12.10"),
        ("!=3.13.0", "3.12.10"),
        ("<3.9", None),
    ],
)
def test_the_newest_that_fits_is_chosen(store, only, wanted, version):
    only("3.9.18", "3.12.9", "3.12.10", "3.13.0", "3.14.0rc1")

    if version:
        assert interpreter(store, wanted).version == version
    else:
        with pytest.raises(RuntimeUnavailable, match=f"there is no Python {wanted} on this machine"):
            interpreter(store, wanted)


def test_when_none_fits_those_that_there_are_are_listed_and_how_to_get_one(store, only, tmp_path):
    only("3.9.18", "3.12.9")

    with pytest.raises(RuntimeUnavailable) as missing:
        interpreter(store, "3.11")

    assert f"3.12.9     {tmp_path}/path/3.12.9/python3" in missing.value.hint
    assert f"3.9.18     {tmp_path}/path/3.9.18/python3" in missing.value.hint
    assert "python install 3.11" in missing.value.hint


def test_a_machine_without_any_python_says_so(store, only):
    only()

    with pytest.raises(RuntimeUnavailable, match="there is no Python for environments here"):
        interpreter(store, None)


@pytest.mark.parametrize("word", ["python", "3.x", "2.7.18", "three", ">=", "3.12-dev", "-3"])
def test_a_word_that_is_no_version_is_refused(store, word):
    with pytest.raises(InvalidInput, match="is not a Python version"):
        interpreter(store, word)


def test_a_path_is_taken_as_it_is(store, fake, tmp_path, monkeypatch):
    python = fake("3.12.1", tmp_path / "mine/bin", name="python")
    monkeypatch.chdir(tmp_path)

    assert {interpreter(store, each).path for each in (str(python), str(tmp_path / "mine"), "./mine/bin/python")} == {
        python
    }


def test_every_interpreter_of_this_machine_is_found(settings, tmp_path, pythons):
    found = {base.minor for base in interpreters(Store(replace(settings, home=tmp_path / "fresh")))}

    assert found >= {version for version in pythons if tuple(map(int, version.split("."))) >= (3, 9)}


def test_a_job_outside_any_environment_keeps_its_own_words(tmp_path):
    job = Job(argv=("uv",), variables={"A": "1"}, dropped=("MINE_*",), cwd=tmp_path, stdin="text")

    command = without_environment(job)

    assert (command.argv, command.variables, command.cwd, command.stdin) == (("uv",), {"A": "1"}, tmp_path, "text")
    assert {"MINE_*", "VIRTUAL_ENV*"} <= set(command.dropped)
