"""Packages told field by field, as JSON has it: what a lock says of them for which its format has no place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, get_args

from ..errors import InvalidInput
from ..model import Ecosystem, Origin, Package
from .origins import VERSION, channel, public
from .yaml_text import shown

FIELDS = tuple(field.name for field in fields(Package))
_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*", re.ASCII)


def differences(package: Package, other: Package) -> dict[str, Any]:
    """The fields in which the package is not like the other."""
    values = ((key, getattr(package, key)) for key in FIELDS)
    return {
        key: list(value) if isinstance(value, tuple) else value for key, value in values if value != getattr(other, key)
    }


def whole(package: Package) -> dict[str, Any]:
    """All that is known of it. Raises InvalidInput for what `package_of` would not read again."""
    said = differences(package, Package(name="", version=""))
    try:
        package_of(said)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{shown(package.name)} cannot be locked: {error}") from error
    return said


def package_of(said: Mapping[str, Any]) -> Package:
    """Read what `whole` gave. Raises ValueError, TypeError."""
    package = Package(**{"version": "", **checked(said, FIELDS)})
    if package.url and public(package.url, channel=package.ecosystem == "conda") != package.url:
        raise ValueError(f"{package.name} has an address that is none")
    if not _NAME.fullmatch(package.name) or not VERSION.fullmatch(package.version or "0"):
        raise ValueError(f"{shown(package.name)} {shown(package.version)} is no name or no version")
    return package


def checked(said: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """What was said of a package, each of its kind. Raises ValueError or TypeError."""
    if not said.keys() <= set(keys):
        raise ValueError("a package has keys that are not ours")
    return {key: _value(key, value) for key, value in said.items()}


def _value(key: str, value: object) -> object:
    if key in ("constrains", "depends"):
        return tuple(text(each) for each in value) if isinstance(value, list) else text(None)
    if (key, type(value)) in (("direct", bool), ("size", int)) or (key in ("direct", "size") and value is None):
        return value
    closed = {"ecosystem": get_args(Ecosystem), "origin": get_args(Origin)}
    if value not in closed.get(key, (value,)) or key in ("direct", "size"):
        raise ValueError(f"{key} is {shown(value)}")
    if key == "channel" and "://" in text(value) and channel(value, key) != value:
        raise ValueError(f"{key} is {shown(value)}")
    return text(value)


def text(value: object) -> str:
    """Raises TypeError for anything but text."""
    if not isinstance(value, str):
        raise TypeError(f"{shown(value)} is no text")
    return value
