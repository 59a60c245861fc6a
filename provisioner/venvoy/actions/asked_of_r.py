"""Tell from what R's installers were called with what was asked for by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePath
from typing import Any, Literal

from ..model import Asked
from ..r_words import NAME
from .asked import LONGEST, without_secrets

_FILE = re.compile(rf"(?P<name>{NAME.pattern})_[0-9][0-9.-]*(?:_R_.*)?\.(?:tar\.(?:gz|bz2|xz)|tgz|zip)", re.ASCII)
_VERBS: Mapping[str, Literal["install", "remove"]] = {"install": "install", "remove": "remove"}


def asked_of_r(called: object, there: Collection[str]) -> tuple[Asked, ...]:
    """Read what the guest says of each call: `tool`, `verb`, `packages` and `command`; what it says otherwise is none.

    `there` are the packages of the library after it: who asked for what did not come has got nothing, and so has who
    wanted gone what still is there.
    """
    return tuple(_asked(called, frozenset(there)))


def named(spec: str) -> str:
    """The package that a word for an installer means, "" where it names none.

    Those are names, sources on the disk or the web, and what remotes, pak and renv know besides: "user/project@v1.0",
    "bioc::limma", "name@1.0", "name=user/project".
    """
    spec = spec.strip().rpartition("::")[2]
    first, equals, rest = spec.partition("=")
    if equals and NAME.fullmatch(first) and not rest.startswith("="):
        return first
    bare = re.split(r"[@#?]|==", re.sub(r"^([\w.+-]+://)[^/@]*@", r"\1", spec), maxsplit=1)[0].rstrip("/")
    last = PurePath(bare).name
    if found := _FILE.fullmatch(last):
        return found["name"]
    name = last.removesuffix(".git")
    return name if NAME.fullmatch(name) else ""


def _asked(called: object, there: frozenset[str]) -> Iterator[Asked]:
    for each in called if isinstance(called, list) else ():
        verb = _VERBS.get(str(each.get("verb"))) if isinstance(each, dict) else None
        if verb is None:
            continue
        names = frozenset(named(str(spec)) for spec in _words(each))
        met = names & there if verb == "install" else names - there
        if found := tuple(sorted(met - {""})):
            command = without_secrets(str(each.get("command", "")))[:LONGEST]
            yield Asked(tool=str(each.get("tool", ""))[:LONGEST], verb=verb, names=found, command=command)


def _words(said: Mapping[str, Any]) -> list[object]:
    words = said.get("packages", [])
    return words if isinstance(words, list) else [words]
