"""Tell what was asked for from what only came along."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from packaging.requirements import InvalidRequirement, Requirement

from ..inventory import Distribution
from ..inventory.dist_info import canonical
from ..model import Snapshot


def told_apart(snapshot: Snapshot, wanted: Iterable[str], distributions: Iterable[Distribution]) -> Snapshot:
    """The snapshot with `direct` filled in: asked for by name, or required by nothing else that is installed.

    The files named REQUESTED are no help: uv writes them for what came along, too.
    """
    asked = frozenset(wanted)
    came_along = {name for distribution in distributions for name in _required(distribution)}
    packages = (replace(each, direct=each.name in asked or each.name not in came_along) for each in snapshot.packages)
    return replace(snapshot, packages=tuple(packages))


def _required(distribution: Distribution) -> Iterable[str]:
    for requirement in distribution.requires:
        try:
            yield canonical(Requirement(requirement).name)
        except InvalidRequirement:
            continue
