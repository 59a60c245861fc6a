"""pylock.toml (PEP 751): a snapshot in which every package has a url and a sha256."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, cast, get_args
from urllib.parse import unquote

import tomli_w
from packaging import pylock, tags
from packaging.markers import Environment as Markers
from packaging.markers import Marker
from packaging.specifiers import SpecifierSet
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    NormalizedName,
    is_normalized_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

from ..errors import InvalidInput, RuntimeUnavailable
from ..model import Base, Origin, Package, Snapshot
from . import base_json, renv

Source = pylock.PackageVcs | pylock.PackageDirectory | pylock.PackageArchive | pylock.PackageWheel | pylock.PackageSdist

_CONDA = re.compile(r"https?://[^#\s]+(?:\.conda|\.tar\.bz2)")
_ARCHIVE = re.compile(r"(?P<url>https?://[^#]+)(?:#subdirectory=(?P<subdirectory>.+))?")
_VCS = re.compile(
    r"(?P<type>[a-z]+)\+(?P<url>(?:https?|ssh)://.+)@(?P<commit>[^@#]+)(?:#subdirectory=(?P<subdirectory>.+))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A wheel that lies beside the lock: its name, its size in bytes, its sha256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class PylockToml:
    """A lock for one platform and one Python; what has no url or hash is listed under `tool.venvoy.unpinned`."""

    name: str = "pylock"
    filename: str = "pylock.toml"

    def dump(self, snapshot: Snapshot) -> str:
        pinned = [each for each in sorted(snapshot.of("pypi")) if is_pinned(each)]
        return _dumped(snapshot, [(each, _entry(each)) for each in pinned])

    def dump_beside(self, snapshot: Snapshot, files: Mapping[str, File], *, folder: str) -> str:
        """The lock with every package in a wheel of `files` (by canonical name), which lie in `folder` beside it."""
        there = [each for each in sorted(snapshot.of("pypi")) if each.name in files and is_version(each.version)]
        return _dumped(snapshot, [(each, _beside(each, files[each.name], folder)) for each in there])

    def load(self, text: str, *, source: str, environment: str = "", base: Base | None = None) -> Snapshot:
        """Read a lock of anybody's; `source` names the file in errors.

        With `base` the snapshot is what the lock gives an environment on that interpreter: markers decide, and of
        several files for a package the fitting one is taken. Without it a package of several files has no url.
        Raises InvalidInput for what is no lock, RuntimeUnavailable for a lock that is not for `base`.
        """
        lock = parse(text, source)
        ours = _ours(lock)
        chosen = _selected(lock, base, source) if base else ((each, _only(each)) for each in lock.packages)
        packages = [_package(entry, artefact) for entry, artefact in chosen]
        packages += _unpinned(ours, source)
        direct = ours.get("direct", ())
        return Snapshot(
            environment=environment,
            taken=datetime.now(UTC),
            base=str(ours.get("base", "")),
            contents=base_json.contents_in(ours, f"{source}: tool.venvoy"),
            stands_on=base_json.image_in(ours, f"{source}: tool.venvoy"),
            language_version=str(ours.get("python", "")),
            r_version=str(ours.get("r", "")),
            platform=str(ours.get("platform", "")),
            state=str(ours.get("snapshot", "")),
            packages=tuple(sorted(replace(each, direct=each.name in direct if ours else None) for each in packages)),
        )


def _dumped(snapshot: Snapshot, entries: list[tuple[Package, pylock.Package]]) -> str:
    # What conda installs has no place in it.
    snapshot = replace(snapshot, packages=tuple(sorted(snapshot.of("pypi"))))
    listed = {each.name for each, _ in entries}
    system, _, machine = snapshot.platform.partition("-")
    minor = ".".join(snapshot.language_version.split(".")[:2])
    lock = pylock.Pylock(
        lock_version=Version("1.0"),
        environments=[Marker(f"sys_platform == '{system}' and platform_machine == '{machine}'")],
        requires_python=SpecifierSet(f"=={minor}.*"),
        created_by="venvoy",
        packages=[
            replace(entry, tool={"venvoy": {"tree": package.tree}}) if package.tree else entry
            for package, entry in entries
        ],
        tool={"venvoy": _remarks(snapshot, [each for each in snapshot.packages if each.name not in listed])},
    )
    lock.validate()
    return tomli_w.dumps(lock.to_dict())


def is_pinned(package: Package) -> bool:
    """Whether the package can be fetched again, anywhere, as exactly the same bytes or the same commit."""
    if package.ecosystem in ("cran", "bioconductor"):
        return renv.is_pinned(package)
    if package.ecosystem == "conda":
        return bool(package.sha256) and _CONDA.fullmatch(package.url) is not None
    if not (is_normalized_name(package.name) and is_version(package.version)):
        return False
    if package.origin == "vcs":
        return _VCS.fullmatch(package.url) is not None
    if not (package.sha256 and _ARCHIVE.fullmatch(package.url)):
        return False
    return package.origin == "archive" or (package.origin == "index" and _is_file_of(package))


def parse(text: str, source: str) -> pylock.Pylock:
    """Read any pylock.toml; `source` names the file in errors. Raises InvalidInput."""
    try:
        return pylock.Pylock.from_dict(tomllib.loads(text))
    except (tomllib.TOMLDecodeError, pylock.PylockValidationError, RecursionError) as error:
        raise InvalidInput(f"{source} is not a pylock.toml: {error}") from error


def _is_file_of(package: Package) -> bool:
    """Whether the url ends in the name of a wheel or source archive of this package and version."""
    filename = _filename(package.url)
    try:
        parsed = parse_wheel_filename(filename) if filename.endswith(".whl") else parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return False
    return parsed[:2] == (package.name, Version(package.version))


def _filename(url: str) -> str:
    return unquote(url.partition("#")[0].rpartition("/")[2])


def is_version(text: str) -> bool:
    """Whether it is a version as PEP 440 has them."""
    try:
        Version(text)
    except InvalidVersion:
        return False
    return True


def _entry(package: Package) -> pylock.Package:
    name, version = cast("NormalizedName", package.name), Version(package.version)
    hashes = {"sha256": package.sha256}
    if package.origin == "vcs":
        vcs = cast("re.Match[str]", _VCS.fullmatch(package.url))
        return pylock.Package(
            name=name,
            version=version,
            vcs=pylock.PackageVcs(
                type=vcs["type"], url=vcs["url"], commit_id=vcs["commit"], subdirectory=vcs["subdirectory"]
            ),
        )
    if package.origin == "archive":
        found = cast("re.Match[str]", _ARCHIVE.fullmatch(package.url))
        archive = pylock.PackageArchive(url=found["url"], hashes=hashes, subdirectory=found["subdirectory"])
        return pylock.Package(name=name, version=version, archive=archive)
    filename = _filename(package.url)
    if filename.endswith(".whl"):
        wheel = pylock.PackageWheel(name=filename, url=package.url, hashes=hashes)
        return pylock.Package(name=name, version=version, wheels=[wheel])
    sdist = pylock.PackageSdist(name=filename, url=package.url, hashes=hashes)
    return pylock.Package(name=name, version=version, sdist=sdist)


def _beside(package: Package, file: File, folder: str) -> pylock.Package:
    wheel = pylock.PackageWheel(
        name=file.name, path=f"{folder}/{file.name}", size=file.size, hashes={"sha256": file.sha256}
    )
    return pylock.Package(name=cast("NormalizedName", package.name), version=Version(package.version), wheels=[wheel])


def _remarks(snapshot: Snapshot, unpinned: list[Package]) -> Mapping[str, Any]:
    return {
        "python": snapshot.language_version,
        **({"r": snapshot.r_version} if snapshot.r_version else {}),
        **base_json.ground(snapshot),
        "direct": sorted(each.name for each in snapshot.packages if each.direct),
        "unpinned": [
            {"name": each.name, "version": each.version, "origin": each.origin}
            | ({"sha256": each.sha256} if each.sha256 else {})
            | ({"tree": each.tree} if each.tree else {})
            for each in unpinned
        ],
    }


def _ours(lock: pylock.Pylock) -> Mapping[str, Any]:
    """What we remarked in it, or nothing in somebody else's."""
    said = (lock.tool or {}).get("venvoy", {})
    return said if isinstance(said, dict) else {}


def _unpinned(ours: Mapping[str, Any], source: str) -> Iterator[Package]:
    try:
        for each in ours.get("unpinned", ()):
            if each["origin"] not in get_args(Origin):
                raise ValueError(f"unknown origin {each['origin']!r}")  # noqa: TRY301  # told with the file below
            yield Package(
                name=each["name"],
                version=each["version"],
                origin=each["origin"],
                sha256=each.get("sha256", ""),
                tree=each.get("tree", ""),
            )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InvalidInput(f"{source}: tool.venvoy.unpinned is not as we write it ({error})") from error


def _selected(lock: pylock.Pylock, base: Base, source: str) -> Iterable[tuple[pylock.Package, Source]]:
    # `select` fills up what is not said here from this machine and CPython, which are the environment's, too.
    markers = {
        "implementation_version": base.version,
        "python_full_version": base.version,
        "python_version": base.minor,
    }
    try:
        return tuple(lock.select(environment=cast("Markers", markers), tags=_tags(base)))
    except pylock.PylockSelectError as error:
        raise RuntimeUnavailable(f"{source} is not for Python {base.version} on {base.platform}: {error}") from error


def _tags(base: Base) -> list[tags.Tag]:
    """What the interpreter can install, best first (PEP 425)."""
    version = tuple(int(number) for number in base.minor.split("."))
    platforms = tuple(tags.platform_tags())
    return [
        *tags.cpython_tags(version, [base.abi], platforms),
        *tags.compatible_tags(version, f"cp{base.minor.replace('.', '')}", platforms),
    ]


def _only(entry: pylock.Package) -> Source | None:
    """The one place that the package can come from, None where there are several."""
    artefacts: list[Source] = [*(entry.wheels or ())] or ([entry.sdist] if entry.sdist else [])
    if len(artefacts) == 1:
        return artefacts[0]
    return entry.vcs or entry.directory or entry.archive


def _package(entry: pylock.Package, artefact: Source | None) -> Package:
    said = (entry.tool or {}).get("venvoy", {})
    tree = said.get("tree", "") if isinstance(said, dict) else ""
    plain = Package(name=entry.name, version=str(entry.version or ""), tree=str(tree))
    match artefact:
        case pylock.PackageVcs():
            address = f"{artefact.type}+{artefact.url or artefact.path}@{artefact.commit_id}"
            return replace(plain, origin="vcs", url=f"{address}{_subfolder(artefact.subdirectory)}")
        case pylock.PackageDirectory():
            return replace(plain, origin="editable" if artefact.editable else "local", url=artefact.path)
        case pylock.PackageArchive():
            url = f"{artefact.url or artefact.path}{_subfolder(artefact.subdirectory)}"
            return replace(plain, origin="archive", url=url, sha256=artefact.hashes.get("sha256", ""))
        case pylock.PackageWheel() | pylock.PackageSdist():
            return replace(plain, url=artefact.url or "", sha256=artefact.hashes.get("sha256", ""))
    return plain


def _subfolder(path: str | None) -> str:
    return f"#subdirectory={path}" if path else ""
