"""Make a venv that was written for one folder work in another."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Iterable
from pathlib import Path

from .. import files
from ..inventory import venv

_LONGEST_SHEBANG = 127
"""Bytes of a first line that every kernel reads (Linux before 5.1 cuts off the rest)."""


def relocate(prefix: Path, places: Iterable[str], new: Path) -> tuple[Path, ...]:
    """Write `new` wherever the venv lying at `prefix` names one of `places`; returns the files that changed.

    These are the text files and absolute links of its folder of programs, and pyvenv.cfg. Modes are kept.
    """
    written = {form for place in places for form in _forms(place)}
    longest_first = sorted(map(os.fsencode, written), key=len, reverse=True)
    pattern = re.compile(rb"(?<![\w./-])(?:%s)(?![\w.-])" % b"|".join(map(re.escape, longest_first)))
    changed = [each for each in (*venv.scripts(prefix), prefix / "pyvenv.cfg") if _rewrite(each, pattern, new)]
    programs = sorted((prefix / "bin").iterdir()) if (prefix / "bin").is_dir() else []
    return (*changed, *(each for each in programs if _relink(each, pattern, new)))


def _forms(place: str) -> Iterable[str]:
    """The path as it is, and as shells have it between single quotes where it has one itself."""
    yield place
    for quote in ("'\"'\"'", r"'\''"):
        yield place.replace("'", quote)


def _rewrite(file: Path, pattern: re.Pattern[bytes], new: Path) -> bool:
    try:
        text = files.content(file)
    except OSError:
        return False
    if b"\0" in text or not pattern.search(text):
        return False
    put = _quoted if file.name.startswith("activate") else _plain
    head, body = _head(text, pattern, new)
    moved = head + pattern.sub(lambda found: put(found, new), body)
    files.replace(file, moved, mode=stat.S_IMODE(file.stat().st_mode), lasting=False)
    return True


def _relink(path: Path, pattern: re.Pattern[bytes], new: Path) -> bool:
    if not path.is_symlink() or not pattern.match(target := os.fsencode(os.readlink(path))):
        return False
    files.link(path, os.fsdecode(pattern.sub(lambda found: _plain(found, new), target, count=1)))
    return True


def _plain(_found: re.Match[bytes], new: Path) -> bytes:
    return os.fsencode(new)


def _quoted(found: re.Match[bytes], new: Path) -> bytes:
    """The path as a shell takes it, inside the quotes that stand there or, where there are none, with its own."""
    before = found.string[: found.start()][-1:]
    if before == b"'":
        return os.fsencode(str(new).replace("'", r"'\''"))
    if before == b'"':
        return os.fsencode(re.sub(r'([\\"$`])', r"\\\1", str(new)))
    return os.fsencode(shlex.quote(str(new)))


def _head(text: bytes, pattern: re.Pattern[bytes], new: Path) -> tuple[bytes, bytes]:
    """The first lines of a console script, in the form that fits the new path, and all that comes after them."""
    found = venv.SHEBANG.match(text)
    if found is None:
        return b"", text
    python = os.fsdecode(pattern.sub(lambda place: _plain(place, new), found["plain"] or found["long"]))
    options = os.fsdecode(found["options"] or found["more"] or b"").strip()
    words = " ".join(each for each in (python, options) if each)
    if not re.search(r"\s", python) and len(os.fsencode(words)) + 2 <= _LONGEST_SHEBANG:
        head = f"#!{words}\n"
    else:
        # sh reads the second line as a command, Python both as a string: what pip and uv write, too.
        run = " ".join(each for each in (shlex.quote(python), options) if each)
        head = f"#!/bin/sh\n'''exec' {run} \"$0\" \"$@\"\n' '''\n"
    return os.fsencode(head), text[found.end() :]
