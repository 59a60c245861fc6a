"""What a notebook is told of its environment, and what is said of a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from ...actions.payload import usable_kernel
from ...actions.status import Status
from ...formats.locks import LOCKS
from ...model import Diff, Environment, Package, Snapshot
from ..binding import Bound
from .data import diff_data, diff_rows, environment_data, image_lines, package_data
from .view import Data, View, counted, moment, size_of

if TYPE_CHECKING:  # takes long to import, and few answers need it
    from ...actions.export import Exported


@dataclass(frozen=True, slots=True, kw_only=True)
class TextView(View):
    """An answer that is the text of a file: every blank of it counts."""

    @property
    def html(self) -> str:
        return f"<pre>{escape(self.head)}</pre>"


def info_view(
    env: Environment,
    *,
    status: Status,
    folder: Path,
    project: Path,
    entries: int,
    notebook: str,
    kernels: int,
) -> View:
    packages = status.snapshot.packages
    kernel = "IRkernel" if env.language == "r" else "ipykernel"
    own = status.snapshot.package(kernel)
    theirs = None if own else _usable_in_image(status.snapshot, kernel)
    lock = project / LOCKS[env.kind].filename
    rows = [
        ("packages in", f"{env.prefix}{' (adopted)' if env.adopted else ''}"),
        ("settings in", str(folder)),
        ("record in", f"{project} ({counted(entries, 'entry', 'entries')})"),
        ("lock", str(lock) if lock.exists() else "none yet: %env-freeze"),
        *(image_lines(env, status.snapshot) or (_interpreter(env),)),
        ("made", f"{moment(env.created)} on {env.system} {env.architecture}"),
        ("kernel", _kernel(kernel, own, theirs)),
        ("kernels running in it", str(kernels)),
        ("notebook", notebook or "its client does not say"),
    ]
    return View(
        data={
            "environment": environment_data(env),
            "folder": str(folder),
            "project": str(project),
            "lock": str(lock) if lock.exists() else None,
            "state": status.state,
            "entries": entries,
            "kernel": {kernel: own.version if own else theirs, "lent": own is None and theirs is None},
            "kernels": kernels,
            "notebook": notebook or None,
            "packages": [package_data(each) for each in packages],
        },
        head=f"{env.name}: {env.language_name} {status.snapshot.language_version}, {env.runtime}, "
        f"{counted(len(packages), 'package')}. {status.sentence}",
        columns=("", ""),
        rows=tuple(rows),
    )


def _interpreter(env: Environment) -> tuple[str, str]:
    return ("channels", ", ".join(env.channels)) if env.runtime == "conda" else ("interpreter", str(env.base))


def _usable_in_image(snapshot: Snapshot, kernel: str) -> str | None:
    """The version of the image's own kernel, where that is the one that runs."""
    packages = snapshot.contents.packages if snapshot.contents else ()
    if kernel != "ipykernel":
        return next((each.version for each in packages if (each.ecosystem, each.name) == ("cran", kernel)), None)
    return usable_kernel({each.name: each.version for each in packages if each.ecosystem == "pypi"})


def _kernel(kernel: str, own: Package | None, theirs: str | None) -> str:
    if own:
        return f"its own {kernel} {own.version}"
    if theirs:
        return f"the image's {kernel} {theirs}"
    return f"{kernel}, lent by venvoy; nothing of it is installed here"


def stamped_view(said: Sequence[tuple[Path, Bound]], *, changed: Sequence[Path], unlocked: Sequence[Path]) -> View:
    """What was written into notebooks; `unlocked` are those of whose state there is no lock."""
    return View(
        data={
            "notebooks": [
                {"notebook": str(path), "venvoy": bound.said(), "changed": path.resolve() in changed}
                for path, bound in said
            ]
        },
        head="\n".join(
            f"{path}: {bound.environment}, state {bound.snapshot[:12]}, "
            f"{f'no lock of it yet: venvoy freeze {bound.environment}' if path in unlocked else f'lock {bound.lock}'}"
            f"{'' if path.resolve() in changed else ' (as it was)'}"
            for path, bound in said
        ),
    )


def notebook_view(
    notebook: Path, said: Bound, *, lock: Path | None, problem: str, present: bool, since: Diff | None
) -> View:
    """How a notebook's environment stands against the notebook's last run.

    `since` is what changed after it, None where that cannot be told; `problem` is why there is no `lock`.
    """
    run = f"in the state {said.snapshot[:12]} of {said.environment!r}" if said.snapshot else f"in {said.environment!r}"
    if not present:
        stands = f"There is no such environment here; make it: venvoy restore {notebook}"
    elif since is None:
        stands = "The record here does not have that state, so it cannot be compared with now."
    elif since:
        stands = f"{counted(len(since), 'package')} changed since."
        if not len(since):
            stands = "The interpreter changed since." if since.interpreter else "The image changed since."
    else:
        stands = "Nothing changed since."
    return View(
        data={
            "notebook": str(notebook),
            "environment": said.environment,
            "snapshot": said.snapshot or None,
            "lock": str(lock) if lock else None,
            "present": present,
            "since": diff_data(since) if since is not None else None,
        },
        head=f"{notebook}: run or stamped {run}. {stands}\nlock: {lock or f'none ({problem})'}",
        columns=("", "package", "then", "now"),
        rows=diff_rows(since) if since else (),
    )


def told_view(exported: Exported) -> View:
    """An export as a notebook shows it: the text itself, or where it was written and what it lacks."""
    data: Data = {
        "environment": exported.environment,
        "format": exported.form,
        "file": str(exported.path) if exported.path else None,
        "size": len(exported.text.encode()),
        "sha256": exported.sha256,
        "lacking": [
            {"name": each.package.name, "version": each.package.version, "reason": each.reason}
            for each in exported.lacking
        ],
        "left_out": [package_data(each) for each in exported.left_out],
        "remarks": list(exported.remarks),
    }
    if exported.path is None:
        return TextView(data=data | {"text": exported.text}, head=exported.text.rstrip("\n"))
    head = [f"{exported.environment}: written as {exported.form} to {exported.path} ({size_of(data['size'])})."]
    if exported.beside:
        head.append(f"Its lock lies beside it: {exported.beside}")
    if exported.left_out:
        head.append(f"{counted(len(exported.left_out), 'package')} for development left out.")
    if exported.lacking:
        head.append(f"{counted(len(exported.lacking), 'package')} cannot be had again by it:")
    return View(
        data=data,
        head="\n".join([*head, *exported.remarks]),
        columns=("package", "version", "why"),
        rows=tuple((each.package.name, each.package.version, each.reason) for each in exported.lacking),
    )
