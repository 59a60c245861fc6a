"""Mend a conda prefix: bring it to the state that it was on its way to, and put in anew what is not whole."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .. import files, inventory, process
from ..engine.request import Pin, Request
from ..errors import CommandFailed, InvalidInput
from ..inventory import conda_files, conda_meta
from ..managers import conda as engine
from ..managers import uv
from ..model import Environment
from ..process import OnLine
from ..store import Store
from . import conda
from .check_conda import some, written_for
from .create import asked_of
from .install import forget
from .kept import stock_of
from .observe import observe
from .start_of import start_of
from .under_way import under_way


def mended(store: Store, env: Environment, *, on_line: OnLine | None = None) -> Iterator[str]:
    """What was done, one sentence each. Raises CommandFailed where the files of packages cannot be had."""
    if not conda_meta.is_prefix(env.prefix):
        return
    shadowed = tuple(each.name for each in conda_meta.shadowed(env.prefix, conda_meta.records(env.prefix)))
    if (said := conda_meta.unfinished(env.prefix)) is not None:
        pins, again = _going_to(said, env)
        done = "finished the installation that was cut short"
    else:
        pins = engine.pins(each.package() for each in conda_meta.records(env.prefix))
        again = tuple(sorted({*conda_files.lacking(env.prefix), *shadowed}))
        done = f"put in anew: {some(again)}"
        if places := written_for(env):
            again = tuple(each.name for each in pins)
            done = f"wrote {env.prefix} instead of {some(places)} into its files"
    for file in conda_meta.broken(env.prefix):
        files.remove(file)
        yield f"removed {file.name}, which was no record"
    if not again:
        return
    conda_meta.clear_husks(env.prefix)
    _without_pips(env, shadowed, on_line)
    request = Request(
        verb="exactly",
        source=_source(store, env, pins),
        prefix=str(env.prefix),
        pins=pins,
        names=again,
        specs=asked_of(env),
        command=f"venvoy repair {env.name}",
    )
    conda.ask(request, doing=f"cannot mend {env.name!r}", on_line=on_line)
    # What conda has again is not asked of the index any more.
    forget(store, env.name, map(inventory.dist_info.canonical, shadowed))
    yield done


def _going_to(said: Any, env: Environment) -> tuple[tuple[Pin, ...], tuple[str, ...]]:
    """The packages that the prefix was to have, and those that were under way."""
    try:
        pins = tuple(
            Pin(**{**each, "depends": tuple(each["depends"]) if each.get("depends") is not None else None})
            for each in said["pins"]
        )
        return pins, tuple(map(str, said["names"]))
    except (KeyError, TypeError) as error:
        raise CommandFailed(
            f"nobody knows any more what {env.name!r} was to become",
            hint=f"take it back to an earlier state: venvoy restore --name {env.name} --to POINT",
        ) from error


def _source(store: Store, env: Environment, pins: tuple[Pin, ...]) -> Any:
    """What is kept, where it has all of it, or the channels."""
    stock = stock_of(store, env.name, observe(store, env))
    channels = tuple(sorted({pin.url.rpartition("/")[0].rpartition("/")[0] for pin in pins}))
    if stock.channels is not None:
        return conda.served(channels, stock.channels)
    return conda.source(channels or env.channels, prefix=env.prefix)


def _without_pips(env: Environment, shadowed: tuple[str, ...], on_line: OnLine | None) -> None:
    """Have uv take away what pip put in the place of conda's, with all its files."""
    there = {each.name for each in inventory.packages(env.prefix) if each.ecosystem == "pypi"}
    names = tuple(name for each in shadowed if (name := inventory.dist_info.canonical(each)) in there)
    if not names:
        return
    try:
        process.run(start_of(env, uv.remove(env.python, *names)), on_line=on_line, begun=under_way(env.prefix))
    except CommandFailed as error:
        raise InvalidInput(f"{some(names)} could not be removed: {error.message}", hint=error.hint) from error
