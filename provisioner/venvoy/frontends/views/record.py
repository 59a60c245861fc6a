"""The record: how an environment stands, what happened to it, what was frozen and restored."""

from __future__ import annotations

from collections.abc import Sequence

from ...actions.freeze import Frozen
from ...actions.restore import Restored
from ...actions.status import Status
from ...history import Entry
from ...model import Diff
from .data import diff_data, diff_rows, environment_data, filled, package_data
from .view import Data, View, counted, moment, who


def status_view(name: str, status: Status) -> View:
    count = len(status.snapshot.packages)
    return View(
        data={
            "environment": name,
            "state": status.state,
            "sentence": status.sentence,
            "frozen": moment(status.frozen) if status.frozen else None,
            "since": diff_data(status.since),
            "python_version": status.snapshot.language_version,
            "packages": [package_data(each) for each in status.snapshot.packages],
        },
        head=f"{name}: Python {status.snapshot.language_version}, {counted(count, 'package')}. {status.sentence}",
        columns=("", "package", "before", "now"),
        rows=diff_rows(status.since),
    )


def frozen_view(name: str, frozen: Frozen) -> View:
    pinned = len(frozen.snapshot.packages) - len(frozen.unpinned)
    head = f"{name}: {counted(pinned, 'package')} locked with url and hash in {frozen.path}."
    if frozen.unpinned:
        head += f"\n{counted(len(frozen.unpinned), 'package')} cannot be fetched again by this lock:"
    return View(
        data={
            "environment": name,
            "lock": str(frozen.path),
            "python_version": frozen.snapshot.language_version,
            "platform": frozen.snapshot.platform,
            "packages": [package_data(each) for each in frozen.snapshot.packages],
            "unpinned": [
                {"name": each.package.name, "version": each.package.version, "reason": each.reason}
                for each in frozen.unpinned
            ],
        },
        head=head,
        columns=("package", "version", "why"),
        rows=tuple((each.package.name, each.package.version, each.reason) for each in frozen.unpinned),
    )


def restored_view(restored: Restored, *, kernel: str | None = None) -> View:
    env = restored.environment
    head = f"{env.name}: made with Python {env.python_version}; the packages are those that were asked for."
    head += f"\nkernel in Jupyter: {kernel or 'none yet'}"
    if restored.other_python:
        head += f"\nPython {restored.other_python[0]} was asked for and is not on this machine."
    if restored.missing:
        head += f"\n{counted(len(restored.missing), 'package')} could not be fetched, as the lock says:"
    return View(
        data={
            "environment": environment_data(env),
            "kernel": kernel,
            "missing": [package_data(each) for each in restored.missing],
            "other_python": list(restored.other_python) if restored.other_python else None,
        },
        head=head,
        columns=("package", "version", "origin"),
        rows=tuple((each.name, each.version, each.origin) for each in restored.missing),
    )


def history_view(name: str, changes: Sequence[tuple[Entry, Diff]], *, last: int | None = None) -> View:
    """The entries with their numbers, which they keep when only the `last` few are shown."""
    shown = list(enumerate(changes, 1))[-last if last else 0 :]
    return View(
        data={
            "environment": name,
            "entries": [_entry_data(number, entry, difference) for number, (entry, difference) in shown],
        },
        head=f"{name}: {counted(len(changes), 'entry', 'entries')}." if changes else f"{name}: nothing recorded yet.",
        columns=("#", "when", "who", "what", "changes"),
        rows=tuple(
            (
                str(number),
                f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}",
                who(entry.actor),
                _what(entry),
                _counts(difference),
            )
            for number, (entry, difference) in shown
        ),
    )


def _entry_data(number: int, entry: Entry, difference: Diff) -> Data:
    return {
        "index": number,
        "at": moment(entry.at),
        "event": entry.event,
        "actor": filled(
            {
                "kind": entry.actor.kind,
                "notebook": entry.actor.notebook,
                "cell": entry.actor.cell,
                "count": entry.actor.count,
                "command": entry.actor.command,
            }
        ),
        "asked": [
            {"tool": each.tool, "verb": each.verb, "names": list(each.names), "command": each.command}
            for each in entry.asked
        ],
        "snapshot": entry.snapshot,
        "changes": diff_data(difference),
    }


def _what(entry: Entry) -> str:
    if entry.event == "freeze":
        return "froze"
    return "; ".join(f"{each.verb} {' '.join(each.names)}".strip() for each in entry.asked)


def _counts(difference: Diff) -> str:
    signs = (("+", difference.added), ("-", difference.removed), ("~", difference.changed))
    return " ".join(f"{sign}{len(each)}" for sign, each in signs if each)
