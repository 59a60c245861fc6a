"""What `verify` found: as text, as data, and as one page that can be printed and sent."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ...actions.verify import CLAIMS, LEVELS, Deviation, Level, Report
from .view import Data, View, counted

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1 { font-size: 1.4rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
td, th { border: 1px solid #ccc; padding: .3rem .6rem; text-align: left; vertical-align: top; overflow-wrap: anywhere; }
th { background: #f4f4f4; }
@media print { body { margin: 0; } }
"""


_WIDE = 80
"""Characters that a column takes; what is longer stands above the table."""


def report_view(report: Report) -> View:
    lines = [f"{report.subject}, against {report.against}: {_sentence(report)}", ""]
    lines += [f"  {level}  {_mark(report, level):12} {_looked(report, level)}" for level in LEVELS]
    lines += [f"  not compared: {reason} ({counted(count, 'file')})" for reason, count in report.excluded.items()]
    lines += [f"  {each}" for each in report.notes]
    if report.context:
        lines += ["", "Other than when it was first archived (no deviations):"]
        lines += [f"  {each}" for each in report.context]
    if report.deviations and any(each.level in ("L1", "L2") for each in report.deviations) and report.mend:
        lines += ["", f"mend it: {report.mend}"]
    if report.deviations:
        lines += ["", f"{counted(len(report.deviations), 'deviation')}:"]
        lines += [f"  {each.what}" for each in report.deviations if len(each.what) > _WIDE]
    return View(
        data=report_data(report),
        head="\n".join(lines),
        columns=("level", "what", "expected", "found", "file"),
        rows=tuple(
            (each.level, _short(each.what, _WIDE), _short(each.expected), _short(each.found), each.file)
            for each in report.deviations
        ),
    )


def report_data(report: Report) -> Data:
    return {
        "subject": report.subject,
        "against": report.against,
        "reached": report.reached,
        "levels": [
            {
                "level": level,
                "claim": CLAIMS[level],
                "holds": None if level not in report.checked else not any(_of(report, level)),
                "checked": report.checked.get(level),
                "skipped": report.skipped.get(level),
            }
            for level in LEVELS
        ],
        "deviations": [
            {
                "level": each.level,
                "what": each.what,
                "package": each.package or None,
                "file": each.file or None,
                "expected": each.expected or None,
                "found": each.found or None,
            }
            for each in report.deviations
        ],
        "excluded": [{"reason": reason, "files": count} for reason, count in report.excluded.items()],
        "context": list(report.context),
        "notes": list(report.notes),
    }


def page(report: Report, *, at: str, version: str) -> str:
    """One HTML page that needs nothing but itself; `at` is when the report was made."""
    title = f"{report.subject}: {report.reached or 'no level'} reached"
    levels = [(level, CLAIMS[level], _mark(report, level), _looked(report, level)) for level in LEVELS]
    faults = [(each.level, each.what, each.expected, each.found, each.file) for each in report.deviations]
    parts = [
        f"<h1>{escape(report.subject)}</h1><p>against {escape(report.against)}</p>",
        f"<p><strong>{escape(_sentence(report))}</strong></p>",
        _table(("level", "claim", "result", "what was looked at"), levels),
        "<h2>Deviations</h2>",
        _table(("level", "what", "expected", "found", "file"), faults) if faults else "<p>None.</p>",
        "<h2>Not compared</h2>",
        _list(f"{reason} ({counted(count, 'file')})" for reason, count in report.excluded.items()),
        "<h2>Differences of the machine, which are no deviations</h2>",
        _list(report.context),
        _list(report.notes),
        f"<p>Made {escape(at)} by venvoy {escape(version)}. A level says what was compared, and no more.</p>",
    ]
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _sentence(report: Report) -> str:
    reached = report.reached
    head = f"{reached} reached ({CLAIMS[reached].partition(':')[0]})." if reached else "no level is reached."
    open_ = [level for level in LEVELS if level in report.skipped]
    return head + (f" {', '.join(open_)} {'was' if len(open_) == 1 else 'were'} not checked." if open_ else "")


def _of(report: Report, level: Level) -> Iterable[Deviation]:
    return (each for each in report.deviations if each.level == level)


def _mark(report: Report, level: Level) -> str:
    if level not in report.checked:
        return "not checked"
    return "deviates" if any(_of(report, level)) else "holds"


def _looked(report: Report, level: Level) -> str:
    return report.checked.get(level) or report.skipped.get(level, "")


def _short(said: str, width: int = 20) -> str:
    line = said.partition("\n")[0]
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(each)}</th>" for each in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _list(items: Iterable[str]) -> str:
    listed = "".join(f"<li>{escape(each)}</li>" for each in items)
    return f"<ul>{listed}</ul>" if listed else "<p>None.</p>"
