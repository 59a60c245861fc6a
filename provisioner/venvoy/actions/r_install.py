"""Put R packages into an environment or take them out, and write it down."""

from __future__ import annotations

import re

from .. import cancelling
from ..errors import CommandFailed, InvalidInput
from ..history import Entry
from ..inventory import description
from ..managers import cran
from ..model import Actor, Asked, Environment, Job
from ..process import OnLine
from ..store import Store
from .note import note
from .r_library import change


def r_install(
    store: Store, env: Environment, specs: tuple[str, ...], *, actor: Actor, on_line: OnLine | None = None
) -> Entry | None:
    """Install packages ("name" for the newest, "name==1.0") with what they need; the caller holds the environment.

    Raises InvalidInput for what is no package, CommandFailed when it cannot be done; then nothing of it was changed.
    """
    names = tuple(sorted(cran.spec(each)[0] for each in specs))
    asked = Asked(tool="venvoy", verb="install", names=names)
    _change(env, cran.install(env.library, specs), on_line)
    return _noted(store, env, actor, asked, specs)


def r_remove(
    store: Store, env: Environment, names: tuple[str, ...], *, actor: Actor, on_line: OnLine | None = None
) -> Entry | None:
    """Remove packages by name; the caller holds the environment.

    Raises InvalidInput for what is not installed, then nothing was changed.
    """
    there = {each.name for each in description.read(env.library)}
    if missing := sorted(set(names) - there):
        raise InvalidInput(
            f"{', '.join(missing)} is not installed in {env.name!r}", hint=f"see: venvoy show {env.name}"
        )
    asked = Asked(tool="venvoy", verb="remove", names=tuple(sorted(names)))
    _change(env, cran.remove(env.library, tuple(dict.fromkeys(names))), on_line)
    return _noted(store, env, actor, asked)


def _change(env: Environment, job: Job, on_line: OnLine | None) -> None:
    try:
        change(env, job, on_line=on_line)
    except CommandFailed as error:
        raise _in_words(error, env) from error


def _noted(store: Store, env: Environment, actor: Actor, asked: Asked, specs: tuple[str, ...] = ()) -> Entry | None:
    """Write it down, and have config.yaml list `specs` and nothing else of these names."""
    with cancelling.whole():
        entry = note(store, env, actor=actor, asked=(asked,))
        current = store.environment(env.name)
        kept = (each for each in current.speaking("r").packages if cran.spec(each)[0] not in asked.names)
        store.save(current.listing_r((*kept, *specs)))
        cancelling.too_late()
    return entry


def _in_words(error: CommandFailed, env: Environment) -> CommandFailed:
    """R's failure as one sentence, before all that it printed."""
    if found := re.search(r"(?:packages?|dependenc(?:y|ies)) (\W.+?) (?:is|are) not available", error.hint):
        names = ", ".join(re.findall(r"[A-Za-z][\w.]*", found[1]))
        return CommandFailed(
            f"no repository of {env.name!r} has {names} for R {env.r_version}",
            hint=f"look whether it is written so: R tells capitals from small letters\n{error.hint}",
            code=error.code,
        )
    lines = [line.strip().removeprefix("Error: ") for line in error.hint.splitlines() if line.strip()]
    told = [line for line in lines if re.search(r" is in none of: | could not be installed", line)]
    return CommandFailed(
        f"R cannot change {env.name!r}: {(told or lines or [error.message])[-1]}", hint=error.hint, code=error.code
    )
