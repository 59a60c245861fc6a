"""Say what makes one snapshot out of another."""

from __future__ import annotations

from dataclasses import replace

from packaging.version import InvalidVersion, Version

from ..model import Change, Diff, Package, Snapshot


def diff(older: Snapshot, newer: Snapshot) -> Diff:
    """Packages are told apart by ecosystem and name; where one came from an index, its url and hash do not count.

    A conda package is also told by its build and its channel.
    """
    then = {(each.ecosystem, each.name): each for each in older.packages}
    now = {(each.ecosystem, each.name): each for each in newer.packages}
    versions = (older.language_version, newer.language_version)
    return Diff(
        added=tuple(now[key] for key in sorted(now.keys() - then.keys())),
        removed=tuple(then[key] for key in sorted(then.keys() - now.keys())),
        changed=tuple(
            Change(name=key[1], before=then[key], after=now[key])
            for key in sorted(now.keys() & then.keys())
            if _differ(then[key], now[key])
        ),
        interpreter=versions if versions[0] != versions[1] else None,
    )


def normal(package: Package) -> Package:
    """The package with its version as PEP 440 normalises it, which a lock does and a package's author need not."""
    if package.ecosystem != "pypi":
        return package
    try:
        return replace(package, version=str(Version(package.version)))
    except InvalidVersion:
        return package


def _differ(one: Package, other: Package) -> bool:
    if one.ecosystem != "conda":
        return _identity(one) != _identity(other)
    # A file written by hand may name neither build nor channel.
    return one.version != other.version or any(
        each and every and each != every for each, every in ((one.build, other.build), (one.channel, other.channel))
    )


def _identity(package: Package) -> tuple[str, ...]:
    source = "" if package.origin in ("index", "local", "editable") else package.url
    return (package.version, package.build, package.origin, source)
