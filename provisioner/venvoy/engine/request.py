"""What the engine is asked and what it answers: data that goes through a pipe as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

OF_THE_SYSTEM = "truststore"
"""What conda calls the certificates that the system trusts (`Source.ssl`)."""
UNFINISHED = "venvoy-unfinished"
"""The file in conda-meta that is there while a prefix is brought from one state to another: what it was to become."""
LOCK = ".venvoy.lock"
"""The file in conda-meta that is held meanwhile."""
Verb = Literal["solve", "change", "exactly", "cached"]
Failure = Literal["unsatisfiable", "unreachable", "damaged", "input", "busy", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where packages come from.

    `channels` are addresses, the first before the others; `mirrors` leads from the start of an address to those that
    are asked instead, and they may hold credentials. `served` is a folder that has files of channels, the address
    without its scheme being the path in it: an archive's. `ssl` is False, True or a file of certificates; `cache` is
    the folder of unpacked packages, "" for the usual one. `pinned` are match specs that every solution must fit in
    version and build; rattler does not look at their channels.
    """

    channels: tuple[str, ...] = ()
    mirrors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    proxies: Mapping[str, str] = field(default_factory=dict)
    ssl: bool | str = True
    offline: bool = False
    served: str = ""
    cache: str = ""
    strict: bool = True
    pinned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """One package file: exactly this one is meant."""

    name: str
    version: str
    build: str
    url: str
    sha256: str = ""
    md5: str = ""
    depends: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One thing to do.

    | verb | what it does |
    |---|---|
    | `solve` | `specs` for each of `platforms`, under `constraints` on what comes along; answers with the records |
    | `change` | add `specs` to what was asked for in `prefix`, or take `names` away, and bring the prefix there |
    | `exactly` | make `pins` the packages of `prefix`; `names` of them are put in anew whatever is there |
    | `cached` | which of `pins` lie unpacked in the cache |

    `update` lets go of the versions of these names, or of all for `*`. `written_for` is the path that is written into
    files when it is not `prefix`; `as_of` an instant (ISO 8601) after which nothing had been uploaded. `scripts`
    allows the packages' own scripts to run after they are linked. `command` is noted in conda's history.
    """

    verb: Verb
    source: Source = field(default_factory=Source)
    prefix: str = ""
    written_for: str = ""
    specs: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    update: tuple[str, ...] = ()
    pins: tuple[Pin, ...] = ()
    platforms: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    as_of: str = ""
    scripts: bool = False
    dry: bool = False
    command: str = ""


def dumped(request: Request) -> str:
    """The request as it goes through the pipe."""
    return json.dumps(asdict(request))


def loaded(text: str) -> Request:
    """Read what `dumped` wrote."""
    said = json.loads(text)
    source = Source(**{key: _tuples(value) for key, value in said.pop("source").items()})
    pins = tuple(Pin(**{key: _tuples(value) for key, value in each.items()}) for each in said.pop("pins"))
    return Request(**{key: _tuples(value) for key, value in said.items()}, source=source, pins=pins)


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return value


def place(channel: str) -> str:
    """Where the files of a channel lie in a folder that has those of several."""
    parts = urlsplit(channel)
    return f"{parts.netloc}{parts.path}".strip("/")


def name_in(spec: str) -> str:
    """The package that a match spec names."""
    return re.split(r"[\s=<>!~\[]", spec.strip().rpartition("::")[2], maxsplit=1)[0].lower()
