"""Tell which packages the code of a notebook imports, and which its kernel has loaded."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .. import inventory
from ..model import Environment
from .loaded import Module, owners

_IMPORT = re.compile(r"^\s*import\s+(?P<names>[^#;\n]+)", re.MULTILINE)
_FROM = re.compile(r"^\s*from\s+(?P<name>[^\W\d]\w*)[\w.]*\s+import\b", re.MULTILINE)
_LIBRARY = re.compile(
    r"\b(?:library|require|requireNamespace|loadNamespace)\s*\(\s*['\"]?([A-Za-z][\w.]*)|([A-Za-z][\w.]*):::?\w"
)
_SUFFIXES = ("/__init__.py", ".py", "/__init__.pyi")


def imported(env: Environment, sources: Iterable[str], modules: Iterable[Module] = ()) -> frozenset[str]:
    """The names of the packages that the cells import, and of those that the kernel has loaded since it started."""
    if env.language == "r":
        there = {each.name for each in inventory.r_packages(env.prefix)}
        return frozenset(
            name for source in sources for found in _LIBRARY.findall(source) for name in found if name in there
        )
    said = {name for source in sources for name in names_in(source)}
    return owners(env, [*_since_start(modules), *_files(env, said)])


def names_in(source: str) -> frozenset[str]:
    """The top-level names that a cell imports; lines that are no Python are no matter."""
    listed = {
        part.strip().partition(" ")[0].partition(".")[0]
        for each in _IMPORT.finditer(source)
        for part in each["names"].split(",")
    }
    return frozenset(name for name in listed | {each["name"] for each in _FROM.finditer(source)} if name.isidentifier())


def _since_start(modules: Iterable[Module]) -> Iterator[Module]:
    """Without what the kernel had loaded itself before its first cell, be it lent or the environment's own."""
    told = tuple(modules)
    first = min((each.by for each in told), default=0.0)
    return (each for each in told if each.by > first and not each.lent)


def _files(env: Environment, names: Iterable[str]) -> Iterator[Module]:
    """The names as modules that lie in the environment."""
    folders = inventory.site_folders(env.prefix)
    for name in names:
        files = [f"{name}{suffix}" for suffix in _SUFFIXES]
        files += [f"{each.name}" for folder in folders for each in folder.glob(f"{name}.*.so")]
        found = next((file for file in files if any((folder / file).exists() for folder in folders)), None)
        yield Module(name=name, version=None, file=found or "", after=0.0, by=0.0)
