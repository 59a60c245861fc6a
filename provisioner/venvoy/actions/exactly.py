"""Make exactly the packages of a snapshot the content of an empty prefix."""

from __future__ import annotations

from dataclasses import replace

from .. import files, process
from ..engine.request import Request, Source
from ..formats.environment_yml import requirement as pin
from ..formats.pylock import PylockToml, is_pinned
from ..managers import conda as engine
from ..managers import uv
from ..model import Environment, Job, OnProgress, Package, Snapshot
from ..process import OnLine
from ..store import Store, reached_by
from . import conda
from .bases import base_in
from .exactly_r import exactly_r
from .start_of import start_of
from .stock import TRUST, Stock, WouldRun


def exactly(
    store: Store,
    env: Environment,
    snapshot: Snapshot,
    *,
    stock: Stock,
    command: str = "",
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Put the packages in, conda's first; each with its very file where the snapshot names it.

    `env` is the generation under way. Raises CommandFailed where something cannot be had, or is not what its hash says.
    """
    if env.also:
        for half, state in zip(env.halves, snapshot.halves, strict=True):
            exactly(store, replace(half, also=()), state, stock=stock, on_line=on_line, on_progress=on_progress)
        return
    if env.language == "r":
        exactly_r(store, env, snapshot, stock, on_line=on_line, on_progress=on_progress)
        return
    from_index = snapshot.of("pypi")
    if env.runtime == "conda" and from_index and not stock.trusted:
        raise WouldRun(f"its own Python would be run, to put in {from_index[0].name}", hint=TRUST)
    if env.runtime == "conda":
        request = Request(
            verb="exactly",
            source=_source(env, snapshot.packages, stock),
            prefix=str(env.prefix),
            written_for=str(reached_by(env.prefix, env.generation or "")),
            pins=engine.pins(snapshot.packages),
            specs=env.conda_packages,
            command=command,
        )
        conda.ask(request, doing=f"cannot make {env.name!r}", on_line=on_line, on_progress=on_progress)
    if from_index:
        _from_index(store, env, replace(snapshot, packages=from_index), stock, on_line)


def _source(env: Environment, packages: tuple[Package, ...], stock: Stock) -> Source:
    channels = conda.channels_of(packages)
    if stock.channels is not None:
        return conda.served(channels, stock.channels, cache=stock.cache)
    return conda.source(channels or env.channels, offline=stock.offline, prefix=env.prefix)


def _from_index(store: Store, env: Environment, snapshot: Snapshot, stock: Stock, on_line: OnLine | None) -> None:
    if stock.lock is not None:
        _run(env, uv.from_lock(env.python, stock.lock), stock, on_line)
    elif all(map(is_pinned, snapshot.packages)):
        base = base_in(store, env)
        lock = env.prefix / "pylock.toml"
        files.replace(lock, PylockToml().dump(replace(snapshot, language_version=base.version, platform=base.platform)))
        _run(env, uv.from_lock(env.python, lock), stock, on_line)
        files.remove(lock)
    else:
        listed = "".join(f"{pin(each)}\n" for each in snapshot.packages)
        _run(env, uv.exactly(env.python, listed, find_links=stock.wheels), stock, on_line)


def _run(env: Environment, job: Job, stock: Stock, on_line: OnLine | None) -> None:
    job = uv.offline(job) if stock.offline else job
    process.run(start_of(env, job), on_line=on_line)
