"""uv.lock: what it gives one interpreter, as a pylock.toml with every hash.

The format is uv's own; it is read as versions 1 of it were written. What its root asks for is followed through its
dependencies, with markers and extras; development groups are not.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tomli_w
from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ..errors import InvalidInput

_OWN = ("virtual", "editable", "directory")


def requires_python(text: str, *, source: str) -> str:
    """The range of Pythons that the lock is for, "" where it does not say."""
    said = _parsed(text, source).get("requires-python", "")
    try:
        return str(SpecifierSet(str(said)))
    except InvalidSpecifier as error:
        raise InvalidInput(f"{source}: requires-python is {said!r}") from error


def as_pylock(text: str, *, source: str, environment: Mapping[str, str]) -> str:
    """The lock as a pylock.toml for the interpreter that `environment` (PEP 508's variables) describes.

    Raises InvalidInput where it is no uv.lock, or has a package that cannot be fetched anywhere else.
    """
    said = _parsed(text, source)
    listed = [each for each in _list(said, "package", source) if isinstance(each, dict)]
    try:
        chosen = _reached(listed, said, environment)
        packages = [_entry(each, source) for each in sorted(chosen, key=lambda each: str(each["name"]))]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{source} is not a uv.lock as uv writes it ({type(error).__name__}: {error})") from error
    except (InvalidMarker, InvalidRequirement) as error:
        raise InvalidInput(f"{source}: {error}") from error
    return tomli_w.dumps({"lock-version": "1.0", "created-by": "uv", "packages": packages})


def _parsed(text: str, source: str) -> Mapping[str, Any]:
    try:
        said = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"{source} is not TOML: {error}") from error
    if said.get("version") != 1:
        raise InvalidInput(f"{source}: its version is {said.get('version')!r}; version 1 of uv.lock is read")
    return said


def _list(said: Mapping[str, Any], key: str, source: str) -> list[Any]:
    found = said.get(key, [])
    if not isinstance(found, list):
        raise InvalidInput(f"{source}: {key} is no list")
    return found


def _reached(
    listed: Iterable[Mapping[str, Any]], said: Mapping[str, Any], environment: Mapping[str, str]
) -> list[Mapping[str, Any]]:
    """The packages that the roots need on that interpreter."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for each in listed:
        by_name.setdefault(str(each["name"]), []).append(each)
    todo: list[tuple[Mapping[str, Any], tuple[str, ...]]] = []
    for each in listed:
        if any(key in each["source"] for key in _OWN):
            todo += _needed(each.get("dependencies", ()), by_name, environment)
    manifest = said.get("manifest", {})
    todo += _needed(manifest.get("requirements", ()), by_name, environment)
    seen: set[tuple[str, str, str]] = set()
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    while todo:
        package, extras = todo.pop()
        key = (str(package["name"]), str(package.get("version", "")))
        if not any(own in package["source"] for own in _OWN):
            found[key] = package
        for extra in ("", *extras):
            if (*key, extra) in seen:
                continue
            seen.add((*key, extra))
            needs = (
                package.get("optional-dependencies", {}).get(extra, ()) if extra else package.get("dependencies", ())
            )
            todo += _needed(needs, by_name, environment)
    return list(found.values())


def _needed(
    needs: Iterable[Mapping[str, Any]], by_name: Mapping[str, list[Mapping[str, Any]]], environment: Mapping[str, str]
) -> Iterator[tuple[Mapping[str, Any], tuple[str, ...]]]:
    for need in needs:
        marker = need.get("marker")
        if marker and not Marker(marker).evaluate({**environment, "extra": ""}):
            continue
        wanted = need.get("version")
        fitting = [
            each
            for each in by_name.get(str(need["name"]), [])
            if wanted in (None, each.get("version")) and _applies(each, environment)
        ]
        extras = need.get("extra", need.get("extras", ()))
        for each in fitting[:1]:
            yield each, tuple(map(str, extras))


def _applies(package: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether one of several forks of a package is for this interpreter."""
    markers = package.get("resolution-markers", ())
    return not markers or any(Marker(each).evaluate({**environment, "extra": ""}) for each in markers)


def _entry(package: Mapping[str, Any], source: str) -> dict[str, Any]:
    name, version = str(package["name"]), str(package.get("version", ""))
    Requirement(name)
    entry: dict[str, Any] = {"name": name} | ({"version": version} if version else {})
    place = package["source"]
    if "git" in place:
        return entry | {"vcs": _repository(str(place["git"]))}
    if "url" in place:
        file = package.get("sdist") or package["wheels"][0]
        return entry | {"archive": {"url": str(place["url"]), "hashes": _hashes(file)}}
    if "registry" not in place:
        raise InvalidInput(f"{source}: {name} comes from {str(place)[:100]!r}, a place of one machine")
    sdist = package.get("sdist") or {}
    if url := sdist.get("url"):
        entry["sdist"] = {"name": url.rpartition("/")[2], "url": url, "hashes": _hashes(sdist)}
    wheels = [each for each in package.get("wheels", ()) if each.get("url")]
    if wheels:
        entry["wheels"] = [
            {"name": each["url"].rpartition("/")[2], "url": each["url"], "hashes": _hashes(each)} for each in wheels
        ]
    if not (wheels or "sdist" in entry):
        raise InvalidInput(f"{source}: {name} has no file with an address")
    return entry


def _repository(said: str) -> dict[str, str]:
    """Uv writes git sources as URL?rev=WISH#COMMIT."""
    address, _, commit = said.partition("#")
    address, _, query = address.partition("?")
    folder = re.search(r"subdirectory=([^&]+)", query)
    return {"type": "git", "url": address, "commit-id": commit} | ({"subdirectory": folder[1]} if folder else {})


def _hashes(file: Mapping[str, Any]) -> dict[str, str]:
    kind, _, value = str(file["hash"]).partition(":")
    return {kind: value}
