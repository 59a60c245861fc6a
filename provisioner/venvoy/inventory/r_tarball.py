"""R packages as files, sources and built ones alike: a tar.gz of one folder that is called like the package."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import InvalidInput
from ..tars import Header
from .description import parsed
from .r_files import Build

_BROKEN = (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError, OSError, zlib.error)
_LONGEST = 1_000_000
"""Bytes of a DESCRIPTION."""


def name_of(file: Path) -> str:
    """What the package is called, by the name of its file."""
    return file.name.partition("_")[0]


def described(file: Path) -> Mapping[str, str]:
    """The fields of the package's DESCRIPTION. Raises InvalidInput for what is no package of the name of its file."""
    with opened(file) as tar:
        for member in tar:
            if member.name.removeprefix("./") != f"{name_of(file)}/DESCRIPTION" or not member.isreg():
                continue
            stream = tar.extractfile(member)
            said = parsed(stream.read(_LONGEST).decode("utf-8", "replace")) if stream else {}
            if said.get("Package") == name_of(file) and said.get("Version"):
                return said
            break
    raise InvalidInput(f"{file} is no R package called {name_of(file)}")


def checked(file: Path) -> Mapping[str, str]:
    """The same of a file of a stranger's, in which no name and no link leads out of the package's folder."""
    with opened(file) as tar:
        for member in tar:
            _path(member.name, file)
            if member.issym():
                _path(f"{name_of(file)}/{member.linkname}", file)
            elif member.islnk():
                _path(member.linkname, file)
            elif not (member.isreg() or member.isdir()) or member.issparse():
                raise InvalidInput(f"{file}: {member.name[:200]!r} is no plain file")
    return described(file)


def build(file: Path) -> Build:
    """Every file of a built package. Raises InvalidInput for what is none."""
    stamp = described(file).get("Built", "")
    if not stamp:
        raise InvalidInput(f"{file} is the source of an R package, and not a built one")
    with opened(file) as tar:
        return Build(stamp=stamp, files={path: _sha256(stream) for path, stream, _ in plain(tar, file)})


@contextmanager
def opened(file: Path) -> Iterator[tarfile.TarFile]:
    """Raises InvalidInput for what is no tar, then or while it is read."""
    try:
        with tarfile.open(file, "r|gz", tarinfo=Header) as tar:
            yield tar
    except _BROKEN as error:
        raise InvalidInput(f"{file} is no R package: {error}") from error


def plain(tar: tarfile.TarFile, file: Path) -> Iterator[tuple[str, IO[bytes], bool]]:
    """The path of every file in the package's folder, its content, and whether it is a program.

    Raises InvalidInput for anything but plain files and folders in it, and for a name that leads out of it.
    """
    seen: set[str] = set()
    for member in tar:
        path = _path(member.name, file)
        if member.isdir():
            continue
        stream = tar.extractfile(member) if member.isreg() and not member.issparse() else None
        if stream is None or not path or path in seen:
            raise InvalidInput(f"{file}: {member.name[:200]!r} is no plain file, or is there twice")
        seen.add(path)
        yield path, stream, bool(member.mode & 0o100)


def _path(name: str, file: Path) -> str:
    """A member's path in the package's folder. Raises InvalidInput for a name that leads out of it."""
    parts = name.removeprefix("./").rstrip("/").split("/")
    if parts[0] != name_of(file) or any(part in ("", ".", "..") for part in parts) or "\0" in name:
        raise InvalidInput(f"{file}: the name {name[:200]!r} leads elsewhere")
    return "/".join(parts[1:])


def _sha256(stream: IO[bytes]) -> str:
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
