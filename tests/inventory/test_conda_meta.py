"""What records in conda-meta say, whoever wrote them, and what pip has made of it since."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import uv

from venvoy import inventory
from venvoy.inventory import conda_meta

URL = "https://conda.anaconda.org/conda-forge/noarch/plain-1.0-0.conda"
BY_RATTLER = {
    "build": "0", "build_number": 0, "depends": ["python >=3.9"], "constrains": ["other <2"], "name": "plain",
    "version": "1.0", "subdir": "noarch", "sha256": "a" * 64, "md5": "b" * 32, "size": 100, "fn": "plain-1.0-0.conda",
    "url": URL, "channel": "https://conda.anaconda.org/conda-forge/", "files": ["share/plain/README"],
    "paths_data": {"paths_version": 1, "paths": [
        {"_path": "share/plain/README", "path_type": "hardlink", "sha256": "c" * 64, "size_in_bytes": 3},
    ]},
    "requested_specs": ["plain >=1"],
}  # fmt: skip


@pytest.fixture
def lay(tmp_path):
    """Write a record: `lay(url=...)` says otherwise, None leaves away."""

    def laid(name: str = "plain-1.0-0.json", **other) -> Path:
        said = {key: each for key, each in {**BY_RATTLER, **other}.items() if each is not None}
        (tmp_path / "conda-meta").mkdir(exist_ok=True)
        (tmp_path / "conda-meta" / name).write_text(json.dumps(said, sort_keys=True))
        return tmp_path

    return laid


def only(prefix: Path):
    [package] = inventory.packages(prefix)
    return package


# --- who wrote them --------------------------------------------------------------------------------------------------


def test_a_record_of_rattler(lay):
    package = only(lay())

    assert (package.ecosystem, package.name, package.version, package.build) == ("conda", "plain", "1.0", "0")
    assert (package.channel, package.url) == ("https://conda.anaconda.org/conda-forge", URL)
    assert (package.sha256, package.md5, package.size) == ("a" * 64, "b" * 32, 100)
    assert (package.depends, package.constrains) == (("python >=3.9",), ("other <2",))
    assert package.direct is True


def test_a_record_of_conda(lay):
    prefix = lay(
        sha256=None, requested_specs=None, requested_spec="conda-forge::plain[version='>=1']", build_string="0",
        auth=None, dist_str="conda-forge/noarch::plain-1.0-0", schannel="conda-forge", channel="conda-forge",
        package_type="noarch_python", link={"source": "/opt/pkgs/plain-1.0-0", "type": 1}, license="MIT", arch=None,
    )  # fmt: skip

    package = only(prefix)

    assert (package.name, package.version, package.build, package.sha256) == ("plain", "1.0", "0", "")
    assert (package.channel, package.md5, package.direct) == (
        "https://conda.anaconda.org/conda-forge", "b" * 32, True,
    )  # fmt: skip


@pytest.mark.parametrize("said", [{"requested_spec": "None"}, {"requested_spec": ""}, {"requested_specs": []}, {}])
def test_a_package_that_nobody_asked_for(lay, said):
    package = only(lay(**{"requested_specs": None, **said}))

    assert package.direct is None


def test_a_record_of_old_lists_its_files_only(lay):
    prefix = lay(paths_data=None, build=None, build_string="0")

    [record] = conda_meta.records(prefix)

    assert [each.path for each in record.paths] == ["share/plain/README"]
    assert (record.build, record.tree) == ("0", "")


# --- what is none ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "3", "null", '"plain"', "[" * 100_000, '{"name": "plain"}', '{"name": 3, "version": "1"}',
             '{"name": "a\\u0000", "version": "1"}', '{"name": "\\ud800", "version": "1"}', "\x00\xff"]
)  # fmt: skip
def test_what_is_no_record_is_passed_over_and_named(lay, text):
    prefix = lay()
    file = prefix / "conda-meta/odd-1.0-0.json"
    file.write_text(text)

    assert only(prefix).name == "plain"
    assert conda_meta.broken(prefix) == (file,)


def test_what_is_not_meant_as_one_is_not_named(lay):
    prefix = lay()
    for name in (
        "history",
        "state",
        ".hidden.json",
        "pixi_env_prefix",
        "venvoy-unfinished",
        "initial-state.explicit.txt",
    ):
        (prefix / "conda-meta" / name).write_text("")

    assert conda_meta.broken(prefix) == ()


@pytest.mark.parametrize("odd", [3, "text", {}, [3], [None], [[]], True])
@pytest.mark.parametrize(
    "key", ["depends", "constrains", "files", "paths_data", "url", "channel", "size", "requested_specs", "sha256", "link"]
)  # fmt: skip
def test_a_field_that_is_of_another_kind_hurts_nobody(lay, key, odd):
    prefix = lay(**{key: odd, **({"paths_data": None} if key == "files" else {})})

    [record] = conda_meta.records(prefix)

    assert only(prefix).name == "plain"
    assert all(isinstance(each, str) for each in (*record.depends, *(path.path for path in record.paths), record.tree))


@pytest.mark.parametrize("paths", [3, [3], [{}], [{"_path": 3}], [{"_path": None}], [{"_path": "a", "sha256": []}]])
def test_paths_that_are_none_hurt_nobody(lay, paths):
    prefix = lay(paths_data={"paths": paths}, files=None)

    assert only(prefix).name == "plain"
    assert inventory.from_conda(prefix) == frozenset()


def test_a_folder_of_records_that_is_not_there_or_a_file(tmp_path):
    before = (conda_meta.is_prefix(tmp_path), conda_meta.records(tmp_path), conda_meta.unfinished(tmp_path))
    (tmp_path / "conda-meta").write_text("")

    assert before == (False, (), None)
    assert (conda_meta.is_prefix(tmp_path), conda_meta.records(tmp_path)) == (False, ())


# --- what only the owner should know ---------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [
    "https://user:sesame@conda.example/conda-forge", "https://conda.example/t/se-sa-me/conda-forge",
    "https://user:sesame@conda.example/t/se-sa-me/conda-forge", "https://conda.example/t/sesame/conda-forge",
])  # fmt: skip
@pytest.mark.parametrize("url", [True, False])
def test_users_passwords_and_tokens_are_left_out(lay, start, url):
    package = only(lay(url=f"{start}/noarch/plain-1.0-0.conda" if url else None, channel=start))

    assert package.channel == "https://conda.example/conda-forge"
    assert package.url in ("", "https://conda.example/conda-forge/noarch/plain-1.0-0.conda")
    assert "sesame" not in repr(package)
    assert "se-sa-me" not in repr(package)


def test_a_folder_named_t_is_no_token(lay):
    url = "file:///data/t/channels/noarch/plain-1.0-0.conda"

    assert only(lay(url=url)).url == url


# --- what pip has made of it -----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def conda_shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("conda")


@pytest.fixture
def prefix(conda_shelf, channel, tmp_path) -> Path:
    """A conda environment with Python, marker 1.0 and tool; it is made once, and then copied."""
    from venvoy.actions import conda
    from venvoy.engine.request import Request

    kept = conda_shelf / "prefix"
    if not kept.exists():
        specs = ("python=3.12", "marker=1.0", "tool", "placed")
        request = Request(verb="change", source=conda.source(()), prefix=str(kept), specs=specs)
        conda.ask(request, doing="cannot make it")
    return Path(shutil.copytree(kept, tmp_path / "prefix", symlinks=True))


def pip(prefix: Path, *words: str) -> None:
    argv = [uv.find_uv_bin(), "pip", *words, "--python", str(prefix / "bin/python"), "--break-system-packages"]
    subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "UV_LINK_MODE": "copy"})


def of(prefix: Path, name: str) -> list[tuple[str, str]]:
    return [(each.ecosystem, each.version) for each in inventory.packages(prefix) if each.name == name]


def test_a_distribution_in_a_conda_package_is_that_package(prefix):
    assert of(prefix, "marker") == [("conda", "1.0")]
    assert conda_meta.shadowed(prefix, conda_meta.records(prefix)) == ()
    assert inventory.from_conda(prefix) == {"marker", "tool"}


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_what_uv_puts_in_its_place_is_the_one_package(prefix, wheelhouse, version):
    wheelhouse.add("marker", version)

    pip(prefix, "install", "--reinstall", f"marker=={version}")

    assert of(prefix, "marker") == [("pypi", version)]
    assert [each.name for each in conda_meta.shadowed(prefix, conda_meta.records(prefix))] == ["marker"]
    assert inventory.from_conda(prefix) == {"tool"}


def test_what_uv_removes_is_not_there(prefix, wheelhouse):
    pip(prefix, "uninstall", "marker")

    assert of(prefix, "marker") == []
    assert [each.name for each in conda_meta.shadowed(prefix, conda_meta.records(prefix))] == ["marker"]


def test_what_uv_adds_is_a_package_beside_them(prefix, wheelhouse):
    wheelhouse.add("added", "3.0")

    pip(prefix, "install", "added")

    assert (of(prefix, "added"), of(prefix, "marker")) == ([("pypi", "3.0")], [("conda", "1.0")])


def test_a_package_that_was_built_by_pip_and_says_so_is_condas_still(prefix):
    from venvoy import files

    [record] = [each for each in conda_meta.records(prefix) if each.name == "marker"]
    info = (prefix / record.metadata).parent
    said = json.loads(record.file.read_text())
    (info / "INSTALLER").write_text("pip\n")
    for each in said["paths_data"]["paths"]:
        if each["_path"].endswith("/INSTALLER"):
            each["sha256"] = files.sha256(info / "INSTALLER")
    record.file.write_text(json.dumps(said))

    assert of(prefix, "marker") == [("conda", "1.0")]


def test_a_husk_that_pip_left_is_no_package(prefix):
    husk = inventory.site_folders(prefix)[0] / "husk-1.0.dist-info"
    husk.mkdir()
    (husk / "INSTALLER").write_text("pip\n")

    assert of(prefix, "husk") == []
