"""The files of an image as a plain folder, and a plain folder as the one layer of an image."""

from __future__ import annotations

import os
import shutil
import stat
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..errors import InvalidInput
from ..model import OnProgress, Progress
from ..tars import Header
from .image_file import Reading

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
"""How a layer says that a file, or all of a folder, is gone (OCI image specification, "layer.md")."""
_LINKS = 40
"""How many links a path may lead over, as for Linux."""
_BROKEN = (tarfile.TarError, EOFError, UnicodeError, ValueError, OverflowError)


def lay(image: Reading, folder: Path, *, on_progress: OnProgress | None = None) -> int:
    """Lay the layers over each other into the new folder `folder`; returns how many devices were left out.

    Everything belongs to whoever does it, no file gets rights by its owner (setuid), and no link is followed out of the
    folder. Raises InvalidInput for what leads out of it, for a device outside of /dev, and for what is no layer.
    """
    folder.mkdir(mode=0o755)
    root, left_out = folder.resolve(), 0
    for number, layer in enumerate(image.layers, 1):
        try:
            with layer.open() as stream:
                left_out += _Laying(root).layer(stream)
        except _BROKEN as error:
            raise InvalidInput(f"layer {number} of the image is damaged: {error}") from error
        except InvalidInput as error:
            raise InvalidInput(f"layer {number} of the image is refused: {error.message}", hint=error.hint) from error
        except OSError as error:
            raise InvalidInput(f"layer {number} of the image cannot be unpacked: {error}") from error
        if on_progress is not None:
            on_progress(Progress(phase="Unpacking the image", done=number, total=len(image.layers), unit="layers"))
    return left_out


@dataclass(frozen=True, slots=True)
class _Laying:
    """One layer on its way into `root`, a path without links."""

    root: Path

    def layer(self, stream: IO[bytes]) -> int:
        own: set[Path] = set()
        folders: list[tuple[Path, tarfile.TarInfo]] = []
        left_out = 0
        with tarfile.open(fileobj=stream, mode="r:", tarinfo=Header, errorlevel=2) as tar:
            for entry in tar:
                parts = _parts(entry.name)
                if not parts:
                    continue
                if entry.isdev():
                    if parts[0] != "dev" and not entry.isfifo():
                        raise InvalidInput(f"{entry.name!r} is a device")
                    left_out += 1
                    continue
                target = self._parent(parts) / parts[-1]
                if parts[-1].startswith(WHITEOUT):
                    self._gone(target, own)
                    continue
                self._put(tar, entry, target)
                own.add(target)
                if entry.isdir():
                    folders.append((target, entry))
                # Linux would keep millions of them.
                tar.members = []  # type: ignore[attr-defined]
        for path, entry in reversed(folders):
            # One above it may be a link by now, and lead anywhere.
            if path.is_dir() and os.path.realpath(path) == str(path):
                path.chmod((entry.mode & 0o777) | 0o700)
                os.utime(path, (entry.mtime, entry.mtime))
        return left_out

    def _put(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
        if entry.isdir():
            if target.is_symlink() or not target.is_dir():
                _remove(target)
                target.mkdir(mode=0o755)
            return
        source = self._source(entry) if entry.islnk() else None
        if source != target:
            _remove(target)
        if entry.issym():
            target.symlink_to(entry.linkname)
        elif source is not None:
            if source != target:
                os.link(source, target, follow_symlinks=False)
        elif entry.isreg() and not entry.issparse():
            self._write(tar, entry, target)
        else:
            raise InvalidInput(f"{entry.name!r} is no file, folder or link")

    def _write(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
        content = tar.extractfile(entry)
        with target.open("xb") as stream:
            if content is not None:
                shutil.copyfileobj(content, stream, 1 << 20)
            written = stream.tell()
        if written != entry.size:
            raise InvalidInput(f"{entry.name!r} is cut off")
        target.chmod(entry.mode & 0o777)
        os.utime(target, (entry.mtime, entry.mtime))

    def _source(self, entry: tarfile.TarInfo) -> Path:
        """The file that a hard link is another name of."""
        parts = _parts(entry.linkname)
        source = self._parent(parts) / parts[-1] if parts else self.root
        if not os.path.lexists(source) or (source.is_dir() and not source.is_symlink()):
            raise InvalidInput(f"{entry.name!r} is a link to {entry.linkname!r}, which is no file in it")
        return source

    def _gone(self, target: Path, own: set[Path]) -> None:
        if target.name != OPAQUE:
            _remove(target.with_name(target.name.removeprefix(WHITEOUT)))
            return
        for each in sorted(target.parent.iterdir()):
            if not any(one == each or each in one.parents for one in own):
                _remove(each)

    def _parent(self, parts: Sequence[str]) -> Path:
        """The folder that a name lies in, made where it is missing."""
        return _reached(self.root, parts[:-1], make=True)


def exists(root: Path, name: str) -> bool:
    """Whether there is a file of that absolute name in the folder `root`."""
    return _reached(root, [each for each in name.split("/") if each not in ("", ".")]).exists()


def _reached(root: Path, parts: Sequence[str], *, make: bool = False) -> Path:
    """Where a path in the image lies, its links being followed as if `root` were `/`; `make` makes missing folders."""
    at, left, followed = root, list(reversed(parts)), 0
    while left:
        part = left.pop()
        path = at / part
        if part == "..":
            at = at.parent if at != root else at
        elif path.is_symlink():
            followed += 1
            if followed > _LINKS:
                raise InvalidInput(f"{'/'.join(parts)!r} lies behind links that lead nowhere")
            aim = os.readlink(path)
            at = root if aim.startswith("/") else at
            left += [each for each in reversed(aim.split("/")) if each not in ("", ".")]
        else:
            if make and not path.is_dir():
                _remove(path)
                path.mkdir(mode=0o755)
            at = path
    return at


def _parts(name: str) -> list[str]:
    """The parts of a name. Raises InvalidInput for one that leads out of the image, or that no file can have."""
    if name.startswith("/"):
        raise InvalidInput(f"the name {name[:200]!r} is absolute")
    parts = [each for each in name.split("/") if each not in ("", ".")]
    if ".." in parts:
        raise InvalidInput(f"the name {name[:200]!r} leads out of it")
    if "\0" in name:
        raise InvalidInput(f"the name {name[:200]!r} is no name")
    if parts and parts[-1] in (WHITEOUT, f"{WHITEOUT}.", f"{WHITEOUT}.."):
        raise InvalidInput(f"the name {name[:200]!r} takes nothing away")
    return parts


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        remove(path)
    else:
        path.unlink(missing_ok=True)


def remove(folder: Path) -> None:
    """Remove a folder, also one with folders in it that nobody may write into."""
    for place, inner, _ in os.walk(folder):
        for each in inner:
            path = Path(place, each)
            if not path.is_symlink():
                path.chmod(stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def write_layer(folder: Path, target: Path, *, on_progress: OnProgress | None = None) -> None:
    """Write a folder as a layer: the same files give the same bytes, whoever they belong to here.

    Owners are all root, and nothing has rights by its owner (setuid), as users of Apptainer have it; devices, sockets
    and extended attributes are left out.
    """
    done = 0
    seen: dict[tuple[int, int], str] = {}
    with target.open("xb") as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, name in _walk(folder, ""):
            done += _add(tar, path, name, seen)
            if on_progress is not None:
                on_progress(Progress(phase="Writing the layer", done=done))


def _walk(folder: Path, name: str) -> Iterator[tuple[Path, str]]:
    for each in sorted(os.listdir(folder), key=os.fsencode):
        path, inner = folder / each, f"{name}{each}"
        yield path, inner
        if path.is_dir() and not path.is_symlink():
            yield from _walk(path, f"{inner}/")


def _add(tar: tarfile.TarFile, path: Path, name: str, seen: dict[tuple[int, int], str]) -> int:
    status = path.lstat()
    entry = tarfile.TarInfo(name)
    entry.mode, entry.mtime = status.st_mode & 0o1777, int(status.st_mtime)
    if stat.S_ISDIR(status.st_mode):
        entry.type = tarfile.DIRTYPE
    elif stat.S_ISLNK(status.st_mode):
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, os.readlink(path), 0o777
    elif not stat.S_ISREG(status.st_mode):
        return 0
    elif (first := seen.setdefault((status.st_dev, status.st_ino), name)) != name:
        entry.type, entry.linkname = tarfile.LNKTYPE, first
    else:
        entry.size = status.st_size
        if not os.access(path, os.R_OK):
            path.chmod(entry.mode | stat.S_IRUSR)
        with path.open("rb") as stream:
            tar.addfile(entry, stream)
        return entry.size
    tar.addfile(entry)
    return 0
