"""The files of an environment against what was recorded when they were installed."""

import subprocess
from pathlib import Path

import pytest
import uv

from venvoy import inventory
from venvoy.inventory.recorded import audit, rows, tree


@pytest.fixture
def env(make, wheels):
    for name in ("alpha", "beta"):
        wheels.add(name, files={f"{name}/data.txt": name * 1000}, scripts={name: f"{name}:main"})
    return make("demo", "alpha", "beta")


def audited(env, *, aside: bool = True):
    generation = env.prefix.with_name(f".{env.prefix.name}-{env.generation}")
    return audit(
        inventory.site_folders(env.prefix),
        inventory.distributions(env.prefix),
        written_for={str(env.prefix): str(generation)} if aside else {},
    )


def site(env) -> Path:
    return inventory.site_folders(env.prefix)[0]


def rewrite(file: Path, text: str) -> None:
    """As an editor does: uv's cache may hold the same file."""
    file.unlink()
    file.write_text(text)


def found(env) -> list[tuple[str, str, str]]:
    return [(each.kind, each.distribution, each.path.name) for each in audited(env).deviations]


def test_an_untouched_environment_has_no_deviations(env):
    result = audited(env)

    assert result.deviations == ()
    assert result.files > 100  # pip's own among them
    assert result.size > 1_000_000
    assert not any("script" in reason for reason in result.excluded)


@pytest.mark.parametrize("maker", ["uv", "venv"])
def test_a_venv_of_other_hands_has_none_either(maker, python, tmp_path, wheels, wheelhouse):
    prefix = tmp_path / "theirs"
    wheels.add("alpha", scripts={"alpha": "alpha:main"})
    if maker == "uv":
        subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, prefix], check=True)
        subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", prefix, "pip"], check=True)
    else:
        subprocess.run([python, "-m", "venv", prefix], check=True)
    subprocess.run([prefix / "bin/python", "-m", "pip", "install", "--quiet", "alpha"], check=True)

    result = audit(inventory.site_folders(prefix), inventory.distributions(prefix), written_for={})

    assert result.deviations == ()
    assert result.files > 100


def test_what_is_compiled_on_import_is_no_deviation(env):
    subprocess.run([env.python, "-c", "import alpha, beta, pip"], check=True)

    assert audited(env).deviations == ()


@pytest.mark.parametrize(
    ("fault", "deviation"),
    [
        (lambda place: rewrite(place / "alpha/data.txt", "beta"), ("changed", "alpha", "data.txt")),
        (lambda place: (place / "alpha/__init__.py").unlink(), ("missing", "alpha", "__init__.py")),
        (lambda place: (place / "alpha/more.py").write_text(""), ("extra", "", "more.py")),
        (lambda place: (place / "sitecustomize.py").write_text("x = 1"), ("extra", "", "sitecustomize.py")),
        (lambda place: (place / "evil.pth").write_text("import os"), ("extra", "", "evil.pth")),
    ],
)
def test_a_fault_is_found_and_named(env, fault, deviation):
    fault(site(env))

    assert found(env) == [deviation]


def test_a_script_is_compared_as_it_was_recorded(env):
    script = env.prefix / "bin/alpha"
    assert audited(env, aside=False).excluded["scripts that were written for another folder"] >= 1

    script.unlink()

    assert found(env) == [("missing", "alpha", "alpha")]


def test_the_same_wheel_gives_the_same_tree_in_another_environment_and_by_another_installer(env, make, wheels):
    other = make("other", "pip")
    subprocess.run([other.python, "-m", "pip", "install", "--quiet", "alpha"], check=True)

    def of(one):
        return {each.name: tree(each) for each in inventory.distributions(one.prefix)}

    assert of(env)["alpha"] == of(other)["alpha"]
    assert of(env)["alpha"] != of(env)["beta"]


def test_a_record_that_was_changed_with_its_file_changes_the_tree(env):
    alpha = next(each for each in inventory.distributions(env.prefix) if each.name == "alpha")
    before = tree(alpha)
    record = alpha.folder / "RECORD"
    first = next(row for row in rows(alpha) if not (row.excluded or row.script))

    rewrite(record, record.read_text().replace(f"{first.path},sha256=", f"{first.path},sha256=AAAA", 1))

    assert tree(alpha) != before


def test_a_record_of_garbage_is_no_crash(tmp_path, distribution):
    distribution(tmp_path, "odd", RECORD='a,sha256=!!,x\n"unclosed\nb,md5=x,1\n,,\n')
    one = inventory.distributions(tmp_path)[0]

    assert all(row.excluded for row in rows(one))
    assert tree(one) == ""
