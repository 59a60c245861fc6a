"""`venvoy package-managers`: small scripts on PATH stand for the programs, as they answer to --version."""

import json
import os
import time
from pathlib import Path

import pytest

from venvoy.actions.package_managers import conda_program, package_managers
from venvoy.settings import current
from venvoy.store import Store

ANSWERS = {
    "micromamba": "2.3.0",
    "mamba": "mamba 1.5.8\nconda 23.11.0",
    "conda": "conda 24.9.2",
    "pixi": "pixi 0.63.2",
}
ABSENT = "venvoy-no-such-engine"
PRESENT = "click"


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "programs"
    made.mkdir()
    return made


def program(folder, name, answer="", *, body=""):
    """A script that prints `answer`, or does what `body` says."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    told = f"[ \"$*\" = --version ] && printf '%s\\n' '{answer}'"
    path.write_text(f"#!/bin/sh\n{body or told}\n")
    path.chmod(0o755)
    return path


def shown(user, *folders, **variables):
    """The rows of the command by name, with those folders alone before the system's."""
    path = os.pathsep.join([*map(str, folders), "/usr/bin", "/bin"])
    rows = user.json("package-managers", **{"PATH": path, **variables})["managers"]
    return {row["name"]: row for row in rows}


def found(home, *folders, monkeypatch, embedded=ABSENT):
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)) or str(home / "nothing"))
    for variable in ("CONDA_EXE", "MAMBA_EXE"):
        monkeypatch.delenv(variable, raising=False)
    rows = package_managers(Store(current({"HOME": str(home)})), embedded=embedded)
    return {row.name: row for row in rows}


def without_conda_of_this_machine():
    there = [name for name in ANSWERS if Path("/opt/conda/bin", name).exists()]
    if there:
        pytest.skip(f"not obtainable: a machine without /opt/conda/bin/{there[0]}")


# --- what is found ---------------------------------------------------------------------------------------------------


def test_programs_on_path_are_shown_with_path_and_version(user, folder):
    paths = {name: program(folder, name, answer) for name, answer in ANSWERS.items()}

    rows = shown(user, folder)

    assert {name: rows[name]["path"] for name in ANSWERS} == {name: str(path) for name, path in paths.items()}
    assert [rows[name]["version"] for name in ANSWERS] == ["2.3.0", "1.5.8", "24.9.2", "0.63.2"]
    assert all(rows[name]["usable"] for name in ANSWERS)


def test_uv_is_the_one_that_venvoy_came_with(user, folder):
    program(folder, "uv", "uv 9.9.9")

    row = shown(user, folder)["uv"]

    assert row["version"] != "9.9.9"
    assert (row["usable"], row["role"], row["reason"]) == (True, "PyPI packages", "it comes with venvoy")


def test_pip_is_for_what_uv_cannot_fetch(user, folder):
    path = program(folder, "pip", "pip 25.0 from /usr/lib/python3/site-packages/pip (python 3.12)")

    row = shown(user, folder)["pip"]

    assert (row["path"], row["version"], row["role"]) == (str(path), "25.0", "what uv cannot fetch")


def test_for_people_it_is_two_sentences_and_a_table(user, folder):
    program(folder, "pixi", "pixi 0.63.2")

    lines = user.done("package-managers", PATH=f"{folder}:/usr/bin:/bin").splitlines()

    assert lines[0].startswith("conda packages: ")
    assert lines[1].startswith("PyPI packages: uv ")
    assert lines[3].split() == ["manager", "version", "usable", "used", "for", "why", "path"]
    assert [line.split()[0] for line in lines[4:]] == [
        "py-rattler",
        "micromamba",
        "mamba",
        "conda",
        "pixi",
        "uv",
        "pip",
    ]


@pytest.mark.parametrize(
    "place", ["miniforge3/bin", "miniconda3/bin", "mambaforge/bin", "micromamba/bin", ".local/bin", ".pixi/bin"]
)
def test_the_usual_places_below_the_home_are_looked_at(tmp_path, place, monkeypatch):
    path = program(tmp_path / place, "conda", "conda 24.9.2")

    assert found(tmp_path, monkeypatch=monkeypatch)["conda"].path == path


def test_conda_and_mamba_are_found_by_what_they_say_of_themselves(user, tmp_path):
    conda = program(tmp_path / "a/bin", "conda", "conda 24.9.2")
    micromamba = program(tmp_path / "b", "micromamba", "2.3.0")

    rows = shown(user, CONDA_EXE=str(conda), MAMBA_EXE=str(micromamba))

    assert (rows["conda"]["path"], rows["micromamba"]["path"]) == (str(conda), str(micromamba))
    assert rows["mamba"]["path"] != str(micromamba)


# --- what is not what it is called -----------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["pixi, version 1.0.1", "pixi 1.0.1", "1.0.1", "", "pixi 0.1.2 downloads pictures"])
def test_the_pixi_that_fetches_pictures_is_not_taken_for_the_real_one(user, folder, answer):
    program(folder, "pixi", answer)

    row = shown(user, folder)["pixi"]

    assert (row["usable"], row["version"], row["role"]) == (False, None, None)
    assert row["reason"] == "another program of that name: it does not answer as pixi does"


def test_a_program_that_fails_says_so_and_the_next_of_its_name_is_taken(user, folder, tmp_path):
    program(folder, "conda", body="echo 'pyenv: conda: command not found' >&2; exit 127")
    broken = shown(user, folder)["conda"]
    real = program(tmp_path / "later", "conda", "conda 24.9.2")

    mended = shown(user, folder, tmp_path / "later")["conda"]

    assert (broken["usable"], broken["reason"]) == (False, "conda exited with 127")
    assert (mended["usable"], mended["path"]) == (True, str(real))


def test_one_that_is_no_program_says_so(user, folder):
    (folder / "mamba").write_bytes(b"\x7fELF not really")
    (folder / "mamba").chmod(0o755)

    row = shown(user, folder)["mamba"]

    assert not row["usable"]
    assert row["reason"].startswith(f"cannot start {folder}/mamba: ")


def test_those_that_hang_are_waited_for_side_by_side(user, folder):
    for name in ANSWERS:
        program(folder, name, body="sleep 60")
    began = time.monotonic()

    rows = shown(user, folder)

    assert time.monotonic() - began < 4 * 5
    assert {rows[name]["reason"] for name in ANSWERS} == {f"{name} did not end within 5 seconds" for name in ANSWERS}


def test_a_stand_in_of_venvoy_s_own_is_not_taken_for_the_real_one(tmp_path, folder, monkeypatch):
    without_conda_of_this_machine()
    program(folder, "conda", body="exec venvoy install # conda 24.9.2")

    assert found(tmp_path, folder, monkeypatch=monkeypatch)["conda"].reason == "not found"


def test_a_real_conda_in_an_environment_of_venvoy_is_real(tmp_path, monkeypatch):
    folder = tmp_path / "venvoy"
    folder.mkdir()
    (folder / "sh").symlink_to("/bin/sh")
    program(folder, "conda", "conda 24.9.2").write_text(f"#!{folder}/sh\n/bin/echo conda 24.9.2\n")

    assert found(tmp_path, folder, monkeypatch=monkeypatch)["conda"].version == "24.9.2"


# --- which is used for what ------------------------------------------------------------------------------------------


def roles(rows):
    return {name: row.role for name, row in rows.items() if row.kind == "conda"}


def test_conda_packages_are_for_the_embedded_engine(tmp_path, folder, monkeypatch):
    for name, answer in ANSWERS.items():
        program(folder, name, answer)

    rows = found(tmp_path, folder, monkeypatch=monkeypatch, embedded=PRESENT)

    assert roles(rows) == {
        PRESENT: "conda packages",
        "micromamba": "%mamba in notebooks",
        "mamba": "%mamba in notebooks",
        "conda": "%conda in notebooks",
        "pixi": "",
    }
    assert rows["conda"].reason == "what is installed by it is recorded; venvoy itself uses its own engine"
    assert rows["pixi"].reason == "it works in projects of its own; their environments can be adopted"


@pytest.mark.parametrize("first", ["micromamba", "mamba", "conda"])
def test_without_it_the_first_real_program_is_known(tmp_path, folder, monkeypatch, first):
    without_conda_of_this_machine()
    for name in list(ANSWERS)[list(ANSWERS).index(first) :]:
        program(folder, name, ANSWERS[name])

    rows = found(tmp_path, folder, monkeypatch=monkeypatch)

    assert "conda packages" not in roles(rows).values()
    assert rows[ABSENT].reason == "not installed; add it: pip install 'venvoy[conda]'"
    assert conda_program(Store(current({"HOME": str(tmp_path)}))) == folder / first


def test_without_any_the_command_that_adds_one_is_named(tmp_path, monkeypatch):
    without_conda_of_this_machine()

    rows = found(tmp_path, monkeypatch=monkeypatch)

    assert set(roles(rows).values()) == {""}
    assert rows[ABSENT].reason == "not installed; add it: pip install 'venvoy[conda]'"
    assert conda_program(Store(current({"HOME": str(tmp_path)}))) is None


def test_beside_install_sh_it_is_install_sh_that_adds_one(tmp_path):
    from venvoy.managers.conda import extra

    (tmp_path / "venv-20261103T140200Z-42").mkdir()
    (tmp_path / "current").symlink_to("venv-20261103T140200Z-42")

    assert extra(str(tmp_path / "current")).startswith("sh install.sh --conda")
    assert extra(str(tmp_path)) == "pip install 'venvoy[conda]'"


def test_the_headline_without_an_engine_says_what_to_do(tmp_path, monkeypatch):
    without_conda_of_this_machine()
    from venvoy.frontends.views.package_managers import managers_view

    view = managers_view(tuple(found(tmp_path, monkeypatch=monkeypatch).values()))

    assert view.head.startswith(
        "conda packages: no engine is here; add it: pip install 'venvoy[conda]'\nPyPI packages: uv"
    )
    assert json.loads(json.dumps(view.data))["managers"][0]["role"] is None
