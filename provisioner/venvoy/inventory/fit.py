"""Whether what is installed fits: each to what it needs (PEP 508), all to the interpreter (PEP 425)."""

from __future__ import annotations

import functools
import platform
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from packaging import tags
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from .dist_info import Distribution, canonical


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Need:
    """A requirement that is not met: whose ("" for the environment's own list), and what is there of it instead."""

    owner: str
    name: str
    text: str
    installed: str | None


def markers(version: str, where: str) -> dict[str, str]:
    """The variables of PEP 508 for a CPython of that version on `where` ("linux-x86_64"), whatever runs us."""
    system, _, machine = where.partition("-")
    return {
        "implementation_name": "cpython",
        "implementation_version": version,
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": platform.release(),
        "platform_system": system.capitalize(),
        "platform_version": platform.version(),
        "python_full_version": version,
        "python_version": ".".join(version.split(".")[:2]),
        "sys_platform": system,
    }


def unmet(
    distributions: Iterable[Distribution], wanted: Iterable[str], environment: Mapping[str, str]
) -> tuple[Need, ...]:
    """What distributions need, and what is `wanted` of the environment, that is not there as it should be.

    Extras are followed where somebody asks for them. What is no requirement by name (a path, a URL) is passed over.
    """
    there = {each.name: each for each in distributions}
    todo = [("", each) for text in wanted if (each := _holding(text.partition(" --")[0], "", environment))]
    todo += [(_called(each), need) for each in there.values() for need in _needed(each, "", environment)]
    seen: set[tuple[str, str]] = set()
    found: set[Need] = set()
    while todo:
        owner, requirement = todo.pop()
        name = canonical(requirement.name)
        one = there.get(name)
        if one is None or not _within(one.version, requirement.specifier):
            found.add(Need(owner=owner, name=name, text=_plain(requirement), installed=one.version if one else None))
            continue
        for extra in requirement.extras:
            if (name, extra) not in seen:
                seen.add((name, extra))
                todo += [(f"{name}[{extra}] {one.version}", need) for need in _needed(one, extra, environment)]
    return tuple(sorted(found, key=lambda each: (each.owner, each.name, each.text)))


def demands(
    distributions: Iterable[Distribution], names: Iterable[str], environment: Mapping[str, str]
) -> tuple[str, ...]:
    """All that installed distributions ask of those names, without extras: what a new choice has to satisfy."""
    asked = frozenset(names)
    every = (need for each in distributions for need in _needed(each, "", environment))
    return tuple(sorted({_plain(each) for each in every if canonical(each.name) in asked}))


def supported(version: str, abi: str) -> frozenset[str]:
    """The tags of wheels that a CPython of that version and ABI ("cp313t") takes on this machine."""
    numbers = tuple(int(each) for each in version.split(".")[:2])
    platforms = tuple(tags.platform_tags())
    interpreter = f"cp{''.join(map(str, numbers))}"
    return frozenset(
        map(
            str,
            (
                *tags.cpython_tags(numbers, abis=dict.fromkeys((abi, abi.removesuffix("d"))), platforms=platforms),
                *tags.compatible_tags(numbers, interpreter=interpreter, platforms=platforms),
            ),
        )
    )


def expanded(tag: str) -> Iterator[str]:
    """The single tags of one that may stand for several ("py2.py3-none-any")."""
    yield from map(str, tags.parse_tag(tag))


def _needed(one: Distribution, extra: str, environment: Mapping[str, str]) -> Iterator[Requirement]:
    for text in one.requires:
        # Most lines of large projects are for extras; parsing them all would take most of the time.
        if ("extra" in text.partition(";")[2]) == bool(extra) and (need := _holding(text, extra, environment)):
            yield need


def _holding(text: str, extra: str, environment: Mapping[str, str]) -> Requirement | None:
    """The requirement, if it is one and its marker holds."""
    requirement = _parsed(text)
    if requirement is None or (requirement.marker and not requirement.marker.evaluate({**environment, "extra": extra})):
        return None
    return requirement


@functools.lru_cache(maxsize=8192)
def _parsed(text: str) -> Requirement | None:
    try:
        return Requirement(text)
    except InvalidRequirement:
        return None


def _within(version: str, specifier: SpecifierSet) -> bool:
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return not specifier


def _called(one: Distribution) -> str:
    return f"{one.name} {one.version}"


def _plain(requirement: Requirement) -> str:
    """The requirement without its marker, which was looked at already."""
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    if requirement.url:
        return f"{requirement.name}{extras} @ {requirement.url}"
    return f"{requirement.name}{extras}{requirement.specifier}"
