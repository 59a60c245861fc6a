"""pixi.lock, rattler's lock: written in its version 6, which every pixi of today reads; read in 6 and 7."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from ..errors import InvalidInput
from ..model import Package, Snapshot
from .conda_lock import by_platform, channels_of, chosen
from .origins import address, channel, conda_package, digest, left_out, public, pypi_package, snapshot_of
from .pylock import is_version
from .yaml_text import mapping_in, parsed, shown, text_in, yaml

_HOME = "https://conda.anaconda.org"
_DEFAULTS = ("https://repo.anaconda.com/pkgs/main", "https://repo.anaconda.com/pkgs/r")
_COMMIT = re.compile(
    r"(?P<url>[^@]+://(?:[^/@]*@)?[^@#?]+)@(?P<commit>[0-9a-f]{7,64})(?:#subdirectory=(?P<folder>.+))?"
)
_LOCKED = re.compile(r"(?P<url>[^?#]+)(?:\?(?P<query>[^#]*))?#(?P<commit>[0-9a-f]{7,64})")
_RELATIVE = re.compile(r"\.{1,2}(?:/[\w.+@-]+)*/?|[\w.+-]+(?:/[\w.+@-]+)*/?")


@dataclass(frozen=True, slots=True)
class RattlerLock:
    """One environment, "default", for one platform or for several. What has no place in it is named in a comment.

    What the format does not say: which packages were asked for, and the state that it was made of.
    """

    name: str = "pixi"
    filename: str = "pixi.lock"

    def dump(self, snapshot: Snapshot) -> str:
        """Raises InvalidInput for a platform that conda does not have."""
        return self.dump_all([snapshot])

    def dump_all(self, snapshots: Sequence[Snapshot]) -> str:
        """One lock of a snapshot for each platform. Raises InvalidInput where two are for one, or there is none."""
        by_subdir = by_platform(snapshots)
        written = {
            subdir: {each.name + each.ecosystem: _entry(each) for each in sorted(snapshot.packages)}
            for subdir, snapshot in by_subdir.items()
        }
        listed = {_selector(each): each for part in written.values() for each in part.values() if each}
        lost = {left_out(each) for snapshot in by_subdir.values() for each in snapshot.packages if not _entry(each)}
        packages = {subdir: [*map(_reference, filter(None, part.values()))] for subdir, part in written.items()}
        environment = {
            "channels": [{"url": f"{each}/"} for each in _addresses(by_subdir.values())],
            "packages": packages,
        }
        lock = {
            "version": 6,
            "environments": {"default": environment},
            "packages": sorted(listed.values(), key=lambda each: _selector(each)[::-1]),
        }
        return "".join(f"{each}\n" for each in sorted(lost)) + yaml(lock)

    def load(
        self,
        text: str,
        *,
        source: str,
        subdir: str | None = None,
        environment_name: str = "default",
        environment: str = "",
    ) -> Snapshot:
        """Read ours, or one of pixi; `source` names the file in errors.

        `subdir` is the platform as conda calls it, None for the only one; `environment_name` one of pixi's that are in
        the file. Raises InvalidInput, also for what pixi builds from source.
        """
        said = _said(text, source)
        there = _environment(said, environment_name, source)
        subdir = chosen(subdir, _platforms(there, source), source)
        entries = _entries(said, source)
        packages = [_package(entries, each, source) for each in _list(there["packages"], subdir, source)]
        channels = tuple(
            channel(each.get("url") if isinstance(each, dict) else each, source)
            for each in _list(there, "channels", source)
        )
        return snapshot_of(
            packages, subdir=_meant(said, subdir, source), source=source, environment=environment, channels=channels
        )


def subdirs(text: str, *, source: str, environment_name: str = "default") -> tuple[str, ...]:
    """The platforms that a lock is for, as conda calls them. Raises InvalidInput."""
    return _platforms(_environment(_said(text, source), environment_name, source), source)


# --- writing ---------------------------------------------------------------------------------------------------------


def _addresses(snapshots: Iterable[Snapshot]) -> Iterator[str]:
    """The channels, each by its address: where the packages of that name are from, else at the usual host."""
    listed = list(snapshots)
    known = {
        package.channel.rpartition("/")[2]: package.channel
        for each in listed
        for package in each.packages
        if public(package.channel, channel=True) == package.channel
    }
    for each in channels_of(listed):
        if each == "defaults":
            yield from _DEFAULTS
        else:
            yield each if "://" in each else known.get(each, f"{_HOME}/{each}")


def _entry(package: Package) -> Mapping[str, Any]:
    """What the lock says of the package, nothing where the format has no place for it."""
    url = public(package.url, channel=package.ecosystem == "conda")
    if package.ecosystem == "conda":
        return _conda_entry(replace(package, url=url)) if _is_archive(package, url) else {}
    if package.ecosystem != "pypi" or not url or not is_version(package.version):
        return {}
    if found := _COMMIT.fullmatch(url) if package.origin == "vcs" else None:
        query = {"subdirectory": found["folder"]} if found["folder"] else {}
        url = f"{found['url']}?{urlencode({**query, 'rev': found['commit']}, safe='/')}#{found['commit']}"
    said = {"pypi": url, "name": package.name, "version": package.version}
    if package.sha256 and package.origin != "vcs":
        said["sha256"] = package.sha256
    return {**said, "editable": True} if package.origin == "editable" else said


def _is_archive(package: Package, url: str) -> bool:
    try:
        read = conda_package(url, source="")
    except InvalidInput:
        return False
    return (read.name, read.version, read.build) == (package.name, package.version, package.build)


def _conda_entry(package: Package) -> Mapping[str, Any]:
    said = {
        "conda": package.url,
        "sha256": package.sha256,
        "md5": package.md5,
        "depends": list(package.depends),
        "constrains": list(package.constrains),
        "size": package.size,
    }
    return {key: value for key, value in said.items() if value}


def _selector(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Whose package it is, and where it is from."""
    manager = "conda" if "conda" in entry else "pypi"
    return manager, str(entry[manager])


def _reference(entry: Mapping[str, Any]) -> Mapping[str, str]:
    return dict([_selector(entry)])


# --- reading ---------------------------------------------------------------------------------------------------------


def _said(text: str, source: str) -> Mapping[str, Any]:
    said = parsed(text, source=source)
    if (version := said.get("version")) not in ("6", "7"):
        raise InvalidInput(
            f"{source}: its version is {shown(version)}; versions 6 and 7 of pixi.lock are read",
            hint="write it anew with a pixi of today: pixi lock",
        )
    return said


def _environment(said: Mapping[str, Any], name: str, source: str) -> Mapping[str, Any]:
    there = mapping_in(said, "environments", source)
    if name not in there:
        raise InvalidInput(f"{source} has no environment {name!r}", hint=f"it has: {', '.join(map(str, there))}")
    return mapping_in(there, name, source)


def _platforms(environment: Mapping[str, Any], source: str) -> tuple[str, ...]:
    return tuple(sorted(map(str, mapping_in(environment, "packages", source))))


def _meant(said: Mapping[str, Any], platform: str, source: str) -> str:
    """The subdir of a platform, which from version 7 on may have a name of its own."""
    listed = [each for each in _list(said, "platforms", source) if isinstance(each, dict)]
    named = {each["name"]: each.get("subdir") for each in listed if isinstance(each.get("name"), str)}
    return str(named.get(platform) or platform)


def _list(said: Mapping[str, Any], key: str, where: str) -> list[Any]:
    found = said.get(key) or []
    if not isinstance(found, list):
        raise InvalidInput(f"{where}: {key} is no list")
    return found


def _entries(said: Mapping[str, Any], source: str) -> Mapping[tuple[str, str], Mapping[str, Any]]:
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for number, entry in enumerate(_list(said, "packages", source), 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("conda", entry.get("pypi")), str):
            raise InvalidInput(f"{source}, package {number} is neither of conda nor of the Python index")
        found.setdefault(_selector(entry), entry)
    return found


def _package(entries: Mapping[tuple[str, str], Mapping[str, Any]], reference: object, source: str) -> Package:
    if not isinstance(reference, dict) or not {"conda", "pypi"} & reference.keys():
        raise InvalidInput(f"{source}: {shown(reference)} is neither of conda nor of the Python index")
    manager, url = _selector(reference)
    if (manager, url) not in entries:
        raise InvalidInput(f"{source}: nothing is said of {shown(public(url, channel=True))}")
    entry = entries[manager, url]
    return _of_conda(entry, source) if manager == "conda" else _of_pypi(entry, source)


def _of_conda(entry: Mapping[str, Any], source: str) -> Package:
    url = entry["conda"]
    if "://" not in url and not url.startswith("/"):
        raise InvalidInput(
            f"{source}: {shown(url)} lies beside the lock or is built from source, which only pixi follows"
        )
    given = {key: text_in(entry, key, source) for key in ("name", "version", "build") if entry.get(key)}
    package = conda_package(url, source=source, **given)
    where = f"{source} ({package.name})"
    size = entry.get("size") or "0"
    if not isinstance(size, str) or not re.fullmatch(r"[0-9]{1,18}", size):
        raise InvalidInput(f"{where}: its size is {shown(size)}")
    return replace(
        package,
        sha256=digest(entry.get("sha256"), of="sha256", source=where),
        md5=digest(entry.get("md5"), of="md5", source=where),
        depends=_specs(entry, "depends", where),
        constrains=_specs(entry, "constrains", where),
        size=int(size) or None,
    )


def _specs(entry: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    found = _list(entry, key, where)
    if not all(isinstance(each, str) for each in found):
        raise InvalidInput(f"{where}: {key} is no list of match specs")
    return tuple(found)


def _of_pypi(entry: Mapping[str, Any], source: str) -> Package:
    name = text_in(entry, "name", source)
    where = f"{source} ({name})"
    version = text_in(entry, "version", where) if entry.get("version") else ""
    given = entry["pypi"]
    if _RELATIVE.fullmatch(given):
        # Of the project that the lock lies in.
        package = replace(pypi_package(name, version=version, url="", source=where), origin="local", url=given)
    else:
        package = pypi_package(name, version=version, url=_checkout(address(given, source=where)), source=where)
    if package.origin == "local" and entry.get("editable") == "true":
        return replace(package, origin="editable")
    if package.origin == "vcs":
        return package
    return replace(package, sha256=digest(entry.get("sha256"), of="sha256", source=where))


def _checkout(url: str) -> str:
    """The address of a commit as pip has it; any other as it is."""
    found = _LOCKED.fullmatch(url) if "+" in url.partition("://")[0] else None
    if not found:
        return url
    folder = dict(parse_qsl(found["query"] or "")).get("subdirectory", "")
    return f"{found['url']}@{found['commit']}" + (f"#subdirectory={folder}" if folder else "")
