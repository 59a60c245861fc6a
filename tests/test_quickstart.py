"""The main job once, as `install.sh` runs it on a fresh machine."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from packaging import pylock

pytestmark = [pytest.mark.network, pytest.mark.slow, pytest.mark.xdist_group("quickstart")]


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    variables = os.environ | {"HOME": str(home), "NO_COLOR": "1"}
    for name in ("VENVOY_HOME", "VENVOY_PROJECTS", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR"):
        variables.pop(name, None)
    run = subprocess.run(
        [sys.executable, "-m", "venvoy", "quickstart"], env=variables, capture_output=True, text=True, check=False
    )
    return run, home


def test_it_says_that_all_went_well(done):
    run, _ = done

    assert run.returncode == 0, run.stderr
    assert "\x1b" not in run.stdout + run.stderr


def test_the_notebook_was_really_executed(done):
    _, home = done

    notebook = nbformat.read(home / "venvoy-projects/quickstart/demo.ipynb", as_version=4)

    printed = "".join(output.get("text", "") for cell in notebook.cells for output in cell.get("outputs", ()))
    assert "error × √points" in printed
    assert str(home / ".venvoy/environments/quickstart") in printed


def test_what_a_cell_installed_is_on_record_and_locked(done):
    _, home = done
    project = home / "venvoy-projects/quickstart"

    lock = pylock.Pylock.from_dict(tomllib.loads((project / "pylock.toml").read_text("utf-8")))

    assert "- tabulate==" in (project / "environment.yml").read_text("utf-8")
    assert {each.name for each in lock.packages} == {"pip", "tabulate"}
    assert all(each.wheels and each.wheels[0].hashes["sha256"] for each in lock.packages)


def test_the_log_knows_that_a_cell_asked_for_it(done):
    _, home = done

    lines = (home / "venvoy-projects/quickstart/.venvoy/log.jsonl").read_text("utf-8").splitlines()

    asked = [json.loads(line) for line in lines if "tabulate" in line]
    assert asked[0]["actor"]["kind"] == "cell"
    assert asked[0]["asked"][0]["names"] == ["tabulate"]


def test_the_restored_environment_has_the_same_packages(done):
    _, home = done

    listed = [_freeze(home / f".venvoy/environments/{name}/prefix") for name in ("quickstart", "quickstart-copy")]

    assert "tabulate==" in listed[0]
    assert listed[0] == listed[1]


def _freeze(prefix: Path) -> str:
    command = [prefix / "bin/python", "-m", "pip", "freeze", "--all"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_the_same_is_done_with_a_conda_environment(channel, settings):
    run = subprocess.run(
        [sys.executable, "-m", "venvoy", "quickstart", "--runtime", "conda"],
        env=os.environ | {"NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stderr
    project = settings.projects / "quickstart"
    text = (project / "environment.yml").read_text("utf-8")
    assert "- python==3.12" in text
    assert "- tabulate==" in text
    assert "manager: pip" in (project / "conda-lock.yml").read_text("utf-8")
    assert "same names, same versions" in run.stdout
