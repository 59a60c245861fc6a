"""Python distributions, read from their `*.dist-info` and `*.egg-info` (PyPA's "Recording installed projects")."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..model import Package

_NAME = re.compile(rb"^Name: *(\S+)", re.MULTILINE)
_VERSION = re.compile(rb"^Version: *(\S+)", re.MULTILINE)
_REQUIRES = re.compile(rb"^Requires-Dist: *(.+)$", re.MULTILINE)
_TAG = re.compile(r"^Tag: *(\S+)", re.MULTILINE)
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One installed distribution; what costs more than its metadata's head is found when it is asked for.

    `name` is canonical (PEP 503), `head` the metadata's header fields, `path` the folder or file that they lie in.
    """

    name: str
    version: str
    path: str
    head: bytes = field(repr=False)

    @cached_property
    def folder(self) -> Path:
        """Where the metadata lies."""
        return Path(self.path)

    @cached_property
    def requires(self) -> tuple[str, ...]:
        """The requirement strings of the metadata (PEP 508)."""
        return tuple(value.decode("utf-8", "replace") for value in _REQUIRES.findall(self.head))

    @cached_property
    def installer(self) -> str:
        """The tool that installed it ("pip", "uv"), or ""."""
        return _read(self.folder / "INSTALLER").strip()

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The compatibility tags of the wheel it came from (PEP 425), compressed sets expanded, or none."""
        return tuple(_TAG.findall(_read(self.folder / "WHEEL")))

    @cached_property
    def direct_url(self) -> Mapping[str, Any]:
        """What direct_url.json says (PEP 610); empty for what came from an index."""
        text = _bytes(f"{self.path}/direct_url.json")
        try:
            said = json.loads(text) if text else {}
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    @cached_property
    def record(self) -> tuple[Path, ...]:
        """The files that RECORD names; none where the installer wrote no RECORD."""
        lines = _read(self.folder / "RECORD").splitlines()
        return tuple(self.folder.parent / _recorded(line) for line in lines if line)

    def package(self) -> Package:
        """The distribution as data, with its origin told from direct_url.json."""
        plain = Package(name=self.name, version=self.version)
        said = self.direct_url
        url = _without_credentials(str(said.get("url", "")))
        if not url:
            return plain
        if "vcs_info" in said:
            vcs = said["vcs_info"]
            address = f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"
            return Package(name=self.name, version=self.version, origin="vcs", url=address)
        if said.get("dir_info", {}).get("editable"):
            return Package(name=self.name, version=self.version, origin="editable", url=url)
        if url.startswith("file:"):
            return Package(name=self.name, version=self.version, origin="local", url=url)
        sha256 = said.get("archive_info", {}).get("hashes", {}).get("sha256", "")
        return Package(name=self.name, version=self.version, origin="archive", url=url, sha256=sha256)


def canonical(name: str) -> str:
    """The name as PEP 503 normalises it."""
    return _SEPARATORS.sub("-", name).lower()


def read(folder: Path) -> Iterator[Distribution]:
    """Read the distributions of one site-packages folder; husks without metadata are passed over."""
    with os.scandir(folder) as listing:
        entries = sorted((entry.name, entry.path) for entry in listing if not entry.name.startswith("~"))
    for name, path in entries:
        if name.endswith(".dist-info"):
            found = _distribution(path, "METADATA")
        elif name.endswith(".egg-info"):
            found = _distribution(path, "PKG-INFO")
        elif name.endswith(".egg-link"):
            found = _linked(path)
        else:
            continue
        if found is not None:
            yield found


def _distribution(path: str, metadata: str) -> Distribution | None:
    head = _head(f"{path}/{metadata}")
    if head is None and metadata == "PKG-INFO":
        head = _head(path)  # an egg-info that is a file, as distutils wrote them
    name, version = _NAME.search(head or b""), _VERSION.search(head or b"")
    if head is None or name is None or version is None:
        return None
    return Distribution(
        name=canonical(name[1].decode("utf-8", "replace")),
        version=version[1].decode("utf-8", "replace"),
        path=path,
        head=head,
    )


def _linked(path: str) -> Distribution | None:
    """A setuptools `develop` link: the metadata lies in the project's own folder."""
    project = Path(_read(Path(path)).splitlines()[0].strip() or "/nonexistent")
    eggs = sorted(project.glob("*.egg-info"))
    return _distribution(str(eggs[0]), "PKG-INFO") if eggs else None


def _head(path: str) -> bytes | None:
    """The header fields of a metadata file: all before the first empty line."""
    written = _bytes(path)
    if written is None:
        return None
    if b"\r" in written:
        written = written.replace(b"\r\n", b"\n")
    return written.partition(b"\n\n")[0]


def _bytes(path: str) -> bytes | None:
    """The content of a small file, in as few steps as there are: a snapshot takes two of these a distribution."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(handle, os.fstat(handle).st_size)
    except IsADirectoryError:
        return None
    finally:
        os.close(handle)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _recorded(line: str) -> str:
    if line.startswith('"'):
        return line[1:].partition('",')[0].replace('""', '"')
    return line.partition(",")[0]


def _without_credentials(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
