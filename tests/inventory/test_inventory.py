"""What one prefix says: its folders, their stamps, and the same answer that uv and Python itself give."""

import json
import os
import subprocess
import time
from pathlib import Path

import pytest
import uv

from venvoy import inventory
from venvoy.inventory import recorded, venv
from venvoy.inventory.damage import damages

FIFTY_AND_MORE = ("jupyterlab", "pandas", "requests", "zope.interface", "ruamel.yaml", "PyYAML")


def lay(site: Path, name: str, version: str = "1.0") -> Path:
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n")
    return info


@pytest.fixture
def site(tmp_path) -> Path:
    folder = tmp_path / "lib/python3.12/site-packages"
    folder.mkdir(parents=True)
    return folder


def named(prefix: Path) -> list[tuple[str, str]]:
    return [(each.name, each.version) for each in inventory.packages(prefix)]


@pytest.mark.timeout(20)
def test_a_pipe_in_the_place_of_any_file_keeps_nobody_waiting(tmp_path, site):
    whole, bare = lay(site, "whole"), lay(site, "bare")
    (bare / "METADATA").unlink()
    (tmp_path / "bin").mkdir()
    (tmp_path / "conda-meta").mkdir()
    pipes = (tmp_path / "pyvenv.cfg", tmp_path / "bin/run", tmp_path / "conda-meta/a-1-0.json", bare / "METADATA")
    for each in (
        *pipes,
        *(whole / name for name in ("RECORD", "INSTALLER", "WHEEL", "direct_url.json", "top_level.txt")),
    ):
        os.mkfifo(each)

    assert named(tmp_path) == [("whole", "1.0")]
    assert [(each.installer, each.tags, each.record) for each in inventory.distributions(tmp_path)] == [("", (), ())]
    assert venv.written_for(tmp_path) == {}
    assert [each.kind for each in damages((site,))] == ["husk"]
    assert recorded.audit((site,), inventory.distributions(tmp_path), written_for={}).files == 0


def test_an_empty_or_missing_prefix_has_nothing(tmp_path, site):
    assert (
        inventory.packages(tmp_path),
        inventory.packages(tmp_path / "gone"),
        inventory.stamp(tmp_path / "gone"),
    ) == ((), (), ())


def test_a_lib64_that_is_a_link_counts_once(tmp_path, site):
    lay(site, "a")
    (tmp_path / "lib64").symlink_to("lib")

    assert inventory.site_folders(tmp_path) == (site,)
    assert named(tmp_path) == [("a", "1.0")]


def test_a_lib64_of_its_own_is_read_too_and_lib_wins(tmp_path, site):
    lay(site, "a")
    lay(tmp_path / "lib64/python3.12/site-packages", "a", "2.0")
    lay(tmp_path / "lib64/python3.12/site-packages", "b")

    assert named(tmp_path) == [("a", "1.0"), ("b", "1.0")]


@pytest.mark.parametrize("line", ["version = 3.12.1", "version_info = 3.12.1.final.0"])
def test_the_folder_of_a_former_python_does_not_count(tmp_path, site, line):
    lay(site, "now")
    lay(tmp_path / "lib/python3.11/site-packages", "before")
    (tmp_path / "pyvenv.cfg").write_text(f"home = /usr/bin\n{line}\n")

    assert named(tmp_path) == [("now", "1.0")]


def test_a_free_threaded_pythons_folder_counts(tmp_path):
    lay(tmp_path / "lib/python3.13t/site-packages", "a")

    assert named(tmp_path) == [("a", "1.0")]


def test_of_two_versions_the_same_one_is_told_every_time(tmp_path, site):
    lay(site, "numpy", "2.0")
    lay(site, "numpy", "1.26")

    assert named(tmp_path) == [("numpy", "1.26")]
    assert inventory.names(tmp_path) == {"numpy": "1.26"}


def test_names_are_told_from_the_folders_alone_as_the_metadata_would(tmp_path, site):
    lay(site, "zope.interface", "7.0")
    lay(site, "typing_extensions", "4.0")
    (site / "husk-1.0.dist-info").mkdir()
    lay(site, "~ip", "1")

    assert inventory.names(tmp_path) == dict(named(tmp_path)) | {"~ip": "1"}


def test_five_hundred_distributions_are_all_there(tmp_path, site):
    for number in range(500):
        lay(site, f"package_{number:03}")

    assert [name for name, _ in named(tmp_path)] == [f"package-{number:03}" for number in range(500)]


# --- stamps ----------------------------------------------------------------------------------------------------------


def test_the_stamp_moves_when_a_package_comes_or_goes(tmp_path, site):
    stamps = [inventory.stamp(tmp_path)]
    info = lay(site, "a")
    os.utime(site, ns=(1, 1))
    stamps.append(inventory.stamp(tmp_path))
    (info / "METADATA").unlink()
    info.rmdir()
    stamps.append(inventory.stamp(tmp_path))

    assert len(set(stamps)) == 3


def test_the_stamp_rests_while_nothing_happens(tmp_path, site):
    lay(site, "a")
    before = inventory.stamp(tmp_path)
    inventory.packages(tmp_path)

    assert inventory.stamp(tmp_path) == before


def test_a_change_too_young_to_trust_is_unsettled(tmp_path, site):
    lay(site, "a")
    now = site.stat().st_mtime_ns

    assert inventory.unsettled(tmp_path, now=now + inventory.YOUNG - 1)
    assert not inventory.unsettled(tmp_path, now=now + inventory.YOUNG)


def test_half_removed_packages_are_unsettled_until_their_installer_must_have_died(tmp_path, site):
    (site / "~umpy").mkdir()
    now = site.stat().st_mtime_ns

    assert inventory.unsettled(tmp_path, now=now + inventory.AT_WORK - 1)
    assert not inventory.unsettled(tmp_path, now=now + inventory.AT_WORK)


# --- the others' answers ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(tmp_path_factory, pythons, _machine) -> Path:
    """An environment of a hundred real distributions."""
    prefix = tmp_path_factory.mktemp("real") / "env"
    python = pythons.get("3.12") or next(iter(pythons.values()))
    settings = {**os.environ, **_machine, "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "hardlink"}
    for argv in (
        ["venv", "--quiet", "--seed", "--python", python, prefix],
        ["pip", "install", "--quiet", "--python", prefix / "bin/python", *FIFTY_AND_MORE],
    ):
        subprocess.run([uv.find_uv_bin(), *argv], check=True, env=settings)
    return prefix


@pytest.mark.network
def test_uv_sees_the_same(real):
    argv = [uv.find_uv_bin(), "pip", "list", "--format", "json", "--python", real / "bin/python"]
    printed = subprocess.run(argv, check=True, capture_output=True).stdout

    assert named(real) == sorted((each["name"], each["version"]) for each in json.loads(printed))
    assert len(named(real)) > 60


@pytest.mark.network
def test_python_itself_sees_the_same(real):
    code = (
        "import importlib.metadata as m, json, re;"
        "print(json.dumps([[re.sub('[-_.]+', '-', d.name).lower(), d.version] for d in m.distributions()]))"
    )
    printed = subprocess.run([real / "bin/python", "-I", "-c", code], check=True, capture_output=True).stdout

    assert [list(each) for each in named(real)] == sorted(json.loads(printed))


@pytest.mark.network
def test_the_quick_answer_for_a_kernels_start_is_the_same(real):
    assert inventory.names(real) == dict(named(real))


@pytest.mark.network
def test_every_recorded_file_is_there(real):
    missing = [file for each in inventory.distributions(real) for file in each.record if not file.exists()]

    assert missing == []


@pytest.mark.network
def test_a_settled_environment_is_soon_settled(real):
    assert not inventory.unsettled(real, now=time.time_ns() + inventory.YOUNG)
