"""Make a new environment from a lock or an environment.yml, and compare it with what was asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement

from .. import files, process, runtimes
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats.environment_yml import EnvironmentYml, Wish
from ..formats.pylock import PylockToml, parse
from ..inventory.dist_info import canonical
from ..managers import uv
from ..model import Actor, Diff, Environment, Package, Snapshot
from ..process import OnLine
from ..store import Store
from .bases import interpreter
from .create import Plan, create
from .diff import diff
from .observe import observe


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The new environment, what was expected of it, and what of that could not be fetched (listed, not hidden)."""

    environment: Environment
    expected: Snapshot | None
    missing: tuple[Package, ...] = ()
    other_python: tuple[str, str] | None = None


def restore(
    store: Store,
    source: Path,
    *,
    name: str | None,
    actor: Actor,
    force: bool = False,
    python: str | None = None,
    on_line: OnLine | None = None,
) -> Restored:
    """Make the environment `name` (default: the one that the file or its folder names) from `source`.

    A pylock.toml gives exactly its files, every hash checked. An environment.yml gives its versions from the index.
    Raises InvalidInput for a file that is neither; CommandFailed when something cannot be had or the result differs
    from what was asked for. Then nothing is left behind.
    """
    text = _text(source)
    if source.suffix == ".toml":
        return _from_lock(store, source, text, name=name, actor=actor, force=force, python=python, on_line=on_line)
    return _from_wish(store, source, text, name=name, actor=actor, force=force, python=python, on_line=on_line)


def _from_lock(
    store: Store,
    source: Path,
    text: str,
    *,
    name: str | None,
    actor: Actor,
    force: bool,
    python: str | None,
    on_line: OnLine | None,
) -> Restored:
    expected = PylockToml().load(text, source=str(source))
    there = {each.name for each in parse(text, str(source)).packages}
    missing = tuple(each for each in expected.packages if each.name not in there)
    fetched = replace(expected, packages=tuple(each for each in expected.packages if each.name in there))

    def fill(env: Environment) -> None:
        # uv takes a lock only under its standard name.
        lock = env.prefix / "pylock.toml"
        files.replace(lock, text)
        process.run(runtimes.get(env.runtime).command(env, uv.sync(env.python, lock)), on_line=on_line)
        files.remove(lock)
        _same(fetched, observe(store, env), source)

    chosen = _python(store, python or expected.language_version)
    plan = Plan(name=name or source.absolute().parent.name, python=chosen, force=force)
    env = create(store, plan, actor=actor, fill=fill, on_line=on_line)
    return Restored(
        environment=env,
        expected=expected,
        missing=missing,
        other_python=_other(expected.language_version, env),
    )


def _from_wish(
    store: Store,
    source: Path,
    text: str,
    *,
    name: str | None,
    actor: Actor,
    force: bool,
    python: str | None,
    on_line: OnLine | None,
) -> Restored:
    wish = EnvironmentYml().load(text, source=str(source))

    def fill(env: Environment) -> None:
        pip = (f"pip=={wish.pip}",) if wish.pip else ()
        listed = "".join(f"{each}\n" for each in (*pip, *wish.requirements))
        if listed:
            job = uv.install_listed(env.python, listed)
            process.run(runtimes.get(env.runtime).command(env, job), on_line=on_line)
        _met(wish, observe(store, env), source)

    plan = Plan(
        name=name or wish.name or source.absolute().parent.name,
        python=_python(store, python or wish.python),
        force=force,
    )
    env = create(store, plan, actor=actor, fill=fill, on_line=on_line)
    return Restored(environment=env, expected=None, other_python=_other(wish.python, env))


def _text(source: Path) -> str:
    try:
        return source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {source}: {error}", hint="give a pylock.toml or an environment.yml") from error


def _python(store: Store, wanted: str) -> str | None:
    """The version itself where this machine has it, else the same minor version."""
    if not wanted:
        return None
    try:
        return str(interpreter(store, wanted).path)
    except RuntimeUnavailable:
        return str(interpreter(store, ".".join(wanted.split(".")[:2])).path)


def _other(wanted: str, env: Environment) -> tuple[str, str] | None:
    same = not wanted or env.python_version == wanted or env.python_version.startswith(f"{wanted}.")
    return None if same else (wanted, env.python_version)


def _same(expected: Snapshot, found: Snapshot, source: Path) -> None:
    difference = diff(replace(expected, language_version=found.language_version), found)
    if difference:
        raise CommandFailed(f"what {source} gave is not what it says", hint=described(difference))


def _met(wish: Wish, found: Snapshot, source: Path) -> None:
    """Every requirement of the file is met by what was installed."""
    for text in wish.requirements:
        if text.startswith("-"):
            continue
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate():
            continue
        package = found.package(canonical(requirement.name))
        if package is None or not requirement.specifier.contains(package.version, prereleases=True):
            there = package.version if package else "nothing"
            raise CommandFailed(f"what {source} gave is not what it says", hint=f"{text}: {there} is installed")


def described(difference: Diff) -> str:
    """The difference, one line each: + added, - removed, ~ changed."""
    lines = [f"+ {each.name} {each.version}" for each in difference.added]
    lines += [f"- {each.name} {each.version}" for each in difference.removed]
    lines += [f"~ {each.name} {each.before.version} -> {each.after.version}" for each in difference.changed]
    if difference.interpreter:
        lines.append(f"~ python {difference.interpreter[0]} -> {difference.interpreter[1]}")
    return "\n".join(lines)
