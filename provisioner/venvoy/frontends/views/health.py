"""What `check` found and `repair` did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...actions.strays import Stray
from ...model import Finding
from .data import finding_data
from .view import View, counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What `check` found in one environment."""

    name: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Warnings leave an environment usable."""
        return all(each.severity != "error" for each in self.findings)


def checked_view(
    examined: Sequence[Examined], *, orphans: Sequence[Path], strays: Sequence[Stray], removed: bool
) -> View:
    lines = [line for each in examined for line in _checked_lines(each)]
    gone = f"a kernelspec whose environment is gone{', removed' if removed else ''}"
    lines += [f"{folder}: {gone}" for folder in orphans]
    over = f"a container that nobody wants any more{', removed' if removed else ''}"
    lines += [f"{each.runtime} {each.name} ({each.environment}, {each.state}): {over}" for each in strays]
    if (orphans or strays) and not removed:
        lines.append("  mend it: venvoy check --fix")
    return View(
        data={
            "ok": all(each.ok for each in examined) and (removed or not orphans),
            "environments": [
                {"name": each.name, "ok": each.ok, "findings": [finding_data(found) for found in each.findings]}
                for each in examined
            ],
            "orphans": [{"kernelspec": str(folder), "removed": removed} for folder in orphans],
            "strays": [
                {
                    "runtime": each.runtime,
                    "container": each.name,
                    "environment": each.environment,
                    "state": each.state,
                    "removed": removed,
                }
                for each in strays
            ],
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


def _checked_lines(examined: Examined) -> Iterable[str]:
    if not examined.findings:
        yield f"{examined.name}: all is well."
        return
    errors = sum(each.severity == "error" for each in examined.findings)
    counts = ((errors, "error"), (len(examined.findings) - errors, "warning"))
    yield f"{examined.name}: {', '.join(counted(count, what) for count, what in counts if count)}."
    yield from _finding_lines(examined.findings)


def _finding_lines(findings: Iterable[Finding]) -> Iterable[str]:
    for each in findings:
        yield f"  {each.severity}: {each.message} [{each.code}]"
        yield from (f"    mend it: {line}" for line in each.mend.splitlines())
