"""Turn a snapshot into a lock: find the file behind every installed package, with its url and sha256."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging import pylock
from packaging.utils import parse_wheel_filename

from .. import inventory, process
from ..errors import CommandFailed
from ..formats.pylock import PylockToml, is_pinned, parse
from ..formats.snapshot_json import SnapshotJson, digest
from ..inventory import Distribution
from ..managers import uv
from ..model import Actor, Environment, Package, Snapshot
from ..process import OnLine
from ..store import Store
from .bases import without_environment
from .direct import told_apart
from .observe import observe
from .record import record, wanted

PUBLIC = "https://files.pythonhosted.org/packages/"
_CONTENT_PATH = re.compile(r"/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#]+)$")
_REASONS: Mapping[str, str] = {
    "editable": "an editable install: its source is a folder of this machine",
    "local": "installed from a file or folder of this machine",
    "archive": "installed from a URL without a recorded hash",
    "index": "not on the public index",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """A package that the lock names but cannot fetch again, and why."""

    package: Package
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The lock as a snapshot, where it was written, and what it could not pin."""

    snapshot: Snapshot
    path: Path
    unpinned: tuple[Unpinned, ...]


def freeze(store: Store, env: Environment, *, actor: Actor, on_line: OnLine | None = None) -> Frozen:
    """Lock the environment as it is now, into pylock.toml beside its record.

    Raises CommandFailed when the index cannot be asked.
    """
    history = store.history(env.name)
    record(history, lambda: observe(store, env), actor=actor)
    distributions = inventory.distributions(env.prefix)
    snapshot = observe(store, env)
    known = told_apart(snapshot, wanted(history.entries()), distributions)
    locked = replace(known, packages=_pinned(env, known.packages, distributions, on_line))
    with history.locked():
        path = history.write("pylock.toml", PylockToml().dump(locked))
        history.keep(digest(snapshot), SnapshotJson().dump(snapshot))
        history.append("freeze", at=snapshot.taken, actor=actor, asked=(), snapshot=digest(snapshot))
    return Frozen(snapshot=locked, path=path, unpinned=unpinned(locked))


def unpinned(snapshot: Snapshot) -> tuple[Unpinned, ...]:
    """What of a lock cannot be fetched again."""
    return tuple(
        Unpinned(package=each, reason="from a private index" if each.sha256 else _REASONS[each.origin])
        for each in snapshot.packages
        if not is_pinned(each)
    )


def _pinned(
    env: Environment,
    packages: Iterable[Package],
    distributions: Iterable[Distribution],
    on_line: OnLine | None,
) -> tuple[Package, ...]:
    packages = tuple(packages)
    files = _on_index(env, tuple(each for each in packages if each.origin == "index"), on_line)
    tags = {each.name: frozenset(each.tags) for each in distributions}
    return tuple(
        _filled(each, files[each.name], tags.get(each.name, frozenset())) if each.name in files else each
        for each in packages
    )


def _on_index(env: Environment, packages: tuple[Package, ...], on_line: OnLine | None) -> dict[str, pylock.Package]:
    """What the index has of these exact versions; those that it does not have are left out.

    uv names the first package that it cannot find and stops, so it is asked again without that one.
    """
    asked = {each.name: each.version for each in packages}
    while asked:
        exact = "".join(f"{name}=={version}\n" for name, version in sorted(asked.items()))
        try:
            printed = process.run(without_environment(uv.lock(env.python, exact)), on_line=on_line)
        except CommandFailed as error:
            absent = _absent(str(error), asked)
            if not absent:
                raise CommandFailed(
                    f"cannot lock {env.name!r}: the package index did not answer as it should",
                    hint=error.hint,
                ) from error
            del asked[absent]
            continue
        return {each.name: each for each in parse(printed, "uv's answer").packages}
    return {}


def _absent(said: str, asked: Mapping[str, str]) -> str | None:
    plain = " ".join(said.split())
    for name, version in asked.items():
        mentioned = rf"(?<![\w.-]){re.escape(name)}(?:==| \()?(?:{re.escape(version)})?(?![\w-])"
        if re.search(rf"{mentioned}[^.]*?(?:was not found|has no|no version|there is no)", plain) or re.search(
            rf"(?:no version of|no wheels? (?:for|of)) {mentioned}", plain
        ):
            return name
    return None


def _filled(package: Package, found: pylock.Package, tags: frozenset[str]) -> Package:
    """The package with the file that it was installed from: the wheel with the same tags, else the source."""
    same = [wheel for wheel in found.wheels or () if _tags(wheel.filename) == tags]
    chosen: pylock.PackageWheel | pylock.PackageSdist | None = same[-1] if same else found.sdist
    if chosen is None or not chosen.url:
        return package
    sha256 = chosen.hashes.get("sha256", "")
    return replace(package, url=_public(chosen.url), sha256=sha256)


def _tags(filename: str) -> frozenset[str]:
    return frozenset(str(tag) for tag in parse_wheel_filename(filename)[3])


def _public(url: str) -> str:
    """The address on the public index, or "" for what only a private one has.

    A mirror keeps the public path, in which the content's BLAKE2 digest stands, so the same path names the same file.
    """
    if url.startswith(PUBLIC):
        return url
    found = _CONTENT_PATH.search(url)
    return f"{PUBLIC}{found[1]}" if found else ""
