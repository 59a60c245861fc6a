"""Find the package managers of this machine, and say which one venvoy uses for what and why."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Literal, Protocol

from .. import process
from ..errors import CommandFailed, RuntimeUnavailable
from ..managers import conda, uv
from ..model import Command, Job
from ..store import Store
from .bases import without_environment

PATIENCE = 5.0
"""Seconds that a program has for its version; conda takes two on a slow disk."""
EMBEDDED = "py-rattler"
CONDA_PROGRAMS = ("micromamba", "mamba", "conda")
"""Those that make prefixes which venvoy can adopt where py-rattler is not."""
_FOLDERS = ("miniforge3/bin", "miniconda3/bin", "mambaforge/bin", "micromamba/bin", ".local/bin", ".pixi/bin")
_SYSTEM = (Path("/opt/conda/bin"),)
_VERSION = r"(\d+\.\d+[\w.+-]*)"
_ANSWERS: Mapping[str, re.Pattern[str]] = {
    "micromamba": re.compile(rf"(?:micromamba )?{_VERSION}"),
    "mamba": re.compile(rf"(?:mamba )?{_VERSION}"),
    "conda": re.compile(rf"conda {_VERSION}"),
    # The pixi of the Python index is another program, which fetches pictures; it is past 1.0.
    "pixi": re.compile(r"pixi (0\.\d+\.\d+\S*)"),
    "uv": re.compile(rf"uv {_VERSION}(?: \(.*\))?"),
    "pip": re.compile(rf"pip {_VERSION} from .*"),
}
"""The first line of what each prints for --version; mamba 1 has conda's in a second one."""


class Run(Protocol):
    """`process.run`, as far as it is needed here."""

    def __call__(self, command: Command, *, timeout: float | None = None) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagerFound:
    """One package manager; `path` is None where there is none, `version` "" where it is not known.

    `role` is what venvoy uses it for, "" for nothing; `reason` says why, why not, or why it cannot be used.
    """

    name: str
    kind: Literal["conda", "pypi"]
    path: Path | None = None
    version: str = ""
    usable: bool = False
    reason: str = ""
    role: str = ""


def package_managers(store: Store, *, run: Run = process.run, embedded: str = EMBEDDED) -> tuple[ManagerFound, ...]:
    """What is on this machine: the embedded engine, micromamba, mamba, conda and pixi, then uv and pip.

    Conda packages are for the embedded engine, and in notebooks for the user's own programs; those of the Python index
    are uv's. `embedded` is the distribution that the engine is made of.
    """
    names = (*CONDA_PROGRAMS, "pixi")
    places = [(name, path) for name in names for path in _candidates(name, store)]
    own = [("uv", Path(uv.program())), *(("pip", path) for path in _candidates("pip", store))]
    seen = _asked([*places, *own], run)
    programs = [_best(name, seen) for name in names]
    return (*_with_roles(_embedded(embedded), programs), _uv(_best("uv", seen)), _pip(_best("pip", seen)))


def conda_program(store: Store, *, run: Run = process.run) -> Path | None:
    """The first real micromamba, mamba or conda, for where py-rattler is not; None where there is none."""
    seen = _asked([(name, path) for name in CONDA_PROGRAMS for path in _candidates(name, store)], run)
    return next((each.path for each in seen if each.usable), None)


def _candidates(name: str, store: Store) -> tuple[Path, ...]:
    """Where a program of that name is: PATH, what conda and mamba say of themselves, then the usual places."""
    environ = process.environment(Command(argv=()))
    folders = [Path(each) for each in environ["PATH"].split(os.pathsep) if each]
    told = (Path(environ.get(variable, "")) for variable in ("MAMBA_EXE", "CONDA_EXE"))
    usual = [*(store.settings.user_home / each for each in _FOLDERS), *_SYSTEM, Path(sys.executable).parent]
    paths = [
        *(folder / name for folder in folders),
        *(path for path in told if path.name == name),
        *(folder / name for folder in usual),
    ]
    different: dict[Path, Path] = {}
    for path in filter(_runs, paths):
        different.setdefault(path.resolve(), path)
    return tuple(different.values())


def _runs(path: Path) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK) and not _ours(path)  # noqa: PTH113  # never raises


def _ours(path: Path) -> bool:
    """Whether it is a stand-in that venvoy put there: a script that names venvoy below the line of its interpreter."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return head.startswith(b"#!") and b"venvoy" in head.partition(b"\n")[2]


def _asked(places: Iterable[tuple[str, Path]], run: Run) -> list[ManagerFound]:
    """Ask all of them side by side what version they are."""
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(lambda place: _ask(place[0], place[1], run), places))


def _ask(name: str, path: Path, run: Run) -> ManagerFound:
    found = ManagerFound(name=name, kind="pypi" if name in ("uv", "pip") else "conda", path=path)
    try:
        printed = run(without_environment(Job(argv=(str(path), "--version"), cwd=Path("/"))), timeout=PATIENCE)
    except (CommandFailed, RuntimeUnavailable) as error:
        return replace(found, reason=error.message)
    first, *_ = printed.strip().splitlines() or [""]
    if answer := _ANSWERS[name].fullmatch(first.strip()):
        return replace(found, version=answer[1], usable=True)
    return replace(found, reason=f"another program of that name: it does not answer as {name} does")


def _best(name: str, seen: Iterable[ManagerFound]) -> ManagerFound:
    """The first that is real, else the first, else none."""
    named = [each for each in seen if each.name == name]
    missing = ManagerFound(name=name, kind="pypi" if name == "pip" else "conda", reason="not found")
    return next((each for each in named if each.usable), named[0] if named else missing)


def _embedded(name: str) -> ManagerFound:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return ManagerFound(name=name, kind="conda", reason=f"not installed; add it: {conda.extra()}")
    path = Path(str(found.locate_file("rattler")))
    return ManagerFound(name=name, kind="conda", path=path, version=found.version, usable=True)


def _with_roles(embedded: ManagerFound, programs: Iterable[ManagerFound]) -> tuple[ManagerFound, ...]:
    told = [
        replace(embedded, role="conda packages", reason="the engine inside venvoy") if embedded.usable else embedded
    ]
    for each in programs:
        if not each.usable:
            told.append(each)
        elif each.name == "pixi":
            told.append(replace(each, reason="it works in projects of its own; their environments can be adopted"))
        else:
            magic = "%conda" if each.name == "conda" else "%mamba"
            why = "what is installed by it is recorded; venvoy itself uses its own engine"
            told.append(replace(each, role=f"{magic} in notebooks", reason=why))
    return tuple(told)


def _uv(found: ManagerFound) -> ManagerFound:
    return replace(found, role="PyPI packages", reason="it comes with venvoy") if found.usable else found


def _pip(found: ManagerFound) -> ManagerFound:
    if not found.usable:
        return found
    why = "for files and repositories; taken is the pip of the environment itself"
    return replace(found, role="what uv cannot fetch", reason=why)
