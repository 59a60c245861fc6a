"""The nouns as JSON has them (docs/json.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...model import Change, Diff, Environment, Finding, Package, Snapshot
from .view import Data, moment


def environment_data(env: Environment) -> Data:
    return {
        "name": env.name,
        "language": env.language,
        "runtime": env.runtime,
        "python_version": env.python_version,
        "prefix": str(env.prefix),
        "base": str(env.base) if env.base else None,
        "base_image": env.base_image,
        "adopted": env.adopted,
        "read_only": env.read_only,
        "created": moment(env.created),
        "platform": {"system": env.system, "architecture": env.architecture},
        "channels": list(env.channels),
        "conda_packages": list(env.conda_packages),
        "packages": list(env.packages),
        "dev_packages": list(env.dev_packages),
        "env_file": [str(each) for each in env.env_file],
    }


def package_data(package: Package) -> Data:
    return {
        "ecosystem": package.ecosystem,
        "name": package.name,
        "version": package.version,
        "build": package.build or None,
        "channel": package.channel or None,
        "origin": package.origin,
        "url": package.url or None,
        "sha256": package.sha256 or None,
        "direct": package.direct,
    }


def diff_data(difference: Diff) -> Data:
    return {
        "added": [package_data(each) for each in difference.added],
        "removed": [package_data(each) for each in difference.removed],
        "changed": [
            {"name": each.name, "before": each.before.version, "after": each.after.version}
            for each in difference.changed
        ],
        "interpreter": list(difference.interpreter) if difference.interpreter else None,
    }


def finding_data(finding: Finding) -> Data:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "mend": finding.mend or None,
    }


def diff_rows(difference: Diff) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = [("+", each.name, "", each.version) for each in difference.added]
    rows += [("-", each.name, each.version, "") for each in difference.removed]
    rows += [("~", each.name, *_both(each)) for each in difference.changed]
    return tuple(sorted(rows, key=lambda row: row[1]))


def _both(change: Change) -> tuple[str, str]:
    """Both versions, with what tells them apart where they are equal."""
    one, other = change.before, change.after
    if one.version != other.version or one.ecosystem != "conda":
        return one.version, other.version
    if one.build != other.build:
        return f"{one.version} {one.build}", f"{other.version} {other.build}"
    return f"{one.version} {one.channel}", f"{other.version} {other.channel}"


def packages_rows(snapshot: Snapshot) -> Iterable[tuple[str, str, str]]:
    """Name, version and how it came, for a list of packages."""
    for each in snapshot.packages:
        yield each.name, each.version, "asked for" if each.direct else "" if each.direct is False else "?"


def filled(said: Mapping[str, Any]) -> Data:
    return {key: value for key, value in said.items() if value not in ("", None)}
