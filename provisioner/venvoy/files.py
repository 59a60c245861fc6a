"""The door to the disk: files replaced whole, private folders, locks that several processes and machines keep to."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

PRIVATE = 0o700


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
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def append(path: Path, line: str) -> None:
    """Add one line at the end of `path`; the caller holds the lock."""
    with path.open("ab") as stream:
        stream.write(line.encode() + b"\n")
        stream.flush()
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
    try:
        with FileLock(path, timeout=timeout, thread_local=False, is_singleton=False):
            yield
    except Timeout as error:
        raise TimeoutError(f"{path} is held by another process") from error


def is_locked(path: Path) -> bool:
    """Whether somebody holds the lock file `path`, as far as we may know."""
    try:
        with locked(path, timeout=0):
            return False
    except TimeoutError:
        return True
    except OSError:  # a folder that is not ours to write in
        return False
