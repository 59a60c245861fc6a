"""What is kept of R packages is a repository for everybody, and makes the same environment again without any other."""

import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import files, process
from venvoy.actions.exactly import exactly
from venvoy.actions.freeze import freeze
from venvoy.actions.install import install
from venvoy.actions.kept import folder_of, stock_of
from venvoy.actions.observe import observe
from venvoy.actions.r_bases import r_in
from venvoy.actions.r_built import pack_built, unpack_built
from venvoy.actions.r_repository import Mark, built_in
from venvoy.actions.r_vendor import fetched
from venvoy.actions.vendor import vendor
from venvoy.errors import CommandFailed, InvalidInput
from venvoy.inventory import description, r_files
from venvoy.model import Base
from venvoy.model import Package as Named


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


@pytest.fixture
def lock(store, actor):
    return lambda env: freeze(store, env, actor=actor).snapshot


@pytest.fixture
def vendored(store, make_r, lock):
    def made(*packages):
        env = make_r("demo", *packages)
        return env, vendor(store, env, lock(env))

    return made


@pytest.fixture
def again(store, make_r, lock, repository):
    """Make the same from what is kept alone, where the repository is gone."""

    def made(env, wanted, **stock):
        (repository / "src").rename(repository / "gone")
        other = make_r("other")
        exactly(store, other, wanted, stock=replace(stock_of(store, env.name, wanted), offline=True, **stock))
        return other

    return made


def files_in(env, store):
    folder = folder_of(store, env.name) / "cran"
    return {each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file()}


def test_sources_and_what_was_built_of_them_lie_as_r_looks_for_them(store, vendored):
    env, found = vendored("tinyb", "tinyc")

    base = r_in(store, env).base
    built = f"built/R-{base.minor}/{base.platform}-{base.libc}/"
    names = ("tinya_1.1.tar.gz", "tinyb_0.2-1.tar.gz", "tinyc_0.1.tar.gz", "PACKAGES", "PACKAGES.gz")
    assert found.missing == ()
    assert (len(found.kept), found.new, found.noun) == (6, 6, "package file")
    assert files_in(env, store) == {f"{folder}src/contrib/{each}" for folder in ("", built) for each in names}


def named(name, version):
    return Named(ecosystem="cran", name=name, version=version)


def test_install_packages_takes_either_folder_for_a_repository(store, vendored, rscript, tmp_path):
    env, found = vendored("tinyb", "tinyc")
    built = built_in(found.folder / "cran", named("tinyc", "0.1"), r_in(store, env).base)

    for number, root in enumerate((found.folder / "cran", built.parents[2])):
        library = tmp_path / str(number)
        library.mkdir()
        script = f"install.packages(c('tinyb', 'tinyc'), lib = '{library}', repos = '{root.as_uri()}')"
        ran = subprocess.run([rscript, "--vanilla", "-e", script], capture_output=True, text=True, check=True)
        there = {each.name: each.version for each in description.read(library)}
        assert there == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}
        assert ("gcc" in ran.stdout + ran.stderr) is (number == 0)


def test_sources_of_this_machine_are_copied_and_no_other_addresses_are_asked(store, make_r, tmp_path, repository):
    env = make_r()
    file = repository / "src/contrib/tinya_1.1.tar.gz"
    pinned = replace(named("tinya", "1.1"), url=file.as_uri(), sha256=files.sha256(file))
    other = replace(named("tinyc", "0.1"), origin="archive", url=f"ftp://{file}", sha256=pinned.sha256)
    said = []

    found = list(fetched(env, [pinned, other], tmp_path / "kept", on_line=said.append))

    assert [(each.name, each.sha256) for each in found] == [("tinya", pinned.sha256)]
    assert said == ["tinyc_0.1.tar.gz: tinya_1.1.tar.gz: this kind of address is not fetched"]


def test_what_is_there_stays_and_the_same_bytes_are_written(store, vendored, lock):
    env, first = vendored("tinyb", "tinyc")
    before = {each.file: each.sha256 for each in first.kept}

    found = vendor(store, env, lock(env))

    assert found.new == 0
    assert {each.file: each.sha256 for each in found.kept} == before


def test_what_was_damaged_is_brought_anew(store, vendored, lock):
    env, first = vendored("tinya")
    for each in first.kept:
        each.file.write_bytes(b"other")

    found = vendor(store, env, lock(env))

    assert found.new == 2
    assert {each.sha256 for each in found.kept} >= {each.sha256 for each in first.kept if not each.built}


def test_another_version_puts_the_one_before_into_the_archive_from_where_it_comes_back(
    store, vendored, lock, actor, again, in_r
):
    env, _ = vendored("tinya==1.0", "tinyb")
    before = lock(env)
    install(store, env, ("tinya==1.1",), actor=actor)

    found = vendor(store, env, lock(env))
    copy = again(env, before)

    assert {each.version for each in found.kept if each.name == "tinya"} == {"1.1"}
    assert "src/contrib/Archive/tinya/tinya_1.0.tar.gz" in files_in(env, store)
    index = (found.folder / "cran/src/contrib/PACKAGES").read_text()
    assert "Version: 1.1\n" in index
    assert "Version: 1.0\n" not in index
    assert installed(store, copy) == {"tinya": "1.0", "tinyb": "0.2-1"}
    assert in_r(copy, "cat(tinyb::hello())") == "hello from 1.0"


@pytest.mark.parametrize("built", [True, False], ids=["built", "from-source"])
def test_the_same_is_made_again_without_any_repository(store, vendored, lock, again, in_r, built):
    env, found = vendored("tinyb", "tinyc")
    wanted = lock(env)
    stamps = {each.name: each.fields["Built"] for each in description.read(env.library)}
    if not built:
        subprocess.run(["rm", "-r", found.folder / "cran/built"], check=True)

    copy = again(env, wanted)

    assert observe(store, copy).packages == observe(store, env).packages
    assert {each.name: r_files.tree(each) for each in description.read(copy.library)} == {
        each.name: each.tree for each in wanted.packages
    }
    assert ({each.name: each.fields["Built"] for each in description.read(copy.library)} == stamps) is built
    assert in_r(copy, "cat(tinyb::hello(), tinyc::hello())") == "hello 2"


def test_without_network_what_is_not_kept_is_named(store, vendored, lock, again):
    env, found = vendored("tinya")
    wanted = lock(env)
    subprocess.run(
        ["rm", "-r", found.folder / "cran/built", found.folder / "cran/src/contrib/tinya_1.1.tar.gz"], check=True
    )

    with pytest.raises(CommandFailed, match=r"tinya 1\.1 is not kept"):
        again(env, wanted)


def test_what_is_kept_must_be_what_is_locked(store, vendored, lock, again, tmp_path):
    env, found = vendored("tinyc")
    wanted = lock(env)
    (package,) = description.read(env.library)
    file = built_in(found.folder / "cran", named("tinyc", "0.1"), r_in(store, env).base)
    (package.folder / "NAMESPACE").write_text("export(hello)\n")
    pack_built(package, file)

    with pytest.raises(CommandFailed, match="not the files of tinyc"):
        again(env, wanted)


def test_what_came_from_a_file_is_kept_as_it_was_built(store, make_r, lock, repository, tmp_path):
    env = make_r("demo")
    source = tmp_path / "mine"
    (source / "R").mkdir(parents=True)
    (source / "DESCRIPTION").write_text(
        "Package: mine\nVersion: 0.1\nTitle: Mine\nDescription: Mine.\nAuthor: Me\n"
        "Maintainer: Me <me@example.org>\nLicense: GPL-3\n"
    )
    (source / "NAMESPACE").write_text("")
    process.run(_cmd_install(env, source))
    said = []

    found = vendor(store, env, lock(env), on_line=said.append)

    assert [(each.name, each.built) for each in found.kept] == [("mine", "library")]
    assert found.missing == ()
    assert any("mine 0.1: no source of it" in each for each in said)


def test_what_was_changed_since_it_was_locked_is_not_kept(store, make_r, lock, repository):
    env = make_r("demo", "tinya")
    locked = lock(env)
    (env.library / "tinya/NAMESPACE").write_text("")
    (repository / "src").rename(repository / "gone")

    found = vendor(store, env, locked)

    assert found.kept == ()
    assert ["changed since it was locked" in each.reason for each in found.missing] == [True]


def _cmd_install(env, source):
    from venvoy import runtimes
    from venvoy.model import Job

    job = Job(argv=("R", "CMD", "INSTALL", str(source)), cwd=Path("/"))
    return runtimes.get(env.runtime).command(env, job)


# --- built packages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "fits"),
    [
        (("4.2", "linux-x86_64", "glibc-2.36"), True),
        (("4.2", "linux-x86_64", "glibc-2.9"), True),
        (("4.2", "linux-x86_64", "glibc-2.37"), False),
        (("4.2", "linux-x86_64", "musl-1.2"), False),
        (("4.2", "linux-aarch64", "glibc-2.36"), False),
        (("4.3", "linux-x86_64", "glibc-2.36"), False),
    ],
)
def test_what_was_built_runs_where_its_mark_says(mark, fits):
    base = Base(
        path=Path("/usr/bin/Rscript"), version="4.2.2", abi="r42", platform="linux-x86_64", libc="glibc-2.36", digest=""
    )

    assert Mark(r=mark[0], platform=mark[1], libc=mark[2]).runs_on(base) is fits


def _member(name, data=b"x", kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data) if kind == tarfile.REGTYPE else 0
    if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = "/etc/passwd"
    return info, data


GOOD = _member("bad/DESCRIPTION", b"Package: bad\nVersion: 1.0\nBuilt: R 4.2.2; ; 2026-01-01 00:00:00 UTC; unix\n")


@pytest.mark.parametrize(
    "members",
    [
        [GOOD, _member("bad/../../outside")],
        [GOOD, _member("/outside")],
        [GOOD, _member("other/file")],
        [GOOD, _member("bad/link", kind=tarfile.SYMTYPE)],
        [GOOD, _member("bad/link", kind=tarfile.LNKTYPE)],
        [GOOD, _member("bad/pipe", kind=tarfile.FIFOTYPE)],
        [GOOD, _member("bad/twice"), _member("bad/twice")],
        [GOOD, _member("bad/file"), _member("bad/file/inner")],
        [_member("bad/DESCRIPTION", b"Package: bad\nVersion: 1.0\n")],
        [_member("bad/DESCRIPTION", b"Package: other\nVersion: 1.0\nBuilt: R 4.2.2\n")],
        [_member("bad/file")],
        [],
    ],
    ids=[
        "above", "absolute", "another-folder", "link", "hard-link", "pipe", "twice", "file-and-folder", "a-source",
        "another-package", "no-description", "empty",
    ],
)  # fmt: skip
def test_a_hostile_file_leaves_nothing(tmp_path, members):
    import io

    file = tmp_path / "bad_1.0.tar.gz"
    with tarfile.open(file, "w:gz") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    library = tmp_path / "library"
    library.mkdir()

    with pytest.raises(InvalidInput):
        unpack_built(file, library)

    assert list(library.iterdir()) == []
    assert {each.name for each in tmp_path.iterdir()} == {"bad_1.0.tar.gz", "library"}


def test_what_is_no_tar_or_cut_off_is_refused(tmp_path):
    file = tmp_path / "bad_1.0.tar.gz"
    file.write_bytes(b"no tar")

    with pytest.raises(InvalidInput):
        unpack_built(file, tmp_path)

    assert [each.name for each in tmp_path.iterdir()] == ["bad_1.0.tar.gz"]
