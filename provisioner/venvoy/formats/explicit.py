"""conda's explicit lists (`@EXPLICIT`, CEP 23): addresses of packages, each with its digest."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from ..errors import InvalidInput
from ..model import Package, Snapshot
from .origins import FILE, address, conda_package, depended, digest, left_out, public, pypi_package, short, snapshot_of
from .subdirs import subdir_of

MARK = re.compile(r"^@EXPLICIT[ \t]*\r?$", re.MULTILINE)
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
        conda = snapshot.of("conda")
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
        if not (url and FILE.fullmatch(url)):
            return left_out(package)
        if package.sha256 and (self.hash == "sha256" or not package.md5):
            # With its prefix, for older mambas take any digest for an md5 (CEP 23 has it from conda 24.9 on).
            return f"{url}#sha256:{package.sha256}"
        return f"{url}#{package.md5}" if package.md5 else url


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
            raise InvalidInput(f"{where}: {short(line)} is not as conda-lock writes packages of the Python index")
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
