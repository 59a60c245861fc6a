"""What ran, and what a shell is told."""

from __future__ import annotations

from collections.abc import Sequence

from ...history import Entry
from .view import View


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
