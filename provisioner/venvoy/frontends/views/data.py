"""The nouns as JSON has them (docs/json.md)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ...model import BaseChange, Change, Diff, Environment, Finding, Image, Package, Snapshot
from .view import Data, counted, moment


def environment_data(env: Environment) -> Data:
    return {
        "name": env.name,
        "language": env.language,
        "also": list(env.also),
        "runtime": env.runtime,
        "python_version": env.python_version,
        "r_version": env.r_version or None,
        "prefix": str(env.prefix),
        "base": str(env.base) if env.base else None,
        "base_image": env.base_image,
        "image": image_data(env.container.image) if env.container else None,
        "adopted": env.adopted,
        "read_only": env.read_only,
        "record": env.record,
        "created": moment(env.created),
        "platform": {"system": env.system, "architecture": env.architecture},
        "channels": list(env.channels),
        "repositories": [{"name": each.name, "url": each.url} for each in env.repositories],
        "conda_packages": list(env.conda_packages),
        "packages": list(env.packages),
        "r_packages": list(env.r_packages),
        "dev_packages": list(env.dev_packages),
        "env_file": [str(each) for each in env.env_file],
    }


def image_data(image: Image) -> Data:
    return {"reference": image.reference, "digest": image.digest}


def contents_data(snapshot: Snapshot) -> Data | None:
    """What is in the image that a snapshot was taken in; None on this machine itself, and where nobody knows."""
    contents = snapshot.contents
    if contents is None:
        return None
    python = contents.python
    return {
        "digest": snapshot.base,
        "system": contents.system or None,
        "libc": contents.libc or None,
        "machine": contents.machine or None,
        "python": {"version": python.version, "path": str(python.path)} if python else None,
        "r": {"version": contents.r_version, "path": contents.rscript} if contents.rscript else None,
        "packages": [package_data(each) for each in contents.packages],
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
        "base": _base_data(difference.base) if difference.base else None,
    }


def _base_data(change: BaseChange) -> Data:
    return {
        "facts": [{"name": name, "before": was or None, "after": now or None} for name, was, now in change.facts],
        "added": [package_data(each) for each in change.added],
        "removed": [package_data(each) for each in change.removed],
        "changed": [
            {
                "ecosystem": each.after.ecosystem,
                "name": each.name,
                "before": each.before.version,
                "after": each.after.version,
            }
            for each in change.changed
        ],
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
    return (*sorted(rows, key=lambda row: row[1]), *(_base_rows(difference.base) if difference.base else ()))


def _base_rows(change: BaseChange) -> Iterable[tuple[str, ...]]:
    """What differs between the images, after what differs in the prefix: first what they are, then what is in them."""
    yield from (("~", f"the image's {name}", was or "none", now or "none") for name, was, now in change.facts)
    rows: list[tuple[str, ...]] = [("+", _of_image(each), "", each.version) for each in change.added]
    rows += [("-", _of_image(each), each.version, "") for each in change.removed]
    rows += [("~", _of_image(each.after), each.before.version, each.after.version) for each in change.changed]
    yield from sorted(rows, key=lambda row: row[1])


def _of_image(package: Package) -> str:
    return f"{package.name} ({package.ecosystem}, the image's)"


def base_sentence(change: BaseChange | None) -> str:
    """That the image changed, and in how many of its packages; "" where it did not."""
    if change is None:
        return ""
    count = len(change)
    what = f"{counted(count, 'package')} in it differ{'s' if count == 1 else ''}" if count else change.facts[0][0]
    return f"the image changed: {what}" + ("" if count else " differs")


def image_lines(env: Environment, snapshot: Snapshot) -> tuple[tuple[str, str], ...]:
    """What a container environment stands on, as label and text."""
    if env.container is None:
        return ()
    image, contents = env.container.image, snapshot.contents
    lines = [("image", f"{image.reference} ({image.digest[:19]}…)")]
    if contents is None:
        return (*lines, ("system", "not known: the image was never asked"))
    counts = Counter(each.ecosystem for each in contents.packages)
    own = ", ".join(f"{count} {ecosystem}" for ecosystem, count in sorted(counts.items()))
    lines.append(("system", ", ".join(filter(None, (contents.system, contents.libc, contents.machine)))))
    if contents.python:
        lines.append(("interpreter", f"{contents.python.path} in the image"))
    if contents.rscript:
        lines.append(("R", f"{contents.r_version}, {contents.rscript} in the image"))
    lines.append(("in the image", f"{counted(len(contents.packages), 'package')} of its own ({own or 'none'})"))
    return tuple(lines)


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
