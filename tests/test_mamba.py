"""The stand-in for conda, mamba and micromamba: what notebooks ask of them, with the answers and exit codes of conda."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from venvoy.model import Environment


@pytest.fixture
def env(make_conda) -> Environment:
    return make_conda("demo", "marker=1.0", "generic-one")


@pytest.fixture
def mamba(env) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run it in the active environment."""

    def ran(*words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        active = {"CONDA_PREFIX": str(env.prefix), "CONDA_DEFAULT_ENV": env.name}
        return subprocess.run(
            [sys.executable, "-m", "venvoy.frontends.mamba", *words],
            env={**os.environ, **active, **variables},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )

    return ran


def versions(mamba) -> dict[str, str]:
    return {each["name"]: each["version"] for each in json.loads(mamba("mamba", "list", "--json").stdout)}


@pytest.mark.parametrize("program", ["conda", "mamba", "micromamba"])
def test_packages_are_installed_and_removed(mamba, program):
    assert mamba(program, "install", "-y", "tool", "generic-two>=1").returncode == 0
    assert {"tool", "generic-two"} <= versions(mamba).keys()

    ran = mamba(program, "remove", "-y", "marker")
    assert ran.returncode == 0
    assert "- tool" in ran.stdout  # which needs it
    assert {"tool", "marker"}.isdisjoint(versions(mamba))


def test_what_is_there_is_kept_until_it_is_updated(mamba):
    mamba("mamba", "install", "-y", "tool")
    assert versions(mamba)["marker"] == "1.0"

    assert mamba("mamba", "install", "marker").stdout.strip().endswith("already installed.")
    assert mamba("mamba", "update", "-y", "marker").returncode == 0
    assert versions(mamba)["marker"] == "2.0"

    mamba("mamba", "install", "-y", "marker=1.0")
    assert mamba("mamba", "update", "--all", "-y").returncode == 0


def test_a_dry_run_changes_nothing(mamba):
    ran = mamba("mamba", "install", "--dry-run", "tool")

    assert "+ tool" in ran.stdout
    assert "tool" not in versions(mamba)


def test_json_is_all_that_is_printed(mamba):
    said = json.loads(mamba("conda", "install", "--json", "-y", "tool").stdout)

    assert said["success"]
    assert [each["name"] for each in said["actions"]["LINK"]] == ["tool"]
    assert said["actions"]["LINK"][0]["channel"] == "conda-forge"
    assert json.loads(mamba("conda", "info", "--json").stdout)["channels"] == ["https://conda.anaconda.org/conda-forge"]


def test_a_file_of_specs_is_read(mamba, tmp_path):
    file = tmp_path / "specs.txt"
    file.write_text("# these\ngeneric-three\n\ngeneric-four>=1\n")

    assert mamba("mamba", "install", "-y", "--file", str(file)).returncode == 0
    assert {"generic-three", "generic-four"} <= versions(mamba).keys()


def test_the_environment_is_exported(mamba):
    assert "  - marker=1.0=py_0\n" in mamba("conda", "env", "export").stdout
    assert "  - marker==1.0\n" in mamba("conda", "env", "export", "--no-builds").stdout
    wishes = mamba("conda", "env", "export", "--from-history").stdout
    assert "  - marker=1.0\n" in wishes
    assert "tzdata" not in wishes


def test_other_prefixes_are_named(mamba, make_conda, env):
    other = make_conda("other", "generic-one")

    assert mamba("mamba", "install", "-y", "-n", "other", "generic-two").returncode == 0
    assert mamba("mamba", "install", "-y", "-p", str(other.prefix), "generic-three").returncode == 0

    records = {each.name for each in (other.prefix / "conda-meta").glob("generic-t*.json")}
    assert records == {"generic-two-1.0-0.json", "generic-three-1.0-0.json"}
    assert not list((env.prefix / "conda-meta").glob("generic-t*.json"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("install", "-y", "nonesuch"), "nonesuch"),
        (("install", "-y", "marker=1.0", "tool=9"), "tool"),
        (("install", "-y", "marker=1.0", "marker=2.0", "tool"), r"marker 1\.0\.\*,2\.0\.\*"),
        (("install", "-y", "a b c d e["), "match spec|bracket|cannot install"),
        (("remove", "-y", "nonesuch"), "nonesuch"),
        (("install",), "No package is named"),
        (("install", "-n", "nowhere", "tool"), "no environment is named 'nowhere'"),
        (("install", "-p", "/nonexistent", "tool"), "is no conda prefix"),
        (("env", "create"), "env export"),
        (("install", "--file", "/nonexistent", "x"), "cannot read /nonexistent"),
    ],
)
def test_what_cannot_be_done_is_said_and_changes_nothing(mamba, words, complaint):
    before = versions(mamba)

    ran = mamba("mamba", *words)

    assert ran.returncode == 1
    assert re.search(complaint, ran.stderr)
    assert "Traceback" not in ran.stderr
    assert versions(mamba) == before


def test_what_is_read_only_is_left_alone(mamba, store, env):
    store.save(replace(store.environment("demo"), read_only=True))

    ran = mamba("conda", "install", "-y", "tool")

    assert ran.returncode == 1
    assert "adopted read only" in ran.stderr
    assert "tool" not in versions(mamba)


def test_offline_takes_what_is_in_the_cache(mamba):
    assert mamba("mamba", "install", "-y", "generic-five").returncode == 0
    mamba("mamba", "remove", "-y", "generic-five")

    assert mamba("mamba", "install", "-y", "--offline", "generic-five").returncode == 0


def test_importing_it_is_quick_enough_for_a_list(env):
    slow = {"requests", "ruamel.yaml", "rattler", "cyclonedx", "IPython", "jupyter_client", "rich"}
    program = f"import sys, venvoy.frontends.mamba; print(sorted({slow!r} & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert ran.stdout.strip() == "[]"
