"""Which packages meet what is asked for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime

from rattler import (
    ChannelPriority,
    GenericVirtualPackage,
    MatchSpec,
    PackageName,
    RepoDataRecord,
    Subdir,
    Version,
    VirtualPackage,
    VirtualPackageOverrides,
    solve,
)
from rattler.exceptions import InvalidMatchSpecError, SolverError
from rattler.package import BuildString

from .channels import Reach

ELSEWHERE: dict[str, tuple[tuple[str, str, str], ...]] = {
    "linux": (("__unix", "0", "0"), ("__linux", "4.18", "0"), ("__glibc", "2.28", "0")),
    "osx": (("__unix", "0", "0"), ("__osx", "11.0", "0")),
    "win": (("__win", "0", "0"),),
}
"""What is taken for granted of machines that are not this one: the oldest systems that conda-forge builds for."""
ARCHSPEC = {
    "linux-64": "x86_64", "linux-aarch64": "aarch64", "osx-64": "x86_64", "osx-arm64": "m1", "win-64": "x86_64",
}  # fmt: skip


class Unsatisfiable(Exception):
    """Nothing fits what is asked for and what the user has pinned."""


class WrongPin(Exception):
    """What the user has pinned is no match spec."""


async def solved(
    reach: Reach,
    specs: Sequence[str | MatchSpec],
    *,
    platform: str,
    locked: Sequence[RepoDataRecord] = (),
    constraints: Sequence[str] = (),
    as_of: str = "",
) -> list[RepoDataRecord]:
    """The records that meet the specs on a platform, with the `locked` ones wherever they fit.

    Raises SolverError or, where the user has pinned something, Unsatisfiable; WrongPin.
    """
    pinned = reach.source.pinned
    try:
        return await solve(
            reach.source.channels,
            # Of plain text rattler asks more than conda does: it would not take `name=version=build`.
            [MatchSpec(str(each)) for each in specs],
            gateway=reach.gateway,
            platforms=[Subdir(platform), Subdir("noarch")],
            locked_packages=locked,
            virtual_packages=virtual(platform),
            channel_priority=ChannelPriority.Strict if reach.source.strict else ChannelPriority.Disabled,
            constraints=[*map(_pin, pinned), *map(MatchSpec, constraints)],
            exclude_newer=datetime.fromisoformat(as_of) if as_of else None,
            timestamp_policy="allow-missing",
        )
    except SolverError as error:
        if not pinned:
            raise
        raise Unsatisfiable(f"{error}\npinned by pinned_packages or conda-meta/pinned: {', '.join(pinned)}") from error


def _pin(spec: str) -> MatchSpec:
    try:
        return MatchSpec(spec)
    except InvalidMatchSpecError as error:
        raise WrongPin(
            f"{spec!r}, which pinned_packages or conda-meta/pinned has, is no match spec: {error}"
        ) from error


def virtual(platform: str) -> list[VirtualPackage | GenericVirtualPackage]:
    """What a machine has that no package brings; CONDA_OVERRIDE_* says otherwise, as it does to conda."""
    if platform == str(Subdir.current()):
        return list(VirtualPackage.detect(VirtualPackageOverrides.from_env()))
    known = {name: (version, build) for name, version, build in ELSEWHERE.get(platform.partition("-")[0], ())}
    if platform in ARCHSPEC:
        known["__archspec"] = ("1", ARCHSPEC[platform])
    for name in (*known, "__cuda"):
        claimed = os.environ.get(f"CONDA_OVERRIDE_{name[2:].upper()}")
        if claimed is not None:
            known[name] = ("1", claimed) if name == "__archspec" else (claimed, "0")
    present = {name: said for name, said in sorted(known.items()) if all(said)}
    return [GenericVirtualPackage(PackageName(each), Version(v), BuildString(b)) for each, (v, b) in present.items()]


def name_of(spec: str) -> str:
    """The normalised name that a spec is for. Raises InvalidMatchSpecError."""
    return MatchSpec(spec).name.normalized
