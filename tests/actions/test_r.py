"""R environments on this machine: a library of their own, changed as a whole or not at all, and taken back."""

import os
import signal
import subprocess
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import process, runtimes
from venvoy.actions.check import check
from venvoy.actions.create import Plan, create
from venvoy.actions.exactly_r import kept_in, libraries_of
from venvoy.actions.freeze import freeze
from venvoy.actions.go_back import go_back
from venvoy.actions.install import install, remove
from venvoy.actions.observe import observe
from venvoy.actions.plan import plan
from venvoy.actions.points import Point, point
from venvoy.actions.r_bases import r_in
from venvoy.actions.repair import repair
from venvoy.actions.undo import undo
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput, NotPermitted, RuntimeUnavailable
from venvoy.model import Asked, Job


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


def codes(store, env):
    return [each.code for each in check(store, store.environment(env.name))]


@pytest.fixture
def now(store, actor):
    def added(env, *specs):
        install(store, env, specs, actor=actor)
        return store.environment(env.name)

    return added


# --- made ------------------------------------------------------------------------------------------------------------


def test_it_stands_on_this_machines_r_and_is_empty(store, make_r, rscript):
    env = make_r()

    snapshot = observe(store, env)
    assert (env.language, env.runtime, env.base) == ("r", "venv", rscript)
    assert store.environment("demo") == env
    assert (snapshot.language, snapshot.language_version, snapshot.packages) == ("r", env.r_version, ())
    assert codes(store, env) == []


def test_nothing_of_the_users_or_the_sites_libraries_is_seen(
    store, make_r, in_r, settings, rscript, repository, monkeypatch
):
    own = settings.user_home / "own-library"
    own.mkdir()
    install_into = f"install.packages('tinya', lib='{own}', repos='{repository.as_uri()}')"
    subprocess.run([rscript, "--vanilla", "-e", install_into], check=True, capture_output=True)
    (settings.user_home / ".Renviron").write_text(f"R_LIBS={own}\nR_LIBS_USER={own}\nR_LIBS_SITE={own}\nMINE=yes\n")
    for name in ("R_LIBS", "R_LIBS_USER", "R_LIBS_SITE"):
        monkeypatch.setenv(name, str(own))
    env = make_r()

    seen = in_r(env, "cat(.libPaths(), sep = '\n'); cat(Sys.getenv('MINE'))").splitlines()
    packages = in_r(env, "cat(rownames(installed.packages()))").split()
    by_a_child = in_r(env, "cat(system2('Rscript', c('-e', shQuote('cat(.libPaths())')), stdout = TRUE))")

    assert seen[0] == str(env.library)
    assert seen[2:] == ["yes"]
    assert "IRkernel" not in packages
    assert "tinya" not in packages
    assert "stats" in packages
    assert str(own) not in by_a_child


@pytest.fixture
def furnished(tmp_path, rscript, repository):
    """A copy of this machine's R into whose own library others have put tinya and tinyc; its recommended boot is 1.0."""
    home = Path(
        subprocess.run([rscript.with_name("R"), "RHOME"], check=True, capture_output=True, text=True).stdout.strip()
    )
    copy = tmp_path / "R"
    for inner in (copy, copy / "bin", copy / "library"):
        inner.mkdir()
        for each in (home / inner.relative_to(copy)).iterdir():
            if each.name not in ("bin", "boot", "library", "R", "Rscript"):
                (inner / each.name).symlink_to(each)
    (copy / "bin/R").write_text((home / "bin/R").read_text().replace(f"R_HOME_DIR={home}", f"R_HOME_DIR={copy}"))
    (copy / "bin/Rscript").write_text(f'#!/bin/sh\nRHOME={copy} exec {rscript} "$@"\n')
    for each in ("R", "Rscript"):
        (copy / "bin" / each).chmod(0o755)
    with tarfile.open(repository / "src/contrib/Archive/tinya/tinya_1.0.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    boot = (tmp_path / "tinya").rename(tmp_path / "boot") / "DESCRIPTION"
    boot.write_text(boot.read_text().replace("Package: tinya", "Package: boot") + "Priority: recommended\n")
    sources = (boot.parent, *(repository / "src/contrib" / each for each in ("tinya_1.1.tar.gz", "tinyc_0.1.tar.gz")))
    install = [copy / "bin/R", "CMD", "INSTALL", f"--library={copy / 'library'}", *sources]
    subprocess.run(install, check=True, capture_output=True)
    return copy / "bin/Rscript"


def test_what_lies_in_other_libraries_is_neither_seen_nor_counted_as_there(
    store, make_r, now, in_r, settings, rscript, repository, furnished
):
    own = settings.user_home / "own-library"
    own.mkdir()
    subprocess.run(
        [rscript, "--vanilla", "-e", f"install.packages('tinya', lib='{own}', repos='{repository.as_uri()}')"],
        check=True,
        capture_output=True,
    )
    (settings.user_home / ".Renviron").write_text(f"R_LIBS=${{R_LIBS}}:{own}\nR_LIBS_SITE={own}\n")
    env = make_r(r=str(furnished))

    seen = in_r(env, "cat(.libPaths(), nrow(installed.packages()), requireNamespace('tinyc', quietly = TRUE))").split()
    moved = in_r(env, ".libPaths('/tmp'); cat(.libPaths(), .Library.site)")
    with (settings.user_home / ".Rprofile").open("a") as profile:
        profile.write(f".libPaths(c('{own}', .libPaths()))\n")
    env = now(env, "tinyb", "tinyc", "boot")

    assert seen == [str(env.library), str(env.prefix / "base"), "14", "FALSE"]
    real = env.prefix.resolve()
    assert moved.split() == [str(Path("/tmp").resolve()), str(real / "R"), str(real / "base"), str(env.library)]
    # The repository has no boot: what R recommends is copied from R's own.
    assert installed(store, env) == {"boot": "1.0", "tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}
    assert {each.origin for each in observe(store, env).packages} == {"index"}
    assert codes(store, env) == []


def test_what_the_administrator_configured_for_r_still_holds(make_r, in_r, settings):
    (settings.user_home / ".Rprofile").write_text("")
    env = make_r()

    of_r = in_r(env, "cat(getOption('repos')[['CRAN']])")

    assert of_r  # Debian's Rprofile.site names a mirror


def test_a_version_that_is_not_here_makes_nothing(store, make_r):
    with pytest.raises(RuntimeUnavailable):
        make_r(r="2.9")

    assert store.names() == ()
    assert not store.folder("demo").exists()


def test_packages_that_cannot_be_had_make_nothing(store, make_r):
    with pytest.raises(CommandFailed):
        make_r("demo", "nosuch")

    assert store.names() == ()


def test_force_builds_what_was_listed_again(store, make_r, now, actor):
    env = now(make_r("demo", "tinyb"), "tinyc")

    again = create(store, Plan(name="demo", force=True), actor=actor)

    assert again.generation != env.generation
    assert again.packages == ("tinyb", "tinyc")
    assert installed(store, again) == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}


# --- installed -------------------------------------------------------------------------------------------------------


def test_packages_come_with_what_they_need_and_code_in_c_is_built(store, make_r, now, in_r):
    env = now(make_r(), "tinyb", "tinyc")

    assert installed(store, env) == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}
    assert in_r(env, "cat(tinyb::hello(), tinyc::hello())") == "hello 2"
    assert env.packages == ("tinyb", "tinyc")
    last = store.history("demo").last()
    assert last.asked == (Asked(tool="venvoy", verb="install", names=("tinyb", "tinyc")),)


def test_the_record_has_the_names_of_conda_forge(store, make_r, now):
    env = now(make_r(), "tinyb", "Tiny.Cased")

    text = store.history("demo").latest.read_text()

    assert text == (
        "name: demo\nchannels:\n  - conda-forge\ndependencies:\n"
        f"  - r-base={env.r_version}\n  - r-tiny.cased=1.0\n  - r-tinya=1.1\n  - r-tinyb=0.2_1\n"
    )


@pytest.mark.parametrize("spec", ["tinya==1.0", "tinya@1.0"])
def test_an_old_version_comes_from_the_archive(store, make_r, now, in_r, spec):
    env = now(make_r(), "tinyb")

    env = now(env, spec)

    assert installed(store, env)["tinya"] == "1.0"
    assert in_r(env, "cat(tinyb::hello())") == "hello from 1.0"
    assert env.packages == ("tinyb", spec)


def test_an_old_version_brings_what_it_needs(store, make_r, now):
    env = now(make_r(), "tinyb==0.2-1")

    assert installed(store, env) == {"tinya": "1.1", "tinyb": "0.2-1"}


@pytest.mark.parametrize("wanted", [("tinyc", "nosuch"), ("tinybroken",), ("tinya==9.9",), ("tinyc", "tinya==9.9")])
def test_what_fails_changes_nothing(store, make_r, now, wanted):
    env = now(make_r(), "tinya==1.0")
    before = store.history("demo").count()

    with pytest.raises(CommandFailed):
        now(env, *wanted)

    assert installed(store, env) == {"tinya": "1.0"}
    assert os.listdir(env.library) == ["tinya"]
    assert store.environment("demo").packages == ("tinya==1.0",)
    assert store.history("demo").count() == before


@pytest.mark.parametrize("spec", ["", "-e", "a b", "x; y", "x==", "../x", "x>=1", "--vanilla", "x\n", "é"])
def test_what_is_no_package_never_reaches_r(store, make_r, now, spec):
    env = make_r()

    with pytest.raises(InvalidInput):
        now(env, spec)


def test_removing_takes_away_by_name(store, make_r, now, actor):
    env = now(make_r(), "tinyb", "tinyc")

    remove(store, env, ("tinyc",), actor=actor)

    assert installed(store, env) == {"tinya": "1.1", "tinyb": "0.2-1"}
    assert store.environment("demo").packages == ("tinyb",)


def test_removing_what_is_not_there_removes_nothing(store, make_r, now, actor):
    env = now(make_r(), "tinya")

    with pytest.raises(InvalidInput, match="tinyc, tinyz is not installed"):
        remove(store, env, ("tinyc", "tinya", "tinyz"), actor=actor)

    assert installed(store, env) == {"tinya": "1.1"}


def test_what_is_read_only_is_left_alone(store, make_r, actor):
    env = replace(make_r(), read_only=True)
    store.save(env)

    with pytest.raises(NotPermitted):
        install(store, env, ("tinya",), actor=actor)


@pytest.mark.parametrize("more", [{"specs": ("numpy",)}, {"dev": True}, {"lists": (Path("requirements.txt"),)}])
def test_words_for_python_are_refused(store, make_r, actor, more):
    env = make_r()

    with pytest.raises(InvalidInput, match="R environment"):
        install(store, env, ("tinya",), actor=actor, **more)


def test_r_cmd_install_goes_into_the_library_and_is_known_to_be_local(store, make_r, repository, in_r):
    env = make_r()
    source = repository / "src/contrib/tinya_1.1.tar.gz"

    in_r(env, f"stopifnot(system2('R', c('CMD', 'INSTALL', '{source}'), stdout = FALSE, stderr = FALSE) == 0)")

    assert installed(store, env) == {"tinya": "1.1"}


# --- taken back ------------------------------------------------------------------------------------------------------


def test_undo_takes_an_installation_back_without_the_repository(store, make_r, now, actor, repository):
    env = now(make_r(), "tinyb")
    lock = freeze(store, env, actor=actor).snapshot
    now(env, "tinyc")
    (repository / "src").rename(repository / "gone")
    libraries, base = libraries_of(store, env), r_in(store, env).base
    for other in (base, replace(base, libc="musl-1.2"), replace(base, platform="linux-aarch64")):
        found = [kept_in(libraries, each, other) is not None for each in lock.packages]
        assert found == [other is base] * 2

    returned = undo(store, store.environment("demo"), actor=actor)

    assert installed(store, returned.environment) == {"tinya": "1.1", "tinyb": "0.2-1"}
    assert returned.environment.packages == ("tinyb",)
    assert store.history("demo").last().event == "undo"


def test_undo_brings_back_what_was_removed_in_the_version_it_had(store, make_r, now, actor, in_r):
    env = now(make_r(), "tinya==1.0", "tinyb")
    remove(store, env, ("tinya", "tinyb"), actor=actor)

    returned = undo(store, store.environment("demo"), actor=actor)

    assert installed(store, returned.environment) == {"tinya": "1.0", "tinyb": "0.2-1"}
    assert in_r(returned.environment, "cat(tinyb::hello())") == "hello from 1.0"


def test_what_cannot_be_had_any_more_leaves_the_environment_as_it_is(store, make_r, now, actor, repository):
    env = now(make_r(), "tinya")
    remove(store, env, ("tinya",), actor=actor)
    (repository / "src").rename(repository / "gone")

    with pytest.raises(CommandFailed):
        undo(store, store.environment("demo"), actor=actor)

    assert installed(store, store.environment("demo")) == {}
    assert codes(store, env) == []


def test_going_forward_again_swaps_the_kept_library_in(store, make_r, now, actor, repository):
    now(make_r(), "tinya")
    undo(store, store.environment("demo"), actor=actor)
    (repository / "src").rename(repository / "gone")
    there = point(store.history("demo"), "2", look=lambda: None)

    returned = go_back(store, store.environment("demo"), there, actor=actor)

    assert not returned.built
    assert installed(store, returned.environment) == {"tinya": "1.1"}


def test_what_going_back_would_take_is_known_before(store, make_r, now, actor):
    env = now(make_r(), "tinya==1.0", "tinyc")
    before = Point(label="before", snapshot=observe(store, env))
    remove(store, env, ("tinya",), actor=actor)

    planned = plan(store, store.environment("demo"), before)

    assert [each.name for each in planned.download] == ["tinya"]
    assert [each.name for each in planned.cached] == ["tinyc"]
    assert planned.python == env.r_version


# --- looked over and mended ------------------------------------------------------------------------------------------


def test_what_is_lacking_is_found_and_put_in(store, make_r, now, actor):
    env = now(make_r(), "tinyb")
    subprocess.run(["rm", "-r", env.library / "tinya"], check=True)

    assert codes(store, env) == ["requirement-missing"]
    repaired = repair(store, env, actor=actor)

    assert repaired.left == ()
    assert installed(store, env) == {"tinya": "1.1", "tinyb": "0.2-1"}


def test_what_is_not_whole_is_put_in_anew_in_the_version_it_had(store, make_r, now, actor, in_r):
    env = now(make_r(), "tinya==1.0")
    subprocess.run(["rm", "-r", env.library / "tinya/Meta"], check=True)

    assert "distribution-incomplete" in codes(store, env)
    repair(store, env, actor=actor)

    assert codes(store, env) == []
    assert in_r(env, "cat(tinya::hello())") == "hello from 1.0"


def test_a_package_for_another_r_is_found(store, make_r, now):
    env = now(make_r(), "tinya")
    description = env.library / "tinya/DESCRIPTION"
    description.write_text(description.read_text().replace(f"Built: R {env.r_version}", "Built: R 3.6.1"))

    (found,) = check(store, env)

    assert found.code == "distribution-unfit"
    assert "tinya 1.1 (R 3.6.1)" in found.message


@pytest.mark.parametrize("lost", ["etc/Rprofile.site", "bin/Rscript", "bin/R", "R"])
def test_what_makes_r_see_the_library_is_written_again(store, make_r, actor, lost):
    env = make_r()
    subprocess.run(["rm", "-r", env.prefix / lost], check=True)

    assert codes(store, env) != []
    repair(store, env, actor=actor)

    assert codes(store, env) == []


@pytest.fixture
def slow(tmp_path, repository):
    """The source of a tinya that waits in its configure until there is a file `go` beside it."""
    with tarfile.open(repository / "src/contrib/tinya_1.1.tar.gz") as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "tinya/configure").write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n")
    (tmp_path / "tinya/configure").chmod(0o755)
    return tmp_path / "tinya"


@pytest.mark.parametrize("end", ["done", "killed"])
def test_an_installation_at_work_is_left_alone_and_one_that_was_killed_is_taken_back(
    store, make_r, now, actor, slow, in_r, end
):
    env = now(make_r(), "tinya==1.0")
    command = runtimes.get(env.runtime).command(env, Job(argv=("R", "CMD", "INSTALL", str(slow)), cwd=Path("/")))
    with subprocess.Popen(
        command.argv, env=process.environment(command), start_new_session=True, stderr=subprocess.DEVNULL
    ) as child:
        while not (env.library / "00LOCK-tinya/tinya").exists():
            assert child.poll() is None
            time.sleep(0.05)
        during = codes(store, env)
        repaired = repair(store, env, actor=actor)
        if end == "done":
            slow.with_name("go").touch()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    for each in (env.library / "00LOCK-tinya").glob("**"):
        os.utime(each, (0, 0))
    after = codes(store, env)
    if end == "killed":
        repair(store, env, actor=actor)

    assert "installing" in during
    assert "leftovers" not in during
    assert repaired.done == ()
    assert ("leftovers" in after) == (end == "killed")
    assert os.listdir(env.library) == ["tinya"]
    assert in_r(env, "cat(tinya::hello())") == ("hello" if end == "done" else "hello from 1.0")


def test_what_was_cut_short_while_it_was_moved_in_is_taken_back(store, make_r, now, actor):
    env = now(make_r(), "tinya==1.0")
    left = env.library / "00LOCK-venvoy-1"
    (left / "00before").mkdir(parents=True)
    (left / "00came").write_text("tinya\ntinyc\n../etc\n")
    (left / "tinya").mkdir()
    (env.library / "tinya").rename(left / "00before/tinya")
    (env.library / "tinyc").mkdir()

    assert "leftovers" in codes(store, env)
    repair(store, env, actor=actor)

    assert codes(store, env) == []
    assert os.listdir(env.library) == ["tinya"]
    assert installed(store, env) == {"tinya": "1.0"}


def test_what_came_from_elsewhere_is_not_replaced_by_a_repositorys(store, make_r, now, actor):
    env = now(make_r(), "tinyb", "tinyc")
    for name, more in (
        ("tinya", "RemoteType: github\nRemoteUsername: me\nRemoteRepo: tinya\nRemoteSha: a1\n"),
        ("tinyc", ""),
    ):
        file = env.library / name / "DESCRIPTION"
        file.write_text(file.read_text().replace(f"Built: R {env.r_version}", "Built: R 3.6.1") + more)

    repaired = repair(store, env, actor=actor)

    assert [each.message for each in repaired.left if each.code == "repair-failed"] == [
        "tinya 1.1 came from git+https://github.com/me/tinya@a1: put it in again by hand"
    ]
    assert repaired.done == ("installed tinyc 0.1 anew",)
    assert "Built: R 3.6.1" in (env.library / "tinya/DESCRIPTION").read_text()


def test_a_python_environment_of_the_name_is_in_the_way(store, make_r, make):
    make("demo")

    with pytest.raises(EnvironmentExists):
        make_r()
