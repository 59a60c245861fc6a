"""What activating a conda prefix changes is found out once, kept, and applied without a shell."""

from pathlib import Path

import pytest

from venvoy.actions import activation as room
from venvoy.actions.activation import activated, activation
from venvoy.actions.check import check
from venvoy.model import Environment, Job


@pytest.fixture
def prefix(env, store, tmp_path) -> Environment:
    from dataclasses import replace

    env = replace(env, runtime="conda")
    (env.prefix / "bin").mkdir(parents=True)
    (env.prefix / "conda-meta").mkdir()
    store.folder(env.name).mkdir(parents=True)
    return env


def script(env: Environment, name: str, text: str, folder: str = "activate.d") -> Path:
    file = env.prefix / "etc/conda" / folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_prefix_without_scripts_changes_nothing(store, prefix):
    assert activation(store, prefix) == room.Activation()
    assert activated(store, prefix, Job(argv=("python",))) == Job(argv=("python",))


def test_a_venv_is_left_alone(store, env):
    job = Job(argv=("python",))

    assert activated(store, env, job) is job


def test_variables_and_folders_of_scripts_are_applied(store, prefix):
    script(
        prefix, "a.sh", 'export GDAL_DATA="$CONDA_PREFIX/share/gdal"\nexport PATH="$CONDA_PREFIX/extra:$PATH:/behind"\n'
    )
    script(prefix, "b.sh", 'export SECOND="${GDAL_DATA}-2"\nunset LANG\n')
    script(prefix, "ignored.csh", "setenv NO 1\n")

    job = activated(store, prefix, Job(argv=("python",), variables={"OWN": "1"}))

    assert job.variables["GDAL_DATA"] == f"{prefix.prefix}/share/gdal"
    assert job.variables["SECOND"] == f"{prefix.prefix}/share/gdal-2"
    assert job.variables["OWN"] == "1"
    assert "NO" not in job.variables
    assert job.search == (prefix.prefix / "extra",)
    assert job.tools == (Path("/behind"),)


def test_what_packages_and_users_have_stated_counts_the_user_last(store, prefix):
    script(prefix, "p.json", '{"A": "package", "B": "package", "C": 3}', "env_vars.d")
    (prefix.prefix / "conda-meta/state").write_text('{"version": 1, "env_vars": {"B": "user", "D": "***unset***"}}')
    script(prefix, "broken.json", "{", "env_vars.d")

    assert activation(store, prefix).variables == {"A": "package", "B": "user", "D": None}


def test_scripts_run_once_and_again_when_they_change(store, prefix, tmp_path):
    count = tmp_path / "count"
    file = script(prefix, "a.sh", f"echo x >> {count}\nexport A=1\n")

    assert activation(store, prefix).variables["A"] == activation(store, prefix).variables["A"] == "1"
    assert count.read_text() == "x\n"

    file.write_text(f"echo x >> {count}\nexport A=2\n\n")
    assert activation(store, prefix).variables["A"] == "2"
    assert count.read_text() == "x\nx\n"


def test_what_is_kept_is_for_its_owner_alone(store, prefix):
    script(prefix, "a.sh", "export A=1\n")
    activation(store, prefix)

    assert (store.folder("demo") / "activation.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["exit 3\n", "set -e\nfalse\n", "kill -9 $$\n"])
def test_a_script_that_fails_is_told_and_the_rest_counts(store, prefix, text):
    script(prefix, "a.sh", text)
    script(prefix, "p.json", '{"A": "stated"}', "env_vars.d")

    found = activation(store, prefix)

    assert "activation scripts of 'demo' failed" in found.problem
    assert found.variables == {"A": "stated"}


def test_check_tells_it(store, prefix):
    script(prefix, "a.sh", "exit 3\n")

    assert "activation-failed" in {each.code for each in check(store, prefix)}


def test_a_script_that_waits_for_an_answer_gets_none(store, prefix):
    script(prefix, "a.sh", 'read answer\nexport GOT="[$answer]"\n')

    assert activation(store, prefix).variables["GOT"] == "[]"


def test_values_may_have_any_form(store, prefix):
    script(prefix, "a.sh", "export A='one\ntwo = \"three\"'\nexport B=''\n")

    assert activation(store, prefix).variables == {"A": 'one\ntwo = "three"', "B": ""}
