"""Unpack an archive of anybody's: nothing is believed, nothing lands outside, nothing is more than was announced."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tarfile
import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from .. import files
from ..errors import InvalidInput
from ..model import OnProgress, Progress
from ..tars import Header
from .signing import UNSIGNED, Signature, checked

FORMAT = "venvoy-archive-1"
MANIFEST = "manifest.json"
SIGNATURE = "manifest.json.sig"
FOLDERS = ("channels", "cran", "files", "history", "payload", "wheels")
FILES = (
    "README.txt",
    "conda-lock.yml",
    "environment.yml",
    "facts.json",
    "image.tar",
    "pylock.toml",
    "renv.lock",
    "requirements.txt",
    "restore.py",
    "snapshot.json",
    "specs.txt",
)
_LONGEST_MANIFEST = 32_000_000
_LONGEST_SIGNATURE = 100_000
_HEADERS = 8192
"""Bytes of headers that a member may need at most: its own, and the extended one of a long name."""
_WINDOW = 1 << 27
"""The most memory, in bytes, that decompressing may ask for."""
_BLOCK = 1 << 20
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Announced:
    """What the manifest says of one member."""

    size: int
    sha256: str
    executable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The manifest of an archive that was unpacked whole. `said` is all of it, `digest` its own sha256."""

    members: Mapping[str, Announced]
    said: Mapping[str, Any]
    digest: str
    signature: Signature = field(default=UNSIGNED)

    @property
    def size(self) -> int:
        """Of all members, in bytes."""
        return sum(each.size for each in self.members.values())


def unpack(
    file: Path, folder: Path, *, allowed_signers: Path | None = None, on_progress: OnProgress | None = None
) -> Manifest:
    """Unpack `file` into the new folder `folder`, every member checked against the manifest; nothing is executed.

    With `allowed_signers` (the form of ssh-keygen) only an archive with a good signature is taken. Raises InvalidInput
    with the reason for anything that is not as announced; then `folder` is not there.
    """
    files.private(folder)
    try:
        with _opened(file) as stream:
            return _unpacked(stream, folder, allowed_signers, on_progress)
    except InvalidInput as error:
        files.remove(folder)
        raise InvalidInput(f"{file} is refused: {error.message}", hint=error.hint) from error
    except BaseException:
        files.remove(folder)
        raise


def announced(file: Path) -> Manifest:
    """What the manifest of an archive says; nothing else of it is read. Raises InvalidInput."""
    try:
        with _opened(file, whole=False) as stream, tarfile.open(fileobj=stream, mode="r|", tarinfo=Header) as tar:  # type: ignore[call-overload]
            return _manifest(_content(tar, next(_members(tar, stream), None), MANIFEST, _LONGEST_MANIFEST))
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"{file} is damaged ({error})") from error


def _unpacked(stream: _Bounded, folder: Path, allowed: Path | None, on_progress: OnProgress | None) -> Manifest:
    try:
        with tarfile.open(fileobj=stream, mode="r|", tarinfo=Header, errorlevel=2) as tar:  # type: ignore[call-overload]
            members = _members(tar, stream)
            text = _content(tar, next(members, None), MANIFEST, _LONGEST_MANIFEST)
            manifest = _manifest(text)
            _fits(manifest, folder)
            member = next(members, None)
            signature = UNSIGNED
            if member is not None and member.name == SIGNATURE:
                signature = checked(text, _content(tar, member, SIGNATURE, _LONGEST_SIGNATURE), allowed=allowed)
                member = next(members, None)
            elif allowed is not None:
                raise InvalidInput("it is not signed")
            _all(tar, member, members, manifest, folder, on_progress)
            files.replace(folder / MANIFEST, text)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidInput(f"it is damaged ({error})") from error
    return Manifest(members=manifest.members, said=manifest.said, digest=manifest.digest, signature=signature)


def _fits(manifest: Manifest, folder: Path) -> None:
    """Raises InvalidInput where the disk has not what the manifest announces: a bomb is stopped before it unfolds."""
    free = shutil.disk_usage(folder).free
    if manifest.size > free:
        raise InvalidInput(f"it unpacks to {manifest.size} bytes, and {free} are free in {folder.parent}")


def _members(tar: tarfile.TarFile, stream: _Bounded) -> Iterator[tarfile.TarInfo]:
    """Each member in turn. Of its headers no more is read than any of ours needs, and none of them is kept."""
    members = iter(tar)
    while True:
        stream.allow(_HEADERS)
        member = next(members, None)
        if tar.pax_headers:
            raise InvalidInput("a header is said of all its members")
        if member is None:
            return
        stream.allow(member.size)
        yield member
        tar.members = []  # type: ignore[attr-defined]


def _all(
    tar: tarfile.TarFile,
    member: tarfile.TarInfo | None,
    members: Iterator[tarfile.TarInfo],
    manifest: Manifest,
    folder: Path,
    on_progress: OnProgress | None,
) -> None:
    left = dict(manifest.members)
    done = 0
    while member is not None:
        announced = left.pop(member.name, None)
        if announced is None:
            again = member.name in manifest.members
            raise InvalidInput(f"{member.name!r} is in it {'twice' if again else 'and not in its manifest'}")
        _plain(member, announced.size)
        _write(tar, member, announced, folder)
        done += announced.size
        if on_progress is not None:
            on_progress(Progress(phase="Unpacking", done=done, total=manifest.size))
        member = next(members, None)
    if left:
        raise InvalidInput(f"{min(left)!r} is missing ({len(left)} of {len(manifest.members)} members are)")


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, announced: Announced, folder: Path) -> None:
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise InvalidInput(f"{member.name!r} has no content")
    hashed = hashlib.sha256()
    with target.open("xb") as stream:
        while block := source.read(_BLOCK):
            hashed.update(block)
            stream.write(block)
    if hashed.hexdigest() != announced.sha256:
        raise InvalidInput(f"{member.name!r} was changed: its sha256 is {hashed.hexdigest()}, not {announced.sha256}")
    if target.stat().st_size != announced.size:
        raise InvalidInput(f"{member.name!r} is cut off")
    target.chmod(0o755 if announced.executable else 0o644)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo | None, name: str, longest: int) -> bytes:
    """The content of a member that the manifest does not announce."""
    if member is None or member.name != name:
        raise InvalidInput(f"it does not begin with {name}: it is no archive of venvoy")
    if member.size > longest:
        raise InvalidInput(f"its {name} has {member.size} bytes; that is too much")
    _plain(member, member.size)
    source = tar.extractfile(member)
    return source.read() if source else b""


def _plain(member: tarfile.TarInfo, size: int) -> None:
    """Raises InvalidInput for a link, a device, a folder, a sparse file, and for another size than was announced."""
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise InvalidInput(f"{member.name!r} is no plain file")
    if member.size != size:
        raise InvalidInput(f"{member.name!r} has {member.size} bytes, not {size}")


def _manifest(text: bytes) -> Manifest:
    try:
        said = json.loads(text)
        if said["format"] != FORMAT:
            raise InvalidInput(f"its format is {said['format']!r}; this venvoy reads {FORMAT}")
        listed = {
            name: Announced(size=each["size"], sha256=each["sha256"], executable=each.get("executable", False))
            for name, each in said["members"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"its manifest cannot be read ({type(error).__name__}: {error})") from error
    refuse_names(listed)
    for name, each in listed.items():
        if not (type(each.size) is int and 0 <= each.size < 1 << 50 and _SHA256.fullmatch(str(each.sha256))):
            raise InvalidInput(f"its manifest says nothing usable of {name!r}")
    return Manifest(members=listed, said=said, digest=hashlib.sha256(text).hexdigest())


def refuse_names(names: Mapping[str, object]) -> None:
    """Raises InvalidInput for names that no archive may have: nobody could unpack it."""
    for name in names:
        _checked_name(name)
    _apart(names)


def _checked_name(name: str) -> None:
    """Raises InvalidInput for a name that leads out of the folder, or that some system reads as another."""
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name:
        raise InvalidInput(f"the name {name[:200]!r} leads elsewhere")
    if any(unicodedata.category(each) in ("Cc", "Cf", "Cs", "Co", "Cn") for each in name):
        raise InvalidInput(f"the name {name[:200]!r} has characters that cannot be seen")
    if len(name.encode()) > 1000 or any(len(part.encode()) > 240 for part in parts):
        raise InvalidInput(f"the name {name[:60]!r}… is too long")
    if re.match(r"[A-Za-z]:", name) or any(part.endswith((" ", ".")) for part in parts):
        raise InvalidInput(f"the name {name[:200]!r} means another file on other systems")
    if not (name in FILES or (len(parts) > 1 and parts[0] in FOLDERS)):
        raise InvalidInput(f"{name[:200]!r} has no place in an archive")


def _apart(names: Mapping[str, object]) -> None:
    """Raises InvalidInput where two names are one file for some file system, or one is also the other's folder."""
    folded: dict[str, str] = {}
    for name in names:
        key = unicodedata.normalize("NFC", name).casefold()
        if key in folded:
            raise InvalidInput(f"{folded[key]!r} and {name!r} are one file on some systems")
        folded[key] = name
    for key, name in folded.items():
        parent = key.rpartition("/")[0]
        while parent:
            if parent in folded:
                raise InvalidInput(f"{folded[parent]!r} is a file and also the folder of {name!r}")
            parent = parent.rpartition("/")[0]


class _Bounded:
    """Reads a stream and refuses to give more than is allowed: a bomb is stopped while it unfolds."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._given = stream, 0
        self.allow(_HEADERS)  # of the first member, which is looked for when the tar is opened

    def allow(self, size: int) -> None:
        """Give so many bytes from here on, and what fills them up: a tar is read in records."""
        self._limit = self._given + size + tarfile.BLOCKSIZE + tarfile.RECORDSIZE

    def read(self, count: int) -> bytes:
        block = self._stream.read(count)
        self._given += len(block)
        if self._given > self._limit:
            raise InvalidInput("there is more in it than its manifest says")
        return block


@contextmanager
def _opened(file: Path, *, whole: bool = True) -> Iterator[_Bounded]:
    import zstandard  # noqa: PLC0415  # 20 ms, and only archives need it

    try:
        with file.open("rb") as stream:
            decompressor = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
            with decompressor.stream_reader(stream, read_across_frames=True) as plain:
                yield _Bounded(plain)
                rest = plain.read(tarfile.RECORDSIZE + 1) if whole else b""
                if len(rest) > tarfile.RECORDSIZE or any(rest):
                    raise InvalidInput("something follows its end")
    except OSError as error:
        raise InvalidInput(f"it cannot be read: {error.strerror or error}") from error
    except zstandard.ZstdError as error:
        raise InvalidInput(f"it is no zstd file, or damaged ({error})") from error
