"""Which container runtimes are here, and which one is taken by which rule."""

from __future__ import annotations

from ...actions.detect import Choice, Detected, Found
from .view import Data, View


def runtimes_view(detected: Detected, choice: Choice | None, *, problem: str = "") -> View:
    """Without a choice `problem` says why: one is named that cannot be used."""
    machine, chosen = detected.machine, choice.runtime if choice else None
    return View(
        data={
            "machine": {
                "host": machine.host,
                "cluster": machine.cluster,
                "scheduler": machine.scheduler or None,
                "in_job": machine.in_job,
                "signs": [{"kind": each.kind, "told": each.told} for each in machine.signs],
            },
            "chosen": chosen.name if chosen else None,
            "rule": choice.rule if choice else None,
            "problem": problem or None,
            "runtimes": [_data(each) for each in detected.runtimes],
        },
        head="\n".join((_place(detected), _chosen(choice, problem), *_cures(detected))),
        columns=("runtime", "version", "usable", "why", "path"),
        rows=tuple(_row(each) for each in detected.runtimes),
    )


def _place(detected: Detected) -> str:
    machine = detected.machine
    signs = "; ".join(each.told for each in machine.signs)
    if machine.cluster:
        what = f"this is a cluster's machine ({machine.scheduler or 'no scheduler found'})"
        return f"{what}, in a job: {signs}" if machine.in_job else f"{what}: {signs}"
    return f"this is no cluster's machine, though {signs}" if signs else "this is no cluster's machine"


def _chosen(choice: Choice | None, problem: str) -> str:
    if choice is None:
        return f"containers: {problem}"
    if choice.runtime is None:
        return "containers: none can be used; environments are made as venv or conda, which need none"
    return f"containers: {choice.runtime.name}, because it is {choice.rule}"


def _cures(detected: Detected) -> tuple[str, ...]:
    """What mends those that are here and cannot be used."""
    return tuple(f"{each.name}: {each.cure}" for each in detected.runtimes if each.path and not each.usable)


def _data(found: Found) -> Data:
    return {
        "name": found.name,
        "engine": found.engine,
        "path": str(found.path) if found.path else None,
        "version": found.version or None,
        "usable": found.usable,
        "rootless": found.rootless,
        "problem": found.problem or None,
        "cure": found.cure or None,
        "remarks": list(found.remarks),
    }


def _row(found: Found) -> tuple[str, ...]:
    why = found.problem or "; ".join(found.remarks)
    if found.path and found.engine != found.name:
        why = f"it is {found.engine.capitalize()}" + (f"; {why}" if why else "")
    return (found.name, found.version, "yes" if found.usable else "no", why, str(found.path or ""))
