"""conda-lock.yml (CEP 37): the lock of our conda environments, for one platform or for several at once.

What the format has no place for stands in `metadata.custom_metadata.venvoy`, so that everything comes back.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from ..errors import InvalidInput
from ..model import Language, Package, Snapshot
from . import told
from .origins import address, channel, conda_package, depended, digest, once, public, pypi_package, snapshot_of
from .subdirs import platform_of, subdir_of
from .yaml_text import mapping_in, parsed, shown, text_in, yaml

OURS = "venvoy"
"""The key of what we say of our own, canonical JSON."""
_ADDED = ("channel", "constrains", "depends", "direct", "origin", "size", "tree")
"""What may be said of a listed package beside its entry: nothing of which file it is."""
_KEPT = ("base", "image", "language", "language_version", "platform", "state")
_COMMIT = re.compile(r"@([0-9a-f]{40,64})(?:#|$)")


@dataclass(frozen=True, slots=True)
class CondaLock:
    """Version 1 of the format. conda-lock itself asks for the md5 of every conda package; others take the sha256, too.

    Packages without an address or a digest, which no reader takes, are in our own part only; credentials are in none.
    Checkouts have their commit for a digest, as conda-lock writes it, which rattler does not read.
    """

    name: str = "conda-lock"
    filename: str = "conda-lock.yml"

    def dump(self, snapshot: Snapshot) -> str:
        """Raises InvalidInput for a platform that conda does not have."""
        return self.dump_all([snapshot])

    def dump_all(self, snapshots: Sequence[Snapshot]) -> str:
        """One lock of a snapshot for each platform. Raises InvalidInput where two are for one, or there is none."""
        by_subdir = by_platform(snapshots)
        parts = {subdir: _written(each, subdir) for subdir, each in by_subdir.items()}
        custom = {subdir: part.ours for subdir, part in parts.items()}
        return yaml(
            {
                "version": 1,
                "metadata": {
                    "content_hash": {subdir: part.digest for subdir, part in parts.items()},
                    "channels": [{"url": each, "used_env_vars": []} for each in channels_of(by_subdir.values())],
                    "platforms": list(parts),
                    "sources": ["environment.yml"],  # mamba asks for one, and ours lies beside it
                    "custom_metadata": {OURS: json.dumps(custom, sort_keys=True, separators=(",", ":"))},
                },
                "package": [entry for part in parts.values() for entry in part.entries],
            }
        )

    def load(self, text: str, *, source: str, subdir: str | None = None, environment: str = "") -> Snapshot:
        """Read ours, or one of conda-lock, mamba or anybody else; `source` names the file in errors.

        `subdir` is the platform as conda calls it, None for the only one that the lock is for. What is optional in it
        is left out, as conda-lock leaves it out unless asked. Raises InvalidInput.
        """
        said = _said(text, source)
        subdir = chosen(subdir, _platforms(said, source), source)
        metadata = said["metadata"]
        read = list(_read(said, subdir, source))
        state = snapshot_of(
            read, subdir=subdir, source=source, environment=environment, channels=_channels(metadata, source)
        )
        ours = _ours(metadata, subdir, source)
        if not ours:
            return state
        known = mapping_in(metadata, "content_hash", source).get(subdir) == _digest(read)
        return _restored(state, ours if known else {**ours, "state": ""}, source)


def subdirs(text: str, *, source: str) -> tuple[str, ...]:
    """The platforms that a lock is for, as conda calls them. Raises InvalidInput."""
    return _platforms(_said(text, source), source)


# --- what the locks for several platforms share ----------------------------------------------------------------------


def by_platform(snapshots: Sequence[Snapshot]) -> dict[str, Snapshot]:
    """The snapshots by conda's names of their platforms, sorted. Raises InvalidInput where two are for the same."""
    found: dict[str, Snapshot] = {}
    for each in snapshots:
        if found.setdefault(subdir := subdir_of(each.platform), each) is not each:
            raise InvalidInput(f"there are two snapshots for {subdir}; a lock holds one for each platform")
    if not found:
        raise InvalidInput("there is no snapshot to be locked")
    return dict(sorted(found.items()))


def chosen(subdir: str | None, there: Sequence[str], source: str) -> str:
    """The platform that is meant. Raises InvalidInput, with those that there are, where it is not clear."""
    if subdir is None and len(there) == 1:
        return there[0]
    if subdir is None or subdir not in there:
        wrong = f"is for {len(there)} platforms" if subdir is None else f"is not for {subdir}"
        raise InvalidInput(f"{source} {wrong}", hint=f"it is for: {', '.join(there) or 'none'}")
    return subdir


def channels_of(snapshots: Iterable[Snapshot]) -> tuple[str, ...]:
    """The channels of all, the first before the others; where none are told those that the packages are from."""
    listed = list(snapshots)
    told = [channel(named, "the snapshot") for each in listed for named in each.channels]
    known = (public(package.channel, channel=True).rstrip("/") for each in listed for package in each.packages)
    return tuple(dict.fromkeys(told or filter(None, known)))


# --- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What a lock says of one platform."""

    entries: tuple[Mapping[str, Any], ...]
    digest: str
    ours: Mapping[str, Any]


def _written(snapshot: Snapshot, subdir: str) -> _Part:
    entries: list[Mapping[str, Any]] = []
    read: list[Package] = []
    added: dict[str, Mapping[str, Any]] = {}
    unlisted: list[Mapping[str, Any]] = []
    for package in sorted(map(_without_credentials, snapshot.packages)):
        entry = _entry(package, subdir)
        again = _as_read(entry)
        more = told.differences(package, again) if again else {}
        if again is None or not more.keys() <= set(_ADDED):
            unlisted.append(told.whole(package))
            continue
        entries.append(entry)
        read.append(again)
        if more:
            added[_key(package)] = more
    kept = {key: getattr(snapshot, key) for key in _KEPT} | {
        "channels": [*channels_of([replace(snapshot, packages=())])]
    }
    ours = {**kept, "added": added, "unlisted": unlisted}
    return _Part(
        entries=tuple(entries), digest=_digest(read), ours={key: value for key, value in ours.items() if value}
    )


def _without_credentials(package: Package) -> Package:
    conda = package.ecosystem == "conda"
    return replace(
        package,
        url=public(package.url, channel=conda),
        channel=public(package.channel, channel=True) if "://" in package.channel else package.channel,
    )


def _entry(package: Package, subdir: str) -> Mapping[str, Any]:
    conda = package.ecosystem == "conda"
    commit = _COMMIT.search(package.url) if package.origin == "vcs" else None
    hashes = {"md5": package.md5 if conda else "", "sha256": commit[1] if commit else package.sha256}
    located = package.url and not conda and package.origin != "index"
    return {
        "name": package.name,
        "version": package.version,
        "manager": "conda" if conda else "pip",
        "platform": subdir,
        "dependencies": _dependencies(package.depends) if conda else {},
        "url": package.url,
        "hash": {key: value for key, value in hashes.items() if value},
        **({"source": {"type": "url", "url": package.url}} if located else {}),
        "category": "main",
        "optional": False,
    }


def _dependencies(depends: Iterable[str]) -> dict[str, str]:
    """Match specs by name; of several for one name, which the format cannot say, all versions are asked for."""
    said: dict[str, str] = {}
    for name, rest in filter(any, map(depended, depends)):
        both = [each for each in (said.get(name), rest) if each]
        said[name] = max(both, key=len, default="") if any(" " in each for each in both) else ",".join(both)
    return said


def _as_read(entry: Mapping[str, Any]) -> Package | None:
    """What a reader makes of the entry, None where it is none that another tool could use."""
    if not (entry["url"] and entry["hash"] and entry["name"] and entry["version"]):
        return None
    try:
        return _package(entry, "")
    except InvalidInput:
        return None


def _digest(read: Iterable[Package]) -> str:
    said = [
        [each.ecosystem, each.name, each.version, each.url, each.sha256, each.md5, sorted(each.depends)]
        for each in sorted(read)
    ]
    return hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest()


def _key(package: Package) -> str:
    return f"{package.ecosystem}:{package.name}"


# --- reading ---------------------------------------------------------------------------------------------------------


def _said(text: str, source: str) -> Mapping[str, Any]:
    said = parsed(text, source=source)
    if (version := said.get("version", "1")) != "1":
        raise InvalidInput(f"{source}: its version is {shown(version)}; version 1 of conda-lock's format is read")
    mapping_in(said, "metadata", source)
    if not isinstance(said.get("package"), list):
        raise InvalidInput(f"{source} is no conda-lock.yml: it has no list of packages")
    return said


def _platforms(said: Mapping[str, Any], source: str) -> tuple[str, ...]:
    listed = said["metadata"].get("platforms")
    if not isinstance(listed, list) or not listed:
        raise InvalidInput(f"{source}: metadata.platforms is no list of platforms")
    for each in listed:
        if not isinstance(each, str):
            raise InvalidInput(f"{source}: {shown(each)} is no platform")
        platform_of(each)
    return tuple(sorted(set(listed)))


def _read(said: Mapping[str, Any], subdir: str, source: str) -> Iterator[Package]:
    seen: dict[tuple[str, str], Package] = {}
    for number, entry in enumerate(said["package"], 1):
        where = f"{source}, package {number}"
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise InvalidInput(f"{where} has no name")
        if entry.get("platform") != subdir or entry.get("category", "main") not in ("main", "dev"):
            continue
        package = _package(entry, f"{where} ({shown(entry['name'])})")
        # Once for each category that it is in.
        if seen.setdefault((package.ecosystem, package.name), package) is package:
            yield package
        elif seen[package.ecosystem, package.name] != package:
            raise InvalidInput(f"{source} has two of {package.name} for {subdir}")


def _package(entry: Mapping[str, Any], where: str) -> Package:
    name, version, manager = (text_in(entry, key, where) for key in ("name", "version", "manager"))
    hashes = mapping_in(entry, "hash", where)
    if manager not in ("conda", "pip"):
        raise InvalidInput(f"{where}: its manager is {shown(manager)}, not conda or pip")
    if manager == "conda":
        package = conda_package(entry.get("url"), source=where)
        if (package.name, package.version) != (name, version):
            raise InvalidInput(f"{where}: {version} is not at {package.url}")
        sha256, md5 = (digest(hashes.get(of), of=of, source=where) for of in ("sha256", "md5"))
        return replace(package, sha256=sha256, md5=md5, depends=_depends(entry, where))
    url = address(entry.get("url"), source=where)
    read = pypi_package(name, version=version, url=url, source=where, indexed="source" not in entry)
    if read.origin == "vcs":
        # There conda-lock writes a commit for a sha256.
        return read
    return replace(read, sha256=digest(hashes.get("sha256"), of="sha256", source=where))


def _depends(entry: Mapping[str, Any], where: str) -> tuple[str, ...]:
    said = mapping_in(entry, "dependencies", where) if entry.get("dependencies") else {}
    if not all(isinstance(each, str) for pair in said.items() for each in pair):
        raise InvalidInput(f"{where}: its dependencies are not as conda-lock writes them")
    return tuple(f"{name} {spec}".strip() for name, spec in said.items())


def _channels(metadata: Mapping[str, Any], source: str) -> tuple[str, ...]:
    listed = metadata.get("channels") or []
    if not isinstance(listed, list):
        raise InvalidInput(f"{source}: metadata.channels is no list")
    urls = [each.get("url") if isinstance(each, dict) else each for each in listed]
    return tuple(dict.fromkeys(channel(each, source) for each in urls))


def _ours(metadata: Mapping[str, Any], subdir: str, source: str) -> Mapping[str, Any]:
    """What we said of that platform, or nothing in somebody else's."""
    custom = metadata.get("custom_metadata")
    said = custom.get(OURS) if isinstance(custom, dict) else None
    if said is None:
        return {}
    try:
        found = json.loads(said)[subdir]
        if not isinstance(found, dict):
            raise TypeError("a platform's part is no mapping")  # noqa: TRY301  # told with the file below
    except (ValueError, TypeError, LookupError, RecursionError) as error:
        raise InvalidInput(f"{source}: custom_metadata.{OURS} is not as we write it ({error})") from error
    return found


def _restored(state: Snapshot, ours: Mapping[str, Any], source: str) -> Snapshot:
    try:
        added = ours.get("added", {})
        packages = [replace(each, **told.checked(added.get(_key(each), {}), _ADDED)) for each in state.packages]
        packages += [told.package_of(each) for each in ours.get("unlisted", ())]
        kept = {key: told.text(ours.get(key, "")) for key in _KEPT}
        if kept["language"] not in get_args(Language) or subdir_of(kept["platform"]) != subdir_of(state.platform):
            raise ValueError("its language or platform is another")  # noqa: TRY301  # told with the file below
        channels = tuple(channel(each, source) for each in ours.get("channels", []))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise InvalidInput(f"{source}: custom_metadata.{OURS} is not as we write it ({error})") from error
    return replace(state, **kept, channels=channels, packages=once(packages, source=source))  # type: ignore[arg-type]
