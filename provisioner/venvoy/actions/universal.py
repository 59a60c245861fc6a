"""Resolve what an environment asks for on other platforms, at the versions that it has."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from packaging import pylock

from .. import files, process
from ..errors import CommandFailed, InvalidInput
from ..formats.platforms import PLATFORMS, Gap, Platform, Tailored, reached, tailored
from ..formats.pylock import is_pinned, parse
from ..managers import uv
from ..model import Environment, Package, Snapshot
from ..process import OnLine
from .bases import within
from .freeze import public

ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """A lock for several platforms; `gaps` are what one of them lacks or must build, `added` what only they need."""

    platforms: tuple[str, ...]
    tailored: Tailored
    added: tuple[tuple[str, str], ...] = ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        return self.tailored.gaps


def universal(env: Environment, locked: Snapshot, names: Sequence[str], *, on_line: OnLine | None = None) -> Elsewhere:
    """Resolve the lock of `env` for the platforms of those names, or "all" of them.

    What was asked for is asked for again; what comes along has the version that it has here, wherever it is needed at
    all. Raises InvalidInput for an unknown platform, CommandFailed where the versions of here do not fit there.
    """
    platforms = _platforms(names)
    here = next((each for each in PLATFORMS.values() if _is(each, locked)), None)
    pinned = [each for each in sorted(locked.packages) if is_pinned(each)]
    asked = [each for each in pinned if each.direct] or pinned
    every = (*platforms, *((here,) if here and here not in platforms else ()))
    if on_line:
        on_line(f"Resolving for {', '.join(each.name for each in platforms)} …")
    lock = _resolved(env, locked, asked, pinned, every)
    if here and (forgotten := _forgotten(lock, pinned, here, locked)):
        # Extras that were asked for are in no snapshot; what they brought is.
        lock = _resolved(env, locked, [*asked, *forgotten], pinned, every)
    cut = tailored(lock, locked, platforms)
    there = {each.name for each in locked.packages}
    added = sorted({(each.entry.name, str(each.entry.version)) for each in cut.entries if each.entry.name not in there})
    return Elsewhere(platforms=tuple(each.name for each in platforms), tailored=cut, added=tuple(added))


def _platforms(names: Sequence[str]) -> tuple[Platform, ...]:
    for each in names:
        if each not in PLATFORMS and each != ALL:
            raise InvalidInput(f"there is no platform {each!r}", hint=f"there is: {', '.join(PLATFORMS)}, {ALL}")
    return tuple(platform for name, platform in PLATFORMS.items() if name in names or ALL in names)


def _is(platform: Platform, snapshot: Snapshot) -> bool:
    return snapshot.platform == f"{platform.sys_platform}-{platform.machine}"


def _resolved(
    env: Environment,
    locked: Snapshot,
    asked: Iterable[Package],
    pinned: Iterable[Package],
    platforms: Sequence[Platform],
) -> pylock.Pylock:
    minor = ".".join(locked.language_version.split(".")[:2])
    where = " or ".join(f"({each.marker})" for each in platforms)
    wanted = [f"{_requirement(each)} ; python_version == '{minor}' and ({where})" for each in asked]
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder) / "constraints.txt"
        files.replace(constraints, "".join(f"{_requirement(each)}\n" for each in pinned if each.origin == "index"))
        try:
            printed = process.run(within(env, uv.universal(env.python, wanted, constraints=constraints)))
        except CommandFailed as error:
            raise CommandFailed(
                f"{env.name!r} cannot be resolved for {', '.join(each.name for each in platforms)}",
                hint=f"{error.hint}\nanother platform, or other versions: venvoy install {env.name} PACKAGE==VERSION",
                code=error.code,
            ) from error
    return _public(parse(printed, "uv's answer"))


def _requirement(package: Package) -> str:
    return f"{package.name}=={package.version}" if package.origin == "index" else f"{package.name} @ {package.url}"


def _forgotten(lock: pylock.Pylock, pinned: Iterable[Package], here: Platform, locked: Snapshot) -> list[Package]:
    """What is installed and was not reached from what was asked for."""
    found = {each.name for each in lock.packages if reached(each, here, locked.language_version)}
    return [each for each in pinned if each.name not in found]


def _public(lock: pylock.Pylock) -> pylock.Pylock:
    """The same with the addresses under which anybody gets the files; those that nobody else gets are left out."""
    return replace(lock, packages=[_open(each) for each in lock.packages])


def _open(entry: pylock.Package) -> pylock.Package:
    wheels = [replace(each, url=public(each.url)) for each in entry.wheels or () if each.url and public(each.url)]
    sdist = entry.sdist if entry.sdist and entry.sdist.url and public(entry.sdist.url) else None
    return replace(entry, wheels=wheels or None, sdist=replace(sdist, url=public(sdist.url or "")) if sdist else None)
