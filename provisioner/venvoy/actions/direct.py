"""Tell what was asked for from what only came along."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement

from ..inventory import Distribution, fit
from ..inventory.dist_info import canonical
from ..model import Package, Snapshot

PIP = "pip"
"""Put into every environment by whoever makes it; it counts as asked for only when somebody did."""


def told_apart(snapshot: Snapshot, wanted: Iterable[str], distributions: Iterable[Distribution]) -> Snapshot:
    """The snapshot with `direct` filled in: asked for by name, or required by nothing else that is installed.

    The files named REQUESTED are no help: uv writes them for what came along, too. What only an extra requires is
    taken for asked for, because nobody knows whether the extra was.
    """
    markers = fit.markers(snapshot.language_version, snapshot.platform) | {"extra": ""}
    requires = {each.name: frozenset(_required(each, markers)) - {each.name} for each in distributions}
    came_along = frozenset().union(*requires.values())
    direct = {each.name for each in snapshot.packages if each.name not in came_along | {PIP}}.union(wanted)
    # What requires each other in a circle has nobody else who asked for it.
    direct |= {each.name for each in snapshot.packages} - _reached(direct, requires) - {PIP}
    return replace(snapshot, packages=tuple(_told(each, direct) for each in snapshot.packages))


def _told(package: Package, direct: Container[str]) -> Package:
    """Conda keeps who was asked for in its own records."""
    return replace(package, direct=bool(package.direct) if package.ecosystem == "conda" else package.name in direct)


def only_for(
    snapshot: Snapshot, names: Iterable[str], others: Iterable[str], distributions: Iterable[Distribution]
) -> frozenset[str]:
    """What is there for `names` alone: they and what they require, without what `others` or anything else requires."""
    markers = fit.markers(snapshot.language_version, snapshot.platform) | {"extra": ""}
    requires = {each.name: frozenset(_required(each, markers)) - {each.name} for each in distributions}
    reached = _reached(frozenset(names) - frozenset(others), requires)
    rest = {each.name for each in snapshot.packages} - reached
    return reached - _reached(rest | set(others), requires) - {PIP}


def _required(distribution: Distribution, markers: Mapping[str, str]) -> Iterable[str]:
    for text in distribution.requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate(dict(markers)):
            yield canonical(requirement.name)


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
