"""The record: how an environment stands, what happened to it, what was frozen and restored."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...actions.freeze import Frozen
from ...actions.go_back import Returned
from ...actions.plan import Planned
from ...actions.points import Point
from ...actions.prune import Prunable
from ...actions.restore import Restored
from ...actions.status import Status
from ...formats.renv import RenvLock
from ...history import Entry, Problem
from ...model import Actor, Diff
from .data import base_sentence, diff_data, diff_rows, environment_data, filled, image_data, package_data
from .view import Data, View, counted, moment, size_of, who

if TYPE_CHECKING:  # takes long to import, and most answers need none of it
    from ...actions.vendor import Vendored


def status_view(name: str, status: Status, *, problem: str = "") -> View:
    count = len(status.snapshot.packages)
    speaks = status.snapshot.speech
    return View(
        data={
            "environment": name,
            "state": status.state,
            "sentence": status.sentence,
            "frozen": moment(status.frozen) if status.frozen else None,
            "since": diff_data(status.since),
            "problem": problem or None,
            "python_version": status.snapshot.language_version,
            "packages": [package_data(each) for each in status.snapshot.packages],
        },
        head=f"{name}: {speaks}, {counted(count, 'package')}. {status.sentence}",
        columns=("", "package", "before", "now"),
        rows=diff_rows(status.since),
    )


def frozen_view(name: str, frozen: Frozen, vendored: Vendored | None = None) -> View:
    pinned = len(frozen.snapshot.packages) - len(frozen.unpinned)
    head = f"{name}: {counted(pinned, 'package')} locked with url and hash in {frozen.path}"
    head += f", those of R in {RenvLock().filename} beside it." if frozen.snapshot.r_version else "."
    if frozen.left_out:
        some = ", ".join(each.name for each in frozen.left_out[:5]) + (", …" if len(frozen.left_out) > 5 else "")
        head += (
            f"\n{counted(len(frozen.left_out), 'package')} for development left out ({some}): --include-dev keeps them."
        )
    if vendored:
        head += f"\n{_wheels(vendored)}"
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
            "left_out": [package_data(each) for each in frozen.left_out],
            "vendored": _vendored_data(vendored) if vendored else None,
        },
        head=head,
        columns=("package", "version", "why"),
        rows=tuple((each.package.name, each.package.version, each.reason) for each in frozen.unpinned),
    )


def _wheels(vendored: Vendored) -> str:
    built = sum(bool(each.built) for each in vendored.kept)
    head = f"{counted(len(vendored.kept), vendored.noun)} kept in {vendored.folder} ({size_of(vendored.size)}"
    head += f", {vendored.new} new" + (f", {built} built here" if built else "") + ")."
    lines = [
        f"  no {vendored.noun} of {each.package.name} {each.package.version}: {each.reason}"
        for each in vendored.missing
    ]
    return "\n".join([head, *lines])


def _vendored_data(vendored: Vendored) -> Data:
    return {
        "folder": str(vendored.folder),
        "size": vendored.size,
        "new": vendored.new,
        "wheels": [
            {
                "name": each.name,
                "version": each.version,
                "file": each.file.name,
                "size": each.size,
                "sha256": each.sha256,
                "built": each.built or None,
            }
            for each in vendored.kept
        ],
        "missing": [
            {"name": each.package.name, "version": each.package.version, "reason": each.reason}
            for each in vendored.missing
        ],
    }


def restored_view(restored: Restored, *, kernel: str | None = None) -> View:
    env = restored.environment
    head = f"{env.name}: made with {env.speech}; the packages are those that were asked for."
    head += f"\nkernel in Jupyter: {kernel or 'none yet'}"
    if restored.other_python:
        head += f"\n{env.language_name} {restored.other_python[0]} was asked for and is not on this machine."
    if restored.missing:
        head += f"\n{counted(len(restored.missing), 'package')} could not be fetched, as the lock says:"
    return View(
        data={
            "environment": environment_data(env),
            "kernel": kernel,
            "missing": [package_data(each) for each in restored.missing],
            "other_python": list(restored.other_python) if restored.other_python else None,
            "remarks": list(restored.remarks),
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
            "entries": [entry_data(number, entry, difference) for number, (entry, difference) in shown],
        },
        head=f"{name}: {counted(len(changes), 'entry', 'entries')}." if changes else f"{name}: nothing recorded yet.",
        columns=("#", "when", "who", "what", "changes"),
        rows=tuple(
            (
                str(number),
                f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}",
                who(entry.actor),
                _what(entry),
                _counts(difference, other_image=number > 1 and _another_image(changes[number - 2][0], entry)),
            )
            for number, (entry, difference) in shown
        ),
    )


def checked_record_view(name: str, problems: Sequence[Problem], *, entries: int) -> View:
    head = f"{name}: the record is whole: {counted(entries, 'entry', 'entries')}, every one chained to the one before."
    if problems:
        head = f"{name}: {counted(len(problems), 'place')} of the record is not as it was written:"
    return View(
        data={
            "environment": name,
            "ok": not problems,
            "entries": entries,
            "problems": [{"line": each.line, "message": each.message} for each in problems],
        },
        head=head,
        columns=("line", "what"),
        rows=tuple(("" if each.line is None else str(each.line), each.message) for each in problems),
    )


def diff_view(older: Point, newer: Point, difference: Diff) -> View:
    head = f"{older.label} → {newer.label}: "
    head += f"{counted(len(difference), 'package')} differ." if len(difference) else "the same packages."
    if len(difference) == 1:
        head = head.replace("differ.", "differs.")
    if difference.interpreter:
        head += f"\nPython {difference.interpreter[0]} → {difference.interpreter[1]}"
    if said := base_sentence(difference.base):
        head += f"\n{said}"
    return View(
        data={
            "from": {"label": older.label, "index": older.number},
            "to": {"label": newer.label, "index": newer.number},
            "changes": diff_data(difference),
        },
        head=head,
        columns=("", "package", "before", "after"),
        rows=diff_rows(difference),
    )


def plan_view(name: str, planned: Planned) -> View:
    return View(
        data={
            "environment": name,
            "to": {"label": planned.point.label, "index": planned.point.number},
            "changes": diff_data(planned.changes),
            "kept": planned.kept,
            "python_version": planned.python,
            "download": [each.name for each in planned.download],
            "cached": len(planned.cached),
            "size": planned.size,
        },
        head=f"{name}, back to {planned.point.label}: {_effort(planned)}",
        columns=("", "package", "now", "then"),
        rows=diff_rows(planned.changes),
    )


def returned_view(name: str, returned: Returned, *, kernels: int = 0) -> View:
    if not returned.changes:
        head = f"{name}: it stands at {returned.point.label} already, by names and versions."
        head += f"\nwhether its files do: venvoy verify {name}"
    else:
        head = f"{name}: it is again as at {returned.point.label}."
        forward = f"\nforward again: venvoy restore {name} --to {returned.left}" if returned.left else ""
        head += forward if returned.undone else f"\ntake that back: venvoy undo {name}"
        if kernels:
            head += f"\n{counted(kernels, 'running kernel')} must be restarted to see that."
    if returned.other_python:
        wanted, given = returned.other_python
        head += f"\n{returned.environment.language_name} {wanted} is not on this machine; it has {given} now."
    return View(
        data={
            "environment": name,
            "to": {"label": returned.point.label, "index": returned.point.number},
            "changes": diff_data(returned.changes),
            "built": returned.built,
            "kernels": kernels,
            "other_python": list(returned.other_python) if returned.other_python else None,
        },
        head=head,
        columns=("", "package", "before", "now"),
        rows=diff_rows(returned.changes),
    )


def pruned_view(name: str, pruned: Prunable, *, done: bool) -> View:
    parts = [
        counted(len(pruned.copies), "timed copy", "timed copies"),
        counted(len(pruned.prefixes), "replaced prefix", "replaced prefixes"),
    ]
    what = f"{' and '.join(parts)}, {size_of(pruned.size)}"
    head = f"{name}: {'removed' if done else 'to remove:'} {what}."
    if not (pruned.copies or pruned.prefixes):
        head = f"{name}: there is nothing to remove."
    return View(
        data={
            "environment": name,
            "copies": [str(each) for each in pruned.copies],
            "prefixes": [str(each) for each in pruned.prefixes],
            "size": pruned.size,
            "removed": done,
        },
        head=head,
    )


def _effort(planned: Planned) -> str:
    if not planned.changes:
        return "it stands there already."
    if planned.kept:
        return "its prefix is still there; nothing to download."
    size = f" ({size_of(planned.size)})" if planned.size else ""
    speaks = f"{planned.point.snapshot.language_name} {planned.python}"
    return f"{len(planned.download)} to download{size}, {len(planned.cached)} from cache, {speaks}."


def entry_data(number: int, entry: Entry, difference: Diff) -> Data:
    return {
        "index": number,
        "at": moment(entry.at),
        "event": entry.event,
        "actor": actor_data(entry.actor),
        "asked": [
            {"tool": each.tool, "verb": each.verb, "names": list(each.names), "command": each.command}
            for each in entry.asked
        ],
        "snapshot": entry.snapshot,
        "image": image_data(entry.stands_on) if entry.stands_on else None,
        "changes": diff_data(difference),
    }


def actor_data(actor: Actor) -> Data:
    """Who made a change, without what is not known."""
    said = {each: getattr(actor, each) for each in ("kind", "notebook", "cell", "count", "command")}
    return filled(said)


def _what(entry: Entry) -> str:
    if entry.event == "freeze":
        return "froze"
    if entry.event == "import":
        return f"imported {' '.join(each.command[:12] for each in entry.asked)}".strip()
    return "; ".join(f"{each.verb} {' '.join(each.names)}".strip() for each in entry.asked)


def _counts(difference: Diff, *, other_image: bool = False) -> str:
    signs = (("+", difference.added), ("-", difference.removed), ("~", difference.changed))
    said = [f"{sign}{len(each)}" for sign, each in signs if each]
    if difference.base:
        said.append(f"image ({counted(len(difference.base), 'package')})")
    elif other_image:
        said.append("image (the same packages)")
    return " ".join(said)


def _another_image(before: Entry, entry: Entry) -> bool:
    one, other = before.stands_on, entry.stands_on
    return one is not None and other is not None and one.digest != other.digest
