"""Python distributions, read from their `*.dist-info` and `*.egg-info` (PyPA's "Recording installed projects")."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from ..model import Package

_FIELD = re.compile(rb"^(Name|Version|Requires-Dist): *(.*?)\r?$", re.MULTILINE)
_TAG = re.compile(r"^Tag: *(\S+)", re.MULTILINE)
_SEPARATORS = re.compile(r"[-_.]+")


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One installed distribution; what costs a further file is read when it is asked for.

    `name` is canonical (PEP 503), `requires` are the requirement strings of its metadata (PEP 508).
    """

    name: str
    version: str
    requires: tuple[str, ...]
    folder: Path

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
        try:
            said = json.loads(_read(self.folder / "direct_url.json") or "{}")
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
    fields = _FIELD.findall(head or b"")
    named = {key.decode(): value.decode("utf-8", "replace") for key, value in reversed(fields)}
    if not named.get("Name") or not named.get("Version"):
        return None
    return Distribution(
        name=canonical(named["Name"]),
        version=named["Version"],
        requires=tuple(value.decode("utf-8", "replace") for key, value in fields if key == b"Requires-Dist"),
        folder=Path(path),
    )


def _linked(path: str) -> Distribution | None:
    """A setuptools `develop` link: the metadata lies in the project's own folder."""
    project = Path(_read(Path(path)).splitlines()[0].strip() or "/nonexistent")
    eggs = sorted(project.glob("*.egg-info"))
    return _distribution(str(eggs[0]), "PKG-INFO") if eggs else None


def _head(path: str) -> bytes | None:
    """The header fields of a metadata file: all before the first empty line."""
    try:
        with open(path, "rb") as stream:  # noqa: PTH123  # 200 of these are the price of a snapshot
            return stream.read().replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    except OSError:
        return None


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
