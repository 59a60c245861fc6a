"""The files that distributions recorded when they were installed (RECORD), and whether they are still those.

Source: PyPA's "Recording installed projects" and the binary distribution format.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .. import files
from .dist_info import Distribution

Kind = Literal["changed", "missing", "extra"]
_BY_INSTALLER = re.compile(
    r"[^/]+\.dist-info/(?:RECORD(?:\.jws|\.p7s)?|INSTALLER|REQUESTED|direct_url\.json|uv_[a-z]+\.json)"
)
_COMPILED = "compiled (.pyc): made anew by whoever imports, with the time in it"
_INSTALLERS = "written by the installer itself (RECORD, INSTALLER, REQUESTED, direct_url.json, uv_*.json)"
_NO_HASH = "recorded without a hash"
_SCRIPT = "scripts that were written for another folder"
_NO_RECORD = "distributions that were installed without a RECORD (egg-info, egg-link)"
_OWN_FILES = frozenset({"_virtualenv.py", "_virtualenv.pth", "easy-install.pth", "README.txt", ".gitignore"})
"""What venv, virtualenv, uv and setuptools put into site-packages without recording it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a RECORD. `path` is relative to site-packages; `sha256` is hexadecimal, "" where there is none."""

    path: str
    sha256: str = ""

    @property
    def excluded(self) -> str:
        """Why the file is not compared, "" for one that is."""
        if self.path.endswith(".pyc"):
            return _COMPILED
        if _BY_INSTALLER.fullmatch(self.path):
            return _INSTALLERS
        return "" if self.sha256 else _NO_HASH

    @property
    def script(self) -> bool:
        """Whether it lies in the environment's folder of programs."""
        return re.fullmatch(r"(?:\.\./)+(?:bin|Scripts)/[^/]+", self.path) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """One file that is not as it was recorded; `distribution` is "" for one that nobody recorded."""

    kind: Kind
    distribution: str
    path: Path
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Audit:
    """What was compared: how many files and bytes; what deviates; and how many were left out, by reason."""

    files: int
    size: int
    deviations: tuple[Deviation, ...]
    excluded: Mapping[str, int]

    def with_also(self, other: Audit) -> Audit:
        """Both as one."""
        deviations = (*self.deviations, *other.deviations)
        return Audit(
            files=self.files + other.files,
            size=self.size + other.size,
            deviations=tuple(sorted(deviations, key=lambda each: (each.distribution, str(each.path)))),
            excluded=dict(sorted((Counter(self.excluded) + Counter(other.excluded)).items())),
        )


def rows(distribution: Distribution) -> tuple[Row, ...]:
    """The lines of the distribution's RECORD; none where there is no RECORD."""
    try:
        text = files.content(distribution.folder / "RECORD").decode("utf-8", "replace")
    except OSError:
        return ()
    return _rows(text)


def _rows(text: str) -> tuple[Row, ...]:
    try:
        listed = [line for line in csv.reader(text.splitlines()) if line]
    except csv.Error:
        return ()
    return tuple(Row(path=line[0], sha256=_hexadecimal(line[1] if len(line) > 1 else "")) for line in listed)


def tree(distribution: Distribution) -> str:
    """The sha256 over what the distribution recorded of its files, "" where it recorded nothing.

    It is that of the sorted lines "path TAB sha256 LF" of every file with a hash, without what an installer adds and
    without scripts: the same wheel gives the same, wherever and by whatever it was installed.
    """
    return _tree(rows(distribution))


def tree_of(record: str) -> str:
    """The same of a RECORD's text: that in a wheel gives what the installed one will, where nothing is moved."""
    return _tree(_rows(record))


def _tree(recorded: Iterable[Row]) -> str:
    lines = sorted(f"{row.path}\t{row.sha256}\n" for row in recorded if not (row.excluded or row.script))
    return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""


def audit(
    folders: Iterable[Path],
    distributions: Iterable[Distribution],
    *,
    written_for: Mapping[str, str],
    owned: frozenset[str] = frozenset(),
    on_file: Callable[[int], None] | None = None,
) -> Audit:
    """Hash every file that has a recorded hash, and look for files in the site-packages `folders` that nobody recorded.

    `written_for` maps paths that stand in scripts to those that stood there when they were recorded: a script is also
    as recorded when it is so after that exchange. `owned` are paths that others have recorded. `on_file` is given the
    bytes of every file that was hashed.
    """
    listed = [(each, rows(each)) for each in distributions]
    excluded = Counter(_NO_RECORD for _, recorded in listed if not recorded)
    excluded.update(row.excluded for _, recorded in listed for row in recorded if row.excluded)
    todo = [(each, row) for each, recorded in listed for row in recorded if not row.excluded]

    def look(one: tuple[Distribution, Row]) -> _Look:
        found = _look(*one, written_for)
        if on_file is not None:
            on_file(found.size)
        return found

    with ThreadPoolExecutor(max_workers=min(8, (os.cpu_count() or 1) + 1)) as pool:
        looks = list(pool.map(look, todo, chunksize=64))
    excluded.update(each.passed_over for each in looks if each.passed_over)
    deviations = [each.deviation for each in looks if each.deviation]
    deviations += _extra(folders, listed, owned)
    return Audit(
        files=sum(not each.passed_over for each in looks),
        size=sum(each.size for each in looks),
        deviations=tuple(sorted(deviations, key=lambda each: (each.distribution, str(each.path)))),
        excluded=dict(sorted(excluded.items())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    """What one file showed."""

    size: int = 0
    deviation: Deviation | None = None
    passed_over: str = ""


def _look(one: Distribution, row: Row, written_for: Mapping[str, str]) -> _Look:
    path = one.folder.parent / row.path
    try:
        if row.script:
            return _look_at_script(one, row, path, written_for)
        with files.opened(path) as stream:
            found = hashlib.file_digest(stream, "sha256").hexdigest()
            size = stream.tell()
    except OSError:
        gone = Deviation(kind="missing", distribution=one.name, path=path, expected=row.sha256)
        return _Look(deviation=gone)
    return _Look(size=size, deviation=_changed(one, row, path, found))


def _look_at_script(one: Distribution, row: Row, path: Path, written_for: Mapping[str, str]) -> _Look:
    """A script is compared as it was when it was recorded: its first line moves with the environment."""
    text = files.content(path)
    found = hashlib.sha256(text).hexdigest()
    if found != row.sha256 and text.startswith(b"#!") and b"\0" not in text:
        before = text
        for here, there in written_for.items():
            before = before.replace(os.fsencode(here), os.fsencode(there))
        if hashlib.sha256(before).hexdigest() != row.sha256:
            return _Look(passed_over=_SCRIPT)
        found = row.sha256
    return _Look(size=len(text), deviation=_changed(one, row, path, found))


def _changed(one: Distribution, row: Row, path: Path, found: str) -> Deviation | None:
    if found == row.sha256:
        return None
    return Deviation(kind="changed", distribution=one.name, path=path, expected=row.sha256, found=found)


def _extra(
    folders: Iterable[Path], listed: Iterable[tuple[Distribution, tuple[Row, ...]]], others: frozenset[str]
) -> Iterator[Deviation]:
    """Files in site-packages that nobody recorded, except what is made by importing and what makes the venv itself."""
    listed = tuple(listed)
    owned = {os.path.normpath(one.folder.parent / row.path) for one, recorded in listed for row in recorded} | others
    unrecorded = {name for one, recorded in listed if not recorded for name in _top_level(one)}
    for folder in folders:
        for place, inner, names in os.walk(folder):
            top = Path(place) == folder
            inner[:] = sorted(
                each for each in inner if each != "__pycache__" and not (top and (each in unrecorded or each[0] == "~"))
            )
            for name in sorted(names):
                path = Path(place, name)
                ours = name in _OWN_FILES or name.removesuffix(".py") in unrecorded if top else False
                if not (ours or name.endswith((".pyc", ".egg-link")) or str(path) in owned):
                    yield Deviation(kind="extra", distribution="", path=path)


def _top_level(one: Distribution) -> Iterator[str]:
    """What belongs to a distribution without a RECORD, as far as it says so."""
    yield one.folder.name
    for place in (one.folder / "top_level.txt", one.folder.with_suffix(".txt")):
        try:
            yield from files.content(place).decode("utf-8", "replace").split()
        except OSError:
            continue


def _hexadecimal(said: str) -> str:
    """The sha256 of a RECORD ("sha256=" and URL-safe base64 without padding) in hexadecimal, "" for any other."""
    kind, _, encoded = said.partition("=")
    if kind != "sha256":
        return ""
    try:
        return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).hex()
    except ValueError:
        return ""
