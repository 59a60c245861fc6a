"""The files of a conda environment against what was recorded when they were linked."""

import json
import shutil
from pathlib import Path

import pytest

from venvoy.actions import conda
from venvoy.engine.request import Request
from venvoy.inventory import conda_files, conda_meta


@pytest.fixture(scope="session")
def conda_shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("conda-files")


@pytest.fixture
def make_prefix(conda_shelf, channel, tmp_path):
    """Bring a prefix to some specs, made once for all who ask for the same: `make_prefix("tool")`."""

    def made(*specs: str, at: Path | None = None) -> Path:
        place = at or conda_shelf / "-".join(specs)
        if not place.exists():
            request = Request(verb="change", source=conda.source(()), prefix=str(place), specs=specs)
            conda.ask(request, doing="cannot make it")
        return place if at else Path(shutil.copytree(place, tmp_path / "prefix", symlinks=True))

    return made


@pytest.fixture
def prefix(make_prefix) -> Path:
    return make_prefix("activating", "linking", "placed")


@pytest.fixture
def with_python(make_prefix) -> Path:
    return make_prefix("python=3.12", "tool")


def rewrite(file: Path, text: str) -> None:
    """As an editor does: the cache may hold the same file."""
    file.unlink()
    file.write_text(text)


def found(prefix: Path) -> list[tuple[str, str, str]]:
    return [
        (each.kind, each.distribution, each.path.relative_to(prefix).as_posix())
        for each in conda_files.audit(prefix).deviations
    ]


def test_an_untouched_prefix_has_no_deviations(with_python):
    heard = []

    result = conda_files.audit(with_python, on_file=heard.append)

    assert result.deviations == ()
    assert result.files == len(heard) > 500
    assert result.size == sum(heard) > 10_000_000
    assert conda_files.lacking(with_python) == {}


def test_what_the_installer_made_and_links_are_not_compared(with_python):
    assert (with_python / "bin/tool").exists()
    rewrite(with_python / "bin/tool", "#!/bin/sh\n")

    result = conda_files.audit(with_python)

    assert result.deviations == ()
    assert {"links", "made by the installer (entry points, compiled files)"} <= set(result.excluded)


def test_a_changed_file_is_told(prefix):
    rewrite(prefix / "share/linking/README", "changed\n")

    [deviation] = conda_files.audit(prefix).deviations

    assert found(prefix) == [("changed", "linking", "share/linking/README")]
    assert len(deviation.expected) == len(deviation.found) == 64


@pytest.mark.parametrize("way", ["missing", "folder", "broken link"])
def test_a_missing_file_is_told(prefix, way):
    file = prefix / "share/linking/README"
    file.unlink()
    if way == "folder":
        file.mkdir()
    elif way == "broken link":
        file.symlink_to("nowhere")

    assert found(prefix) == [("missing", "linking", "share/linking/README")]
    assert conda_files.lacking(prefix) == ({"linking": ("share/linking/README",)} if way == "missing" else {})


def test_compiled_files_that_have_gone_are_no_lack(with_python):
    for file in with_python.rglob("*.pyc"):
        file.unlink()

    assert (conda_files.audit(with_python).deviations, conda_files.lacking(with_python)) == ((), {})


def test_a_file_that_the_prefix_is_written_into_is_compared_with_what_was_written(make_prefix, tmp_path):
    prefix = make_prefix("placed", at=tmp_path / "here")
    before = conda_files.audit(prefix)
    rewrite(prefix / "etc/placed.conf", f"prefix={tmp_path}/elsewhere\n")

    assert (before.deviations, before.files) == ((), 1)
    assert found(prefix) == [("changed", "placed", "etc/placed.conf")]


def test_a_script_of_a_package_is_a_file_like_others(prefix):
    rewrite(prefix / "bin/.linking-post-link.sh", "#!/bin/sh\nrm -rf /\n")

    assert found(prefix) == [("changed", "linking", "bin/.linking-post-link.sh")]


def test_what_has_no_hash_is_counted_and_not_compared(prefix):
    for file in (prefix / "conda-meta").glob("*.json"):
        said = json.loads(file.read_text())
        for each in said["paths_data"]["paths"]:
            each.pop("sha256", None)
            each.pop("sha256_in_prefix", None)
        file.write_text(json.dumps(said))

    result = conda_files.audit(prefix)

    assert (result.files, result.deviations) == (0, ())
    assert result.excluded["recorded without a hash"] == 6
    assert result.excluded["written for this prefix, and recorded without a hash of that"] == 1


def test_what_pip_has_replaced_is_not_condas_to_compare(with_python):
    [record] = [each for each in conda_meta.records(with_python) if each.name == "marker"]
    shutil.rmtree((with_python / record.metadata).parent)

    result = conda_files.audit(with_python)

    assert (result.deviations, conda_files.lacking(with_python)) == ((), {})
    assert result.excluded["of conda packages that pip has replaced"] == len(record.paths)


def test_every_file_that_came_with_a_package_is_owned(prefix):
    owned = conda_files.owned(prefix)

    laid = {str(each) for each in prefix.rglob("*") if each.is_file() and "conda-meta" not in each.parts}
    assert laid - owned <= {str(prefix / "CACHEDIR.TAG")}
    assert all(each.startswith(str(prefix)) for each in owned)


def test_the_same_package_gives_the_same_tree_in_every_prefix(make_prefix, tmp_path):
    prefixes = [make_prefix("placed", "activating", at=tmp_path / each) for each in ("one", "and-another")]

    trees = [{each.name: each.tree for each in conda_meta.records(prefix)} for prefix in prefixes]

    texts = {(prefix / "etc/placed.conf").read_text() for prefix in prefixes}
    assert trees[0] == trees[1]
    assert len(set(trees[0].values())) == 2
    assert len(texts) == 2


def test_two_versions_give_two_trees(make_prefix, tmp_path):
    trees = set()
    for version in ("1.0", "2.0"):
        prefix = make_prefix("python=3.12", f"marker={version}", at=tmp_path / version)
        trees |= {each.tree for each in conda_meta.records(prefix) if each.name == "marker"}

    assert len(trees) == 2
    assert "" not in trees
