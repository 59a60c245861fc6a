"""renv.lock: ours, those of renv, those written to do harm."""

import json
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from venvoy.errors import InvalidInput
from venvoy.formats.reading import read
from venvoy.formats.renv import CRAN, RenvLock, bioconductor_of, is_pinned, places
from venvoy.model import Package, Repository, Snapshot

form = RenvLock()
COMMIT = "7d6d177c1ee1a51347d391f5580256637b9e53ed"
SHA = "ab" * 32
CONTRIB = "https://cran.example.org/src/contrib"


def of_r(name, version="1.0", **words):
    return Package(**{"ecosystem": "cran", "name": name, "version": version, **words})


GLUE = of_r("glue", "1.6.2", url=f"{CONTRIB}/glue_1.6.2.tar.gz", sha256=SHA, tree="cd" * 32, direct=True)
SOME = (
    GLUE,
    of_r("dashed", "0.2-1", depends=("glue", "methods")),
    of_r("other", channel="https://ropensci.r-universe.dev", direct=False),
    of_r("limma", "3.54.0", ecosystem="bioconductor", url="https://b.org/bioc/src/contrib/limma_3.54.0.tar.gz", sha256=SHA),
    of_r("BiocVersion", "3.16.0", ecosystem="bioconductor"),
    of_r("hub", origin="vcs", url=f"git+https://github.com/ada/hub@{COMMIT}#subdirectory=pkg"),
    of_r("lab", origin="vcs", url=f"git+https://gitlab.com/ada/lab@{COMMIT}"),
    of_r("bucket", origin="vcs", url=f"git+https://bitbucket.org/ada/bucket@{COMMIT}"),
    of_r("git", origin="vcs", url=f"git+https://git.example.org/some/where/git@{COMMIT}"),
    of_r("ssh", origin="vcs", url=f"git+ssh://git@git.example.org/ssh@{COMMIT}"),
    of_r("file", origin="archive", url="https://example.org/file_1.0.tar.gz", sha256=SHA),
    of_r("mine", origin="local"),
    Package(name="numpy", version="2.1", url="https://e.org/numpy-2.1-py3-none-any.whl", sha256="e1" * 32),
)  # fmt: skip


def some(*packages):
    return Snapshot(
        environment="",
        taken=datetime(2026, 1, 2, tzinfo=UTC),
        base="b" * 64,
        state="c" * 64,
        language="r",
        language_version="4.2.2",
        platform="linux-x86_64",
        repositories=(CRAN, Repository(name="bioc", url="https://bioconductor.org/packages/3.16/bioc")),
        packages=tuple(sorted(packages or SOME)),
    )


def loaded(text):
    return form.load(text, source="renv.lock")


def whole(snapshot):
    return [(each, each.direct, each.tree, each.depends) for each in snapshot.packages]


def of_records(**records):
    return json.dumps({"R": {"Version": "4.4.1", "Repositories": []}, "Packages": records})


def test_everything_comes_back():
    again = loaded(form.dump(some()))

    assert again == some()
    assert whole(again) == whole(some())
    assert (again.base, again.platform, again.state) == ("b" * 64, "linux-x86_64", "c" * 64)
    assert again.repositories == some().repositories
    assert form.dump(again) == form.dump(some())


def test_it_says_what_renv_says_of_packages():
    said = json.loads(form.dump(some()))

    assert list(said) == ["R", "Bioconductor", "Packages", "venvoy"]
    assert said["R"] == {
        "Version": "4.2.2",
        "Repositories": [
            {"Name": "CRAN", "URL": "https://cloud.r-project.org"},
            {"Name": "bioc", "URL": "https://bioconductor.org/packages/3.16/bioc"},
        ],
    }
    assert said["Bioconductor"] == {"Version": "3.16"}
    packages = said["Packages"]
    assert packages["glue"] == {"Package": "glue", "Version": "1.6.2", "Source": "Repository", "Repository": "CRAN"}
    assert packages["dashed"]["Requirements"] == ["glue", "methods"]
    assert packages["limma"] == {"Package": "limma", "Version": "3.54.0", "Source": "Bioconductor"}
    assert packages["hub"] == {
        "Package": "hub",
        "Version": "1.0",
        "Source": "GitHub",
        "RemoteType": "github",
        "RemoteHost": "api.github.com",
        "RemoteUsername": "ada",
        "RemoteRepo": "hub",
        "RemoteRef": COMMIT,
        "RemoteSha": COMMIT,
        "RemoteSubdir": "pkg",
    }
    assert "numpy" not in packages


def test_credentials_go_nowhere():
    secret = some(
        of_r("a", url="https://ada:word@cran.example.org/src/contrib/a_1.0.tar.gz", sha256=SHA),
        of_r("b", channel="https://ada:word@cran.example.org"),
        of_r("c", origin="vcs", url=f"git+https://ada:word@github.com/ada/c@{COMMIT}"),
    )
    repositories = (Repository(name="CRAN", url="https://ada:word@cran.example.org/"),)

    text = form.dump(replace(secret, repositories=repositories))

    assert "word" not in text
    assert loaded(text).repositories == (Repository(name="CRAN", url="https://cran.example.org"),)


def test_a_lock_that_somebody_changed_is_no_state_of_ours():
    said = json.loads(form.dump(some()))
    said["Packages"]["glue"]["Version"] = "1.7.0"

    changed = loaded(json.dumps(said))

    assert changed.state == ""
    assert (changed.package("glue").version, changed.package("glue").sha256) == ("1.7.0", "")
    assert changed.package("limma").sha256 == SHA


def test_one_of_renv_is_read(tmp_path):
    file = tmp_path / "renv.lock"
    file.write_text(
        """{
  "R": {"Version": "4.3.1", "Repositories": [{"Name": "CRAN", "URL": "https://packagemanager.posit.co/cran/latest/"}]},
  "Bioconductor": {"Version": "3.17"},
  "Packages": {
    "R6": {
      "Package": "R6", "Version": "2.5.1", "Source": "Repository", "Repository": "RSPM",
      "Requirements": ["R"], "Hash": "470851b6d5d0ac559e9d01bb352b4021"
    },
    "Matrix": {"Package": "Matrix", "Version": "1.5-4.1", "Source": "CRAN"},
    "S4Vectors": {
      "Package": "S4Vectors", "Version": "0.38.1", "Source": "Bioconductor", "Repository": "Bioconductor 3.17",
      "git_url": "https://git.bioconductor.org/packages/S4Vectors", "Hash": "0e5afff1d4ff8d4b4d8e4ea0bd5c9f36"
    },
    "ours": {
      "Package": "ours", "Version": "0.0.9000", "Source": "GitHub", "RemoteType": "github",
      "RemoteHost": "api.github.com", "RemoteUsername": "ada", "RemoteRepo": "ours", "RemoteRef": "main",
      "RemoteSha": "7d6d177c1ee1a51347d391f5580256637b9e53ed"
    },
    "own": {"Package": "own", "Version": "1.0", "Source": "git", "RemoteType": "git",
      "RemoteUrl": "git@git.example.org:ada/own.git", "RemoteSha": "7d6d177c1ee1a51347d391f5580256637b9e53ed"},
    "here": {"Package": "here", "Version": "1.0", "Source": "/home/ada/here_1.0.tar.gz"}
  }
}
"""
    )

    said = read(file)

    assert (said.kind, said.snapshot.language_version, said.snapshot.bioconductor) == ("renv", "4.3.1", "3.17")
    assert said.snapshot.repositories == (Repository(name="CRAN", url="https://packagemanager.posit.co/cran/latest"),)
    assert said.snapshot.packages == tuple(
        sorted(
            (
                of_r("R6", "2.5.1"),
                of_r("Matrix", "1.5-4.1"),
                of_r("S4Vectors", "0.38.1", ecosystem="bioconductor"),
                of_r("ours", "0.0.9000", origin="vcs", url=f"git+https://github.com/ada/ours@{COMMIT}"),
                of_r("own", origin="vcs", url=f"git+ssh://git@git.example.org/ada/own.git@{COMMIT}"),
                of_r("here", origin="local"),
            )
        )
    )


@pytest.mark.parametrize("name", ["renv.lock", "project-renv.lock", "renv.json.txt", "any"])
def test_it_is_known_by_its_name_or_by_what_it_says(tmp_path, name):
    (tmp_path / name).write_text(form.dump(some()))

    assert read(tmp_path / name).kind == "renv"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"R": {}, "Packages": {}}',
        '{"R": {"Version": "4.4"}, "Packages": []}',
        '{"R": {"Version": 4.4}, "Packages": {}}',
        '{"R": {"Version": "4.4; rm"}, "Packages": {}}',
        '{"R": {"Version": "4.4", "Repositories": ["x"]}, "Packages": {}}',
        '{"R": {"Version": "4.4", "Repositories": [{"Name": "a", "URL": "javascript:1"}]}, "Packages": {}}',
        '{"R": {"Version": "4.4"}, "Bioconductor": {"Version": "x"}, "Packages": {}}',
        '{"R": {"Version": "4.4"}, "Packages": {}, "Packages": {}}',
        '{"R": {"Version": "4.4"}, "Packages": {"a": NaN}}',
        "[" * 100_000,
        of_records(a="1.0"),
        of_records(a={"Package": "b", "Version": "1.0", "Source": "CRAN"}),
        of_records(a={"Package": "a", "Source": "CRAN"}),
        of_records(a={"Package": "a", "Version": "1.0')", "Source": "CRAN"}),
        of_records(**{"../a": {"Package": "../a", "Version": "1.0", "Source": "CRAN"}}),
        of_records(a={"Version": "1.0", "Source": "elsewhere"}),
        of_records(a={"Version": "1.0", "Source": "GitHub", "RemoteUsername": "x", "RemoteRepo": "y"}),
        of_records(a={"Version": "1.0", "Source": "GitHub", "RemoteUsername": "x y", "RemoteRepo": "y", "RemoteSha": "a"}),
        of_records(a={"Version": "1.0", "Source": "git", "RemoteUrl": "--upload-pack=x", "RemoteSha": "a"}),
        of_records(a={"Version": "1.0", "Source": "CRAN", "Requirements": ["a b"]}),
        '{"R": {"Version": "4.4"}, "Packages": {}, "venvoy": 1}',
        '{"R": {"Version": "4.4"}, "Packages": {}, "venvoy": {"unlisted": [{"name": "a", "version": 1}]}}',
        '{"R": {"Version": "4.4"}, "Packages": {"a": {"Version": "1"}}, "venvoy": {"added": {"a 1": {"sha256": 1}}}}',
    ],
)  # fmt: skip
def test_what_is_no_lock_is_told_and_nothing_else_happens(text):
    with pytest.raises(InvalidInput):
        loaded(text)


values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=8), st.sampled_from(["1.0", "CRAN", "GitHub"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


@settings(deadline=None)
@given(where=st.sampled_from(["R", "Packages", "Bioconductor", "venvoy"]), said=values)
def test_whatever_stands_in_it_ends_in_a_snapshot_or_a_sentence(where, said):
    with suppress(InvalidInput):
        loaded(json.dumps({"R": {"Version": "4.4"}, "Packages": {"a": {"Version": "1.0"}}, where: said}))


@settings(deadline=None)
@given(key=st.sampled_from(["Version", "Source", "RemoteUrl", "RemoteSha", "RemoteHost", "Repository", "Requirements"]), said=values)  # fmt: skip
def test_whatever_a_record_says_ends_in_a_snapshot_that_is_written_again_or_a_sentence(key, said):
    record = {"Version": "1.0", "Source": "git", "RemoteUrl": "https://e.org/a", "RemoteSha": COMMIT, key: said}
    with suppress(InvalidInput):
        snapshot = loaded(of_records(a=record))
        assert loaded(form.dump(snapshot)) == snapshot


def test_pinned_is_what_gives_the_same_anywhere():
    assert is_pinned(GLUE)
    assert is_pinned(of_r("hub", origin="vcs", url=f"git+https://github.com/ada/hub@{COMMIT}"))
    assert not is_pinned(of_r("hub", origin="vcs", url="git+https://github.com/ada/hub@main"))
    assert not is_pinned(replace(GLUE, sha256=""))
    assert not is_pinned(replace(GLUE, version="1.7"))
    assert not is_pinned(replace(GLUE, url=f"file:///cran/src/contrib/{GLUE.url.rpartition('/')[2]}"))
    assert not is_pinned(of_r("mine", origin="local", sha256=SHA))


def test_a_version_is_looked_for_where_it_was_and_in_the_archive():
    old = "https://cran.example.org/src/contrib/Archive/glue/glue_1.6.2.tar.gz"

    assert places(GLUE) == (GLUE.url, old)
    assert places(replace(GLUE, url=old)) == (old, GLUE.url)
    assert places(of_r("mine", origin="local")) == ()


def test_bioconductors_release_is_told_or_known_from_its_package():
    assert bioconductor_of(some()) == "3.16"
    assert bioconductor_of(replace(some(), bioconductor="3.20")) == "3.20"
    assert bioconductor_of(some(GLUE)) == ""
