"""The files of installed R packages, of which R records nothing, and a digest that all builds of one source share."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import lzma
import os
import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from .. import files
from .description import LOCK, Description, parsed
from .recorded import Audit, Deviation, Kind

_OF_THE_BUILD = re.compile(r"Built|Packaged|Repository|Archs|Date/Publication|RSPM.*|Remote.*|Github.*")
"""Fields of a DESCRIPTION that say who built it, when, and from where it was fetched."""
_COMPILED = "compiled code of R packages (libs/): the compiler writes folders of the build into it"
_BY_R = "what R writes of the build itself (Meta/package.rds, help/paths.rds)"
_LEFT_OUT: Mapping[str, str] = {"Meta/package.rds": _BY_R, "help/paths.rds": _BY_R}
_STRING = re.compile(rb"\x00(?:\x04\x00|\x00\x80|\x00\x00)\x09(?P<length>.{4})(?=/)", re.DOTALL)
"""In R's serialized form ("R Internals", 1.8) a string that begins with "/": flags of its encoding, and its length."""
_MOMENT = re.compile(rb"\x00\x00\x03\x0e\x00\x00\x00\x01.{8}", re.DOTALL)
"""One number that is of a class, which in help pages is the time of their source file."""
_PLACE = re.compile(rb"\x00\x00\x00\x0d\x00\x00\x00\x02(?P<offset>.{4}).{4}", re.DOTALL)
"""In an index of a database: two integers, where an object begins and how long it is."""
_BLOCK = 1 << 14
_BROKEN = (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """One build of a package: the stamp that R gave it (`Built`), and the sha256 of every file by its path in it."""

    stamp: str
    files: Mapping[str, str]


def tree(package: Description) -> str:
    """The sha256 over what all builds of the package's source have in common, wherever they were made.

    It is that of the sorted lines "path TAB sha256 LF" of its files. Left out are compiled code (libs/),
    Meta/package.rds and help/paths.rds. Of a DESCRIPTION the fields count that are not of the build, sorted; of R's
    own databases (.rds, .rdb, .rdx) what is in them unpacked, where of an absolute path only that counts which begins
    with the package's name, places in a database are counted instead of measured, and help pages have no times.
    """
    lines = [f"{path}\t{_digest(package, path)}\n" for path in paths(package.folder) if not _excluded(path)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def paths(folder: Path) -> tuple[str, ...]:
    """The files in a package's folder, sorted; what is neither file nor folder counts as a file that is not there."""
    found = []
    for place, inner, names in os.walk(folder):
        inner.sort()
        linked = [each for each in inner if os.path.islink(os.path.join(place, each))]  # noqa: PTH114, PTH118  # many
        found += [Path(place, each).relative_to(folder).as_posix() for each in (*names, *linked)]
    return tuple(sorted(found))


def audit(
    library: Path,
    packages: Iterable[Description],
    builds: Mapping[str, Build],
    *,
    on_file: Callable[[int], None] | None = None,
) -> Audit:
    """Compare every file of the packages with that in their build, by the package's name, where it is of that stamp.

    What lies in the library and belongs to no package deviates, too.
    """
    packages = tuple(packages)
    strangers = tuple(_strangers(library, {each.name for each in packages}))
    found = Audit(files=0, size=0, deviations=strangers, excluded={})
    for each in packages:
        build = builds.get(each.name)
        same = build if build and build.stamp == each.fields.get("Built") else None
        looked = _compared(each, same.files) if same else _passed(each)
        if on_file is not None:
            on_file(looked.size)
        found = found.with_also(looked)
    return found


def _compared(package: Description, known: Mapping[str, str]) -> Audit:
    """Every file against that in its build."""
    size = 0
    deviations = []
    there = paths(package.folder)
    for path in sorted({*there, *known}):
        said, (found, count) = known.get(path, ""), _raw(package.folder / path)
        size += count
        if found != said:
            kind: Kind = "changed" if path in there and said else "extra" if path in there else "missing"
            file = package.folder / path
            deviations.append(Deviation(kind=kind, distribution=package.name, path=file, expected=said, found=found))
    return Audit(files=len(there), size=size, deviations=tuple(deviations), excluded={})


def _passed(package: Description) -> Audit:
    """What `tree` looks at of a package of which no build is at hand, and what it leaves out."""
    excluded = Counter(reason for path in paths(package.folder) if (reason := _excluded(path)))
    taken = [path for path in paths(package.folder) if not _excluded(path)]
    size = sum(_size(package.folder / path) for path in taken)
    return Audit(files=len(taken), size=size, deviations=(), excluded=excluded)


def _strangers(library: Path, names: set[str]) -> Iterator[Deviation]:
    try:
        there = sorted(os.listdir(library))
    except OSError:
        return
    for name in there:
        if name not in names and not name.startswith(LOCK):
            yield Deviation(kind="extra", distribution="", path=library / name)


def _excluded(path: str) -> str:
    """Why a file is another in each build, "" for one that is not."""
    return _COMPILED if path.startswith("libs/") else _LEFT_OUT.get(path, "")


def _raw(file: Path) -> tuple[str, int]:
    try:
        with files.opened(file) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest(), stream.tell()
    except OSError:
        return "", 0


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _digest(package: Description, path: str) -> str:
    try:
        content = files.content(package.folder / path)
    except OSError:
        return "-"
    if path == "DESCRIPTION":
        content = _described(content)
    else:
        with suppress(*_BROKEN):  # no database of R's, whatever its name says
            content = _unpacked(package, path, content)
    return hashlib.sha256(content).hexdigest()


def _described(content: bytes) -> bytes:
    said = parsed(content.decode("utf-8", "replace"))
    return "".join(f"{key}: {said[key]}\n" for key in sorted(said) if not _OF_THE_BUILD.fullmatch(key)).encode()


def _unpacked(package: Description, path: str, content: bytes) -> bytes:
    """What a file of R's says, without what is another in each build."""
    match path.rpartition(".")[2]:
        case "rds":
            return _plain(_decompressed(content), package.name)
        case "rdb":
            found = [_plain(each, package.name) for _, each in _objects(content)]
            if path.startswith("help/"):
                found = [_MOMENT.sub(b"", each) for each in found]
            return b"".join(b"%d:%b" % (len(each), each) for each in found)
        case "rdx":
            database = files.content((package.folder / path).with_suffix(".rdb"))
            numbers = {offset: number for number, (offset, _) in enumerate(_objects(database))}
            return _PLACE.sub(
                lambda found: b"#%d" % numbers.get(int.from_bytes(found["offset"]), -1),
                _plain(_decompressed(content), package.name),
            )
    return content


def _plain(serialized: bytes, name: str) -> bytes:
    """Serialized data without its head, which names the version of R and the encoding, and without folders."""
    if not serialized.startswith(b"X\n"):
        return serialized
    version = int.from_bytes(serialized[2:6])
    begin = 14 + (4 + int.from_bytes(serialized[14:18]) if version == 3 else 0)
    own = f"/{name}".encode()
    parts, done = [], begin
    for found in _STRING.finditer(serialized, begin):
        end = found.end() + int.from_bytes(found["length"])
        text = serialized[found.end() : end]
        at = f"{text.decode('latin-1')}/".rfind(f"/{name}/")
        if at < 0 or found.start() < done:
            continue
        parts += [serialized[done : found.start()], own, text[at + len(own) :], b"\0"]
        done = end
    return b"".join([*parts, serialized[done:]])


def _decompressed(content: bytes) -> bytes:
    if content.startswith(b"\x1f\x8b"):
        return gzip.decompress(content)
    if content.startswith(b"BZh"):
        return bz2.decompress(content)
    return lzma.decompress(content) if content.startswith(b"\xfd7zXZ") else zlib.decompress(content)


def _objects(database: bytes) -> Iterator[tuple[int, bytes]]:
    """The objects of a database, one after the other: each with its offset.

    Each is its length unpacked, four bytes, and what zlib made of it, or behind a letter what bzip2 or xz did
    (lazyload in "R Internals", 1.7; `R_compress3` in R's connections.c).
    """
    whole = memoryview(database)
    at = 0
    while at < len(whole):
        decompressor, begin = _decompressor(bytes(whole[at + 4 : at + 5]), at)
        parts = []
        while not decompressor.eof and begin < len(whole):
            parts.append(decompressor.decompress(whole[begin : begin + _BLOCK]))
            begin += _BLOCK
        if not decompressor.eof:
            raise ValueError(f"the object at {at} has no end")
        yield at, b"".join(parts)
        at = min(begin, len(whole)) - len(decompressor.unused_data)


class _Decompressor(Protocol):
    """What zlib, bz2 and lzma have in common."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: memoryview, /) -> bytes: ...


def _decompressor(letter: bytes, at: int) -> tuple[_Decompressor, int]:
    """What unpacks the object at an offset, and where that begins."""
    match letter:
        case b"x":
            return zlib.decompressobj(), at + 4
        case b"2":
            return bz2.BZ2Decompressor(), at + 5
        case b"Z":
            return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 6}]), at + 5
    raise ValueError(f"no object at {at}")
