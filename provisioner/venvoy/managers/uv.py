"""uv makes venvs, installs, and looks up what an installed version is on the index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import uv

from ..model import Job

CERTIFICATES: Mapping[str, str] = {"UV_SYSTEM_CERTS": "1"}
"""uv trusts its own list of authorities; behind a university's proxy only the system's list works."""


def program() -> str:
    """The path of the uv that venvoy came with."""
    return uv.find_uv_bin()


def find() -> Job:
    """List the interpreters that uv knows, as JSON."""
    return _job("python", "list", "--only-installed", "--output-format", "json")


def create(folder: Path, python: Path) -> Job:
    """Make an empty venv at `folder` on that interpreter."""
    return _job("venv", "--no-project", "--no-config", "--python", str(python), str(folder))


def install(python: Path, *requirements: str, files: tuple[Path, ...] = (), options: tuple[str, ...] = ()) -> Job:
    """Add packages, by name or from requirements files, to the environment of `python`."""
    lists = tuple(word for file in files for word in ("--requirements", str(file)))
    return _job("pip", "install", "--python", str(python), *options, *lists, "--", *requirements)


def install_listed(python: Path, listed: str) -> Job:
    """Add what a requirements file says, given as its text."""
    return _job("pip", "install", "--python", str(python), "--requirements", "-", stdin=listed)


def remove(python: Path, *names: str) -> Job:
    """Take packages away."""
    return _job("pip", "uninstall", "--python", str(python), "--", *names)


def sync(python: Path, lock: Path) -> Job:
    """Make the environment of `python` exactly what a pylock.toml says; uv checks every hash that it names."""
    return _job("pip", "sync", "--python", str(python), str(lock))


def lock(python: Path, exact: str) -> Job:
    """Look exact versions up on the index; prints a pylock.toml with every file's url and hash (PEP 751)."""
    return _job(
        "pip",
        "compile",
        "--no-deps",
        "--python",
        str(python),
        "--format",
        "pylock.toml",
        "--no-header",
        "-",
        stdin=exact,
    )


def check(python: Path) -> Job:
    """Ask whether every requirement of what is installed is met."""
    return _job("pip", "check", "--python", str(python))


def into(folder: Path, python: Path, requirements: Path) -> Job:
    """Put packages for `python` into a plain folder, every hash checked: the kernel's payload."""
    return _job(
        "pip", "install", "--python", str(python), "--target", str(folder), "--require-hashes",
        "--no-deps", "--compile-bytecode", "--requirements", str(requirements),
    )  # fmt: skip


def _job(*words: str, stdin: str | None = None) -> Job:
    variables = {**CERTIFICATES, "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never"}
    return Job(argv=(program(), *words), variables=variables, stdin=stdin)
