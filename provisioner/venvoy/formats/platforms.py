"""The platforms that a lock can be made for, and which files each of them takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import urlsplit

import tomli_w
from packaging import pylock, tags
from packaging.markers import Environment as Markers
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import parse_wheel_filename
from packaging.version import Version

from ..model import Origin, Package, Snapshot
from .pylock import is_pinned
from .requirements import INDEX, address, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """One kind of machine: what its Python says of it in markers (PEP 508), and the tags of its wheels (PEP 425)."""

    name: str
    sys_platform: str
    machine: str
    wheels: re.Pattern[str]

    @property
    def marker(self) -> str:
        """The marker that is true there and on no other."""
        return f"sys_platform == '{self.sys_platform}' and platform_machine == '{self.machine}'"

    def said(self, version: str) -> Markers:
        """What markers are compared with there, for CPython of that version."""
        system = {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[self.sys_platform]
        return {
            "implementation_name": "cpython",
            "implementation_version": version,
            "os_name": "nt" if self.sys_platform == "win32" else "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": system,
            "platform_version": "",
            "python_full_version": version,
            "python_version": ".".join(version.split(".")[:2]),
            "sys_platform": self.sys_platform,
        }


PLATFORMS: Mapping[str, Platform] = {
    each.name: each
    for each in (
        Platform(
            name="linux-x86_64", sys_platform="linux", machine="x86_64", wheels=re.compile(r"(many)?linux.*_x86_64")
        ),
        Platform(
            name="linux-aarch64", sys_platform="linux", machine="aarch64", wheels=re.compile(r"(many)?linux.*_aarch64")
        ),
        Platform(
            name="macos-arm64",
            sys_platform="darwin",
            machine="arm64",
            wheels=re.compile(r"macosx_.*_(arm64|universal2)"),
        ),
        Platform(
            name="macos-x86_64",
            sys_platform="darwin",
            machine="x86_64",
            wheels=re.compile(r"macosx_.*_(x86_64|universal2|universal|intel|fat(32|64|3)?)"),
        ),
        Platform(name="windows-x86_64", sys_platform="win32", machine="AMD64", wheels=re.compile(r"win_amd64")),
    )
}
"""By the names that users give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """A package that one platform cannot have, or (`source`) only when it is built there."""

    platform: str
    name: str
    version: str
    source: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """One package of the lock, with the platforms that get it and what each of them takes."""

    entry: pylock.Package
    holds: tuple[Platform, ...]
    files: Mapping[str, Sequence[pylock.PackageWheel | pylock.PackageSdist]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tailored:
    """A resolution cut down to some platforms, and what they lack."""

    snapshot: Snapshot
    platforms: tuple[Platform, ...]
    entries: tuple[_Entry, ...]
    gaps: tuple[Gap, ...]

    @property
    def unpinned(self) -> tuple[Package, ...]:
        """The packages of the environment that nobody can fetch, on whatever platform."""
        return tuple(each for each in sorted(self.snapshot.packages) if not is_pinned(each))

    def packages(self, platform: Platform) -> tuple[Package, ...]:
        """What one platform gets, each with the file that it takes first."""
        direct = {each.name for each in self.snapshot.packages if each.direct}
        found = []
        for each in (one for one in self.entries if platform in one.holds):
            file = next(iter(each.files.get(platform.name, ())), None)
            url, sha256 = (file.url or "", file.hashes["sha256"]) if file else ("", "")
            origin: Origin = "archive" if each.entry.archive else "vcs" if each.entry.vcs else "index"
            if origin != "index":
                known = next(one for one in self.snapshot.packages if one.name == each.entry.name)
                url, sha256 = known.url, known.sha256
            version = str(each.entry.version)
            found.append(
                Package(
                    name=each.entry.name,
                    version=version,
                    origin=origin,
                    url=url,
                    sha256=sha256,
                    direct=each.entry.name in direct,
                )
            )
        return tuple(sorted(found))

    def toml(self) -> str:
        """The lock as PEP 751 has it, with one entry under `environments` for each platform."""
        lock = pylock.Pylock(
            lock_version=Version("1.0"),
            environments=[Marker(each.marker) for each in self.platforms],
            requires_python=SpecifierSet(f"=={_minor(self.snapshot)}.*"),
            created_by="venvoy",
            packages=[self._locked(each) for each in self.entries],
            tool={"venvoy": self._remarks()},
        )
        lock.validate()
        return tomli_w.dumps(lock.to_dict())

    def requirements(self) -> str:
        """The same as pip reads it, with hashes and a marker where not every platform gets a package."""
        names = ", ".join(each.name for each in self.platforms)
        lines = [
            f"# Python {plain(self.snapshot.language_version)} on {names}, by venvoy",
            "# pip install --require-hashes --no-deps -r requirements.txt",
            *(f"# not in it: {plain(f'{each.name} {each.version}')}" for each in self.unpinned),
            *(
                f"# not in it: {plain(f'{each.name} {each.version}')} on {each.platform}"
                for each in self.gaps
                if not each.source
            ),
        ]
        for each in self.entries:
            lines += self._lines(each)
        return "\n".join(lines) + "\n"

    def _locked(self, said: _Entry) -> pylock.Package:
        files = [file for each in said.holds for file in said.files.get(each.name, ())]
        wheels = {each.filename: each for each in files if isinstance(each, pylock.PackageWheel)}
        sdists = [each for each in files if isinstance(each, pylock.PackageSdist)]
        marker = self._marker(said.holds)
        return replace(
            said.entry,
            marker=Marker(marker) if marker else None,
            wheels=[wheels[name] for name in sorted(wheels)] or None,
            sdist=sdists[0] if sdists else None,
        )

    def _lines(self, said: _Entry) -> list[str]:
        entry = said.entry
        if entry.archive and entry.archive.url:
            place = (
                f"{entry.archive.url}#subdirectory={entry.archive.subdirectory}"
                if entry.archive.subdirectory
                else entry.archive.url
            )
            return self._line(f"{entry.name} @ {address(place)}", said.holds, [entry.archive.hashes["sha256"]])
        if entry.vcs:
            return [f"# not in it: {entry.name}, for pip has no hash to check a repository by"]
        files = {each.name: said.files[each.name] for each in said.holds}
        if all(_of_index(file) for each in files.values() for file in each):
            hashes = sorted({file.hashes["sha256"] for each in files.values() for file in each})
            return self._line(f"{entry.name}=={entry.version}", said.holds, hashes)
        # Another index has it: pip finds it by its address alone, which is one file for each platform.
        lines = []
        for each in said.holds:
            file = files[each.name][0]
            lines += self._line(f"{entry.name} @ {address(file.url or '')}", (each,), [file.hashes["sha256"]])
        return lines

    def _line(self, requirement: str, holds: Sequence[Platform], hashes: Sequence[str]) -> list[str]:
        marker = self._marker(holds)
        words = [
            f"{requirement} ; {marker}" if marker else requirement,
            *(f"    --hash=sha256:{each}" for each in hashes),
        ]
        return [f"{each} \\" for each in words[:-1]] + words[-1:]

    def _marker(self, holds: Sequence[Platform]) -> str:
        if len(holds) == len(self.platforms):
            return ""
        return " or ".join(f"({each.marker})" for each in holds) if len(holds) > 1 else holds[0].marker

    def _remarks(self) -> Mapping[str, Any]:
        return {
            "python": self.snapshot.language_version,
            "platforms": [each.name for each in self.platforms],
            "base": self.snapshot.base,
            "direct": sorted(each.name for each in self.snapshot.packages if each.direct),
            "unpinned": [{"name": each.name, "version": each.version, "origin": each.origin} for each in self.unpinned],
            "missing": [
                {"name": each.name, "version": each.version, "platform": each.platform}
                for each in self.gaps
                if not each.source
            ],
        }


def tailored(lock: pylock.Pylock, snapshot: Snapshot, platforms: Sequence[Platform]) -> Tailored:
    """What of a resolution for all is for these platforms; `snapshot` is the environment that it was made for.

    Of every package each platform gets the wheels that its CPython takes, and the source where there is none.
    """
    entries, gaps = [], []
    for entry in sorted(lock.packages, key=lambda each: (each.name, str(each.version), str(each.marker))):
        wanted = [each for each in platforms if reached(entry, each, snapshot.language_version)]
        files = {each.name: _files(entry, each, _minor(snapshot)) for each in wanted}
        fetched = not (entry.vcs or entry.archive or entry.directory)
        for each in wanted if fetched else ():
            source = any(isinstance(file, pylock.PackageSdist) for file in files[each.name])
            if source or not files[each.name]:
                gaps.append(Gap(platform=each.name, name=entry.name, version=str(entry.version), source=source))
        holds = tuple(each for each in wanted if files[each.name] or not fetched)
        if holds:
            entries.append(_Entry(entry=_bare(entry), holds=holds, files=files))
    return Tailored(snapshot=snapshot, platforms=tuple(platforms), entries=tuple(entries), gaps=tuple(gaps))


def reached(entry: pylock.Package, platform: Platform, version: str) -> bool:
    """Whether the package is for that platform."""
    return entry.marker is None or entry.marker.evaluate(cast("dict[str, str]", platform.said(version)))


def _bare(entry: pylock.Package) -> pylock.Package:
    """The entry without its files and without what one index says and another does not."""
    return pylock.Package(
        name=entry.name,
        version=entry.version,
        vcs=entry.vcs,
        archive=pylock.PackageArchive(
            url=entry.archive.url, hashes=entry.archive.hashes, subdirectory=entry.archive.subdirectory
        )
        if entry.archive
        else None,
    )


def _files(
    entry: pylock.Package, platform: Platform, minor: str
) -> Sequence[pylock.PackageWheel | pylock.PackageSdist]:
    wheels = [
        pylock.PackageWheel(name=each.filename, url=each.url, hashes={"sha256": each.hashes["sha256"]})
        for each in entry.wheels or ()
        if each.url and "sha256" in each.hashes and _fits(each.filename, platform, minor)
    ]
    sdist = entry.sdist
    if wheels or sdist is None or not sdist.url or "sha256" not in sdist.hashes:
        return wheels
    return [pylock.PackageSdist(name=sdist.filename, url=sdist.url, hashes={"sha256": sdist.hashes["sha256"]})]


def _fits(filename: str, platform: Platform, minor: str) -> bool:
    version = tuple(map(int, minor.split(".")))
    abi = f"cp{minor.replace('.', '')}"
    accepted: Iterable[tags.Tag] = (
        *tags.cpython_tags(version, [abi], ["p"]),
        *tags.compatible_tags(version, abi, ["p"]),
    )
    pairs = {(each.interpreter, each.abi) for each in accepted}
    return any(
        (each.interpreter, each.abi) in pairs and (each.platform == "any" or platform.wheels.fullmatch(each.platform))
        for each in parse_wheel_filename(filename)[3]
    )


def _of_index(file: pylock.PackageWheel | pylock.PackageSdist) -> bool:
    return urlsplit(file.url or "").hostname == INDEX


def _minor(snapshot: Snapshot) -> str:
    return ".".join(snapshot.language_version.split(".")[:2])
