"""The kernels that a server runs, and which of them are ours."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..attendant import Attendant
    from ..provisioner import EnvironmentProvisioner

_RTC = "RTC:"
"""What real-time collaboration puts before a path: the name of its drive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One that runs; `name` is its kernelspec's, `attendant` who attends it where it is ours.

    With `of_session` it is that of the notebook's own session and of no other's, and not only one that somebody has
    named.
    """

    id: str
    name: str
    attendant: Attendant | None = None
    of_session: bool = False


def running(kernels: Any, kernel: str) -> Kernel | None:
    """The kernel of that id in Jupyter's multi-kernel manager, or None."""
    if kernel not in kernels:
        return None
    provisioner = provisioner_of(kernels, kernel)
    name = str(getattr(kernels.get_kernel(kernel), "kernel_name", ""))
    return Kernel(id=kernel, name=name, attendant=provisioner.attendant if provisioner else None)


def attended(kernels: Any) -> frozenset[Path]:
    """The folders of the sessions of all kernels that are ours."""
    provisioners = (provisioner_of(kernels, each) for each in kernels.list_kernel_ids())
    found = (each.attendant for each in provisioners if each)
    return frozenset(each.session.folder for each in found if each)


def provisioner_of(kernels: Any, kernel: str) -> EnvironmentProvisioner | None:
    """The provisioner of a kernel, where it is ours.

    Jupyter imports ours with the first kernel that needs it; a server without such kernels starts no slower.
    """
    manager = kernels.get_kernel(kernel) if kernel in kernels else None
    room = sys.modules.get("venvoy.frontends.provisioner")
    provisioner = getattr(manager, "provisioner", None)
    return provisioner if room is not None and isinstance(provisioner, room.EnvironmentProvisioner) else None


def kernel_of(sessions: Any, path: str) -> str | None:
    """The kernel of the session for a notebook's API path.

    A hook cannot wait, and `get_session` must be waited for; the table that it looks into is asked instead.
    """
    plain = _plain(path)
    found = _asked(
        sessions, "SELECT kernel_id FROM session WHERE type = 'notebook' AND path IN (?, ?)", plain, _RTC + plain
    )
    return next((str(kernel) for (kernel,) in found), None)


def shared(sessions: Any, kernel: str) -> bool:
    """Whether several notebooks run in that kernel; nobody can tell then which of them a cell is of."""
    found = _asked(sessions, "SELECT path FROM session WHERE type = 'notebook' AND kernel_id = ?", kernel)
    return len({_plain(path) for (path,) in found}) > 1


def _asked(sessions: Any, query: str, *given: str) -> list[Any]:
    connection = getattr(sessions, "connection", None)
    # The table is made with the cursor, which a server without sessions has not needed yet.
    if connection is None or getattr(sessions, "cursor", None) is None:
        return []
    found: list[Any] = connection.execute(query, given).fetchall()
    return found


def _plain(path: str) -> str:
    return path.removeprefix(_RTC).strip("/")
