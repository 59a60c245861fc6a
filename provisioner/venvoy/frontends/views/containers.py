"""Images: what was built, and what was put into them."""

from __future__ import annotations

from ...actions.add_system import Extended
from ...actions.build import Built
from ...model import Diff
from .data import diff_data, diff_rows
from .view import View, counted


def extended_view(name: str, done: Extended) -> View:
    changes = done.changes
    head = (
        f"{name}: {counted(len(changes), 'package')} of its image changed."
        if changes
        else (f"{name}: nothing in its image changed.")
    )
    difference = Diff(base=changes)
    return View(
        data={"environment": name, "changes": diff_data(difference)},
        head=head,
        columns=("", "package", "before", "now"),
        rows=diff_rows(difference),
    )


def built_view(name: str, built: Built) -> View:
    what = str(built.file) if built.file else built.tag
    return View(
        data={
            "environment": name,
            "runtime": built.runtime,
            "tag": built.tag or None,
            "file": str(built.file) if built.file else None,
            "digest": built.digest or None,
            "platforms": list(built.platforms),
        },
        head=f"{name}: built {what} by {built.runtime}"
        + (f", for {', '.join(built.platforms)}." if built.platforms else "."),
    )
