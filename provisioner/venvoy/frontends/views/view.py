"""One answer in three forms, and the words that all answers share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

from ...model import Actor

Data = dict[str, Any]

# Attributes where styles are taken away (GitHub), styles where a sheet is stronger than attributes (JupyterLab, whose
# sanitizer knows just these). Long paths and digests break, so that a table is no wider than a page.
_CELL = 'align="left" valign="top" style="text-align:left;vertical-align:top;max-width:32em;overflow-wrap:break-word"'


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
        columns = "".join(f"<th {_CELL}>{escape(each)}</th>" for each in self.columns)
        body = "".join(
            "<tr>" + "".join(f"<td {_CELL}>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows
        )
        return f"<div>{head}<table><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"


def moment(at: datetime) -> str:
    """A time as every JSON of ours has it: UTC, to the second."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def counted(count: int, one: str, many: str = "") -> str:
    return f"{count} {one if count == 1 else many or f'{one}s'}"


def size_of(size: int) -> str:
    value = float(size)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def who(actor: Actor) -> str:
    """Who made a change, in a few words."""
    if actor.kind == "cell":
        cell = f"cell [{actor.count}]" if actor.count is not None else "a cell"
        return f"{cell} of {actor.notebook.rpartition('/')[2]}" if actor.notebook else cell
    if actor.kind == "sidebar":
        return f"sidebar: {actor.command}" if actor.command else "sidebar"
    return actor.command if actor.kind == "command" else "terminal"
