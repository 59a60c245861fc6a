"""R packages from git and from plain addresses: locked as renv locks them, kept with their source, made again."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from venvoy.actions.freeze import freeze
from venvoy.actions.locks import locked
from venvoy.actions.observe import observe
from venvoy.actions.restore import How, restore
from venvoy.actions.stock import Stock
from venvoy.actions.vendor import vendor
from venvoy.errors import CommandFailed
from venvoy.formats.renv import RenvLock
from venvoy.inventory import r_tarball

DESCRIBED = """\
Package: Mine
Version: 0.0.9000
Title: Mine
Description: What somebody works on.
Author: Ada
Maintainer: Ada <ada@example.org>
License: GPL-3
"""


def git(folder, *words):
    said = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", *words)
    return subprocess.run(["git", *said], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def project(tmp_path):
    """A repository with a package in one of its folders, and a function that commits another state of it."""
    folder = tmp_path / "project"
    inner = folder / "pkg"
    (inner / "R").mkdir(parents=True)
    (inner / "DESCRIPTION").write_text(DESCRIBED)
    (inner / "NAMESPACE").write_text("export(hello)\n")
    git(folder, "init", "--quiet", "--initial-branch=main")

    def commit(answer):
        (inner / "R/code.R").write_text(f"hello <- function() '{answer}'\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "--message", answer)
        return git(folder, "rev-parse", "HEAD")

    return folder, commit


@pytest.fixture
def remotes(rscript, in_r):
    """Call a function of this machine's remotes in an environment, whose own library is left alone."""
    asked = [rscript, "--vanilla", "-e", "cat(dirname(find.package('remotes', quiet = TRUE)))"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    if not found:
        pytest.skip("this machine's R has no remotes")

    def called(env, call):
        return in_r(env, f"loadNamespace('remotes', lib.loc = '{found}'); remotes::{call}")

    return called


@pytest.fixture
def elsewhere(make_r, remotes, project, repository, served_repository, rscript):
    """An environment with one package of each: of CRAN, of git, of an address; with what the last two are called."""
    folder, commit = project
    made = Path(__file__).parents[1] / "r" / "package.R"
    own = repository / "own"
    build = f"m <- new.env(); sys.source('{made}', m); m$make('byurl', '1.0', into = '{own}', fields = NULL)"
    subprocess.run([rscript, "--vanilla", "-e", build], check=True, capture_output=True)
    env = make_r("demo", "tinya")
    sha = commit("first")
    url = f"{served_repository}/own/byurl_1.0.tar.gz"
    remotes(env, f"install_git('{folder.as_uri()}', subdir = 'pkg', git = 'external', upgrade = 'never', quiet = TRUE)")
    remotes(env, f"install_url('{url}', upgrade = 'never', quiet = TRUE)")
    return env, f"git+{folder.as_uri()}@{sha}#subdirectory=pkg", url


def test_they_are_locked_and_kept_and_made_again_from_where_they_came(
    store, elsewhere, actor, in_r, renv, rscript, served_repository, tmp_path
):
    env, commit, url = elsewhere

    frozen = freeze(store, env, actor=actor)
    records = json.loads(frozen.path.read_text())["Packages"]
    assert {each.name: each.url for each in frozen.snapshot.packages if each.origin != "index"} == {
        "Mine": commit,
        "byurl": url,
    }
    assert [(each.package.name, each.reason) for each in frozen.unpinned] == [
        ("Mine", "installed from a repository that only this machine can reach")
    ]
    assert records["byurl"]["RemoteUrl"] == url
    assert {key: records["Mine"][key] for key in ("Source", "RemoteType", "RemoteSubdir")} == {
        "Source": "Git",
        "RemoteType": "git",
        "RemoteSubdir": "pkg",
    }
    # renv itself says the same of what is installed, and restores it from our lock
    (tmp_path / "library").mkdir()
    names = "c('Mine', 'byurl', 'tinya')"
    code = f"""
        .libPaths(c("{env.library}", "{renv}"))
        options(repos = c(CRAN = "{served_repository}"), renv.config.cache.enabled = FALSE, renv.consent = TRUE)
        theirs <- "{tmp_path}/theirs.lock"
        renv::snapshot(project = "{tmp_path}", lockfile = theirs, packages = {names}, prompt = FALSE, force = TRUE)
        .libPaths("{renv}")
        renv::restore(library = "{tmp_path}/library", lockfile = "{frozen.path}", packages = {names}, prompt = FALSE)
        cat("there:", packageDescription("Mine", "{tmp_path}/library")$RemoteSha)
    """
    ran = subprocess.run([rscript, "--vanilla", "-e", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout.endswith(f"there: {records['Mine']['RemoteSha']}")
    theirs = RenvLock().load((tmp_path / "theirs.lock").read_text(), source="theirs")
    assert theirs.packages == observe(store, env).packages

    online = restore(store, frozen.path, name="online", actor=actor).environment
    kept = vendor(store, env, locked(store, env))
    shutil.rmtree(kept.folder / "cran/built")
    shutil.rmtree(tmp_path / "project")
    how = How(offline=True, stock=Stock(repository=kept.folder / "cran"))
    offline = restore(store, frozen.path, name="offline", actor=actor, how=how).environment

    assert kept.missing == ()
    assert {(each.name, each.built) for each in kept.kept if each.built != "library"} == {
        ("Mine", "vcs"),
        ("byurl", ""),
        ("tinya", ""),
    }
    source = kept.folder / "cran/src/contrib/Mine_0.0.9000.tar.gz"
    assert r_tarball.described(source)["RemoteSha"] == records["Mine"]["RemoteSha"]
    assert observe(store, online).packages == observe(store, offline).packages == observe(store, env).packages
    assert in_r(offline, "cat(Mine::hello(), byurl::hello())") == "first hello"


def test_another_commit_of_the_same_version_is_not_taken_for_it(store, make_r, actor, remotes, project):
    folder, commit = project
    env = make_r("demo")
    call = f"install_git('{folder.as_uri()}', subdir = 'pkg', git = 'external', upgrade = 'never', quiet = TRUE)"
    commit("first")
    remotes(env, call)
    freeze(store, env, actor=actor)
    first = vendor(store, env, locked(store, env))
    before = {each.built: each.sha256 for each in first.kept}
    sha = commit("second")
    remotes(env, call)
    freeze(store, env, actor=actor)

    found = vendor(store, env, locked(store, env))

    assert {each.built: each.sha256 for each in found.kept}.keys() == before.keys()
    assert all(each.sha256 != before[each.built] for each in found.kept)
    assert sha in r_tarball.described(found.folder / "cran/src/contrib/Mine_0.0.9000.tar.gz")["RemoteSha"]


def test_a_commit_that_is_gone_is_said_and_what_was_built_is_kept(store, make_r, actor, remotes, project):
    folder, commit = project
    env = make_r("demo")
    commit("first")
    remotes(env, f"install_git('{folder.as_uri()}', subdir = 'pkg', git = 'external', upgrade = 'never', quiet = TRUE)")
    freeze(store, env, actor=actor)
    shutil.rmtree(folder)
    heard = []

    kept = vendor(store, env, locked(store, env), on_line=heard.append)

    assert [each.built for each in kept.kept] == ["library"]
    assert "Mine 0.0.9000: no source of it, only what was built for this R" in heard
    shutil.rmtree(kept.folder)
    with pytest.raises(CommandFailed, match=r"Mine 0\.0\.9000 cannot be had"):
        restore(store, store.project("demo") / "renv.lock", name="again", actor=actor)
