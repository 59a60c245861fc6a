"""conda packages, read from the records in a prefix's `conda-meta` (CEP 34)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import condarc, files
from ..engine.request import UNFINISHED
from ..model import Package
from .dist_info import public_address

FOLDER = "conda-meta"


@dataclass(frozen=True)
class Record:
    """One installed package; `said` is what its file holds."""

    file: Path
    said: Mapping[str, Any]

    @cached_property
    def name(self) -> str:
        return str(self.said["name"])

    @cached_property
    def version(self) -> str:
        return str(self.said["version"])

    @cached_property
    def build(self) -> str:
        return str(self.said.get("build") or self.said.get("build_string") or "")

    @cached_property
    def spec(self) -> str:
        """What somebody asked for when they asked for it by name, "" where nobody did; conda writes "None" for that."""
        listed = self.said.get("requested_specs")
        said = [*(listed if isinstance(listed, list) else ()), self.said.get("requested_spec")]
        return next((each for each in said if isinstance(each, str) and each not in ("", "None")), "")

    @cached_property
    def depends(self) -> tuple[str, ...]:
        return _strings(self.said, "depends")

    @cached_property
    def paths(self) -> tuple[Owned, ...]:
        """The files that it put into the prefix."""
        listed = _table(self.said, "paths_data").get("paths")
        if isinstance(listed, list):
            return tuple(Owned.of(each) for each in listed if isinstance(each, dict) and each.get("_path"))
        return tuple(Owned(path=each) for each in _strings(self.said, "files"))

    @cached_property
    def metadata(self) -> str:
        """The METADATA or PKG-INFO of the Python distribution that it brings, "" for what brings none."""
        return next((each.path for each in self.paths if each.metadata), "")

    @cached_property
    def tree(self) -> str:
        """The sha256 over the files of the package as it was built: sorted lines "path TAB sha256 LF".

        The same package gives the same in every prefix, because what a prefix is written into is hashed without it.
        """
        lines = sorted(f"{each.path}\t{each.sha256}\n" for each in self.paths if each.sha256 and not each.made)
        return hashlib.sha256("".join(lines).encode()).hexdigest() if lines else ""

    def package(self) -> Package:
        """The record as data; users, passwords and tokens of its channel are left out."""
        url = public(str(self.said.get("url") or ""))
        size = self.said.get("size")
        return Package(
            ecosystem="conda",
            name=self.name,
            version=self.version,
            build=self.build,
            channel=url.rpartition("/")[0].rpartition("/")[0]
            or public(str(self.said.get("channel") or "")).rstrip("/"),
            url=url,
            sha256=str(self.said.get("sha256") or ""),
            direct=bool(self.spec) or None,
            md5=str(self.said.get("md5") or ""),
            size=size if isinstance(size, int) else None,
            depends=self.depends,
            constrains=_strings(self.said, "constrains"),
        )


@dataclass(frozen=True, slots=True)
class Owned:
    """One file of a package, relative to the prefix.

    `sha256` is that of the file as it was built, `here` that of the file as it was written for this prefix ("" where
    the prefix does not stand in it). `made` is what the installer makes itself: entry points and compiled files.
    """

    path: str
    sha256: str = ""
    here: str = ""
    made: bool = False
    link: bool = False
    placed: bool = False

    @classmethod
    def of(cls, said: Mapping[str, Any]) -> Owned:
        kind = str(said.get("path_type", ""))
        return cls(
            path=str(said["_path"]),
            sha256=str(said.get("sha256") or ""),
            here=str(said.get("sha256_in_prefix") or ""),
            made=kind not in ("hardlink", "softlink", "directory") or str(said["_path"]).endswith(".pyc"),
            link=kind == "softlink",
            placed=bool(said.get("prefix_placeholder") or said.get("file_mode")),
        )

    @property
    def metadata(self) -> bool:
        folder, _, name = self.path.rpartition("/")
        return (name == "METADATA" and folder.endswith(".dist-info")) or (
            name == "PKG-INFO" and folder.endswith(".egg-info")
        )


def is_prefix(prefix: Path) -> bool:
    """Whether conda packages are, or were, installed there."""
    return (prefix / FOLDER).is_dir()


def records(prefix: Path) -> tuple[Record, ...]:
    """What is installed there, by name; files that are no records are passed over (`broken` names them)."""
    return tuple(sorted(_read(prefix), key=lambda each: each.name))


def broken(prefix: Path) -> tuple[Path, ...]:
    """Files among the records that are none."""
    read = {each.file for each in _read(prefix)}
    return tuple(file for file in _files(prefix) if file not in read)


def shadowed(prefix: Path, found: Iterable[Record]) -> tuple[Record, ...]:
    """Records of which pip or uv has replaced the distribution, or removed it."""
    return tuple(each for each in found if each.metadata and _taken_over(prefix, each))


def clear_husks(prefix: Path) -> None:
    """Remove what pip leaves of the metadata of conda's when it puts its own in the place: uv stumbles over it."""
    for record in shadowed(prefix, records(prefix)):
        husk = (prefix / record.metadata).parent
        if husk.suffix == ".dist-info" and not (husk / "METADATA").exists():
            files.remove(husk)


def public(address: str) -> str:
    """The address without user and password, and without the token that anaconda.org takes in a path ("/t/TOKEN/")."""
    return condarc.public(public_address(address))


def unfinished(prefix: Path) -> Mapping[str, Any] | None:
    """What the prefix was to become when the engine was cut short, None where it was not."""
    try:
        said = json.loads(files.content(prefix / FOLDER / UNFINISHED))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _taken_over(prefix: Path, record: Record) -> bool:
    folder = (prefix / record.metadata).parent
    if not (prefix / record.metadata).exists():
        return True
    try:
        by = files.content(folder / "INSTALLER").decode("utf-8", "replace").strip()
        return by in ("pip", "uv") and not _is_recorded(prefix, record, folder / "RECORD")
    except OSError:
        return False


def _is_recorded(prefix: Path, record: Record, file: Path) -> bool:
    """Whether the file is the package's own: some are built by pip, and say so wherever they are installed."""
    known = {prefix / each.path: each.here or each.sha256 for each in record.paths}.get(file)
    return bool(known) and files.sha256(file) == known


def _files(prefix: Path) -> tuple[Path, ...]:
    try:
        names = sorted(each for each in os.listdir(prefix / FOLDER) if each.endswith(".json") and each[0] != ".")
    except OSError:
        return ()
    return tuple(prefix / FOLDER / each for each in names)


def _read(prefix: Path) -> Iterator[Record]:
    for file in _files(prefix):
        try:
            data = files.content(file)
            said = json.loads(data)
        except (OSError, ValueError, RecursionError):
            continue
        named = isinstance(said, dict) and all(isinstance(said.get(key), str) for key in ("name", "version"))
        if named and (b"\\u" not in data or _is_text(said)):
            yield Record(file, said)


def _is_text(said: Mapping[str, Any]) -> bool:
    """Whether all of it can be the name of a file: JSON can also write halves of characters, and none at all."""
    text = json.dumps(said, ensure_ascii=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\\u0000" not in text


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, dict) else {}


def _strings(said: Mapping[str, Any], key: str) -> tuple[str, ...]:
    value = said.get(key)
    return tuple(each for each in value if isinstance(each, str)) if isinstance(value, list) else ()
