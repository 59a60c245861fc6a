"""conda's explicit lists (`@EXPLICIT`, CEP 23), and what all locks of conda packages share: where one is from."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal, NoReturn
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
from .subdirs import platform_of, subdir_of

MARK = re.compile(r"^@EXPLICIT[ \t]*\r?$", re.MULTILINE)
_PACKAGE = re.compile(
    r"^\S+/(?P<name>[\w.-]+)-[^-/\s]+-[^-/\s]+(?:\.conda|\.tar\.bz2)(?:#\S+)?[ \t]*\r?$", re.MULTILINE
)
_ADDRESS = re.compile(r"(?P<scheme>https?|file)://(?:[^/?#]*@)?(?P<rest>(?:(?<=file://)/|[^/?#@]).*)")
_VCS = re.compile(r"(?P<scheme>(?:git|hg|svn|bzr)\+(?:https?|file|ssh)://)(?:(?P<user>[^/?#]*)@)?(?P<rest>.+)")
_TOKEN_FIRST = re.compile(r"^([^/]+/)t/[^/?#]+/")
_TOKEN_ANYWHERE = re.compile(r"(/)t/[^/?#]+/")
_FILE = re.compile(
    r"(?P<channel>\w+://.+)/(?P<subdir>noarch|[a-z]+-[a-z0-9]+)/(?P<file>[^/?#]+)(?P<suffix>\.conda|\.tar\.bz2)"
)
_STEM = re.compile(r"(?P<name>[\w.-]+)-(?P<version>[\w.!+]+)-(?P<build>[\w.+]+)", re.ASCII)
_HASHES: Mapping[str, re.Pattern[str]] = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
VERSION = re.compile(r"[\w.!+-]+", re.ASCII)
_SPEC = re.compile(r"(?:\S+::)?(?P<name>[\w.-]+)(?P<rest>.*)", re.ASCII | re.DOTALL)
_PLATFORM = re.compile(r"#\s*platform:\s*(\S+)\s*")
_PIP = re.compile(
    r"# pip (?P<name>[A-Za-z0-9][\w.-]*) *(?:@ *(?P<url>\S+)|={2,3} *(?P<version>[\w.!+-]+))"
    r"(?P<hashes>(?: --hash=\S+)*)",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Explicit:
    """One address a line, dependencies first, with the digest that is to be checked.

    What came from the Python index follows as conda-lock and micromamba have it, in comments that conda does not read;
    there an editable install is one of its folder. What has no place is named in a comment, too.
    """

    name: str = "explicit"
    filename: str = "explicit.txt"
    hash: Literal["md5", "sha256"] = "md5"

    def dump(self, snapshot: Snapshot) -> str:
        """Raises InvalidInput for a platform that conda does not have."""
        conda = [each for each in snapshot.packages if each.ecosystem == "conda"]
        others = [each for each in sorted(snapshot.packages) if each.ecosystem != "conda"]
        lines = [self._line(each) for each in in_order(conda)] + [_pip_line(each) for each in others]
        return "\n".join((f"# platform: {subdir_of(snapshot.platform)}", "@EXPLICIT", *lines)) + "\n"

    def load(self, text: str, *, source: str, environment: str = "") -> Snapshot:
        """Read anybody's list; `source` names the file in errors. Raises InvalidInput.

        What a list does not say: which packages were asked for, and in which order its channels were looked through.
        """
        if not MARK.search(text):
            raise InvalidInput(f"{source} is no explicit list: no line in it is @EXPLICIT")
        packages: list[Package] = []
        said = ""
        for number, line in enumerate(text.split("\n"), 1):
            stripped = line.strip(" \t\r")
            where = f"{source}, line {number}"
            if found := _PLATFORM.fullmatch(stripped):
                said = found[1]
            elif stripped.startswith("# pip "):
                packages += _of_pip_line(stripped, where)
            elif stripped and stripped != "@EXPLICIT" and not stripped.startswith("#"):
                packages.append(_of_line(stripped, where))
        return snapshot_of(packages, subdir=_subdir(packages, said, source), source=source, environment=environment)

    def _line(self, package: Package) -> str:
        url = public(package.url, channel=True)
        if not (url and _FILE.fullmatch(url)):
            return left_out(package)
        if package.sha256 and (self.hash == "sha256" or not package.md5):
            # With its prefix, for older mambas take any digest for an md5 (CEP 23 has it from conda 24.9 on).
            return f"{url}#sha256:{package.sha256}"
        return f"{url}#{package.md5}" if package.md5 else url


def refused(text: str, *, source: str) -> NoReturn:
    """Raises InvalidInput that names what the list has and what could take it."""
    names = [each["name"] for each in _PACKAGE.finditer(text)]
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    raise InvalidInput(
        f"{source} lists packages that only conda can install: {some or 'none that can be read'}",
        hint="a conda environment can take them; for a venv give an environment.yml with a pip section, or a lock",
    )


# --- what the locks of conda packages share --------------------------------------------------------------------------


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
        raise InvalidInput(f"{source}: {_short(said)} is no address that packages are fetched from")
    return url


def conda_package(said: object, *, source: str, name: str = "", version: str = "", build: str = "") -> Package:
    """The package of that archive, which names it; what is given overrules that. Raises InvalidInput."""
    url = address(said, source=source, channel=True)
    found = _FILE.fullmatch(url)
    stem = _STEM.fullmatch(unquote(found["file"])) if found else None
    if not (found and stem):
        raise InvalidInput(f"{source}: {_short(url)} is no conda package (channel/subdir/name-version-build.conda)")
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
        raise InvalidInput(f"{source}: {_short(name)} is no name of a package") from error
    if version and not VERSION.fullmatch(version):
        raise InvalidInput(f"{source}: {_short(version)} is no version")
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
    raise InvalidInput(f"{source}: {_short(said)} is no {of}")


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


def in_order(packages: Iterable[Package]) -> list[Package]:
    """The conda packages so that each comes after what it depends on, python before what is linked into it, by name."""
    named = {each.name: each for each in packages}
    waits = {name: needed & named.keys() - {name} for name, needed in _needs(named).items()}
    ready = [name for name, needed in waits.items() if not needed]
    heapq.heapify(ready)
    behind: dict[str, list[str]] = {}
    for name, needed in waits.items():
        for each in needed:
            behind.setdefault(each, []).append(name)
    rest, ordered = set(named), []
    # Where packages wait for each other one has to be first.
    first = iter(sorted(named))
    while rest:
        name = heapq.heappop(ready) if ready else next(each for each in first if each in rest)
        if name not in rest:
            continue
        rest.remove(name)
        ordered.append(named[name])
        for each in behind.get(name, ()):
            waits[each].discard(name)
            if not waits[each] and each in rest:
                heapq.heappush(ready, each)
    return ordered


def _needs(named: Mapping[str, Package]) -> dict[str, set[str]]:
    needs = {name: {depended(spec)[0] for spec in each.depends} for name, each in named.items()}
    if "python" not in named:
        return needs
    # Old pythons depend on pip, which depends on them.
    needs["python"] = {each for each in needs["python"] if "python" not in needs.get(each, ())}
    below, todo = {"python"}, ["python"]
    while todo:
        todo += (new := needs.get(todo.pop(), set()) - below)
        below |= new
    for name, each in named.items():
        if each.subdir == "noarch" and name not in below:
            needs[name].add("python")
    return needs


# --- lines -----------------------------------------------------------------------------------------------------------


def _of_line(line: str, where: str) -> Package:
    url, _, fragment = line.partition("#")
    package = conda_package(url, source=where)
    if fragment.startswith("sha256:") or len(fragment) == 64:
        return replace(package, sha256=digest(fragment.removeprefix("sha256:"), of="sha256", source=where))
    return replace(package, md5=digest(fragment, of="md5", source=where))


def _pip_line(package: Package) -> str:
    if package.ecosystem != "pypi":
        return left_out(package)
    if (url := public(package.url)) and _PIP.fullmatch(f"# pip {package.name} @ {url}"):
        checked = package.sha256 and package.origin in ("index", "archive") and "sha256=" not in url
        # One --hash would make pip refuse what cannot have one, as checkouts and folders.
        return f"# pip {package.name} @ {url}" + (
            f"{'&' if '#' in url else '#'}sha256={package.sha256}" if checked else ""
        )
    if package.origin == "index" and _PIP.fullmatch(line := f"# pip {package.name} == {package.version}"):
        return line
    return left_out(package)


def _of_pip_line(line: str, where: str) -> Iterator[Package]:
    found = _PIP.fullmatch(line)
    if not found:
        if "://" in line or "==" in line:
            raise InvalidInput(f"{where}: {_short(line)} is not as conda-lock writes packages of the Python index")
        return
    sha256 = found["hashes"].rpartition(" --hash=sha256:")[2].partition(" ")[0] if found["hashes"] else ""
    if not found["url"]:
        checked = digest(sha256, of="sha256", source=where)
        yield pypi_package(found["name"], version=found["version"], url="", source=where, sha256=checked)
        return
    url, _, fragment = address(found["url"], source=where).partition("#")
    parts = [each for each in fragment.split("&") if each]
    sha256 = next((each.removeprefix("sha256=") for each in parts if each.startswith("sha256=")), sha256)
    kept = "&".join(each for each in parts if not each.startswith("sha256="))
    yield pypi_package(
        found["name"],
        version="",
        url=f"{url}#{kept}" if kept else url,
        source=where,
        sha256=digest(sha256, of="sha256", source=where),
    )


def _subdir(packages: Iterable[Package], said: str, source: str) -> str:
    found = {each.subdir for each in packages} - {"", "noarch"}
    if len(found | ({said} - {""})) > 1:
        raise InvalidInput(f"{source} is for several platforms: {', '.join(sorted(found | {said} - {''}))}")
    return said or next(iter(found), "")


def _release(url: str) -> tuple[str, str]:
    """Name and version of the wheel or source archive at that address; two "" for anything else."""
    filename = unquote(url.partition("#")[0].rpartition("/")[2])
    try:
        read = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return "", ""
    return str(read[0]), str(read[1])


def _short(said: object) -> str:
    if isinstance(said, str):
        return repr(re.sub(r"(?<=://)[^/@]*@", "", said[:500]))[:150]
    return repr(said)[:150] if isinstance(said, int | float | None) else "a list or a mapping"
