"""The Rs of this machine are found wherever installers put them, and each is asked once."""

import os
import re
import subprocess

import pytest

from venvoy.actions.r_bases import checked, r_of, r_wanted, rs
from venvoy.errors import InvalidInput, RuntimeUnavailable


@pytest.fixture
def version(rscript):
    said = subprocess.run([rscript, "--version"], capture_output=True, text=True, check=True)
    return re.search(r"(\d+\.\d+\.\d+)", said.stdout + said.stderr)[1]


@pytest.fixture
def other(settings, rscript, version):
    """An R of another version where rig puts it: it is this machine's R, and says another number."""

    def made(number, place="R"):
        path = settings.user_home / ".local/share/rig" / place / number / "bin" / "Rscript"
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{rscript} \"$@\" | sed 's/^version\t.*/version\t{number}/'\n")
        path.chmod(0o755)
        return path

    return made


def test_what_r_says_of_its_build_is_its_base(store, rscript, version):
    base = r_of(store, rscript).base

    assert base.version == version
    assert base.abi == f"r{''.join(version.split('.')[:2])}"
    assert base.path == rscript
    assert re.fullmatch(r"(linux|darwin)-\w+", base.platform)
    assert re.fullmatch(r"glibc-\d+\.\d+|musl|", base.libc)
    assert re.fullmatch(r"[0-9a-f]{64}", base.digest)


def test_it_is_asked_once(store, rscript, other):
    path = other("4.1.3")
    first = r_of(store, path)
    kept = {each: each.stat().st_mtime_ns for each in store.bases.glob("r-*.json")}

    assert r_of(store, path) == first
    assert {each: each.stat().st_mtime_ns for each in store.bases.glob("r-*.json")} == kept


def test_several_are_listed_newest_first(store, rscript, version, other):
    older, oldest = other("4.1.3"), other("3.6.0", place="r")

    found = {each.version: each.path for each in rs(store)}

    assert list(found)[-2:] == ["4.1.3", "3.6.0"]
    assert found[version] == rscript
    assert (found["4.1.3"], found["3.6.0"]) == (older, oldest)


@pytest.mark.parametrize("wanted", ["4.1", "4.1.3"])
def test_a_version_is_found_by_its_beginning(store, rscript, other, wanted):
    path = other("4.1.3")

    assert r_wanted(store, wanted).path == path


def test_4_1_is_not_4_10(store, rscript, other):
    other("4.10.0")

    with pytest.raises(RuntimeUnavailable):
        r_wanted(store, "4.1")


def test_a_path_is_taken_as_it_is(store, rscript, other):
    path = other("4.1.3")

    assert r_wanted(store, str(path)).version == "4.1.3"
    assert r_wanted(store, str(path.parent.parent)).version == "4.1.3"


def test_where_none_fits_those_that_are_there_are_listed(store, rscript, version):
    with pytest.raises(RuntimeUnavailable, match=r"no R 2\.9") as caught:
        r_wanted(store, "2.9")

    assert version in caught.value.hint
    assert "--runtime auto" in caught.value.hint


@pytest.mark.parametrize("said", ["x", "4.4.1.1", "r4", "4 .4", "-4", "4.4\n"])
def test_what_is_no_version_is_refused(said):
    with pytest.raises(InvalidInput):
        checked(said)


def test_an_r_that_does_not_run_is_no_base(store, tmp_path):
    path = tmp_path / "Rscript"
    path.write_text("#!/bin/sh\necho something else\n")
    path.chmod(0o755)

    with pytest.raises(RuntimeUnavailable, match="does not run"):
        r_of(store, path)


def test_the_r_of_an_active_environment_is_not_taken(store, make_r, monkeypatch, rscript):
    env = make_r()
    monkeypatch.setenv("PATH", f"{env.prefix}/bin{os.pathsep}{os.environ['PATH']}")

    assert str(env.prefix) not in {str(each.path.parent.parent) for each in rs(store)}
