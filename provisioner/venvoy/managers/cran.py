"""R installs into its libraries itself: what is asked of it, and the files by which it knows which library that is."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

from ..errors import InvalidInput
from ..model import Job, Mount
from ..r_words import NAME, VERSION

GUEST = Path(str(package_files("venvoy.guest")))
_SPEC = re.compile(rf"(?P<name>{NAME.pattern})(?:(?:==|@)(?P<version>{VERSION.pattern}))?", re.ASCII)
_LOAD = "base::sys.source(base::commandArgs(TRUE)[[1L]],base::new.env())"
"""R's own start script splits the path of a file at its spaces; what comes behind the code it leaves whole."""


def profile() -> str:
    """The Rprofile.site of a prefix: it puts the prefix's library in front, by where it lies itself."""
    return (GUEST / "Rprofile.site").read_text("utf-8")


def spec(said: str) -> tuple[str, str]:
    """The name and the version, or "", that "name", "name==1.0" or "name@1.0" asks for. Raises InvalidInput."""
    found = _SPEC.fullmatch(said)
    if found is None:
        raise InvalidInput(f"{said!r} is no R package", hint="write it as ggplot2 or ggplot2==3.4.0")
    return found["name"], found["version"] or ""


def install(library: Path, specs: tuple[str, ...]) -> Job:
    """Add packages, with what they need, from the repositories that R is configured for. Raises InvalidInput."""
    pairs = [spec(each) for each in specs]
    return _job(
        "cran.R", str(library), "install", *(f"{name}=={version}" if version else name for name, version in pairs)
    )


def exactly(library: Path, sources: tuple[Path, ...]) -> Job:
    """Add packages from these files, and nothing that they need; no repository is asked."""
    job = _job("cran.R", str(library), "exactly", *map(str, sources))
    mounts = (Mount(source=each, target=str(each), read_only=True) for each in sorted({one.parent for one in sources}))
    return replace(job, mounts=(*job.mounts, *mounts), online=False)


def fetch(folder: Path, pins: tuple[str, ...], *, further: tuple[str, ...] = ()) -> Job:
    """Put the sources of these versions ("name==version") into a folder, so far as a repository has them.

    One that is not from a repository is asked for by its address ("name==version@https://…"). After those that R is
    configured for the `further` ones are asked, by their addresses.
    """
    job = _job("cran.R", str(folder), "fetch", *pins, *further)
    return replace(job, mounts=(*job.mounts, Mount(source=folder, target=str(folder))))


def named(pins: tuple[str, ...]) -> Job:
    """Say how these packages are really called, that conda names so ("r-rcpp==1.0", "bioconductor-limma==3.60.0")."""
    return _job("cran.R", "/", "names", *pins)


def remove(library: Path, names: tuple[str, ...]) -> Job:
    """Take packages away."""
    return _job("cran.R", str(library), "remove", *names)


def script(name: str, *words: str, program: str = "Rscript", online: bool = False) -> Job:
    """Run one of the guest's R files, without the user's start-up files."""
    argv = (program, "--no-init-file", "-e", _LOAD, str(GUEST / name), *words)
    return Job(argv=argv, cwd=Path("/"), mounts=(_guest(),), online=online)


def kernel(session: Path, lent: Path | None, connection_file: Path) -> tuple[str, ...]:
    """The words that start a kernel; the user's start-up files are read by it, after what it needs itself."""
    options = ("--no-echo", "--no-save", "--no-restore", "--no-init-file")
    words = (str(GUEST / "kernel.R"), str(session), str(lent or "-"), str(connection_file))
    return ("R", *options, "-e", _LOAD, "--args", *words)


def _job(name: str, *words: str) -> Job:
    # Where the packages come from stands in the user's start-up files.
    argv = ("Rscript", "-e", _LOAD, str(GUEST / name), *words)
    return Job(argv=argv, cwd=Path("/"), mounts=(_guest(),), online=True)


def _guest() -> Mount:
    return Mount(source=GUEST, target=str(GUEST), read_only=True)
