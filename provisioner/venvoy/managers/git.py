"""git, where packages of R come from a project's repository: its files as they were at a commit, and nothing run."""

from __future__ import annotations

from pathlib import Path

from ..model import Job

_VARIABLES = {"GIT_TERMINAL_PROMPT": "0"}
_OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")
"""Variables that name another repository, where we are started by one of git's own hooks."""


def begin(folder: Path) -> Job:
    """Make an empty repository, without a work tree."""
    return _job("init", "--quiet", "--bare", str(folder))


def fetch(folder: Path, url: str, commit: str) -> Job:
    """Have this commit alone in it; not every server gives one that no branch ends in."""
    return _job("-C", str(folder), "fetch", "--quiet", "--no-tags", "--depth=1", "--", url, commit)


def fetch_all(folder: Path, url: str) -> Job:
    """Have all that the branches and tags of a repository lead to."""
    places = ("+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*")
    return _job("-C", str(folder), "fetch", "--quiet", "--", url, *places)


def archive(folder: Path, commit: str, inner: str, target: Path, *, called: str) -> Job:
    """Write the files of a commit, or of a folder in it, into a tar.gz of one folder that is `called` so."""
    words = ("archive", "--format=tar.gz", f"--prefix={called}/", f"--output={target}")
    return _job("-C", str(folder), *words, f"{commit}:{inner}" if inner else commit)


def _job(*words: str) -> Job:
    return Job(argv=("git", *words), variables=_VARIABLES, dropped=_OF_ANOTHER, cwd=Path("/"))
