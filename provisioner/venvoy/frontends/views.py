"""How results are shown: as data (the documented JSON), as text, and as HTML that a saved notebook keeps readable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from ..actions.freeze import Frozen
from ..actions.restore import Restored
from ..actions.status import State, Status
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a list says of one environment; `environment` and `state` are None where that could not be read."""

    name: str
    environment: Environment | None = None
    packages: int | None = None
    state: State | None = None
    kernel: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What `check` found in one environment."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Warnings leave an environment usable."""
        return all(each.severity != "error" for each in self.findings)


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


def made_view(env: Environment, *, project: Path, kernel: str | None) -> View:
    head = [
        f"{env.name}: Python {env.python_version} in {env.prefix}",
        f"kernel in Jupyter: {kernel or 'none yet'}",
        f"record: {project}",
        "",
        f"venvoy install {env.name} numpy   # packages",
        f"venvoy run {env.name}             # a shell in it",
    ]
    return View(
        data={"environment": environment_data(env), "project": str(project), "kernel": kernel}, head="\n".join(head)
    )


def environments_view(seen: Sequence[Glance]) -> View:
    return View(
        data={"environments": [_glance_data(each) for each in seen]},
        head=f"{_counted(len(seen), 'environment')}." if seen else "No environments yet. Make one: venvoy init NAME",
        columns=("name", "python", "runtime", "packages", "state", "kernel"),
        rows=tuple(_glance_row(each) for each in seen),
    )


def environment_view(
    env: Environment,
    *,
    folder: Path,
    project: Path,
    kernel: str | None,
    status: Status,
    size: int,
    problem: str,
) -> View:
    packages = status.snapshot.packages
    counts = f"{_counted(len(packages), 'package')}, {_size(size)}"
    head = [
        f"{env.name}: Python {status.snapshot.language_version}, {env.runtime}, {counts}. {status.sentence}",
        f"packages in: {env.prefix}{' (adopted)' if env.adopted else ''}",
        f"settings in: {folder}",
        f"record in: {project}",
        f"interpreter: {env.base or 'unknown'}",
        f"made: {moment(env.created)} on {env.system} {env.architecture}",
        f"kernel in Jupyter: {kernel or 'none'}",
    ]
    if env.env_file:
        head.append(f"variables from: {', '.join(map(str, env.env_file))}")
    return View(
        data={
            "environment": environment_data(env),
            "folder": str(folder),
            "project": str(project),
            "kernel": kernel,
            "state": status.state,
            "size": size,
            "problem": problem or None,
            "packages": [package_data(each) for each in packages],
        },
        head="\n".join(head),
        columns=("package", "version", "", "origin"),
        rows=tuple((*row, _origin(each)) for row, each in zip(packages_rows(status.snapshot), packages, strict=True)),
    )


def deleted_view(env: Environment, *, project: Path, record: bool) -> View:
    what = "forgotten; its venv is as it was" if env.adopted else "deleted"
    return View(
        data={"deleted": env.name, "adopted": env.adopted, "project": None if record else str(project)},
        head=f"{env.name}: {what}" + ("." if record else f". Its record is kept in {project}."),
    )


def changed_view(name: str, difference: Diff) -> View:
    head = f"{name}: {_counted(len(difference), 'package')} changed." if difference else f"{name}: nothing changed."
    return View(
        data={"environment": name, "changes": diff_data(difference)},
        head=head,
        columns=("", "package", "before", "now"),
        rows=_diff_rows(difference),
    )


def checked_view(examined: Sequence[Examined], *, orphans: Sequence[Path], removed: bool) -> View:
    lines = [line for each in examined for line in _checked_lines(each)]
    gone = f"a kernelspec whose environment is gone{', removed' if removed else ''}"
    lines += [f"{folder}: {gone}" for folder in orphans]
    if orphans and not removed:
        lines.append("  mend it: venvoy check --fix")
    return View(
        data={
            "ok": all(each.ok for each in examined) and (removed or not orphans),
            "environments": [
                {"name": each.name, "ok": each.ok, "findings": [finding_data(found) for found in each.findings]}
                for each in examined
            ],
            "orphans": [{"kernelspec": str(folder), "removed": removed} for folder in orphans],
        },
        head="\n".join(lines) or "No environments yet. Make one: venvoy init NAME",
    )


def repaired_view(name: str, *, done: Sequence[str], left: Sequence[Finding]) -> View:
    lines = [f"{name}: {each}" for each in done]
    lines += [f"{name}: what is left", *_finding_lines(left)] if left else []
    return View(
        data={
            "environment": name,
            "ok": Examined(name=name, findings=tuple(left)).ok,
            "done": list(done),
            "left": [finding_data(each) for each in left],
        },
        head="\n".join(lines) or f"{name}: nothing needs mending.",
    )


def configured_view(env: Environment, *, file: Path, content: str, kernel: str | None) -> View:
    return View(
        data={"environment": environment_data(env), "file": str(file), "content": content, "kernel": kernel},
        head=f"# {file}\n{content.rstrip()}",
    )


def activation_view(name: str, *, shell: str, line: str) -> View:
    return View(data={"environment": name, "shell": shell, "line": line}, head=line)


def ran_view(name: str, *, argv: Sequence[str], exit_code: int, entry: Entry | None) -> View:
    return View(
        data={"environment": name, "argv": list(argv), "exit_code": exit_code, "recorded": entry is not None},
        head=f"{name}: {argv[0]} ended with {exit_code}",
    )


def completion_view(*, shell: str, script: str) -> View:
    return View(data={"shell": shell, "script": script}, head=script.rstrip())


def quickstart_view(*, code: int, kept: bool) -> View:
    return View(data={"exit_code": code, "kept": kept}, head="")


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


def restored_view(restored: Restored, *, kernel: str | None = None) -> View:
    env = restored.environment
    head = f"{env.name}: made with Python {env.python_version}; the packages are those that were asked for."
    head += f"\nkernel in Jupyter: {kernel or 'none yet'}"
    if restored.other_python:
        head += f"\nPython {restored.other_python[0]} was asked for and is not on this machine."
    if restored.missing:
        head += f"\n{_counted(len(restored.missing), 'package')} could not be fetched, as the lock says:"
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
            for number, (entry, difference) in shown
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


def _glance_data(seen: Glance) -> Data:
    return {
        "name": seen.name,
        "environment": environment_data(seen.environment) if seen.environment else None,
        "package_count": seen.packages,
        "state": seen.state,
        "kernel": seen.kernel,
        "problem": seen.problem or None,
    }


def _glance_row(seen: Glance) -> tuple[str, ...]:
    env = seen.environment
    return (
        seen.name,
        env.python_version if env else "?",
        f"{env.runtime}{', adopted' if env.adopted else ''}" if env else "?",
        "?" if seen.packages is None else str(seen.packages),
        seen.problem or seen.state or "?",
        seen.kernel or "none",
    )


def _checked_lines(examined: Examined) -> Iterable[str]:
    if not examined.findings:
        yield f"{examined.name}: all is well."
        return
    errors = sum(each.severity == "error" for each in examined.findings)
    counts = ((errors, "error"), (len(examined.findings) - errors, "warning"))
    yield f"{examined.name}: {', '.join(_counted(count, what) for count, what in counts if count)}."
    yield from _finding_lines(examined.findings)


def _finding_lines(findings: Iterable[Finding]) -> Iterable[str]:
    for each in findings:
        yield f"  {each.severity}: {each.message} [{each.code}]"
        yield from (f"    mend it: {line}" for line in each.mend.splitlines())


def _origin(package: Package) -> str:
    return "" if package.origin == "index" else f"{package.origin} {package.url}".strip()


def _size(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


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
