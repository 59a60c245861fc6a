"""uv makes venvs, installs, and looks up what an installed version is on the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import uv

from ..model import Job, Mount

UNSATISFIABLE = 1
"""What uv exits with when the index answered, and does not have what was asked for; 2 is for all that went wrong."""
CERTIFICATES: Mapping[str, str] = {"UV_SYSTEM_CERTS": "1"}
"""uv trusts its own list of authorities; behind a university's proxy only the system's list works."""
_NOWHERE = Path("/")
"""Where no pyproject.toml or uv.toml of a project changes what uv does; the user's own settings still hold."""


def program() -> str:
    """The path of the uv that venvoy came with."""
    return uv.find_uv_bin()


def find() -> Job:
    """List the interpreters that uv itself has fetched, as JSON; those on PATH are found without it, and sooner."""
    job = _job("python", "list", "--only-installed", "--output-format", "json", cwd=_NOWHERE)
    return replace(job, variables={**job.variables, "PATH": "/nonexistent"})


def create(folder: Path, python: Path, *, prompt: str, sees_base: bool = False) -> Job:
    """Make an empty venv at `folder` on that interpreter; `prompt` is what an activated shell shows.

    With `sees_base` what the interpreter has itself can be imported in it, too.
    """
    more = ("--system-site-packages", "--allow-existing") if sees_base else ()
    words = ("--quiet", "--no-project", "--no-config", *more, "--prompt", prompt, "--python", str(python), str(folder))
    return replace(_job("venv", *words), online=False)


def install(python: Path, *requirements: str, files: tuple[Path, ...] = (), options: tuple[str, ...] = ()) -> Job:
    """Add packages, by name or from requirements files, to the environment of `python`."""
    lists = tuple(word for file in files for word in ("--requirements", str(file)))
    return _job("pip", "install", "--python", str(python), *options, *lists, "--", *requirements)


BUILDERS = ("setuptools", "wheel", "hatchling", "flit-core", "poetry-core", "cython", "setuptools-scm", "packaging")
"""What builds old packages today: an old one of these does not run on a newer Python, or misses what is asked of it."""


def install_listed(
    python: Path, listed: str, *, folder: Path | None = None, hashes: bool = False, as_of: date | None = None
) -> Job:
    """Add what a requirements file says, given as its text; its paths are seen from `folder`.

    With `hashes` everything must have one; with `as_of` the index is taken as it stood when that day ended (UTC), but
    for what packages are built with.
    """
    words: tuple[str, ...] = ("--require-hashes",) if hashes else ()
    if as_of:
        then = f"{as_of + timedelta(days=1):%Y-%m-%d}T00:00:00Z"
        words += ("--exclude-newer", then)
        words += tuple(word for each in BUILDERS for word in ("--exclude-newer-package", f"{each}=false"))
    return _job("pip", "install", "--python", str(python), *words, "--requirements", "-", stdin=listed, cwd=folder)


def reinstall(python: Path, name: str, listed: str) -> Job:
    """Put one package in anew, over whatever is there of it; `listed` is its line of a requirements file."""
    return _job(
        "pip", "install", "--python", str(python), "--no-deps", "--reinstall-package", name, "--requirements", "-",
        stdin=listed,
    )  # fmt: skip


def remove(python: Path, *names: str) -> Job:
    """Take packages away."""
    return _job("pip", "uninstall", "--python", str(python), "--", *names)


def exactly(python: Path, listed: str, *, find_links: Path | None = None) -> Job:
    """Add what a requirements file says and nothing that it needs; wheels are also looked for in `find_links`."""
    kept = ("--find-links", str(find_links)) if find_links else ()
    return _job(
        "pip", "install", "--python", str(python), "--no-deps", *kept, "--requirements", "-",
        stdin=listed,
        cwd=_NOWHERE,
    )  # fmt: skip


def rehearse(python: Path, listed: str, *, folder: Path) -> Job:
    """Say, in the words for debugging, what installing exactly that into an empty folder would fetch."""
    return _job(
        "pip", "install", "--dry-run", "--verbose", "--python", str(python), "--no-deps", "--target", str(folder),
        "--requirements", "-",
        stdin=listed,
        cwd=_NOWHERE,
    )  # fmt: skip


def from_lock(python: Path, lock: Path) -> Job:
    """Add exactly what a pylock.toml says; uv checks every hash that it names.

    `uv pip sync` would also take away what a conda environment's own packages have brought.
    """
    job = _job("pip", "install", "--python", str(python), "--no-deps", "--requirements", str(lock), cwd=_NOWHERE)
    return _sees(job, lock.parent)


def lock(python: Path, requirements: Iterable[str]) -> Job:
    """Look exact requirements up on the index; prints a pylock.toml with every file's url and hash (PEP 751)."""
    return _job(
        "pip", "compile", "--no-deps", "--python", str(python), "--index-strategy", "unsafe-best-match",
        "--format", "pylock.toml", "--no-header", "-",
        stdin="".join(f"{each}\n" for each in requirements),
        cwd=_NOWHERE,
        without=("UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_NO_BINARY*", "UV_NO_BUILD*", "UV_ONLY_BINARY", "UV_OVERRIDE"),
    )  # fmt: skip


def build(python: Path, source: Path, *, folder: Path) -> Job:
    """Build the wheel of a source archive or a project's folder for that interpreter, into `folder`."""
    return _job(
        "build", "--wheel", "--quiet", "--python", str(python), "--out-dir", str(folder), str(source), cwd=_NOWHERE
    )


def check(python: Path) -> Job:
    """Ask whether every requirement of what is installed is met."""
    return _job("pip", "check", "--python", str(python))


def into(folder: Path, python: Path, requirements: Path, *, find_links: Path | None = None) -> Job:
    """Put packages for `python` into a plain folder, every hash checked: the kernel's payload.

    With `find_links` they come from that folder alone.
    """
    kept = ("--offline", "--no-index", "--find-links", str(find_links)) if find_links else ()
    job = _job(
        "pip", "install", "--python", str(python), "--target", str(folder), *kept, "--require-hashes",
        "--no-deps", "--compile-bytecode", "--requirements", str(requirements),
    )  # fmt: skip
    return offline(_sees(job, find_links)) if find_links else job


def offline(job: Job) -> Job:
    """The same job with what uv's cache and the files that it names have, and no network."""
    return replace(job, variables={**job.variables, "UV_OFFLINE": "1"}, online=False)


def universal(python: Path, requirements: Iterable[str], *, constraints: Path) -> Job:
    """Resolve for every platform that the requirements' markers name; prints a pylock.toml (PEP 751).

    `constraints` is a requirements file with the versions that are taken wherever a package is needed.
    """
    return _job(
        "pip", "compile", "--universal", "--python", str(python), "--index-strategy", "unsafe-best-match",
        "--format", "pylock.toml", "--no-header", "--constraints", str(constraints), "-",
        stdin="".join(f"{each}\n" for each in requirements),
        cwd=_NOWHERE,
        without=("UV_CONSTRAINT", "UV_EXCLUDE_NEWER", "UV_NO_BINARY*", "UV_NO_BUILD*", "UV_ONLY_BINARY", "UV_OVERRIDE"),
    )  # fmt: skip


def _sees(job: Job, folder: Path) -> Job:
    """The same job, to which a folder of this machine is shown also where it runs in a container."""
    return replace(job, mounts=(*job.mounts, Mount(source=folder, target=str(folder), read_only=True)))


def _job(*words: str, stdin: str | None = None, cwd: Path | None = None, without: tuple[str, ...] = ()) -> Job:
    # Without the preview's name uv warns at every pylock.toml that it is one.
    quiet = {"UV_NO_PROGRESS": "1", "UV_PREVIEW_FEATURES": "pylock"}
    variables = {**CERTIFICATES, **quiet, "UV_PYTHON_DOWNLOADS": "never"}
    brought = Mount(source=Path(program()), target=program(), read_only=True)
    argv = (program(), *words)
    return Job(argv=argv, variables=variables, stdin=stdin, cwd=cwd, dropped=without, mounts=(brought,), online=True)
