"""Mend what `check` finds in an R environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from .. import files
from ..errors import CommandFailed, RuntimeUnavailable
from ..inventory import description
from ..managers import cran
from ..model import OF_R, Environment, Finding, Package
from ..process import OnLine
from ..store import Store
from .check_r import lacking, seen, unfit
from .r_bases import r_in, r_nearest
from .r_library import at_work, change, settle
from .r_prefix import PROFILE, enter
from .record import recorded


def mended_r(store: Store, env: Environment, *, on_line: OnLine | None) -> Iterator[str | Finding]:
    """Make R see the library, and put in anew what is not whole: a sentence for each thing done, a finding for others.

    Where somebody installs into the library right now its packages are left alone. The caller holds the environment.
    Raises CommandFailed, and RuntimeUnavailable where no R of its minor version is on this machine.
    """
    if env.read_only or not env.prefix.is_dir():
        return
    yield from settle(env)
    if not env.library.is_dir():
        files.private(env.library)
        yield f"made {env.library} again"
    if not (env.prefix / PROFILE).is_file() or not _stands(store, env):
        rscript = r_nearest(store, env.r_version).path if env.container is None else env.interpreter
        enter(env, rscript)
        yield f"made R see {env.library} again"
    version = r_in(store, env).base.version
    if version != env.r_version:
        store.save(replace(store.environment(env.name), r_version=version))
        yield f"noted that it stands on R {version} now"
    if not at_work(env):
        yield from _packages(store, env, on_line)


def _stands(store: Store, env: Environment) -> bool:
    try:
        r_in(store, env)
    except RuntimeUnavailable:
        return False
    return env.container is not None or (env.prefix / "bin" / "R").exists()


def _packages(store: Store, env: Environment, on_line: OnLine | None) -> Iterator[str | Finding]:
    """Those that are not whole or were built for another R, in the version that they have; then what is lacking."""
    history = store.history(env.name)
    last = history.last()
    known = {each.name: each for each in recorded(history, last).packages if each.ecosystem in OF_R} if last else {}
    known |= {each.name: each.package() for each in description.read(env.library)}
    bad = {*description.broken(env.library), *(each.name for each in unfit(env, r_in(store, env).base))}
    mine = {name for name in bad if name not in known or known[name].origin == "index"}
    for name in sorted(bad - mine):
        yield _by_hand(known[name])
    pins = {name: f"{name}=={known[name].version}" if name in known else name for name in sorted(mine)}
    yield from _anew(env, pins, on_line)
    # What config.yaml lists may name a version, and counts before what only needs the package.
    found = sorted(lacking(env, seen(env)), key=lambda each: not each.owner)
    needed = {each.name: each.name if each.owner else each.text for each in found}
    yield from _anew(env, {name: said for name, said in needed.items() if name not in bad}, on_line)


def _by_hand(package: Package) -> Finding:
    """No repository has it, and what they have by its name and version may be another."""
    came = f"came from {package.url or 'a file'}"
    return Finding(code="repair-failed", message=f"{package.name} {package.version} {came}: put it in again by hand")


def _anew(env: Environment, specs: Mapping[str, str], on_line: OnLine | None) -> Iterator[str | Finding]:
    """All together, in the order in which they need each other; what cannot be had then does not hinder the others."""
    if not specs:
        return
    try:
        change(env, cran.install(env.library, tuple(specs.values())), on_line=on_line)
    except CommandFailed as error:
        if len(specs) > 1:
            for name, said in specs.items():
                yield from _anew(env, {name: said}, on_line)
            return
        (said,) = specs.values()
        last = (error.hint.strip().splitlines() or [error.message])[-1]
        yield Finding(code="repair-failed", message=f"{said.replace('==', ' ')} could not be installed: {last}")
    else:
        yield from (f"installed {said.replace('==', ' ')} anew" for said in specs.values())
