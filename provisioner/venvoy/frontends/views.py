"""How results are shown: as data (the documented JSON), as text, and as HTML that a saved notebook keeps readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from ..actions.freeze import Frozen
from ..actions.restore import Restored
from ..actions.status import Status
from ..history import Entry
from ..model import Actor, Diff, Environment, Finding, Package, Snapshot

Data = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One answer in three forms. `head` is the sentence, `rows` under `columns` the table below it."""

    data: Data
    head: str
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    @property
    def text(self) -> str:
        if not self.rows:
            return self.head
        table = [self.columns, *self.rows]
        widths = [max(len(row[column]) for row in table) for column in range(len(self.columns))]
        lines = (
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
        )
        return "\n".join([self.head, "", *lines])

    @property
    def html(self) -> str:
        head = "<br>".join(escape(line) for line in self.head.splitlines())
        if not self.rows:
            return f"<div>{head}</div>"
        columns = "".join(f'<th style="text-align:left">{escape(each)}</th>' for each in self.columns)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<div>{head}<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"


def environment_data(env: Environment) -> Data:
    return {
        "name": env.name,
        "language": env.language,
        "runtime": env.runtime,
        "python_version": env.python_version,
        "prefix": str(env.prefix),
        "base": str(env.base) if env.base else None,
        "base_image": env.base_image,
        "adopted": env.adopted,
        "created": moment(env.created),
        "platform": {"system": env.system, "architecture": env.architecture},
        "packages": list(env.packages),
        "dev_packages": list(env.dev_packages),
        "env_file": [str(each) for each in env.env_file],
    }


def package_data(package: Package) -> Data:
    return {
        "ecosystem": package.ecosystem,
        "name": package.name,
        "version": package.version,
        "origin": package.origin,
        "url": package.url or None,
        "sha256": package.sha256 or None,
        "direct": package.direct,
    }


def diff_data(difference: Diff) -> Data:
    return {
        "added": [package_data(each) for each in difference.added],
        "removed": [package_data(each) for each in difference.removed],
        "changed": [
            {"name": each.name, "before": each.before.version, "after": each.after.version}
            for each in difference.changed
        ],
        "interpreter": list(difference.interpreter) if difference.interpreter else None,
    }


def finding_data(finding: Finding) -> Data:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "message": finding.message,
        "mend": finding.mend or None,
    }


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
        head=f"{name}: Python {status.snapshot.language_version}, {_counted(count, 'package')}. {status.sentence}",
        columns=("", "package", "before", "now"),
        rows=_diff_rows(status.since),
    )


def frozen_view(name: str, frozen: Frozen) -> View:
    pinned = len(frozen.snapshot.packages) - len(frozen.unpinned)
    head = f"{name}: {_counted(pinned, 'package')} locked with url and hash in {frozen.path}."
    if frozen.unpinned:
        head += f"\n{_counted(len(frozen.unpinned), 'package')} cannot be fetched again by this lock:"
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


def restored_view(restored: Restored) -> View:
    env = restored.environment
    head = f"{env.name}: made with Python {env.python_version}; the packages are those that were asked for."
    if restored.other_python:
        head += f"\nPython {restored.other_python[0]} was asked for and is not on this machine."
    if restored.missing:
        head += f"\n{_counted(len(restored.missing), 'package')} could not be fetched, as the lock says:"
    return View(
        data={
            "environment": environment_data(env),
            "missing": [package_data(each) for each in restored.missing],
            "other_python": list(restored.other_python) if restored.other_python else None,
        },
        head=head,
        columns=("package", "version", "origin"),
        rows=tuple((each.name, each.version, each.origin) for each in restored.missing),
    )


def history_view(name: str, changes: Sequence[tuple[Entry, Diff]]) -> View:
    return View(
        data={
            "environment": name,
            "entries": [
                _entry_data(number, entry, difference) for number, (entry, difference) in enumerate(changes, 1)
            ],
        },
        head=f"{name}: {_counted(len(changes), 'entry', 'entries')}." if changes else f"{name}: nothing recorded yet.",
        columns=("#", "when", "who", "what", "changes"),
        rows=tuple(
            (
                str(number),
                f"{entry.at.astimezone():%Y-%m-%d %H:%M:%S}",
                who(entry.actor),
                _what(entry),
                _counts(difference),
            )
            for number, (entry, difference) in enumerate(changes, 1)
        ),
    )


def who(actor: Actor) -> str:
    """Who made a change, in a few words."""
    if actor.kind == "cell":
        cell = f"cell [{actor.count}]" if actor.count is not None else "a cell"
        return f"{cell} of {actor.notebook.rpartition('/')[2]}" if actor.notebook else cell
    return actor.command if actor.kind == "command" else "terminal"


def moment(at: datetime) -> str:
    """A time as every JSON of ours has it: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _entry_data(number: int, entry: Entry, difference: Diff) -> Data:
    return {
        "index": number,
        "at": moment(entry.at),
        "event": entry.event,
        "actor": _filled(
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


def _filled(said: Mapping[str, Any]) -> Data:
    return {key: value for key, value in said.items() if value not in ("", None)}


def _what(entry: Entry) -> str:
    if entry.event == "freeze":
        return "froze"
    return "; ".join(f"{each.verb} {' '.join(each.names)}".strip() for each in entry.asked)


def _counts(difference: Diff) -> str:
    signs = (("+", difference.added), ("-", difference.removed), ("~", difference.changed))
    return " ".join(f"{sign}{len(each)}" for sign, each in signs if each)


def _diff_rows(difference: Diff) -> tuple[tuple[str, ...], ...]:
    rows: list[tuple[str, ...]] = [("+", each.name, "", each.version) for each in difference.added]
    rows += [("-", each.name, each.version, "") for each in difference.removed]
    rows += [("~", each.name, each.before.version, each.after.version) for each in difference.changed]
    return tuple(sorted(rows, key=lambda row: row[1]))


def _counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def packages_rows(snapshot: Snapshot) -> Iterable[tuple[str, str, str]]:
    """Name, version and how it came, for a list of packages."""
    for each in snapshot.packages:
        yield each.name, each.version, "asked for" if each.direct else "" if each.direct is False else "?"
