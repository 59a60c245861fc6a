"""Change an R library by R, and set right what was cut short in it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .. import files, process
from ..inventory import description
from ..model import Environment, Job
from ..process import OnLine
from ..r_words import NAME
from ..runtimes.inside import PREFIX
from .start_of import start_of

_OURS = f"{description.LOCK}-venvoy-"
_BEFORE, _CAME = "00before", "00came"
"""In a folder of `cran.R`: what was in the library before, and the names of what is being moved there."""
_INSTALLER = b"nextArg"
"""Is in the command line of every `R CMD INSTALL`: so R's start script hands words on."""
PATIENCE = 3600.0
"""Seconds without a change after which an installation that may run on another machine is taken to be cut short."""


def change(env: Environment, job: Job, *, on_line: OnLine | None = None) -> None:
    """Run a job of `managers.cran` on the environment's library, which it changes as a whole or not at all.

    The caller holds the environment. Raises CommandFailed when it cannot be done.
    """
    try:
        process.run(start_of(env, job), on_line=on_line)
    finally:
        for _ in _undone(env.library):
            pass


def at_work(env: Environment) -> tuple[Path, ...]:
    """The folders of R's installers that may be at work: in a cell, a terminal, or on another machine.

    Those of `change` are none, for who asks either holds the environment or sees that another does.
    """
    found = [each for each in _locks(env.library) if not each.name.startswith(_OURS)]
    if not found or _installers(env.library):
        return tuple(found)
    if _of_this_machine(env.library):
        return ()
    return tuple(each for each in found if time.time() - _moved(each) < PATIENCE)


def leftovers(env: Environment) -> tuple[Path, ...]:
    """The folders in which R was building when it was cut short."""
    busy = at_work(env)
    return tuple(each for each in _locks(env.library) if each not in busy)


def settle(env: Environment) -> Iterator[str]:
    """Take back what was cut short, and remove what it left; says what was done. The caller holds the environment."""
    yield from _undone(env.library)
    for left in leftovers(env):
        for old in _packages(left):
            if _put_back(old, env.library):
                yield f"put {old.name} back, which a cut short installation had taken away"
        files.remove(left)
        yield f"removed {left}, which a cut short installation had left"


def _undone(library: Path) -> Iterator[str]:
    """What `cran.R` left: packages that it was moving in go out again, and come back that were there before."""
    for left in _locks(library):
        if not left.name.startswith(_OURS):
            continue
        moving = _names(left / _CAME)
        for name in moving or ():
            if not os.path.lexists(left / name):
                files.remove(library / name)
        for old in _packages(left / _BEFORE) if moving is not None else ():
            if not os.path.lexists(library / old.name):
                old.rename(library / old.name)
        files.remove(left)
        yield f"removed {left}, which a cut short installation had left"


def _put_back(old: Path, library: Path) -> bool:
    """Have a package again of which R had kept the former version, unless another is there and whole."""
    if old.name in description.broken(old.parent) or _whole(old.name, library):
        return False
    files.remove(library / old.name)
    old.rename(library / old.name)
    return True


def _whole(name: str, library: Path) -> bool:
    return (library / name).is_dir() and name not in description.broken(library)


def _names(noted: Path) -> tuple[str, ...] | None:
    """The packages that were being moved in, None where that had not begun or was done; a container may write here."""
    if noted.is_symlink() or not noted.is_file():
        return None
    return tuple(each for each in noted.read_text("utf-8", "replace").splitlines() if NAME.fullmatch(each))


def _packages(folder: Path) -> tuple[Path, ...]:
    return () if folder.is_symlink() else tuple(each.folder for each in description.read(folder))


def _locks(library: Path) -> tuple[Path, ...]:
    return tuple(sorted(library.glob(f"{description.LOCK}*")))


def _moved(folder: Path) -> float:
    """When something in the folder changed last, in seconds since the epoch."""
    found = [0.0]
    for place, _, names in os.walk(folder):
        for each in (place, *(os.path.join(place, name) for name in names)):  # noqa: PTH118  # may be many
            with suppress(FileNotFoundError):  # an installer is at work
                found.append(os.lstat(each).st_mtime)
    return max(found)


def _of_this_machine(library: Path) -> bool:
    """Whether only this machine can be at work in the library, and we see who is: it lies on a disk of its own."""
    return Path("/proc/self").exists() and os.major(library.stat().st_dev) != 0


def _installers(library: Path) -> bool:
    """Whether an `R CMD INSTALL` of ours is running that sees the library, in a container or outside."""
    names = {os.fsencode(each) for each in (library, library.resolve(), f"{PREFIX}/{library.name}")}
    for each in Path("/proc").glob("[0-9]*"):
        try:
            argv = (each / "cmdline").read_bytes()
            said = argv + (each / "environ").read_bytes() if _INSTALLER in argv else b""
        except OSError:  # it has ended, or is another user's
            continue
        if any(name in said for name in names):
            return True
    return False
