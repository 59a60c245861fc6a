"""A folder as repo2docker (mybinder.org) reads it: which of its files say what is to be installed.

Source: repo2docker's "Configuration Files".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput

FOLDERS = ("binder", ".binder")
_BY_AN_IMAGE = {
    "Dockerfile": "an image can be built from it",
    "apt.txt": "its system packages need an image",
    "postBuild": "it is never run here; read it, and run what you want of it",
    "start": "it is never run here",
    "default.nix": "only Nix can follow it",
}
_BY_ANOTHER = {
    "install.R": "R packages need an R environment",
    "DESCRIPTION": "R packages need an R environment",
    "Project.toml": "Julia is not supported",
    "REQUIRE": "Julia is not supported",
    "Pipfile": "pipenv's files are not read: pipenv requirements > requirements.txt",
}
_PYTHON = re.compile(r"python-(3(?:\.[0-9]+){0,2})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """The file to follow, the Python that runtime.txt names ("" for any), and what is left out, one sentence each."""

    file: Path
    python: str = ""
    remarks: tuple[str, ...] = ()


def recognised(folder: Path) -> Repository:
    """Look through a folder; nothing of it is executed. Raises InvalidInput where it says nothing."""
    place = next((folder / each for each in FOLDERS if (folder / each).is_dir()), folder)
    known = {**_BY_AN_IMAGE, **_BY_ANOTHER}
    remarks = [f"{each} was left out: {known[each]}" for each in known if (place / each).is_file()]
    python = ""
    runtime = place / "runtime.txt"
    if runtime.is_file():
        said = runtime.read_text("utf-8", "replace")[:200].strip()
        if found := _PYTHON.fullmatch(said):
            python = found[1]
        else:
            remarks.append(f"runtime.txt was left out: {said[:60]!r} is no Python")
    order = ("pylock.toml", "uv.lock", "environment.yml", "environment.yaml", "requirements.txt")
    there = [place / each for each in order if (place / each).is_file()]
    if not there:
        raise InvalidInput(
            f"{folder} has no file that says what to install",
            hint=f"looked for: {', '.join(order)} (in {place})",
        )
    remarks += [f"{each.name} was left out: {there[0].name} comes first" for each in there[1:]]
    return Repository(file=there[0], python=python, remarks=tuple(remarks))
