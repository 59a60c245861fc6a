"""Kernels in conda prefixes: activation, and installs by the commands that conda's users know."""

import os
import shutil
from ast import literal_eval
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from venvoy.actions.observe import observe
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("conda")


# --- the environment of the kernel -----------------------------------------------------------------------------------


def test_the_kernel_stands_in_the_activated_prefix_and_in_no_other(prefix, start):
    env = prefix("activated", "activating")

    live = start(
        env, env_vars={"VIRTUAL_ENV": "/other/venv", "CONDA_PREFIX": "/other/conda", "CONDA_OVERRIDE_CUDA": "12"}
    )

    said = literal_eval(live.run("import os, sys; (sys.prefix, dict(os.environ))").result)
    assert said[0] == str(env.prefix)
    assert said[1]["CONDA_PREFIX"] == str(env.prefix)
    assert said[1]["CONDA_DEFAULT_ENV"] == "activated"
    assert said[1]["CONDA_OVERRIDE_CUDA"] == "12"
    assert said[1]["ACTIVATING_DATA"] == f"{env.prefix}/share/data"
    assert said[1]["ACTIVATING_FLAG"] == "yes"
    assert "VIRTUAL_ENV" not in said[1]
    assert said[1]["PATH"].split(":")[:2] == [f"{env.prefix}/extra", f"{env.prefix}/bin"]
    assert live.run("!from-extra").stdout.strip() == "found"


def test_nobodys_startup_files_are_read(prefix, start, settings, tmp_path):
    env = prefix("quiet", "activating")
    touched = tmp_path / "touched"
    rc = tmp_path / "bashrc"
    rc.write_text(f"touch {touched}\n")
    (settings.user_home / ".bashrc").write_text(f"touch {touched}\n")

    live = start(env, env_vars={"BASH_ENV": str(rc), "ENV": str(rc)})

    assert live.run("1+1").result == "2"
    assert not touched.exists()


# --- installing ------------------------------------------------------------------------------------------------------

WAYS = {
    "%conda": ("%conda install -y generic-one", "generic-one"),
    "%mamba": ("%mamba install -y -c conda-forge generic-two", "generic-two"),
    "%micromamba": ("%micromamba install -y generic-three", "generic-three"),
    "!mamba": ("!mamba install -y generic-four", "generic-four"),
    "!conda, unasked": ("!conda install 'generic-five>=1'", "generic-five"),
}


@pytest.fixture
def told(store: Store) -> Callable[..., Any]:
    def last(env: Environment) -> Any:
        return store.history(env.name).entries()[-1]

    return last


@pytest.mark.parametrize("way", WAYS)
def test_what_condas_commands_install_lands_in_the_prefix_and_on_record(prefix, start, store, told, eventually, way):
    env = prefix("installing")
    command, name = WAYS[way]
    live = start(env)

    ran = live.run(command)

    assert ran.status == "ok", ran.text
    eventually(lambda: any(name in each.names for each in told(env).asked), within=20)
    entry = told(env)
    assert (entry.actor.kind, entry.actor.count) == ("cell", 1)
    # IPython has MAMBA_EXE do what %micromamba says.
    assert entry.asked[0].tool == command.lstrip("%!").split()[0].replace("micromamba", "mamba")
    [package] = [each for each in observe(store, env).packages if each.name == name]
    assert (package.ecosystem, package.channel) == ("conda", "https://conda.anaconda.org/conda-forge")


def test_what_is_removed_or_comes_from_the_index_is_on_record_too(prefix, start, store, told, eventually, wheels):
    env = prefix("changing", "marker")
    wheels.add("of-the-index")
    live = start(env)

    live.run(f"%pip install --no-index --find-links {wheels.folder} of-the-index")
    eventually(lambda: [each.names for each in told(env).asked] == [("of-the-index",)])
    ran = live.run("%conda remove -y marker")

    eventually(lambda: [each.verb for each in told(env).asked] == ["remove"])
    assert ran.status == "ok"
    found = {each.name: each.ecosystem for each in observe(store, env).packages}
    assert found["of-the-index"] == "pypi"
    assert "marker" not in found


def test_pip_over_conda_is_told_in_the_notebook(prefix, start, wheels):
    env = prefix("shadowing", "marker")
    wheels.add("marker", "3.0")
    live = start(env)

    ran = live.run(f"%pip install --no-index --find-links {wheels.folder} marker==3.0")
    ran2 = live.run("1")

    text = ran.text + ran2.text
    assert "marker 2.0 came from conda, and pip has put 3.0 in its place" in text
    assert "venvoy repair shadowing" in text


def test_a_real_mamba_is_used_where_there_is_one(prefix, start, tmp_path):
    env = prefix("real")
    for name in ("mamba", "conda"):
        file = tmp_path / "bin" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(f'#!/bin/sh\necho "the real {name}: $@"\n')
        file.chmod(0o755)
    live = start(env, env_vars={"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"})

    assert f"the real mamba: install --yes --prefix {env.prefix} six" in live.run("%mamba install six").text
    assert "the real conda: list" in live.run("!conda list").text


def test_an_adopted_prefix_runs_a_kernel_and_is_not_installed_into(prefix, start, store):
    env = prefix("adopted")
    store.save(replace(env, read_only=True))
    before = observe(store, env)
    live = start(env)

    ran = live.run("%conda install -y generic-six")

    assert "was adopted read only" in ran.text
    assert "read_only=false" in ran.text
    assert observe(store, env) == before


def test_the_kernel_survives_scripts_that_fail(prefix, start, store):
    env = prefix("failing")
    scripts = Path(env.prefix, "etc/conda/activate.d")
    scripts.mkdir(parents=True)
    (scripts / "a.sh").write_text("exit 3\n")

    assert start(env).run("1+1").result == "2"

    shutil.rmtree(scripts)
