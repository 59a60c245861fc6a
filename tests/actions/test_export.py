"""An environment written down: which state, with which hashes, where to, and what is named because nobody can have it."""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import uv
from packaging import pylock
from rocrate.rocrate import ROCrate

from venvoy import inventory
from venvoy.actions.create import Plan, create
from venvoy.actions.export import Exported, Order, export
from venvoy.actions.freeze import freeze
from venvoy.actions.observe import observe
from venvoy.actions.points import Point, point
from venvoy.actions.record import record
from venvoy.actions.restore import How, restore
from venvoy.errors import CommandFailed, EnvironmentNotFound, InvalidInput
from venvoy.formats.registry import CONDA, FORMATS, UNHASHED
from venvoy.formats.requirements import python_of
from venvoy.formats.snapshot_json import SnapshotJson
from venvoy.model import Environment


@pytest.fixture
def online(light, mirror_index, make, python) -> Environment:
    """`demo` with tool, which needs marker, from a mirror of the public index."""
    light.add("tool", requires=("marker>=1",))
    return make("demo", "tool", "marker==1.0", python=python)


@pytest.fixture
def write(store, actor) -> Callable[..., Exported]:
    return lambda form="yaml", name="demo", **said: export(store, name, Order(form=form, **said), actor=actor)


@pytest.fixture
def notebook(tmp_path) -> Path:
    """A notebook that was run on data.csv, in a folder of its own."""
    folder = tmp_path / "study"
    folder.mkdir()
    (folder / "data.csv").write_text("1,2\n")
    times = {"iopub.execute_input": "2026-01-01T10:00:00.000000Z", "shell.execute_reply": "2026-01-01T10:00:05.000000Z"}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {"execution": times}, "outputs": [], "source": "1"}
    said = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "study.ipynb").write_text(json.dumps(said))
    return folder / "study.ipynb"


def install(env: Environment, *words: str) -> None:
    subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, *words], check=True)


def freezes(store) -> int:
    return [each.event for each in store.history("demo").entries()].count("freeze")


# --- which state, and its hashes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sorted(set(FORMATS) - UNHASHED - CONDA - {"renv"}))
def test_a_format_with_hashes_has_it_frozen_first_and_only_then(form, online, store, write, mirror_index):
    first = write(form)
    again = write(form)

    assert (first.locked, again.locked) == (True, False)
    assert freezes(store) == 1
    assert again.text == first.text
    assert first.lacking == ()
    assert [each.name for each in first.snapshot.packages] == ["marker", "pip", "tool"]
    assert mirror_index.address not in first.text


@pytest.mark.parametrize("form", sorted(UNHASHED))
def test_what_needs_no_hashes_asks_no_index(form, online, store, write, mirror_index):
    mirror_index.asked.clear()

    exported = write(form)

    assert not exported.locked
    assert freezes(store) == 0
    assert mirror_index.asked == []


def test_the_plain_words_are_those_of_the_record(online, store, write):
    assert write("yaml").text == store.history("demo").latest.read_text()
    assert write("lock").text == SnapshotJson().dump(observe(store, online))


def test_the_whole_state_has_the_hashes_that_the_last_freeze_knows(online, store, actor, write):
    lock = freeze(store, online, actor=actor)

    exported = json.loads(write("lock").text)

    assert {each["name"]: each["sha256"] for each in exported["packages"]} == {
        each.name: each.sha256 for each in lock.snapshot.packages
    }


def test_the_lock_is_byte_for_byte_the_one_of_the_freeze(online, store, actor, write):
    lock = freeze(store, online, actor=actor)

    assert write("pylock").text == lock.path.read_text()


def test_after_a_change_it_is_frozen_anew(online, store, write):
    write("requirements")
    install(online, "marker==2.0")

    exported = write("requirements")

    assert exported.locked
    assert "marker==2.0" in exported.text
    assert freezes(store) == 2


def test_what_is_there_for_development_alone_is_left_out_of_locks_and_named(online, store, write, light):
    light.add("helper")
    install(online, "helper")
    store.save(replace(online, packages=("tool", "marker"), dev_packages=("helper",)))

    exported = write("requirements")

    assert [each.name for each in exported.left_out] == ["helper"]
    assert "helper" not in exported.text
    assert "helper==1.0" in write("yaml").text
    assert [each["name"] for each in json.loads(write("lock").text)["packages"]] == ["helper", "marker", "pip", "tool"]


# --- there and back --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("form", ["yaml", "requirements", "pylock", "lock"])
def test_what_was_exported_gives_the_same_bytes_again_when_it_is_restored(
    form, frozen, online, store, actor, write, tmp_path, mirror_index
):
    if frozen:
        freeze(store, online, actor=actor)
    before = write(form).text
    source = tmp_path / FORMATS[form].filename
    source.write_text(before.replace("https://files.pythonhosted.org", mirror_index.address))

    # A file of requirements says its Python in a comment, which is not for an installer to read.
    python = python_of(before) or None
    made = restore(store, source, name="demo", actor=actor, force=True, how=How(python=python)).environment
    if frozen:
        freeze(store, made, actor=actor)

    assert made.generation != online.generation
    assert write(form).text == before


# --- a point of the past ---------------------------------------------------------------------------------------------


@pytest.fixture
def at(store, online) -> Callable[[str], Point]:
    return lambda text: point(store.history("demo"), text, look=lambda: observe(store, online))


def test_a_state_of_the_past_is_written_where_no_hash_is_needed(online, at, store, actor, write):
    install(online, "marker==2.0")
    record(store.history("demo"), lambda: observe(store, online), actor=actor)

    assert "marker==1.0" in write("yaml", point=at("1")).text
    assert "marker==2.0" in write("yaml", point=at("2")).text


def test_a_state_of_the_past_has_no_hashes_and_says_how_to_get_them(online, at, store, actor, write):
    freeze(store, online, actor=actor)
    install(online, "marker==2.0")
    record(store.history("demo"), lambda: observe(store, online), actor=actor)

    frozen = write("requirements", point=at("freeze"))

    assert "marker==1.0" in frozen.text
    with pytest.raises(InvalidInput, match="no hashes are known") as caught:
        write("requirements", point=at("3"))
    assert "venvoy restore --name demo --to" in caught.value.hint


def test_an_environment_that_is_not_there_is_named(write):
    with pytest.raises(EnvironmentNotFound):
        write("yaml", name="nobody")


# --- what cannot be had ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", sorted(set(FORMATS) - UNHASHED - CONDA - {"renv"}))
def test_what_nobody_else_can_fetch_is_named_with_the_reason(form, online, write, wheels, mirror_index):
    own = wheels.folder.parent / "own"
    own.mkdir()
    wheel = replace(wheels, folder=own).add("private", "1.0")
    install(online, "--no-deps", str(wheel))

    exported = write(form)

    (lacking,) = exported.lacking
    assert lacking.package.name == "private"
    assert "one machine" in lacking.reason
    assert "private" in exported.text
    assert str(own) not in exported.text


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_written_whole_and_its_digest_is_told(online, write, tmp_path):
    target = tmp_path / "environment.yml"
    target.write_text("old")

    exported = write("yaml", target=target)

    assert target.read_text() == exported.text
    assert exported.path == target
    assert exported.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    assert [each.name for each in tmp_path.glob(".environment*")] == []


def test_a_link_stays_one_and_its_file_is_written(online, write, tmp_path):
    (tmp_path / "real.yml").write_text("old")
    (tmp_path / "link.yml").symlink_to("real.yml")

    write("yaml", target=tmp_path / "link.yml")

    assert (tmp_path / "link.yml").is_symlink()
    assert "name: demo" in (tmp_path / "real.yml").read_text()


@pytest.mark.parametrize("kind", ["folder", "device", "pipe", "nowhere"])
def test_what_is_no_plain_file_is_never_written_over(kind, online, write, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    targets = {
        "folder": tmp_path,
        "device": Path("/dev/null"),
        "pipe": tmp_path / "pipe",
        "nowhere": tmp_path / "no/such/file",
    }

    with pytest.raises(InvalidInput) as caught:
        write("yaml", target=targets[kind])

    assert caught.value.hint
    assert not Path("/dev/null").is_file()
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    "said",
    [
        {"form": "tarball"},
        {"form": "yaml", "platforms": ("macos-arm64",)},
        {"form": "yaml", "notebooks": (Path("a.ipynb"),)},
        {"form": "rocrate", "inputs": (Path("a.csv"),)},
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_done(said, write):
    with pytest.raises(InvalidInput):
        write(**said)


# --- a research object -----------------------------------------------------------------------------------------------


def test_a_run_is_described_with_its_files_and_times_and_its_lock_lies_beside(online, write, notebook):
    folder = notebook.parent

    exported = write(
        "rocrate", target=folder / "ro-crate-metadata.json", notebooks=(notebook,), inputs=(folder / "data.csv",)
    )

    crate = ROCrate(folder)
    action = crate.get("#run-study.ipynb")
    assert action["endTime"] == "2026-01-01T10:00:05+00:00"
    assert [each.id for each in action["object"]] == ["study.ipynb", "data.csv"]
    assert exported.beside == folder / "pylock.toml"
    assert all((folder / each.id).is_file() for each in crate.data_entities)
    assert write("rocrate", target=exported.path, notebooks=(notebook,), inputs=(folder / "data.csv",)).beside is None


def test_beside_the_record_the_research_object_speaks_of_the_lock_that_is_there(online, store, write):
    project = store.project("demo")

    exported = write("rocrate", target=project / "ro-crate-metadata.json")

    assert exported.beside is None
    assert ROCrate(project).get("pylock.toml")["contentSize"] == str((project / "pylock.toml").stat().st_size)


def test_another_lock_is_not_written_over(online, write, notebook):
    (notebook.parent / "pylock.toml").write_text("mine")

    with pytest.raises(InvalidInput, match="another lock"):
        write("rocrate", target=notebook.parent / "ro-crate-metadata.json")

    assert (notebook.parent / "pylock.toml").read_text() == "mine"
    assert not (notebook.parent / "ro-crate-metadata.json").exists()


def test_a_notebook_that_shows_no_run_is_refused(online, write, notebook, tmp_path):
    target = notebook.parent / "ro-crate-metadata.json"
    said = json.loads(notebook.read_text())
    said["cells"][0]["execution_count"] = None
    (notebook.parent / "cleared.ipynb").write_text(json.dumps(said))
    (notebook.parent / "broken.ipynb").write_text('{"cells": 3}')
    (tmp_path / "outside.ipynb").write_text(notebook.read_text())

    for name, why in (("cleared", "never run"), ("broken", "not a notebook"), ("missing", "cannot read")):
        with pytest.raises(InvalidInput, match=why):
            write("rocrate", target=target, notebooks=(notebook.parent / f"{name}.ipynb",))
    with pytest.raises(InvalidInput, match="not in the folder"):
        write("rocrate", target=target, notebooks=(tmp_path / "outside.ipynb",))


def test_a_notebook_of_another_state_is_told_of(online, write, notebook):
    said = json.loads(notebook.read_text())
    said["metadata"]["venvoy"] = {"environment": "demo", "snapshot": "0" * 64}
    notebook.write_text(json.dumps(said))

    exported = write("rocrate", target=notebook.parent / "ro-crate-metadata.json", notebooks=(notebook,))

    assert exported.remarks == ("study.ipynb says that its last run was in another state of its environment",)


# --- the image -------------------------------------------------------------------------------------------------------


def test_the_image_that_somebody_chose_is_taken(online, store, write):
    official = write("dockerfile").text
    store.save(replace(online, base_image="docker.io/library/python:3.12-bookworm"))

    assert f"docker.io/library/python:{online.python_version}-slim\n" in official
    assert "docker.io/library/python:3.12-bookworm\n" in write("dockerfile").text


@pytest.mark.parametrize("form", ["dockerfile", "apptainer", "docker-compose"])
def test_an_image_is_not_made_of_files_for_another_system(form, online, store, actor, write):
    lock = freeze(store, online, actor=actor).path
    lock.write_text(lock.read_text().replace("linux-x86_64", "darwin-arm64").replace("linux-aarch64", "darwin-arm64"))

    with pytest.raises(InvalidInput, match="one of Linux") as caught:
        write(form)
    assert "--platform linux-x86_64" in caught.value.hint


# --- other platforms -------------------------------------------------------------------------------------------------


@pytest.fixture
def varied(light, mirror_index, make, python) -> Environment:
    """`demo` with app, which needs native (a wheel for each of some platforms) and on Windows also colour."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("not obtainable: another machine than x86-64 with Linux, and wheels made by hand for that alone")
    minor = subprocess.run(
        [python, "-c", "import sys; print('%d%d' % sys.version_info[:2])"], capture_output=True, text=True, check=True
    ).stdout.strip()
    cp = f"cp{minor}-cp{minor}"
    light.add("app", requires=("native", "colour; sys_platform == 'win32'"))
    light.add("native", "1.0", tag=f"{cp}-manylinux_2_17_x86_64")
    light.add("native", "1.0", tag=f"{cp}-win_amd64")
    light.add("native", "1.0", tag="cp27-cp27m-win_amd64")
    light.add("native", "2.0", tag=f"{cp}-win_amd64")
    light.add("colour", "3.0")
    return make("demo", "app", python=python)


def test_a_lock_for_other_platforms_has_the_files_of_each_and_no_more(varied, write, mirror_index):
    exported = write("pylock", platforms=("windows-x86_64", "linux-x86_64"))

    lock = pylock.Pylock.from_dict(tomllib.loads(exported.text))
    lock.validate()
    entries = {each.name: each for each in lock.packages}
    assert [str(each) for each in lock.environments] == [
        'sys_platform == "linux" and platform_machine == "x86_64"',
        'sys_platform == "win32" and platform_machine == "AMD64"',
    ]
    assert sorted(each.filename.rpartition("-")[2] for each in entries["native"].wheels) == [
        "manylinux_2_17_x86_64.whl",
        "win_amd64.whl",
    ]
    assert str(entries["native"].version) == "1.0"
    assert str(entries["colour"].marker) == 'sys_platform == "win32" and platform_machine == "AMD64"'
    assert entries["app"].marker is None
    assert exported.elsewhere.gaps == ()
    assert exported.elsewhere.added == (("colour", "3.0"),)
    assert mirror_index.address not in exported.text
    assert write("pylock", platforms=("linux-x86_64", "windows-x86_64")).text == exported.text


def test_what_a_platform_cannot_have_is_named_and_its_lock_is_without_it(varied, write):
    exported = write("pylock", platforms=("all",))

    gaps = {(each.name, each.platform) for each in exported.elsewhere.gaps}
    assert gaps == {("native", each) for each in ("linux-aarch64", "macos-arm64", "macos-x86_64")}
    said = tomllib.loads(exported.text)["tool"]["venvoy"]
    assert {each["platform"] for each in said["missing"]} == {"linux-aarch64", "macos-arm64", "macos-x86_64"}


def test_requirements_for_several_platforms_install_here(varied, write, tmp_path, pip_wheel, python):
    exported = write("requirements", platforms=("linux-x86_64", "windows-x86_64"), target=tmp_path / "all.txt")

    argv = [python, f"{pip_wheel}/pip", "install", "--require-hashes", "--no-deps", "-r", exported.path]
    ran = subprocess.run([*argv, "--target", tmp_path / "target"], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran
    assert {"app", "native"} <= {each.name for each in (tmp_path / "target").iterdir()}
    assert "colour==3.0 ; sys_platform == 'win32' and platform_machine == 'AMD64' \\\n" in exported.text
    assert not (tmp_path / "target/colour").exists()


def test_uv_installs_here_what_was_locked_for_several(varied, write, tmp_path, python, mirror_index):
    exported = write("pylock", platforms=("linux-x86_64", "windows-x86_64"))
    lock = tmp_path / "pylock.toml"
    lock.write_text(exported.text.replace("https://files.pythonhosted.org", mirror_index.address))
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, tmp_path / "venv"], check=True)

    argv = [uv.find_uv_bin(), "pip", "sync", "--quiet", "--python", tmp_path / "venv/bin/python", lock]
    subprocess.run(argv, check=True)

    assert sorted(each.name for each in (tmp_path / "venv").glob("lib/*/site-packages/*.dist-info")) == [
        "app-1.0.dist-info",
        "native-1.0.dist-info",
        "pip-99.0.dist-info",
    ]


def test_what_an_extra_brought_stays_although_no_snapshot_knows_of_extras(light, mirror_index, make, python, write):
    light.add("app", requires=("extra-part; extra == 'more'",))
    light.add("extra-part")
    make("demo", "app[more]", python=python)

    exported = write("pylock", platforms=("linux-x86_64",))

    assert {each["name"] for each in tomllib.loads(exported.text)["packages"]} >= {"app", "extra-part"}


def test_versions_that_do_not_fit_elsewhere_are_told_of(light, mirror_index, make, python, write):
    light.add("app", requires=("marker==1.0; sys_platform == 'linux'", "marker==2.0; sys_platform == 'win32'"))
    make("demo", "app", python=python)

    with pytest.raises(CommandFailed, match="cannot be resolved for windows-x86_64"):
        write("pylock", platforms=("windows-x86_64",))


def test_a_platform_that_there_is_not_is_named(online, write):
    with pytest.raises(InvalidInput, match="no platform 'amiga'") as caught:
        write("pylock", platforms=("amiga",))
    assert "linux-aarch64" in caught.value.hint


# --- the real index --------------------------------------------------------------------------------------------------


@pytest.mark.network
def test_what_is_exported_from_the_real_index_is_installed_by_pip_and_uv(store, actor, write, tmp_path, python):
    listed = tmp_path / "wanted.txt"
    listed.write_text("click==8.1.7\nmarkupsafe==3.0.2\n")
    env = create(store, Plan(name="demo", python=python, requirements=listed), actor=actor)
    write("requirements", target=tmp_path / "requirements.txt")
    write("pylock", target=tmp_path / "pylock.toml")
    write("requirements", target=tmp_path / "requirements.all.txt", platforms=("all",))
    exported = write("pylock", target=tmp_path / "pylock.all.toml", platforms=("all",))

    for file in ("requirements.txt", "requirements.all.txt", "pylock.toml", "pylock.all.toml"):
        checked = ("--require-hashes", "--no-deps") if file.endswith(".txt") else ()
        for installer in ("pip", "uv"):
            prefix = tmp_path / f"{installer}-{file}"
            subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, prefix], check=True)
            if installer == "uv":
                argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", prefix / "bin/python", *checked]
            else:
                pip = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", prefix / "bin/python", "pip>=26.1"]
                subprocess.run(pip, check=True)
                argv = [prefix / "bin/python", "-m", "pip", "install", "--quiet", *checked]
            subprocess.run([*argv, "-r", tmp_path / file], check=True)
            assert inventory.packages(prefix) == inventory.packages(env.prefix), (installer, file)
    assert exported.elsewhere.added == (("colorama", "0.4.6"),)
    assert exported.elsewhere.gaps == ()


@pytest.mark.parametrize("form", sorted(CONDA))
def test_what_conda_installs_from_is_not_made_of_a_venv(store, online, write, form):
    with pytest.raises(InvalidInput, match="'demo' is a venv"):
        write(form)

    assert [each.event for each in store.history("demo").entries()] == ["change"]
