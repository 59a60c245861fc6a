"""Say what going back would take, without doing it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from .. import process
from ..engine.request import Request
from ..errors import CommandFailed, RuntimeUnavailable
from ..formats.environment_yml import requirement as pin
from ..formats.pylock import PylockToml
from ..managers import conda as engine
from ..managers import uv
from ..model import Base, Diff, Environment, Package, Snapshot
from ..store import Store
from . import conda
from .bases import nearest, without_environment
from .diff import diff
from .exactly_r import kept_in, libraries_of
from .go_back import kept_at, refuse_adopted, same_prefix, standing_then
from .observe import observe
from .points import Point
from .r_bases import r_in, r_nearest

_UNCACHED = re.compile(r"Identified uncached distribution: ([a-z0-9-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What would change, and what of the new prefix would be downloaded, or taken from uv's cache.

    With `kept` nothing is built: the prefix of that state still lies there. `size` is the download in bytes, None
    where the index does not say. `python` is the version that the environment would have.
    """

    point: Point
    changes: Diff
    kept: bool
    python: str
    download: tuple[Package, ...] = ()
    cached: tuple[Package, ...] = ()
    size: int | None = 0


def plan(store: Store, env: Environment, point: Point) -> Planned:
    """What `go_back` would do. Raises EnvironmentExists for an adopted one, RuntimeUnavailable, CommandFailed."""
    changes = diff(observe(store, env), point.snapshot)
    if changes:
        refuse_adopted(env)
    then = standing_then(store, env, point.snapshot)
    kept = env if same_prefix(store, env, then, changes) or not changes else kept_at(store, env, point.snapshot)
    if kept is not None:
        return Planned(point=point, changes=changes, kept=bool(changes), python=kept.language_version)
    needs = [_needed(store, env, then, each) for each in point.snapshot.halves]
    missing = tuple(package for each in needs for package in each.missing)
    return Planned(
        point=point,
        changes=changes,
        kept=False,
        python=needs[0].version,
        download=missing,
        cached=tuple(each for each in point.snapshot.packages if each not in missing),
        size=_sum(each.size for each in needs),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Need:
    """What a state of one language needs of the network, and which interpreter it would have."""

    missing: tuple[Package, ...]
    version: str
    size: int | None


def _needed(store: Store, env: Environment, then: Environment, state: Snapshot) -> _Need:
    packages, version = state.packages, state.language_version
    if state.language == "r":
        libraries, base = libraries_of(store, env), _r_then(store, then.speaking("r"), version)
        missing = tuple(each for each in packages if kept_in(libraries, each, base) is None)
        return _Need(missing=missing, version=version, size=None if missing else 0)
    if env.runtime == "conda":
        # What uv has of the index's cannot be asked before there is an interpreter to ask for.
        from_index = state.of("pypi")
        missing = (*_of_conda(state.of("conda")), *from_index)
        return _Need(missing=missing, version=version, size=None if from_index else _sum(each.size for each in missing))
    if env.container:
        # What lies in uv's cache was asked for by an interpreter that is not on this machine.
        return _Need(missing=packages, version=version, size=None)
    base = nearest(store, version)
    names = _uncached(base, packages)
    missing = tuple(each for each in packages if each.name in names)
    return _Need(missing=missing, version=base.version, size=_size(base, missing) if missing else 0)


def _r_then(store: Store, env: Environment, version: str) -> Base:
    """The R that the state would stand on: its image's, or this machine's nearest to the version."""
    return r_in(store, env).base if env.container else r_nearest(store, version)


def _of_conda(packages: tuple[Package, ...]) -> tuple[Package, ...]:
    """The conda packages that do not lie unpacked in the cache."""
    request = Request(verb="cached", source=conda.source(conda.channels_of(packages)), pins=engine.pins(packages))
    there = frozenset(conda.ask(request, doing="cannot look into the cache"))
    return tuple(each for each in packages if each.url not in there)


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(each or 0 for each in known)


def _uncached(base: Base, packages: tuple[Package, ...]) -> frozenset[str]:
    """The names of what uv would have to fetch: it tells so in its words for debugging alone."""
    found: set[str] = set()
    listed = "".join(f"{pin(each)}\n" for each in packages)

    def hear(line: str) -> None:
        found.update(_UNCACHED.findall(line))

    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        process.run(without_environment(uv.rehearse(base.path, listed, folder=Path(folder))), on_line=hear)
    return frozenset(found)


def _size(base: Base, packages: tuple[Package, ...]) -> int | None:
    """The bytes of what would be fetched for that interpreter, as the servers say; None where one does not."""
    from .. import fetch  # noqa: PLC0415  # 0.1 s, and few answers need it

    pins = [pin(each) for each in packages if each.origin == "index"]
    try:
        answer = process.run(without_environment(uv.lock(base.path, pins)))
        found = PylockToml().load(answer, source="uv's answer", base=base).packages
    except (CommandFailed, RuntimeUnavailable):
        return None
    urls = [each.url for each in found]
    said = fetch.sizes(urls)
    return sum(said.values()) if len(said) == len(urls) == len(packages) else None
