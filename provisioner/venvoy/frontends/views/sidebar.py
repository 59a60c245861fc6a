"""What the sidebar shows, as data (frontends/server/openapi.yaml)."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...actions.listing import Listed, Wish
from ...actions.loaded import Restart, Stale
from ...actions.status import State, Status
from ...jobs import Job
from ...model import Diff, Environment, Finding
from ..binding import Bound
from .data import diff_data, environment_data, image_data, package_data
from .environments import Glance, glance_data
from .record import actor_data
from .running import restart_data, restart_sentence
from .view import Data, moment

Kind = Literal["matches", "changed", "never-frozen", "elsewhere", "restart", "broken", "unmanaged"]
STANDING: Mapping[State, Kind] = {"frozen": "matches", "changed": "changed", "never frozen": "never-frozen"}
_TONES: Mapping[Kind, str] = {
    "matches": "good",
    "changed": "notice",
    "never-frozen": "notice",
    "elsewhere": "warning",
    "restart": "warning",
    "broken": "error",
    "unmanaged": "none",
}
_ACTIONS: Mapping[Kind, str | None] = {
    "matches": None,
    "changed": "freeze",
    "never-frozen": "freeze",
    "elsewhere": "restore",
    "restart": "restart",
    "broken": "repair",
    "unmanaged": "create",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What a notebook says of its environment, and what is here of that: `since` is what changed after its last run."""

    said: Bound
    lock: Path | None = None
    present: bool = False
    known: bool = False
    since: Diff | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """A notebook that was run in an environment; `path` is the one of the contents API, None outside of its root."""

    notebook: str
    path: str | None
    running: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What an environment is, and what there is of it."""

    env: Environment
    version: str
    folder: Path
    project: Path
    lock: Path | None
    kernel: str | None
    notebooks: tuple[Used, ...]
    packages: int | None
    entries: int
    busy: bool


def standing_state(status: Status, restart: Restart | None = None) -> Data:
    """How an environment stands against its freeze; that its kernel must be restarted comes first."""
    standing = STANDING[status.state]
    said = _state(standing, status.sentence) | {
        "frozen": moment(status.frozen) if status.frozen else None,
        "count": len(status.since) if status.frozen else 0,
        "interpreter": list(status.since.interpreter) if status.frozen and status.since.interpreter else None,
        "base": bool(status.frozen and status.since.base),
        "standing": standing,
        "restart": restart_data(restart) if restart is not None else None,
    }
    if not restart:
        return said
    return said | _of("restart", restart_sentence(restart))


def elsewhere_state(recorded: Recorded) -> Data:
    """The notebook names an environment, or a state, that is not here."""
    name = recorded.said.environment
    what = f"of {name!r} that is not in the record here" if recorded.present else f"of {name!r}, which is not here"
    sentence = f"Recorded elsewhere: it was last run in a state {what}."
    if recorded.lock is None:
        return _state("elsewhere", f"{sentence} Its lock is not found.") | {"action": None}
    return _state("elsewhere", sentence)


def broken_state(message: str) -> Data:
    return _state("broken", f"{message[:1].upper()}{message[1:]}.")


def unreadable_state(message: str, hint: str) -> Data:
    """There is nothing here that could be mended from the panel."""
    return broken_state(f"{message}; {hint}" if hint else message) | {"cure": hint or None, "action": None}


def unfit_state(finding: Finding) -> Data:
    """What it stands on cannot be run at the moment."""
    repaired = finding.mend.startswith("venvoy repair")
    return broken_state(unfit_sentence(finding)) | {
        "cure": finding.mend or None,
        "action": "repair" if repaired else None,
    }


def unfit_sentence(finding: Finding) -> str:
    """What is wrong, and what mends it."""
    return f"{finding.message}; {finding.mend}" if finding.mend else finding.message


def unmanaged_state() -> Data:
    return _state("unmanaged", "No environment of venvoy is known for this notebook.")


def _of(kind: Kind, sentence: str) -> Data:
    return {"kind": kind, "sentence": sentence, "tone": _TONES[kind], "action": _ACTIONS[kind]}


def _state(kind: Kind, sentence: str) -> Data:
    rest = {
        "frozen": None,
        "count": 0,
        "interpreter": None,
        "base": False,
        "restart": None,
        "standing": None,
        "cure": None,
    }
    return {**_of(kind, sentence), **rest}


def recorded_data(recorded: Recorded) -> Data:
    return {
        "environment": recorded.said.environment,
        "snapshot": recorded.said.snapshot or None,
        "lock": str(recorded.lock) if recorded.lock else None,
        "present": recorded.present,
        "known": recorded.known,
        "since": diff_data(recorded.since) if recorded.since is not None else None,
    }


def identity_data(identity: Identity) -> Data:
    env = identity.env
    return {
        "environment": environment_data(env),
        "kind": env.runtime,
        "language": env.language,
        "version": identity.version,
        "prefix": str(env.prefix),
        "image": image_data(env.container.image) if env.container else None,
        "host": platform.node(),
        "folder": str(identity.folder),
        "project": str(identity.project),
        "lock": str(identity.lock) if identity.lock else None,
        "kernel": identity.kernel,
        "notebooks": used_data(identity.notebooks),
        "package_count": identity.packages,
        "entries": identity.entries,
        "read_only": env.read_only,
        "busy": identity.busy,
    }


def used_data(used: Sequence[Used]) -> list[Data]:
    return [{"notebook": each.notebook, "path": each.path, "running": each.running} for each in used]


def choice_data(seen: Glance, *, used: str | None, notebooks: Sequence[Used]) -> Data:
    """One line of the picker; `used` is when something last happened to it."""
    return {**glance_data(seen), "used": used, "notebooks": used_data(notebooks)}


def packages_data(name: str, listed: Iterable[Listed], *, status: Status, stale: Iterable[Stale]) -> Data:
    loaded = {each.package: each.loaded for each in stale}
    return {
        "environment": name,
        "packages": [_listed_data(each, loaded) for each in listed],
        "removed": [package_data(each) for each in status.since.removed] if status.frozen else [],
    }


def _listed_data(listed: Listed, loaded: Mapping[str, str]) -> Data:
    package = listed.package
    badges = {
        "added": listed.added,
        "changed": listed.before is not None,
        "editable": package.origin == "editable",
        "unreproducible": bool(listed.reason),
        "stale": package.name in loaded,
    }
    return {
        **package_data(package),
        "imported": listed.imported,
        "required_by": list(listed.required_by),
        "asked": _wish_data(listed.wish) if listed.wish else None,
        "badges": [badge for badge, there in badges.items() if there],
        "before": listed.before.version if listed.before else None,
        "loaded": loaded.get(package.name) or None,
        "reason": listed.reason or None,
    }


def _wish_data(wish: Wish) -> Data:
    return {
        "index": wish.number,
        "at": moment(wish.entry.at),
        "actor": actor_data(wish.entry.actor),
        "command": wish.asked.command or wish.entry.actor.command or None,
    }


def job_data(job: Job, *, notebook: str | None, file: Path | None) -> Data:
    """A job as events have it; `notebook` is an API path where the server shows it."""
    progress = job.progress
    return {
        "id": job.id,
        "seq": job.seq,
        "verb": job.verb,
        "environment": job.environment or None,
        "notebook": notebook,
        "command": job.command or None,
        "magic": job.magic or None,
        "origin": job.origin,
        "state": job.state,
        "phase": progress.phase if progress else None,
        "done": progress.done if progress else None,
        "total": progress.total if progress else None,
        "unit": progress.unit if progress else None,
        "rate": job.rate,
        "remaining": job.remaining,
        "message": job.message,
        "started": moment(job.started),
        "ended": moment(job.ended) if job.ended else None,
        "host": job.host,
        "cancellable": job.cancellable and job.open,
        "exit_code": job.exit_code,
        "error": {"kind": job.error.kind, "message": job.error.message, "hint": job.error.hint or None}
        if job.error
        else None,
        "file": {"name": file.name, "size": file.stat().st_size} if file else None,
    }
