"""pip, the environment's own, for what uv has no command for: files of an index, and wheels of repositories."""

from __future__ import annotations

from pathlib import Path

from ..model import Job

_QUIET = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_NO_COLOR": "1"}


def download(python: Path, requirement: str, *, folder: Path) -> Job:
    """Put the file that the index has for an exact requirement into `folder`."""
    words = ("download", "--no-deps", "--quiet", "--dest", str(folder), "--", requirement)
    return _job(python, *words)


def wheel(python: Path, requirement: str, *, folder: Path) -> Job:
    """Build the wheel of a requirement, a repository's commit say, into `folder`."""
    words = ("wheel", "--no-deps", "--quiet", "--wheel-dir", str(folder), "--", requirement)
    return _job(python, *words)


def _job(python: Path, *words: str) -> Job:
    return Job(argv=(str(python), "-m", "pip", *words), variables=_QUIET, cwd=Path("/"))
