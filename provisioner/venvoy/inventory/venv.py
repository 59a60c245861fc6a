"""What a venv says of itself: its pyvenv.cfg, and the folder that its scripts were written for."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import files

SHEBANG = re.compile(
    rb"""\A\#!(?:
        (?P<plain>/\S*/bin/python[\w.]*)(?P<options>[ \t][^\n]*)?\n
        |/bin/sh\n
        '''exec'[ ](?P<quote>["']?)(?P<long>/[^\n]*?/bin/python[\w.]*)(?P=quote)(?P<more>[^\n]*?)[ ]"\$0"[ ]"\$@"\n
        '[ ]'''\n
    )""",
    re.VERBOSE,
)
"""The first lines of a console script: one, or the three that pip and uv write where a path is long or has spaces."""
_ACTIVATED = re.compile(
    rb"""VIRTUAL_ENV[ =](?:\$\(cygpath[ ])?(?:"(?P<double>/(?:[^"\\\n]|\\.)*)"|(?P<single>'/[^\n]*'|/[^\s'")]*))"""
)
_COMMAND = re.compile(r"-m (?:venv|virtualenv)\b.*? (/.+)")
_ENOUGH = 4096
"""Bytes of a script that hold its first lines."""


def settings(prefix: Path) -> Mapping[str, str]:
    """The keys and values of pyvenv.cfg; empty where there is none."""
    try:
        lines = files.content(prefix / "pyvenv.cfg").decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines)
    return {key.strip().lower(): value.strip() for key, equals, value in pairs if equals}


def sees_system(prefix: Path) -> bool:
    """Whether the packages of the interpreter it was made from can be imported in it."""
    return settings(prefix).get("include-system-site-packages", "").lower() == "true"


def scripts(prefix: Path) -> Iterator[Path]:
    """The files in its folder of programs that are its own: links lead to others."""
    try:
        with os.scandir(prefix / "bin") as listing:
            entries = sorted((each.name, each.path) for each in listing if each.is_file(follow_symlinks=False))
    except OSError:
        return
    yield from (Path(path) for _, path in entries)


def written_for(prefix: Path, *, bases: bool = False) -> Mapping[str, int]:
    """Other folders that this venv was written for, each with how many of its files say so: it was moved or copied.

    A script for an interpreter that belongs to no venv (`#!/usr/bin/python3`) says nothing of that, unless `bases`
    count as well: a conda prefix is one, and its scripts are for its own.
    """
    here = os.path.realpath(prefix)
    places: Counter[str] = Counter()
    for script in scripts(prefix):
        places.update(_places(script, bases=bases))
    if found := _COMMAND.search(settings(prefix).get("command", "")):
        places[found[1]] += 1
    return {place: count for place, count in sorted(places.items()) if os.path.realpath(place) != here}


def _places(script: Path, *, bases: bool) -> Iterator[str]:
    try:
        text = files.content(script) if script.name.startswith("activate") else files.beginning(script, _ENOUGH)
    except OSError:
        return
    if script.name.startswith("activate"):
        if found := _ACTIVATED.search(text):
            yield os.fsdecode(_unquoted(found))
    elif found := SHEBANG.match(text):
        # Between single quotes a shell has no other way to write one.
        python = os.fsdecode(found["plain"] or found["long"]).replace("'\"'\"'", "'")
        place = Path(python).parents[1]
        if (bases and place != Path("/usr")) or not _is_base(place):
            yield str(place)


def _unquoted(found: re.Match[bytes]) -> bytes:
    """The path as the shell takes it."""
    if found["double"]:
        return re.sub(rb"\\(.)", rb"\1", found["double"])
    return found["single"].replace(rb"'\''", b"\0").strip(b"'").replace(b"\0", b"'")


def _is_base(place: Path) -> bool:
    return (place / "bin/python3").exists() and not (place / "pyvenv.cfg").exists()
