"""The door to the disk: files replaced whole, private folders, locks that several processes and machines keep to."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from . import cancelling

PRIVATE = 0o700
LARGEST = 64 << 20
"""Bytes of a file that programs of others write and that is read into memory."""


def replace(path: Path, content: str | bytes, *, mode: int = 0o644, lasting: bool = True) -> None:
    """Write `content` beside `path` and rename it there, so that a reader sees the old file or the new one.

    Without `lasting` it is not waited for the disk: for one of many files that can be made again after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            if lasting:
                os.fsync(stream.fileno())
        Path(partial).chmod(mode)
        Path(partial).replace(path)
    except BaseException as error:
        Path(partial).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename is None:
            error.filename = str(path)  # the system does not say it of a disk that is full
        raise


def content(path: str | Path) -> bytes:
    """All of a file that others may write: it neither keeps us waiting nor fills the memory.

    Raises OSError for what is no file (a pipe, a device, a folder), or is larger than LARGEST.
    """
    handle, size = _regular(path)
    try:
        if size > LARGEST:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), str(path))
        return os.read(handle, size)
    finally:
        os.close(handle)


def beginning(path: str | Path, size: int) -> bytes:
    """The first `size` bytes of such a file. Raises OSError for what is none."""
    handle, there = _regular(path)
    try:
        return os.read(handle, min(size, there))
    finally:
        os.close(handle)


def opened(path: str | Path) -> io.BufferedReader:
    """Such a file, to be read piece by piece. Raises OSError for what is none."""
    return os.fdopen(_regular(path)[0], "rb")


def _regular(path: str | Path) -> tuple[int, int]:
    """A file that is open for reading, and its size, in as few steps as there are."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    status = os.fstat(handle)
    if not stat.S_ISREG(status.st_mode):
        os.close(handle)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return handle, status.st_size


def state(path: Path) -> str:
    """What is another once another file lies behind a path, or the file was changed. Raises OSError without a file."""
    real = path.resolve(strict=True)
    status = real.stat()
    return f"{path}:{real}:{status.st_mtime_ns}:{status.st_size}"


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with opened(path) as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def append(path: Path, line: str, *, lasting: bool = True) -> None:
    """Add one line at the end of `path`; the caller holds the lock. Without `lasting` the disk is not waited for."""
    with path.open("ab") as stream:
        stream.write(line.encode() + b"\n")
        stream.flush()
        if lasting:
            os.fsync(stream.fileno())


def cut(path: Path, size: int) -> None:
    """Shorten `path` to `size` bytes."""
    os.truncate(path, size)


def link(path: Path, target: str) -> None:
    """Make `path` a symbolic link to `target`, in one step where it was one already."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.partial")
    partial.symlink_to(target)
    try:
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def also(path: Path, source: Path) -> None:
    """Have the file `source` at `path`, too: by another name of the same where that can be, else as a copy."""
    try:
        path.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, path)


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder with all that is in it, to where nothing is yet; the links in it stay links."""
    if source.is_dir():
        shutil.copytree(source, target, symlinks=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, target)


def named_by(url: str) -> Path:
    """The place of this machine that an address "file:///…" names."""
    return Path(unquote(urlsplit(url).path))


def private(folder: Path) -> Path:
    """Make `folder` so that only its owner can look into it; returns it."""
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    folder.chmod(PRIVATE)
    return folder


def remove(path: Path) -> None:
    """Remove a file, a link or a whole folder; nothing happens where there is none."""
    if path.is_symlink() or path.is_file():
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextmanager
def locked(path: Path, *, timeout: float = 60) -> Iterator[None]:
    """Hold the lock file `path`: among threads, processes and, where the file system can, machines (NFS).

    Raises TimeoutError when somebody else holds it for longer than `timeout` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, thread_local=False, is_singleton=False)
    try:
        _acquire(lock, timeout)
    except Timeout as error:
        raise TimeoutError(f"{path} is held by another process") from error
    try:
        yield
    finally:
        lock.release()


def _acquire(lock: FileLock, timeout: float) -> None:
    """Take it; who must wait for it may be cancelled. Raises Timeout."""
    end = time.monotonic() + timeout
    while (left := end - time.monotonic()) > cancelling.STEP and cancelling.possible():
        try:
            lock.acquire(timeout=cancelling.STEP)
        except Timeout:
            cancelling.look()
        else:
            return
    lock.acquire(timeout=max(left, 0))


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock file `path`, as far as we may know."""
    if not path.parent.is_dir():
        return False
    try:
        with locked(path, timeout=0):
            return False
    except TimeoutError:
        return True
    except OSError:  # a folder that is not ours to write in
        return False
