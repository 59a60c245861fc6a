"""Look a conda prefix over; `check` says what each code means."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path

from .. import files, inventory
from ..engine.request import LOCK, name_in
from ..errors import RuntimeUnavailable
from ..inventory import conda_files, conda_meta, venv
from ..model import Environment, Finding
from ..store import Store
from .bases import base_of

_SHOWN = 3
"""How many of a list are named in a sentence."""


def of_conda(store: Store, env: Environment) -> Iterator[Finding]:
    """What is wrong with the prefix itself; what comes from the Python index is for `check`."""
    repair = f"venvoy repair {env.name}"
    if env.read_only:
        repair = f"venvoy configure {env.name} --set read_only=false, then: {repair}"
    if at_work(env.prefix):
        return  # what another process is in the middle of is no fault
    if conda_meta.unfinished(env.prefix) is not None:
        yield Finding(
            code="install-interrupted",
            message=f"{env.name!r} stands between two states: an installation was cut short",
            mend=f"{repair} (or take it back: venvoy undo {env.name})",
        )
        return
    if broken := conda_meta.broken(env.prefix):
        yield Finding(
            code="record-broken", message=f"no records of packages: {some(each.name for each in broken)}", mend=repair
        )
    if places := written_for(env):
        message = f"{env.name!r} was moved or copied: its files were written for {some(places)}"
        yield Finding(code="moved", message=message, mend=repair)
    yield from _of_packages(env, repair)
    if env.python.exists():
        try:
            base_of(store, env.python)
        except RuntimeUnavailable as error:
            yield Finding(code="interpreter-broken", message=error.message, mend=repair)


def _of_packages(env: Environment, repair: str) -> Iterator[Finding]:
    records = conda_meta.records(env.prefix)
    for name, missing in conda_files.lacking(env.prefix).items():
        yield Finding(
            code="distribution-incomplete",
            message=f"{name} is not whole: {some(missing)} {'is' if len(missing) == 1 else 'are'} not there",
            mend=repair,
        )
    there = {each.name for each in records}
    for record in records:
        lost = [need for need in record.depends if name_in(need) not in there and not need.startswith("__")]
        if lost:
            message = f"{record.name} {record.version} needs {some(lost)}, which is not installed"
            yield Finding(code="requirement-missing", message=message, mend=repair)
    for spec in env.conda_packages:
        if name_in(spec) not in there:
            mend = f"venvoy install {env.name} {shlex.quote(spec)}"
            yield Finding(
                code="package-missing", message=f"config.yaml lists {spec}, which is not installed", mend=mend
            )
    for _, sentence in shadow_sentences(env.prefix):
        mend = f"{repair} (puts conda's back)"
        yield Finding(code="package-shadowed", message=sentence, mend=mend, severity="warning")


def shadow_sentences(prefix: Path) -> Iterator[tuple[str, str]]:
    """What pip has replaced or removed of what conda installed, by name, each with the sentence for people."""
    shadowed = conda_meta.shadowed(prefix, conda_meta.records(prefix))
    if not shadowed:
        return
    by_pip = {each.name: each.version for each in inventory.packages(prefix) if each.ecosystem == "pypi"}
    for record in shadowed:
        now = by_pip.get(inventory.dist_info.canonical(record.name))
        instead = f"pip has put {now} in its place" if now else "pip has removed it"
        yield record.name, f"{record.name} {record.version} came from conda, and {instead}: conda does not know of that"


def at_work(prefix: Path) -> bool:
    """Whether the engine is changing the prefix right now."""
    return files.is_locked(prefix / conda_meta.FOLDER / LOCK)


def written_for(env: Environment) -> tuple[str, ...]:
    """Other folders that the prefix's scripts were written for."""
    return tuple(place for place in venv.written_for(env.prefix, bases=True) if "/conda-bld/" not in place)


def some(names: Iterable[str]) -> str:
    """The first few of a list, and how many more there are."""
    named = list(names)
    more = len(named) - _SHOWN
    return ", ".join(named[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
