"""Say what makes one snapshot out of another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from packaging.version import InvalidVersion, Version

from ..model import BaseChange, Change, Contents, Diff, Package, Snapshot

_SYSTEM = frozenset({"deb", "apk", "rpm"})
_FACTS = ("system", "libc", "machine", "python", "r", "python build")


def diff(older: Snapshot, newer: Snapshot) -> Diff:
    """Packages are told apart by ecosystem and name; where one came from an index, its url and hash do not count.

    A conda package is also told by its build and its channel.
    """
    added, removed, changed = _compared(older.packages, newer.packages)
    versions = (older.versions, newer.versions)
    return Diff(
        added=added,
        removed=removed,
        changed=changed,
        interpreter=versions if versions[0] != versions[1] else None,
        base=based(older.contents, newer.contents),
    )


def on_those_of(found: Snapshot, expected: Snapshot) -> Snapshot:
    """What is expected, on the interpreters of what was found: others of their minor versions do as well."""
    r_version = found.r_version if expected.r_version else ""
    return replace(expected, language_version=found.language_version, r_version=r_version or expected.r_version)


def based(older: Contents | None, newer: Contents | None) -> BaseChange | None:
    """What makes the contents of one image out of another's; None for nothing, and where one of them is not known.

    It is what an image has in it that counts: Docker, Podman and a SIF call the same image by different digests.
    """
    if older is None or newer is None or older == newer:
        return None
    added, removed, changed = _compared(older.packages, newer.packages)
    said = zip(_FACTS, _facts(older), _facts(newer), strict=True)
    facts = tuple((name, one, other) for name, one, other in said if one != other)
    return BaseChange(facts=facts, added=added, removed=removed, changed=changed) or None


def base_lines(change: BaseChange | None) -> list[str]:
    """What differs between two images, one line each."""
    if change is None:
        return []
    lines = [f"~ {name} of the image: {was or 'none'} -> {now or 'none'}" for name, was, now in change.facts]
    lines += [f"+ {each.ecosystem} {each.name} {each.version} in the image" for each in change.added]
    lines += [f"- {each.ecosystem} {each.name} {each.version} in the image" for each in change.removed]
    changed = [(each.before, each.after) for each in change.changed]
    return lines + [f"~ {one.ecosystem} {one.name} {one.version} -> {two.version} in the image" for one, two in changed]


def _facts(contents: Contents) -> tuple[str, ...]:
    python = contents.python
    return (
        contents.system, contents.libc, contents.machine, f"{python.version} {python.path}" if python else "",
        f"{contents.r_version} {contents.rscript}".strip(), python.digest[:12] if python else "",
    )  # fmt: skip


def _compared(
    older: Iterable[Package], newer: Iterable[Package]
) -> tuple[tuple[Package, ...], tuple[Package, ...], tuple[Change, ...]]:
    """What was added, removed and changed."""
    then, now = _named(older), _named(newer)
    return (
        tuple(now[key] for key in sorted(now.keys() - then.keys())),
        tuple(then[key] for key in sorted(then.keys() - now.keys())),
        tuple(
            Change(name=key[1], before=then[key], after=now[key])
            for key in sorted(now.keys() & then.keys())
            if _differ(then[key], now[key])
        ),
    )


def _named(packages: Iterable[Package]) -> dict[tuple[str, ...], Package]:
    """The packages by what tells them apart; a system may have one for two kinds of processor at once."""
    listed = tuple(packages)
    twice = Counter((each.ecosystem, each.name) for each in listed)
    return {
        (
            each.ecosystem,
            each.name,
            *((each.build,) if each.ecosystem in _SYSTEM and twice[each.ecosystem, each.name] > 1 else ()),
        ): each
        for each in listed
    }


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
        return identity(one) != identity(other)
    # A file written by hand may name neither build nor channel.
    return one.version != other.version or any(
        each and every and each != every for each, every in ((one.build, other.build), (one.channel, other.channel))
    )


def identity(package: Package) -> tuple[str, ...]:
    """What must be the same of two packages of one name; where one came from an index, its url does not count."""
    source = "" if package.origin in ("index", "local", "editable") else package.url
    return (package.version, package.build, package.origin, source)
