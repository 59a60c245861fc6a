"""Find the containers that venvoy has made and nobody wants any more, and remove them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import process, runtimes
from ..errors import CommandFailed, RuntimeUnavailable
from ..runtimes import owner
from ..runtimes.oci import OWNER, OciRuntime
from .detect import Detected, detect

_PATIENCE = 10.0
_OVER = ("exited", "dead", "stopped")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Stray:
    """A container that is left over; `state` is the engine's word ("created", "running", "exited")."""

    runtime: str
    name: str
    environment: str
    state: str
    id: str


def strays(detected: Detected | None = None) -> tuple[Stray, ...]:
    """All that are left over of this user's on this machine; an engine that does not answer has none to tell of.

    A container is left over when the process that started it is no more, or when it has ended and the session of its
    kernel is no more. Of other users and machines nothing is known, and theirs are never among them.
    """
    detected = detected or detect()
    usable = {each.name: each for each in detected.runtimes if each.usable}
    engines = [each for each in usable.values() if not (each.name != each.engine and each.engine in usable)]
    return tuple(sorted(stray for each in engines for stray in _of(each.name)))


def remove(stray: Stray) -> None:
    """End and remove it. Raises CommandFailed, RuntimeUnavailable."""
    runtime = runtimes.get(stray.runtime)
    assert isinstance(runtime, OciRuntime)  # noqa: S101  # the others have none
    process.run(runtime.stop(stray.id), timeout=_PATIENCE)


def _of(name: str) -> Iterator[Stray]:
    runtime = runtimes.get(name)
    if not isinstance(runtime, OciRuntime):
        return
    us = owner.ourselves()
    for said in _described(runtime):
        labels = (said.get("Config") or {}).get("Labels") or {}
        state = str((said.get("State") or {}).get("Status", ""))
        if _unwanted(labels, state, us):
            yield Stray(
                runtime=name,
                name=str(said.get("Name", "")).removeprefix("/"),
                environment=str(labels.get(f"{OWNER}.environment", "")),
                state=state,
                id=str(said.get("Id", "")),
            )


def _unwanted(labels: Mapping[str, str], state: str, us: owner.Owner) -> bool:
    theirs = owner.read(str(labels.get(f"{OWNER}.owner", "")))
    if theirs is None or (theirs.host, theirs.user) != (us.host, us.user):
        return False
    if owner.gone(theirs, us):
        return True
    # A service may have a /tmp of its own, so a session that is not seen says nothing of a container that runs.
    session = labels.get(f"{OWNER}.session", "")
    return bool(session) and state in _OVER and not Path(session).exists()


def _described(runtime: OciRuntime) -> Iterator[Mapping[str, Any]]:
    try:
        ids = process.run(runtime.ours(), timeout=_PATIENCE).split()
    except (CommandFailed, RuntimeUnavailable):
        return
    try:
        yield from _said(runtime, ids) if ids else ()
    except CommandFailed:  # one has gone meanwhile
        for each in ids:
            try:
                yield from _said(runtime, (each,))
            except CommandFailed:
                continue


def _said(runtime: OciRuntime, ids: Iterable[str]) -> list[Mapping[str, Any]]:
    said: list[Mapping[str, Any]] = json.loads(process.run(runtime.described(ids), timeout=_PATIENCE))
    return said
