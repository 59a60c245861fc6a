"""What a Binder service does with `binder/`: build in a fresh environment, then open the notebook."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import uv
from ruamel.yaml import YAML

pytestmark = [pytest.mark.network, pytest.mark.slow]

ROOT = Path(__file__).parents[1]


def test_post_build_makes_the_kernel_that_the_notebook_names_and_the_notebook_runs(tmp_path):
    repository = tmp_path / "repository"
    ignored = shutil.ignore_patterns(".git", ".venv", "*_cache", "node_modules")
    shutil.copytree(ROOT, repository, ignore=ignored)
    fresh = tmp_path / "fresh"
    subprocess.run([uv.find_uv_bin(), "venv", "-q", "--seed", "--python", "3.11", fresh], check=True)
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VENVOY_", "JUPYTER_"))}
    variables = kept | {"HOME": str(home), "PATH": f"{fresh}/bin:{os.environ['PATH']}", "VIRTUAL_ENV": str(fresh)}

    subprocess.run([repository / "binder/postBuild"], cwd=repository, env=variables, check=True)
    run = [fresh / "bin/jupyter-execute", "--inplace", repository / "binder/demo.ipynb"]
    subprocess.run(run, env=variables, cwd=repository, check=True)

    executed = (repository / "binder/demo.ipynb").read_text("utf-8")
    assert "error × √points" in executed
    assert "locked with url and hash" in executed


def test_the_notebook_names_the_kernel_that_post_build_makes():
    notebook = json.loads((ROOT / "binder/demo.ipynb").read_text("utf-8"))

    assert notebook["metadata"]["kernelspec"]["name"] == "venvoy-quickstart"
    assert "venvoy init quickstart" in (ROOT / "binder/postBuild").read_text("utf-8")


def test_the_environment_brings_jupyterlab():
    said = YAML(typ="safe").load((ROOT / "binder/environment.yml").read_text("utf-8"))

    assert any(str(each).startswith("jupyterlab") for each in said["dependencies"])
