"""Tell what was asked for from what only came along."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from packaging.markers import Marker
from packaging.requirements import InvalidRequirement, Requirement

from ..inventory import Description, Distribution, fit
from ..inventory.dist_info import canonical
from ..model import Package, Snapshot

PIP = "pip"
"""Put into every environment by whoever makes it; it counts as asked for only when somebody did."""


def told_apart(
    snapshot: Snapshot, wanted: Iterable[str], distributions: Iterable[Distribution | Description]
) -> Snapshot:
    """The snapshot with `direct` filled in: asked for by name, or required by nothing else that is installed.

    The files named REQUESTED are no help: uv writes them for what came along, too. What only an extra requires is
    taken for asked for, because nobody knows whether the extra was. Packages of Python and of R need none of each
    other, and may have the same names.
    """
    if snapshot.r_version:
        listed, names = tuple(distributions), tuple(wanted)
        by_r = [each for each in listed if isinstance(each, Description)]
        one, other = snapshot.halves
        first = told_apart(one, names, [each for each in listed if each not in by_r])
        second = told_apart(other, names, by_r)
        return first.beside(second)
    markers = fit.markers(snapshot.language_version, snapshot.platform) | {"extra": ""}
    requires = {each.name: frozenset(_required(each, markers)) - {each.name} for each in distributions}
    came_along = frozenset().union(*requires.values())
    direct = {each.name for each in snapshot.packages if each.name not in came_along | {PIP}}.union(wanted)
    # What requires each other in a circle has nobody else who asked for it.
    direct |= {each.name for each in snapshot.packages} - _reached(direct, requires) - {PIP}
    return replace(snapshot, packages=tuple(_told(each, direct) for each in snapshot.packages))


def requirers(snapshot: Snapshot, distributions: Iterable[Distribution | Description]) -> Mapping[str, tuple[str, ...]]:
    """By whom each package is required, sorted; what nobody requires is left out. Conda's own records count as well."""
    markers = fit.markers(snapshot.language_version, snapshot.platform) | {"extra": ""}
    found: dict[str, set[str]] = {}
    for each in distributions:
        for name in _required(each, markers):
            found.setdefault(name, set()).add(each.name)
    for package in snapshot.of("conda"):
        for spec in package.depends:
            found.setdefault(spec.partition(" ")[0], set()).add(package.name)
    return {name: tuple(sorted(by - {name})) for name, by in found.items() if by - {name}}


def _told(package: Package, direct: Container[str]) -> Package:
    """Conda keeps who was asked for in its own records."""
    return replace(package, direct=bool(package.direct) if package.ecosystem == "conda" else package.name in direct)


def only_for(
    snapshot: Snapshot, names: Iterable[str], others: Iterable[str], distributions: Iterable[Distribution | Description]
) -> frozenset[str]:
    """What is there for `names` alone: they and what they require, without what `others` or anything else requires."""
    markers = fit.markers(snapshot.language_version, snapshot.platform) | {"extra": ""}
    requires = {each.name: frozenset(_required(each, markers)) - {each.name} for each in distributions}
    reached = _reached(frozenset(names) - frozenset(others), requires)
    rest = {each.name for each in snapshot.packages} - reached
    return reached - _reached(rest | set(others), requires) - {PIP}


def _required(distribution: Distribution | Description, markers: Mapping[str, str]) -> Iterable[str]:
    if isinstance(distribution, Description):
        yield from (name for name, _, _ in distribution.requires)
        return
    for name, marker in filter(None, map(_parsed, distribution.requires)):
        if marker is None or marker.evaluate(dict(markers)):
            yield name


@lru_cache(maxsize=1 << 14)
def _parsed(text: str) -> tuple[str, Marker | None] | None:
    """The canonical name and the marker of a requirement, None for what is none; a server asks for the same ones."""
    try:
        requirement = Requirement(text)
    except InvalidRequirement:
        return None
    return canonical(requirement.name), requirement.marker


def _reached(names: Iterable[str], requires: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """The names, what they require, and what that requires in turn."""
    reached: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in reached:
            reached.add(name)
            todo += requires.get(name, ())
    return frozenset(reached)
