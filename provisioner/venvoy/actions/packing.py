"""Pack files into one tar that is the same to the byte wherever and whenever it is made."""

from __future__ import annotations

import glob
import gzip
import hashlib
import io
import os
import secrets
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO, Literal, Protocol, cast

from ..errors import InvalidInput
from ..model import OnProgress, Progress

Compression = Literal["zst", "gz", ""]
LEVEL = 3
"""Of zstd. With one worker thread or more the bytes are the same for any number of them; without, they are others."""
TIME = 315532800
"""The time of every member, in seconds since the epoch: 1980, the first year that every format can say."""
_STALE = 600
"""Seconds without a byte written after which a partial file is nobody's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file: where its content lies, or the content itself. `sha256` is checked where it is known already."""

    name: str
    path: Path | None = None
    data: bytes = b""
    executable: bool = False
    sha256: str = ""

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data) if self.path is None else self.path.stat().st_size

    def opened(self) -> BinaryIO:
        return io.BytesIO(self.data) if self.path is None else self.path.open("rb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The file that was written, its size in bytes and its sha256."""

    path: Path
    size: int
    sha256: str


def compression_of(target: Path) -> Compression:
    """What a file's name says of it. Raises InvalidInput for a name that says nothing."""
    for suffix, compression in ((".tar.zst", "zst"), (".tar.gz", "gz"), (".tgz", "gz"), (".tar", "")):
        if target.name.endswith(suffix):
            return compression  # type: ignore[return-value]
    raise InvalidInput(f"{target.name} says not how it should be packed", hint="end it in .tar.gz, .tar.zst or .tar")


def place_for(target: Path, usual: str) -> Path:
    """Where the target really is. Raises InvalidInput for what is there and no plain file, and for no folder."""
    place = target.resolve()
    if place.is_dir():
        raise InvalidInput(f"{target} is a folder", hint=f"name the file in it: -o {target / usual}")
    if place.exists() and not place.is_file():
        raise InvalidInput(f"{target} is not a plain file", hint="a text goes to the standard output: -o -")
    if not place.parent.is_dir():
        raise InvalidInput(f"there is no folder {place.parent}", hint=f"make it first: mkdir -p {place.parent}")
    return place


def pack(
    members: Sequence[Member], target: Path, *, compression: Compression, on_progress: OnProgress | None = None
) -> Packed:
    """Write the members, in their order, into one file; it gets its name when it is whole.

    Raises InvalidInput where a file is no longer what its sha256 says, or cannot be read.
    """
    target = target.absolute()
    if target.exists() and not target.is_file():
        raise InvalidInput(f"{target} is there and is no file")
    _sweep(target)
    aside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    total = sum(each.size for each in members)
    try:
        with aside.open("xb") as stream:
            out = _Hashing(stream)
            counting = _Counting(on_progress, total)
            with _compressed(out, compression) as inner, _tar(inner) as tar:
                for member in members:
                    _add(tar, member, counting)
            stream.flush()
            os.fsync(stream.fileno())
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return Packed(path=target, size=target.stat().st_size, sha256=out.hexdigest())


def _sweep(target: Path) -> None:
    """Remove what a run that was killed has left beside the target; one that still runs has written to it just now."""
    for each in target.parent.glob(f".{glob.escape(target.name)}.*.partial"):
        if time.time() - each.stat().st_mtime > _STALE:
            each.unlink(missing_ok=True)


class _Sink(Protocol):
    def write(self, data: bytes, /) -> int: ...


class _Hashing(io.RawIOBase):
    """Passes bytes on and adds up their sha256."""

    def __init__(self, stream: _Sink) -> None:
        self._stream, self._hash = stream, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self._hash.update(data)
        return self._stream.write(data)

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class _Counting:
    """Says how far all members together have come."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress, self._done, self._total = on_progress, 0, total

    def more(self, count: int) -> None:
        self._done += count
        if self._on_progress is not None:
            self._on_progress(Progress(phase="Packing", done=self._done, total=self._total))


class _Read:
    """What the tar reads a member through: it counts, and knows the hash in the end."""

    def __init__(self, stream: BinaryIO, counting: _Counting) -> None:
        self._stream, self._counting, self._hash = stream, counting, hashlib.sha256()

    def read(self, count: int = -1) -> bytes:
        block = self._stream.read(count)
        self._hash.update(block)
        self._counting.more(len(block))
        return block

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


def _tar(out: _Sink) -> tarfile.TarFile:
    return tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT)  # type: ignore[call-overload,no-any-return]


def _add(tar: tarfile.TarFile, member: Member, counting: _Counting) -> None:
    info = tarfile.TarInfo(member.name)
    info.size, info.mtime, info.mode = member.size, TIME, 0o755 if member.executable else 0o644
    try:
        with member.opened() as stream:
            read = _Read(stream, counting)
            tar.addfile(info, read)
    except OSError as error:
        raise InvalidInput(f"{member.path or member.name} cannot be packed: {error.strerror or error}") from error
    if member.sha256 and read.hexdigest() != member.sha256:
        raise InvalidInput(f"{member.path or member.name} is not what it was: its sha256 is {read.hexdigest()}")


@contextmanager
def _compressed(out: _Hashing, compression: Compression) -> Iterator[_Sink]:
    with ExitStack() as stack:
        if compression == "zst":
            import zstandard  # noqa: PLC0415  # 20 ms, and only packing needs it

            compressor = zstandard.ZstdCompressor(level=LEVEL, threads=max(1, min(4, os.cpu_count() or 1)))
            yield stack.enter_context(compressor.stream_writer(cast("IO[bytes]", out), closefd=False))
        elif compression == "gz":
            yield stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=out, compresslevel=6, mtime=TIME))
        else:
            yield out
