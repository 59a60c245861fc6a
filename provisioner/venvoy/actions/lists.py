"""The lists of requirements that an environment keeps: read entry by entry, and brought in step with what is there."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import InvalidInput
from ..formats.environment_yml import requirement as pin
from ..inventory.dist_info import canonical
from ..model import Snapshot

_ENDS = re.compile(r"(?<!\\)\n")


def entries(text: str) -> tuple[str, ...]:
    """The entries of a requirements file; one may go on over several lines, each but the last ending in a backslash."""
    return tuple(each for each in _ENDS.split(text) if each)


def bare(entry: str) -> str:
    """The requirement of an entry without its comment and options."""
    return re.split(r"\s(?:#|--)|\\\n", entry, maxsplit=1)[0].strip()


def requirement(text: str) -> Requirement:
    """Raises InvalidInput for what is no requirement (PEP 508)."""
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise InvalidInput(
            f"{text!r} is not a requirement: {error}",
            hint="write it as pip does: numpy, 'numpy>=2', 'name @ URL'",
        ) from error


def merged(listed: tuple[str, ...], added: Iterable[str]) -> tuple[str, ...]:
    """The list with others added, which replace those of the same name."""
    added = tuple(added)
    kept = without_names(listed, {canonical(requirement(each).name) for each in added})
    return tuple(sorted({*kept, *added}))


def without_names(listed: tuple[str, ...], names: Iterable[str]) -> tuple[str, ...]:
    """The list without the requirements of those names."""
    gone = frozenset(names)
    return tuple(each for each in listed if not named(each, gone))


def named(text: str, names: frozenset[str]) -> bool:
    """Whether it is a requirement by one of those canonical names."""
    return _name(text) in names


def fitted(text: str, snapshot: Snapshot) -> str:
    """A requirements file as it fits a state: what is not there goes, what is there in another version is pinned.

    Options, comments, paths, and what a marker excludes stay as they are.
    """
    return "".join(f"{each}\n" for entry in entries(text) if (each := _fitted(entry, snapshot)))


def names(text: str) -> frozenset[str]:
    """The canonical names of the requirements that a text lists, as a requirements file does."""
    return frozenset(name for entry in entries(text) if (name := _name(bare(entry))))


def _fitted(entry: str, snapshot: Snapshot) -> str:
    try:
        asked = Requirement(bare(entry))
    except InvalidRequirement:
        return entry
    there = snapshot.package(canonical(asked.name))
    if there is None:
        return entry if asked.marker else ""
    if asked.url or there.origin != "index" or asked.specifier.contains(there.version, prereleases=True):
        return entry
    return pin(there)


def _name(text: str) -> str:
    try:
        return canonical(Requirement(text).name)
    except InvalidRequirement:
        return ""
