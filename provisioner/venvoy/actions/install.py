"""Put packages into an environment or take them out, and write it down."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .. import files, process, runtimes
from ..errors import InvalidInput
from ..history import Entry
from ..inventory.dist_info import canonical
from ..managers import uv
from ..model import Actor, Asked, Environment, Job
from ..process import OnLine
from ..store import Store
from .create import DEV_REQUIREMENTS, REQUIREMENTS
from .lists import bare, entries, merged, named, requirement, without_names
from .observe import observe
from .record import record


def install(
    store: Store,
    env: Environment,
    requirements: tuple[str, ...],
    *,
    actor: Actor,
    lists: tuple[Path, ...] = (),
    dev: bool = False,
    on_line: OnLine | None = None,
) -> Entry | None:
    """Install requirements (PEP 508) and what requirements files list; returns the new entry of the record, or None.

    Raises InvalidInput for what is no requirement, CommandFailed when uv cannot do it; then nothing was changed.
    """
    parsed = tuple(requirement(each) for each in requirements)
    job = uv.install(env.python, *requirements, files=lists)
    asked = (Asked(tool="venvoy", verb="install", names=tuple(sorted(canonical(each.name) for each in parsed))),)
    with store.held(env.name):
        entry = _changed(store, env, job, actor, asked if parsed else (), on_line)
        current = store.environment(env.name)
        if dev:
            store.save(replace(current, dev_packages=merged(current.dev_packages, requirements)))
        else:
            store.save(replace(current, packages=merged(current.packages, requirements)))
        _list(store, current, DEV_REQUIREMENTS if dev else REQUIREMENTS, requirements)
    return entry


def remove(
    store: Store, env: Environment, names: tuple[str, ...], *, actor: Actor, on_line: OnLine | None = None
) -> Entry | None:
    """Remove packages by name. Raises InvalidInput for what is not installed, then nothing was changed."""
    wanted = tuple(sorted(canonical(requirement(each).name) for each in names))
    there = {each.name for each in observe(store, env).packages}
    if missing := [each for each in wanted if each not in there]:
        raise InvalidInput(
            f"{', '.join(missing)} is not installed in {env.name!r}", hint=f"see: venvoy show {env.name}"
        )
    asked = (Asked(tool="venvoy", verb="remove", names=wanted),)
    with store.held(env.name):
        entry = _changed(store, env, uv.remove(env.python, *wanted), actor, asked, on_line)
        current = store.environment(env.name)
        store.save(
            replace(
                current,
                packages=without_names(current.packages, wanted),
                dev_packages=without_names(current.dev_packages, wanted),
            )
        )
        for name in (REQUIREMENTS, DEV_REQUIREMENTS):
            _list(store, current, name, (), without=wanted)
    return entry


def _changed(
    store: Store, env: Environment, job: Job, actor: Actor, asked: tuple[Asked, ...], on_line: OnLine | None
) -> Entry | None:
    process.run(runtimes.get(env.runtime).command(env, job), on_line=on_line)
    return record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked)


def _list(store: Store, env: Environment, name: str, added: tuple[str, ...], *, without: Iterable[str] = ()) -> None:
    """Have the environment's own requirements file say the same, so that `init --force` builds the same again."""
    file = store.folder(env.name) / name
    written = file.read_text("utf-8") if file.exists() else ""
    gone = frozenset(without).union(canonical(requirement(each).name) for each in added)
    # A requirement may go on over several lines, each but the last ending in a backslash.
    kept = [each for each in entries(written) if not named(bare(each), gone)]
    text = "".join(f"{each}\n" for each in (*kept, *added))
    if text != written and not env.adopted:
        files.replace(file, text)
