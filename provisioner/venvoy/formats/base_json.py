"""What is in an image as canonical JSON (RFC 8785), whose sha256 names what an environment stands on."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from pathlib import Path
from typing import Any, cast, get_args

from ..errors import InvalidInput
from ..model import Base, Contents, Ecosystem, Image, Package, Snapshot

MARK = "contents:"
"""Begins the name of a base that is an image's contents; that of an interpreter is its digest alone."""
FORMAT = "venvoy-base-1"
_WORD = re.compile(r"[!-~]{1,500}")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{0,500}")
_LINES = ("machine", "system", "libc", "rscript", "r_version")
_OF_PYTHON = tuple(each.name for each in fields(Base))


def name(contents: Contents) -> str:
    """How a snapshot calls the base: equal contents have equal names."""
    return f"{MARK}{hashlib.sha256(dump(contents).encode()).hexdigest()}"


def dump(contents: Contents) -> str:
    """The text of a file; equal contents give equal text."""
    return json.dumps({"format": FORMAT, **told(contents)}, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def told(contents: Contents) -> dict[str, Any]:
    """The contents in lists and tables, as any format can hold them; a package is "NAME VERSION [BUILD]"."""
    packages: dict[str, list[str]] = {}
    for each in sorted(set(contents.packages)):
        packages.setdefault(each.ecosystem, []).append(" ".join(filter(None, (each.name, each.version, each.build))))
    python = contents.python
    return {
        **{key: said for key in _LINES if (said := getattr(contents, key))},
        **({"python": {key: str(getattr(python, key)) for key in _OF_PYTHON}} if python else {}),
        "packages": packages,
    }


@lru_cache(maxsize=16)
def load(text: str) -> Contents:
    """Read what `dump` wrote. Raises InvalidInput."""
    try:
        said = json.loads(text)
        if not isinstance(said, dict) or said.pop("format", None) != FORMAT:
            raise ValueError(f"its format is not {FORMAT}")  # noqa: TRY301  # told as one with the others
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"not what is in an image: {error}") from error
    return contents(said)


def contents(said: Mapping[str, Any]) -> Contents:
    """Read what `told` gave. Raises InvalidInput."""
    try:
        if odd := set(said) - {*_LINES, "python", "packages"}:
            raise ValueError(f"{min(odd)!r} is none of its keys")  # noqa: TRY301
        python = said.get("python")
        packages = [
            _package(cast("Ecosystem", ecosystem), *_text(line, _LINE).split(" "))
            for ecosystem, lines in said["packages"].items()
            for line in _list(lines)
        ]
        lines = {key: _text(said.get(key, ""), _LINE) for key in _LINES}
        return Contents(
            **lines, python=None if python is None else _interpreter(python), packages=tuple(sorted(set(packages)))
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"not what is in an image: {error}") from error


def ground(snapshot: Snapshot) -> dict[str, Any]:
    """What a lock remarks of where a snapshot was taken, and of which state it is."""
    on = snapshot.stands_on
    return {
        "platform": snapshot.platform,
        "base": snapshot.base,
        **({"image": {"reference": on.reference, "digest": on.digest}} if on else {}),
        **({"contents": told(snapshot.contents)} if snapshot.contents else {}),
        **({"snapshot": snapshot.state} if snapshot.state else {}),
    }


def contents_in(ours: Mapping[str, Any], where: str) -> Contents | None:
    """What is in the image that a lock was made in. Raises InvalidInput where that is not what `base` names."""
    if "contents" not in ours:
        return None
    try:
        found = contents(ours["contents"])
    except InvalidInput as error:
        raise InvalidInput(f"{where}.contents is not as we write it ({error.message})") from error
    if name(found) != ours.get("base"):
        raise InvalidInput(f"{where}.contents was changed: it has not the digest that base names")
    return found


def image_in(ours: Mapping[str, Any], where: str) -> Image | None:
    """The image that a lock was made in. Raises InvalidInput."""
    said = ours.get("image")
    if said is None:
        return None
    if isinstance(said, dict):
        reference, digest = said.get("reference"), said.get("digest")
        if isinstance(reference, str) and isinstance(digest, str):
            return Image(reference=reference, digest=digest)
    raise InvalidInput(f"{where}.image is not as we write it")


def _package(ecosystem: Ecosystem, named: str, version: str, build: str = "") -> Package:
    """One of an image's own packages. Raises ValueError for what none is called."""
    if ecosystem not in get_args(Ecosystem):
        raise ValueError(f"{ecosystem!r} is no kind of package")
    for each in (named, version, *((build,) if build else ())):
        _text(each, _WORD)
    return Package(ecosystem=ecosystem, name=named, version=version, build=build)


def _interpreter(said: Mapping[str, Any]) -> Base:
    """What a Python says of itself (`guest/probe.py`). Raises ValueError, KeyError, TypeError, AttributeError."""
    if set(said) != set(_OF_PYTHON):
        raise ValueError("what it says of its Python is not what we ask")
    words = {key: _text(said[key], _LINE) for key in _OF_PYTHON}
    if not words["path"].startswith("/") or not re.fullmatch(r"\d+\.\d+\S*", words["version"]):
        raise ValueError(f"{words['path']!r} {words['version']!r} is no Python")
    return Base(path=Path(words.pop("path")), **words)


def _text(said: object, form: re.Pattern[str]) -> str:
    if not isinstance(said, str) or not form.fullmatch(said):
        raise ValueError(f"{said!r:.100} is not what it should be")
    return said


def _list(said: object) -> list[object]:
    if not isinstance(said, list):
        raise TypeError(f"{said!r:.100} is no list")
    return said
