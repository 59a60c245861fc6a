"""R packages are read from their DESCRIPTION files, whatever lies in the library beside them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy import inventory
from venvoy.inventory import description
from venvoy.model import Package


@pytest.fixture
def library(tmp_path):
    folder = tmp_path / "R"
    folder.mkdir()
    return folder


@pytest.fixture
def laid(library):
    def written(name, version="1.0", *, text="", whole=True, **fields):
        folder = library / name
        (folder / "Meta").mkdir(parents=True)
        if whole:
            (folder / "Meta" / "package.rds").write_bytes(b"")
        said = {"Package": name, "Version": version, **fields}
        (folder / "DESCRIPTION").write_text(text or "".join(f"{key}: {value}\n" for key, value in said.items()))
        return folder

    return written


def only(library):
    (found,) = description.read(library)
    return found


def test_a_package_of_cran_is_one_whatever_mirror_it_came_from(library, laid):
    laid("R6", "2.5.1", Repository="CRAN")
    laid("rlang", "1.1.4", Repository="RSPM")

    found = [each.package() for each in description.read(library)]

    assert found == [
        Package(ecosystem="cran", name="R6", version="2.5.1"),
        Package(ecosystem="cran", name="rlang", version="1.1.4"),
    ]


def test_another_repository_is_named(library, laid):
    laid("arrow", Repository="https://apache.r-universe.dev")

    assert only(library).package().channel == "https://apache.r-universe.dev"


def test_what_bioconductor_has_is_told_by_its_views(library, laid):
    laid(
        "limma", "3.60.0", biocViews="ExonArray, GeneExpression", git_url="https://git.bioconductor.org/packages/limma"
    )
    laid("WGCNA", "1.72-5", biocViews="Software", Repository="CRAN")

    found = {each.name: each.package() for each in description.read(library)}

    assert found["limma"].ecosystem == "bioconductor"
    assert found["limma"].origin == "index"
    assert found["WGCNA"].ecosystem == "cran"


def test_a_repository_without_a_name_is_told_by_its_address_and_no_secret_of_it(library, laid):
    laid("x", Repository="https://me:secret@cran.example.org/x")

    assert only(library).package().channel == "https://cran.example.org/x"


@pytest.mark.parametrize(
    ("fields", "origin", "url"),
    [
        (
            {"RemoteType": "github", "RemoteHost": "api.github.com", "RemoteUsername": "r-lib", "RemoteRepo": "cli", "RemoteSha": "abc"},
            "vcs",
            "git+https://github.com/r-lib/cli@abc",
        ),
        (
            {"RemoteType": "gitlab", "RemoteHost": "gitlab.com", "RemoteUsername": "a", "RemoteRepo": "b", "RemoteSha": "1", "RemoteSubdir": "r"},
            "vcs",
            "git+https://gitlab.com/a/b@1#subdirectory=r",
        ),
        (
            {"RemoteType": "bitbucket", "RemoteHost": "api.bitbucket.org/2.0", "RemoteUsername": "a", "RemoteRepo": "b", "RemoteSha": "1"},
            "vcs",
            "git+https://bitbucket.org/a/b@1",
        ),
        (
            {"RemoteType": "github", "RemoteHost": "https://ghe.example.org/api/v3", "RemoteUsername": "a", "RemoteRepo": "b", "RemoteSha": "1"},
            "vcs",
            "git+https://ghe.example.org/a/b@1",
        ),
        (
            {"RemoteType": "git2r", "RemoteUrl": "https://me:secret@git.example.org/x.git", "RemoteSha": "9"},
            "vcs",
            "git+https://git.example.org/x.git@9",
        ),
        ({"RemoteType": "url", "RemoteUrl": "https://example.org/x.tar.gz?token=1"}, "archive", "https://example.org/x.tar.gz"),
        ({"RemoteType": "standard", "RemoteRef": "x", "Repository": "CRAN"}, "index", ""),
        ({"RemoteType": "github", "RemoteSha": "1"}, "local", ""),
        ({}, "local", ""),
    ],
)  # fmt: skip
def test_the_origin_is_what_the_installer_noted_and_no_secret_of_it(library, laid, fields, origin, url):
    laid("x", **fields)

    package = only(library).package()

    assert (package.origin, package.url) == (origin, url)


def test_needs_are_read_over_several_lines_and_r_is_none_of_them(library, laid):
    text = "Package: x\nVersion: 1.0\nDepends: R (>= 4.1), methods\nImports: rlang (>=\n    1.0.6),\n    cli\nLinkingTo: cpp11\n"
    laid("x", text=text)

    assert only(library).requires == (
        ("cli", "", ""),
        ("cpp11", "", ""),
        ("methods", "", ""),
        ("rlang", ">=", "1.0.6"),
    )


def test_the_r_that_built_it_is_known(library, laid):
    laid("x", Built="R 4.2.2; x86_64-pc-linux-gnu; 2026-01-01 10:00:00 UTC; unix")

    assert only(library).built == "4.2.2"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x", "Package: y\nVersion: 1.0\n"),
        ("x", "Package: x\n"),
        ("x", "Package: x\nVersion: 1.0; rm -rf /\n"),
        ("x", "\x00\x01\x02"),
        ("00LOCK-x", "Package: 00LOCK-x\nVersion: 1.0\n"),
    ],
)
def test_what_is_no_package_is_passed_over(library, laid, name, text):
    laid(name, text=text)

    assert list(description.read(library)) == []


def test_a_description_that_is_a_folder_or_a_pipe_keeps_nobody_waiting(library):
    (library / "one" / "DESCRIPTION").mkdir(parents=True)
    (library / "two").mkdir()
    os.mkfifo(library / "two" / "DESCRIPTION")

    assert list(description.read(library)) == []


@given(st.text())
def test_no_text_is_too_odd_to_be_parsed(text):
    said = description.parsed(text)

    assert all(isinstance(value, str) for value in said.values())


def test_a_folder_without_its_code_is_not_whole(library, laid):
    laid("whole")
    laid("half", whole=False)
    (library / "empty").mkdir()
    (library / "00LOCK-x").mkdir()

    assert description.broken(library) == ("empty", "half")


def test_the_library_is_part_of_what_is_watched(tmp_path, library, laid):
    before = inventory.stamp(tmp_path)

    laid("x")

    assert inventory.stamp(tmp_path) != before
    assert [each.name for each in inventory.packages(tmp_path)] == ["x"]


def test_a_lock_in_the_library_is_an_installer_at_work(tmp_path, library):
    (library / "00LOCK-x").mkdir()
    moved = library.stat().st_mtime_ns

    assert inventory.unsettled(tmp_path, now=moved + 1_000_000_000)
    assert not inventory.unsettled(tmp_path, now=moved + 60_000_000_000)
