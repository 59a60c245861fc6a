"""The digest of an R package's files: the same for every build of a source, and another for every other content."""

import os
import subprocess
from dataclasses import replace

import pytest

from venvoy.inventory import description, r_files
from venvoy.inventory.r_files import Build

SOURCE = {
    "DESCRIPTION": "Package: whole\nVersion: 1.0\nTitle: A Whole Package\nDescription: Has all of it.\n"
    "Author: Tests\nMaintainer: Tests <tests@example.org>\nLicense: Apache License 2.0\nDepends: methods\n"
    "LazyData: true\n",
    "NAMESPACE": "export(hello)\nexportClasses(P)\nuseDynLib(whole, two)\nimportFrom(methods,setClass,new)\n",
    "R/code.R": "hello <- function() .Call(two)\nsetClass('P', representation(a = 'numeric'))\n"
    "place <- '/somewhere/else'\n",
    "man/hello.Rd": "\\name{hello}\n\\alias{hello}\n\\title{Hello}\n\\description{Says two.}\n\\usage{hello()}\n",
    "src/two.c": "#include <Rinternals.h>\nSEXP two(void) { return ScalarInteger(2); }\n",
    "data/table.csv": "a,b\n1,2\n",
    "inst/extdata/text.txt": "text\n",
}


@pytest.fixture
def built(tmp_path, rscript):
    """Build the package in a library of its own, from a folder of its own."""

    def made(where, *options, **changed):
        source = tmp_path / where / "source" / "whole"
        for path, text in {**SOURCE, **{key.replace("__", "/"): text for key, text in changed.items()}}.items():
            file = source / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        library = tmp_path / where / "library"
        library.mkdir()
        scratch = tmp_path / where / "scratch"
        scratch.mkdir()
        argv = [rscript.with_name("R"), "CMD", "INSTALL", "--no-test-load", *options, f"--library={library}", source]
        subprocess.run(argv, check=True, capture_output=True, env={**os.environ, "TMPDIR": str(scratch)})
        (found,) = description.read(library)
        return found

    return made


def test_two_builds_in_other_places_have_the_same(built):
    one = built("one", "--built-timestamp=2026-11-03 14:02:00 UTC")
    other = built("a much longer place", "--built-timestamp=2026-11-03 14:02:01 UTC")

    different = [each for each in r_files.paths(one.folder) if _bytes(one, each) != _bytes(other, each)]

    assert {"DESCRIPTION", "libs/whole.so", "help/whole.rdb", "R/whole.rdb"} <= set(different)
    assert r_files.tree(one) == r_files.tree(other)


@pytest.mark.parametrize("how", ["bzip2", "xz", "none"])
def test_data_is_compared_however_it_was_compressed(built, how):
    one, other = built("one", f"--data-compress={how}"), built("other", f"--data-compress={how}")

    assert r_files.tree(one) == r_files.tree(other)


@pytest.mark.parametrize(
    "changed",
    [
        {"R__code.R": SOURCE["R/code.R"].replace("function()", "function(x = 1)")},
        {"R__code.R": SOURCE["R/code.R"].replace("/somewhere/else", "/somewhere/more")},
        {"man__hello.Rd": SOURCE["man/hello.Rd"].replace("two", "2")},
        {"data__table.csv": "a,b\n1,3\n"},
        {"inst__extdata__text.txt": "other\n"},
        {"DESCRIPTION": SOURCE["DESCRIPTION"].replace("Has all", "Has nearly all")},
    ],
    ids=["code", "a-path", "help", "data", "file", "description"],
)
def test_another_source_has_another(built, changed):
    assert r_files.tree(built("one")) != r_files.tree(built("other", **changed))


def test_a_file_that_is_put_in_taken_out_or_cut_off_changes_it(built):
    package = built("one")
    before = r_files.tree(package)
    database = package.folder / "R/whole.rdb"
    whole = database.read_bytes()

    database.write_bytes(whole[:-1])
    cut = r_files.tree(package)
    database.write_bytes(whole)
    (package.folder / "more").write_text("")
    more = r_files.tree(package)
    (package.folder / "more").unlink()
    (package.folder / "INDEX").unlink(missing_ok=True)
    (package.folder / "NAMESPACE").unlink()
    less = r_files.tree(package)

    assert len({before, cut, more, less}) == 4


def test_the_very_build_is_compared_file_by_file(built):
    package = built("one")
    library = package.folder.parent
    known = Build(
        stamp=package.fields["Built"],
        files={each: r_files._raw(package.folder / each)[0] for each in r_files.paths(package.folder)},
    )

    assert r_files.audit(library, [package], {"whole": known}).deviations == ()
    with (package.folder / "libs/whole.so").open("ab") as stream:
        stream.write(b"more")
    (package.folder / "extdata/new.txt").write_text("new")
    (package.folder / "NAMESPACE").unlink()
    (library / "stranger").mkdir()
    found = r_files.audit(library, [package], {"whole": known})

    assert {(each.kind, each.path.name) for each in found.deviations} == {
        ("changed", "whole.so"),
        ("extra", "new.txt"),
        ("missing", "NAMESPACE"),
        ("extra", "stranger"),
    }


def test_of_another_build_only_what_all_have_is_compared_and_the_rest_counted(built):
    package = built("one")
    other = Build(stamp="R 4.2.2; ; 2020-01-01 00:00:00 UTC; unix", files={"DESCRIPTION": "0" * 64})

    found = r_files.audit(package.folder.parent, [package], {"whole": other})

    assert found.deviations == ()
    assert sorted(found.excluded.values()) == [1, 2]


def test_a_folder_that_says_it_is_a_database_and_links_are_read_as_they_are(tmp_path):
    folder = tmp_path / "odd"
    (folder / "R").mkdir(parents=True)
    (folder / "DESCRIPTION").write_text("Package: odd\nVersion: 1.0\n")
    (folder / "R/odd.rdb").write_bytes(b"\0\0\0\x01xnothing")
    (folder / "R/odd.rdx").write_bytes(b"X\n")
    (folder / "away").symlink_to("/nowhere")
    (folder / "up").symlink_to("..")
    (package,) = description.read(tmp_path)

    before = r_files.tree(package)
    (folder / "R/odd.rdb").write_bytes(b"\0\0\0\x01xnothinh")

    assert r_files.tree(package) != before
    assert r_files.tree(replace(package, name="odd")) == r_files.tree(package)
    assert {"away", "up"} <= set(r_files.paths(folder))


def _bytes(package, path):
    return (package.folder / path).read_bytes()
