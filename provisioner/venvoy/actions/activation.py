"""What activating a conda prefix changes, found out once and applied to whatever runs in it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from .. import files, process
from ..errors import CommandFailed, RuntimeUnavailable
from ..model import Command, Environment, Job
from ..store import Store
from .start_of import start_of

_PATIENCE = 30
"""Seconds for all scripts together; a script that asks a question or waits for a network is given up."""
_MARK = "/venvoy-path-of-before"
_OWN = frozenset({"PATH", "PWD", "OLDPWD", "SHLVL", "_", "HOME"})
_SOURCE = 'for each do . "$each"; done; exec env -0'


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """The variables that are set or, with None, taken away; folders put before and behind PATH; and what went wrong."""

    variables: Mapping[str, str | None] = field(default_factory=dict)
    search: tuple[Path, ...] = ()
    tools: tuple[Path, ...] = ()
    problem: str = ""


def activated(store: Store, env: Environment, job: Job) -> Job:
    """The job as it runs in the activated environment; a venv needs no more than its runtime gives."""
    if env.runtime != "conda":
        return job
    found = activation(store, env)
    return replace(
        job,
        variables={**found.variables, **job.variables},
        search=(*job.search, *found.search),
        tools=(*found.tools, *job.tools),
    )


def activation(store: Store, env: Environment) -> Activation:
    """What the prefix's activation scripts and variables change.

    The scripts run when they are new or have changed, in a shell that reads nobody's startup files; what they did is
    kept beside the environment's config.yaml. One that fails is told in `problem`, and the others count.
    """
    scripts = _in(env.prefix, "etc/conda/activate.d", ".sh")
    stated = (*_in(env.prefix, "etc/conda/env_vars.d", ".json"), env.prefix / "conda-meta" / "state")
    key = _key(env, (*scripts, *stated))
    kept = store.folder(env.name) / "activation.json"
    try:
        said = json.loads(kept.read_text("utf-8"))
        if said["key"] == key:
            return _read(said)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _ran(env, scripts, dict(_variables(stated)))
    said = {
        "key": key,
        "variables": found.variables,
        "search": [*map(str, found.search)],
        "tools": [*map(str, found.tools)],
        "problem": found.problem,
    }
    files.replace(kept, json.dumps(said, sort_keys=True), mode=0o600, lasting=False)
    return found


def _read(said: Mapping[str, Any]) -> Activation:
    return Activation(
        variables=said["variables"],
        search=tuple(map(Path, said["search"])),
        tools=tuple(map(Path, said["tools"])),
        problem=said["problem"],
    )


def _in(prefix: Path, folder: str, suffix: str) -> tuple[Path, ...]:
    try:
        return tuple(sorted(each for each in (prefix / folder).iterdir() if each.suffix == suffix))
    except OSError:
        return ()


def _key(env: Environment, scripts: tuple[Path, ...]) -> str:
    told = [str(env.prefix)]
    for each in scripts:
        try:
            status = each.stat()
        except OSError:
            continue
        told.append(f"{each.name}:{status.st_mtime_ns}:{status.st_size}:{status.st_ino}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _variables(stated: tuple[Path, ...]) -> Iterator[tuple[str, str | None]]:
    """What packages and `conda env config vars set` have written down; the latter counts more and comes last."""
    for file in stated:
        try:
            said = json.loads(files.content(file))
        except (OSError, ValueError, RecursionError):
            continue
        table = said.get("env_vars") if file.name == "state" and isinstance(said, dict) else said
        for name, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str):
                yield name, None if value == "***unset***" else value


def _ran(env: Environment, scripts: tuple[Path, ...], stated: Mapping[str, str | None]) -> Activation:
    if not scripts:
        return Activation(variables=stated)
    shell = shutil.which("bash") or "/bin/sh"
    job = Job(
        argv=(shell, "-c", _SOURCE, shell, *map(str, scripts)),
        variables={**stated, "PATH": f"{_MARK}:/usr/local/bin:/usr/bin:/bin", "BASH_ENV": None, "ENV": None},
        cwd=Path("/"),
    )
    command = start_of(env, job)
    before = process.environment(command)
    try:
        printed = process.run(command, timeout=_PATIENCE)
    except (CommandFailed, RuntimeUnavailable) as error:
        return Activation(variables=stated, problem=f"the activation scripts of {env.name!r} failed: {error}")
    after = dict(each.partition("=")[::2] for each in printed.split("\0") if "=" in each)
    changed = {name: value for name, value in after.items() if before.get(name) != value and name not in _OWN}
    gone = {name: None for name in before if name not in after and name not in _OWN}
    search, tools = _path(after.get("PATH", ""), command)
    return Activation(variables={**stated, **changed, **gone}, search=search, tools=tools)


def _path(path: str, command: Command) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The folders that were put before and behind what PATH was."""
    folders = [each for each in path.split(os.pathsep) if each]
    if _MARK not in folders:
        return (), ()
    position = folders.index(_MARK)
    known = {*map(str, command.search), "/usr/local/bin", "/usr/bin", "/bin"}
    head = tuple(Path(each) for each in folders[:position] if each not in known)
    tail = tuple(Path(each) for each in folders[position + 1 :] if each not in known)
    return head, tail
