"""Python distributions, read from their `*.dist-info` and `*.egg-info` (PyPA's "Recording installed projects")."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from .. import files
from ..model import Origin, Package

_NAME = re.compile(rb"^Name:[ \t]*(\S+)", re.MULTILINE)
_VERSION = re.compile(rb"^Version:[ \t]*(\S+)", re.MULTILINE)
_REQUIRES = re.compile(rb"^Requires-Dist:[ \t]*(.+)$", re.MULTILINE)
_TAG = re.compile(r"^Tag:[ \t]*([^\s-]+)-([^\s-]+)-([^\s-]+)", re.MULTILINE)
_SEPARATORS = re.compile(r"[-_.]+")
_SECRET = re.compile(r"auth|cred|key|pass|secret|sig|token", re.IGNORECASE)
_LONGEST = 1 << 20
"""Bytes that are read of a METADATA or a direct_url.json; the head that counts has some thousands."""
_PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """One installed distribution; what costs more than its metadata's head is found when it is asked for.

    `name` is canonical (PEP 503), `head` the metadata's header fields, `path` the folder or file that they lie in.
    `project` is the source folder that an egg-link leads to, or "".
    """

    name: str
    version: str
    path: str
    head: bytes = field(repr=False)
    project: str = ""

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
        written = _TAG.findall(_read(self.folder / "WHEEL"))
        return tuple("-".join(tag) for sets in written for tag in product(*(each.split(".") for each in sets)))

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
        said = self.direct_url
        url = public_address(str(said.get("url", "")))
        origin: Origin
        if self.project:
            origin, url, sha256 = "editable", Path(self.project).absolute().as_uri(), ""
        elif not url:
            origin, url, sha256 = "index", "", ""
        elif "vcs_info" in said:
            vcs = _table(said, "vcs_info")
            origin, url, sha256 = "vcs", _ascii(f"{vcs.get('vcs', 'git')}+{url}@{vcs.get('commit_id', '')}"), ""
        elif _table(said, "dir_info").get("editable"):
            origin, sha256 = "editable", ""
        else:
            origin, sha256 = "local" if url.startswith("file:") else "archive", _sha256(_table(said, "archive_info"))
        if url and (subfolder := said.get("subdirectory")):
            url += f"#subdirectory={_ascii(str(subfolder))}"
        return Package(name=self.name, version=self.version, origin=origin, url=url, sha256=sha256)


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
    project = _read(Path(path)).partition("\n")[0].strip()
    name = Path(path).stem
    egg = Path(project, f"{name}.egg-info")
    if not egg.exists():  # the link has the name as it is written, the folder may have "_" for "-"
        egg = egg.with_name(f"{_SEPARATORS.sub('_', name)}.egg-info")
    found = _distribution(str(egg), "PKG-INFO") if project else None
    return replace(found, project=project) if found else None


def _head(path: str) -> bytes | None:
    """The header fields of a metadata file: all before the first empty line."""
    written = _bytes(path)
    if written is None:
        return None
    if b"\r" in written:
        written = written.replace(b"\r\n", b"\n")
    return written.partition(b"\n\n")[0]


def _bytes(path: str) -> bytes | None:
    """The content of a small file; a snapshot takes two of these a distribution."""
    try:
        return files.beginning(path, _LONGEST)
    except OSError:
        return None


def _read(path: Path) -> str:
    try:
        return files.content(path).decode("utf-8", "replace")
    except OSError:
        return ""


def _recorded(line: str) -> str:
    if line.startswith('"'):
        return line[1:].partition('",')[0].replace('""', '"')
    return line.partition(",")[0]


def public_address(url: str) -> str:
    """The url without what only its owner should know, in ASCII; "" for what is no url.

    Users and passwords go, and parameters that look like keys; the user of ssh stays ("git@"), being no secret.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    user, _, host = parts.netloc.rpartition("@")
    kept = f"{user.partition(':')[0]}@{host}" if user and parts.scheme.endswith("ssh") else host
    query = parts.query
    if _SECRET.search(query):
        query = urlencode([(key, value) for key, value in parse_qsl(query, True) if not _SECRET.search(key)])
    said = urlunsplit(parts._replace(netloc=kept, query=query))
    # urllib writes no "//" for a scheme that it does not know, such as git+file.
    return _ascii(said if "://" in said or "://" not in url else said.replace(":", "://", 1))


def _ascii(text: str) -> str:
    return quote(text, safe=_PRINTABLE, errors="replace")


def _table(said: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = said.get(key)
    return value if isinstance(value, dict) else {}


def _sha256(archive: Mapping[str, Any]) -> str:
    """The hash as it is written today, or in the older form "sha256=..."."""
    kind, _, old = str(archive.get("hash", "")).partition("=")
    return str(_table(archive, "hashes").get("sha256") or (old if kind == "sha256" else ""))
