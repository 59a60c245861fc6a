"""Whose a container is: what is written on it tells, to whoever finds it, whether anybody still wants it."""

from __future__ import annotations

import functools
import os
import platform
from dataclasses import astuple, dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told from all others that have been or will be: numbers of processes come again.

    `boot` names the time since the machine was started, `numbers` those who count processes alike (containers do for
    themselves), `user` is the user's number and `started` when the process was, as the system counts.
    """

    host: str
    boot: str
    numbers: str
    user: int
    pid: int
    started: str

    def __str__(self) -> str:
        return "/".join(map(str, astuple(self)))


def read(said: str) -> Owner | None:
    """What `str` of an owner says; None for what is none."""
    parts = said.split("/")
    if len(parts) != 6 or not (parts[3].isdigit() and parts[4].isdigit()):
        return None
    return Owner(parts[0], parts[1], parts[2], int(parts[3]), int(parts[4]), parts[5])


def ourselves() -> Owner:
    """This process."""
    return _of(os.getpid())


@functools.cache
def _of(pid: int) -> Owner:
    boot = _text(_PROC / "sys/kernel/random/boot_id")
    try:
        numbers = os.readlink(_PROC / "self/ns/pid")
    except OSError:
        numbers = ""
    return Owner(platform.node().replace("/", ""), boot, numbers, os.getuid(), pid, started(pid))


def started(pid: int) -> str:
    """When a process was started; "" where there is none of that number, or no way to tell."""
    # Its name, in parentheses, may have parentheses and spaces in it.
    rest = _text(_PROC / str(pid) / "stat").rpartition(")")[2].split()
    return rest[19] if len(rest) > 19 and rest[0] not in "ZX" else ""


def gone(owner: Owner, us: Owner) -> bool:
    """Whether an owner is no more. Of other users, machines and ways to count processes nothing is known: False."""
    if (owner.host, owner.user) != (us.host, us.user):
        return False
    if owner.boot != us.boot:
        return True
    if owner.numbers != us.numbers:
        return False
    if owner.started:
        return started(owner.pid) != owner.started
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace").strip()
    except OSError:
        return ""
