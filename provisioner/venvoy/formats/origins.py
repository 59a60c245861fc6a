"""Where the packages in a lock of conda's come from: addresses without credentials, digests, names and versions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote

from packaging.utils import (
    InvalidName,
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    canonicalize_version,
    parse_sdist_filename,
    parse_wheel_filename,
)

from ..errors import InvalidInput
from ..model import Package, Snapshot
from .subdirs import platform_of

_ADDRESS = re.compile(r"(?P<scheme>https?|file)://(?:[^/?#]*@)?(?P<rest>(?:(?<=file://)/|[^/?#@]).*)")
_VCS = re.compile(r"(?P<scheme>(?:git|hg|svn|bzr)\+(?:https?|file|ssh)://)(?:(?P<user>[^/?#]*)@)?(?P<rest>.+)")
_TOKEN_FIRST = re.compile(r"^([^/]+/)t/[^/?#]+/")
_TOKEN_ANYWHERE = re.compile(r"(/)t/[^/?#]+/")
FILE = re.compile(
    r"(?P<channel>\w+://.+)/(?P<subdir>noarch|[a-z]+-[a-z0-9]+)/(?P<file>[^/?#]+)(?P<suffix>\.conda|\.tar\.bz2)"
)
_STEM = re.compile(r"(?P<name>[\w.-]+)-(?P<version>[\w.!+]+)-(?P<build>[\w.+]+)", re.ASCII)
_HASHES: Mapping[str, re.Pattern[str]] = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
VERSION = re.compile(r"[\w.!+-]+", re.ASCII)
_SPEC = re.compile(r"(?:\S+::)?(?P<name>[\w.-]+)(?P<rest>.*)", re.ASCII | re.DOTALL)


def left_out(package: Package) -> str:
    """A comment that names what a list or a lock cannot hold: it has no address, or is of neither conda nor PyPI."""
    named = "=".join(each for each in (package.name, package.version, package.build) if each)
    return f"# left out, as there is no place for it here: {named if named.isprintable() else repr(named)}"


def public(url: str, *, channel: bool = False) -> str:
    """The address without what lets somebody in (a user, `/t/TOKEN/`), or "" where it is none that can be fetched.

    `channel` says that it is a channel's or in one: there the token may stand anywhere, elsewhere at the beginning.
    """
    if not url.isprintable() or " " in url or "\\" in url:
        return ""
    if found := _VCS.fullmatch(url):
        if "@" in found["rest"].partition("/")[0]:
            return ""
        # Over ssh the name is no secret, and nothing is fetched without it.
        user = (found["user"] or "").partition(":")[0] if "ssh" in found["scheme"] else ""
        return f"{found['scheme']}{user and f'{user}@'}{found['rest']}" if not channel else ""
    if not (found := _ADDRESS.fullmatch(url)) or "@" in found["rest"].partition("/")[0]:
        return ""
    scheme, rest = found["scheme"], found["rest"]
    if scheme != "file":
        rest = (_TOKEN_ANYWHERE if channel else _TOKEN_FIRST).sub(r"\1", rest)
    return f"{scheme}://{rest}"


def address(said: object, *, source: str, channel: bool = False) -> str:
    """What `public` makes of somebody's address; an absolute path is one, too. Raises InvalidInput where it is none."""
    text = said if isinstance(said, str) else ""
    if text.startswith("/") and text.isprintable():
        text = PurePosixPath(text).as_uri()
    if not (url := public(text, channel=channel)):
        raise InvalidInput(f"{source}: {short(said)} is no address that packages are fetched from")
    return url


def channel(said: object, source: str) -> str:
    """A channel's name or address, without credentials and a slash at its end. Raises InvalidInput."""
    if isinstance(said, str) and re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*/?", said, re.ASCII):
        return said.rstrip("/")
    return address(f"{said.rstrip('/')}/" if isinstance(said, str) else said, source=source, channel=True).rstrip("/")


def conda_package(said: object, *, source: str, name: str = "", version: str = "", build: str = "") -> Package:
    """The package of that archive, which names it; what is given overrules that. Raises InvalidInput."""
    url = address(said, source=source, channel=True)
    found = FILE.fullmatch(url)
    stem = _STEM.fullmatch(unquote(found["file"])) if found else None
    if not (found and stem):
        raise InvalidInput(f"{source}: {short(url)} is no conda package (channel/subdir/name-version-build.conda)")
    return Package(
        ecosystem="conda",
        name=name or stem["name"],
        version=version or stem["version"],
        build=build or stem["build"],
        channel=found["channel"],
        url=url,
    )


def pypi_package(name: str, *, version: str, url: str, source: str, sha256: str = "", indexed: bool = True) -> Package:
    """The package of that public address; `indexed` says that a wheel or sdist of its own name came from an index.

    Raises InvalidInput where the name or the version is none.
    """
    try:
        canonical = canonicalize_name(name, validate=True)
    except InvalidName as error:
        raise InvalidInput(f"{source}: {short(name)} is no name of a package") from error
    if version and not VERSION.fullmatch(version):
        raise InvalidInput(f"{source}: {short(version)} is no version")
    package = Package(name=canonical, version=version, url=url, sha256=sha256)
    if _VCS.fullmatch(url):
        return replace(package, origin="vcs", sha256="")
    if url.startswith("file://"):
        return replace(package, origin="local")
    named, its = _release(url)
    if url and not (
        indexed and named == canonical and canonicalize_version(version or its) == canonicalize_version(its)
    ):
        package = replace(package, origin="archive")
    return replace(package, version=version or (its if named == canonical else ""))


def digest(said: object, *, of: Literal["md5", "sha256"], source: str) -> str:
    """A digest in hexadecimal, or "" for none. Raises InvalidInput."""
    if said in (None, "") or (isinstance(said, str) and _HASHES[of].fullmatch(said)):
        return str(said or "")
    raise InvalidInput(f"{source}: {short(said)} is no {of}")


def snapshot_of(
    packages: Sequence[Package],
    *,
    subdir: str,
    source: str,
    environment: str = "",
    channels: tuple[str, ...] = (),
) -> Snapshot:
    """The state of an environment of those packages. Raises InvalidInput where one is there twice."""
    listed = once(packages, source=source)
    python = next((each.version for each in listed if (each.ecosystem, each.name) == ("conda", "python")), "")
    return Snapshot(
        environment=environment,
        taken=datetime.now(UTC),
        base="",
        language_version=python,
        platform=platform_of(subdir) if subdir else "",
        channels=channels or tuple(dict.fromkeys(each.channel for each in packages if each.channel)),
        packages=listed,
    )


def once(packages: Iterable[Package], *, source: str) -> tuple[Package, ...]:
    """The packages, sorted. Raises InvalidInput where one is there twice."""
    listed = tuple(sorted(packages))
    for one, other in pairwise(sorted((each.ecosystem, each.name) for each in listed)):
        if one == other:
            raise InvalidInput(f"{source} has {one[1]} twice")
    return listed


def depended(spec: str) -> tuple[str, str]:
    """The name that a match spec (CEP 29) asks for, and what it asks of it; two "" where it is none."""
    found = _SPEC.fullmatch(spec.strip())
    return (found["name"].lower(), found["rest"].strip()) if found else ("", "")


def _release(url: str) -> tuple[str, str]:
    """Name and version of the wheel or source archive at that address; two "" for anything else."""
    filename = unquote(url.partition("#")[0].rpartition("/")[2])
    try:
        read = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return "", ""
    return str(read[0]), str(read[1])


def short(said: object) -> str:
    if isinstance(said, str):
        return repr(re.sub(r"(?<=://)[^/@]*@", "", said[:500]))[:150]
    return repr(said)[:150] if isinstance(said, int | float | None) else "a list or a mapping"
