"""Say what going back would take, without doing it."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .. import process
from ..errors import CommandFailed, RuntimeUnavailable
from ..formats.environment_yml import requirement as pin
from ..formats.pylock import PylockToml
from ..managers import uv
from ..model import Base, Diff, Environment, Package
from ..store import Store
from .bases import nearest, without_environment
from .diff import diff
from .go_back import kept_at, refuse_adopted
from .observe import observe
from .points import Point

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
    kept = kept_at(store, env, point.snapshot) if changes else env
    if kept is not None:
        return Planned(point=point, changes=changes, kept=bool(changes), python=kept.python_version)
    base = nearest(store, point.snapshot.language_version)
    missing = _uncached(base, point)
    download = tuple(each for each in point.snapshot.packages if each.name in missing)
    cached = tuple(each for each in point.snapshot.packages if each.name not in missing)
    size = _size(base, download) if download else 0
    return Planned(
        point=point, changes=changes, kept=False, python=base.version, download=download, cached=cached, size=size
    )


def _uncached(base: Base, point: Point) -> frozenset[str]:
    """The names of what uv would have to fetch: it tells so in its words for debugging alone."""
    found: set[str] = set()
    listed = "".join(f"{pin(each)}\n" for each in point.snapshot.packages)

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
