"""What ran, and what a shell is told."""

from __future__ import annotations

from collections.abc import Sequence

from ...actions.loaded import Restart, Stale
from ...history import Entry
from .view import Data, View, counted

_NAMED = 5
"""How many packages a sentence names; the data has them all."""


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


def restart_sentence(restart: Restart) -> str:
    """Why a running kernel must be restarted, in one sentence for its notebook, or ""."""
    if not restart:
        return ""
    reasons = [f"Python {restart.python[0]} runs, {restart.python[1]} is installed"] if restart.python else []
    reasons += [each.sentence for each in restart.stale[:_NAMED]]
    if len(restart.stale) > _NAMED:
        reasons.append(f"and {counted(len(restart.stale) - _NAMED, 'package')} more")
    if not reasons:
        return "Restart needed: this environment was replaced since the kernel started."
    return f"Restart needed: {'; '.join(reasons)}."


def restart_data(restart: Restart) -> Data:
    return {
        "needed": bool(restart),
        "replaced": restart.replaced,
        "python": list(restart.python) if restart.python else None,
        "modules": stale_data(restart.stale),
    }


def stale_data(stale: Sequence[Stale]) -> list[Data]:
    return [
        {
            "module": each.module,
            "package": each.package,
            "loaded": each.loaded or None,
            "installed": each.installed or None,
        }
        for each in stale
    ]
