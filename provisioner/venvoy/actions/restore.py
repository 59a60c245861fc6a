"""Make a new environment from a lock or an environment.yml, and compare it with what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.pylock import is_valid_pylock_path
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from .. import files, process, runtimes
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats.environment_yml import EnvironmentYml
from ..formats.pylock import PylockToml, parse
from ..inventory import fit
from ..inventory.dist_info import canonical
from ..managers import uv
from ..model import Actor, Asked, Base, Diff, Environment, Package, Snapshot, Wish
from ..process import OnLine
from ..store import Store
from .bases import VERSION, interpreter, interpreters
from .create import Plan, absolute, create
from .diff import diff
from .observe import observe
from .record import record


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """The new environment, what was expected of it, and what of that could not be fetched (listed, not hidden).

    `other_python` is the Python that was asked for and the one that it has, None where they are the same.
    """

    environment: Environment
    expected: Snapshot | None
    missing: tuple[Package, ...] = ()
    other_python: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recipe:
    """How a file is followed: `fill` installs and compares, `listed` are the requirements that somebody chose.

    `pins` is the requirements.txt from which `init --force` makes the same again.
    """

    name: str
    python: str
    base: Base
    fill: Callable[[Environment], None]
    pins: str
    expected: Snapshot | None = None
    missing: tuple[Package, ...] = ()
    listed: tuple[Requirement, ...] = ()


def restore(
    store: Store,
    source: Path,
    *,
    name: str | None,
    actor: Actor,
    force: bool = False,
    python: str | None = None,
    offline: bool = False,
    on_line: OnLine | None = None,
) -> Restored:
    """Make the environment `name` (default: the one that the file or its folder names) from `source`.

    A pylock.toml gives exactly its files, every hash checked. An environment.yml gives its versions from the index.
    Raises InvalidInput for a file that is neither; RuntimeUnavailable where no interpreter fits it; CommandFailed when
    something cannot be had or the result differs from what was asked for. Then nothing is left behind. With `offline`
    no network is touched: files that lie beside a lock, and uv's cache, must do.
    """
    source = source.absolute()
    is_lock = source.suffix == ".toml"
    recipe = (_lock_recipe if is_lock else _wish_recipe)(store, source, python, offline=offline, on_line=on_line)
    name = name or recipe.name or source.parent.name
    # A lock says whether there is a pip; without network none could be had.
    seed = not (is_lock or offline)
    plan = Plan(name=name, python=str(recipe.base.path), pins=recipe.pins, force=force, seed=seed)
    env = create(store, plan, actor=actor, fill=recipe.fill, on_line=on_line)
    return Restored(
        environment=_noted(store, env, recipe.listed, actor),
        expected=recipe.expected,
        missing=recipe.missing,
        other_python=_other(recipe.python, env.python_version),
    )


def described(difference: Diff) -> str:
    """The difference, one line each: + added, - removed, ~ changed."""
    lines = [f"+ {each.name} {each.version}" for each in difference.added]
    lines += [f"- {each.name} {each.version}" for each in difference.removed]
    lines += [f"~ {each.name} {_seen(each.before)} -> {_seen(each.after)}" for each in difference.changed]
    if difference.interpreter:
        lines.append(f"~ python {difference.interpreter[0]} -> {difference.interpreter[1]}")
    return "\n".join(lines)


def _lock_recipe(
    store: Store, source: Path, python: str | None, *, offline: bool, on_line: OnLine | None
) -> _Recipe:
    text = _text(source)
    said = PylockToml().load(text, source=str(source))
    base, expected = _fitting(store, text, source, python, said.language_version)
    pinned = {each.name for each in parse(text, str(source)).packages}
    fetched = replace(expected, packages=tuple(each for each in expected.packages if each.name in pinned))

    def fill(env: Environment) -> None:
        lock = source
        if not is_valid_pylock_path(source):  # uv takes a lock only under its standard name
            lock = env.prefix / "pylock.toml"
            files.replace(lock, text)
        job = uv.sync(env.python, lock)
        process.run(runtimes.get(env.runtime).command(env, uv.offline(job) if offline else job), on_line=on_line)
        if lock != source:
            files.remove(lock)
        _same(fetched, observe(store, env), source)

    return _Recipe(
        name="",
        python=python or said.language_version,
        base=base,
        fill=fill,
        pins="".join(f"{_source(each)}\n" for each in fetched.packages),
        expected=expected,
        missing=tuple(each for each in expected.packages if each.name not in pinned),
        listed=tuple(_pin(each) for each in fetched.packages if each.direct),
    )


def _wish_recipe(
    store: Store, source: Path, python: str | None, *, offline: bool, on_line: OnLine | None
) -> _Recipe:
    wish = EnvironmentYml().load(_text(source), source=str(source))

    def fill(env: Environment) -> None:
        if wish.requirements:
            listed = "".join(f"{each}\n" for each in wish.requirements)
            job = uv.install_listed(env.python, listed, folder=source.parent)
            process.run(runtimes.get(env.runtime).command(env, uv.offline(job) if offline else job), on_line=on_line)
        _met(wish, observe(store, env), source)

    return _Recipe(
        name=wish.name,
        python=python or wish.python,
        base=interpreter(store, python) if python else _base(store, wish.python),
        fill=fill,
        pins=absolute("".join(f"{each}\n" for each in wish.requirements), source.parent),
        listed=_requirements(wish),
    )


def _text(source: Path) -> str:
    try:
        return source.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {source}: {error}", hint="give a pylock.toml or an environment.yml") from error


def _fitting(store: Store, text: str, source: Path, python: str | None, recorded: str) -> tuple[Base, Snapshot]:
    """The interpreter for a lock, and what the lock gives an environment on it.

    It is the one that the user wants, or the one that the lock was made on, or the newest that the lock has files for.
    """
    if python or recorded:
        base = interpreter(store, python) if python else _base(store, recorded)
        return base, PylockToml().load(text, source=str(source), base=base)
    refused = RuntimeUnavailable("there is no Python for environments here")
    for base in interpreters(store):
        try:
            return base, PylockToml().load(text, source=str(source), base=base)
        except RuntimeUnavailable as error:
            refused = error
    raise refused


def _base(store: Store, wanted: str) -> Base:
    """The version itself where this machine has it, else the same minor version."""
    try:
        return interpreter(store, wanted)
    except RuntimeUnavailable:
        if not VERSION.fullmatch(wanted):
            raise
        return interpreter(store, ".".join(wanted.split(".")[:2]))


def _other(wanted: str, given: str) -> tuple[str, str] | None:
    same = not VERSION.fullmatch(wanted) or given == wanted or given.startswith(f"{wanted}.")
    return None if same else (wanted, given)


def _same(expected: Snapshot, found: Snapshot, source: Path) -> None:
    there = {each.name: each for each in found.packages}
    wanted = tuple(
        _normal(replace(each, version=each.version or (there[each.name].version if each.name in there else "")))
        for each in expected.packages
    )
    got = replace(found, packages=tuple(map(_normal, found.packages)))
    difference = diff(replace(expected, language_version=found.language_version, packages=wanted), got)
    if difference:
        raise CommandFailed(f"what {source} gave is not what it says", hint=described(difference))


def _normal(package: Package) -> Package:
    """The package with its version as PEP 440 normalises it, which a lock does and a package's author need not."""
    try:
        return replace(package, version=str(Version(package.version)))
    except InvalidVersion:
        return package


def _seen(package: Package) -> str:
    return package.version if package.origin == "index" else f"{package.version} ({package.url})"


def _met(wish: Wish, found: Snapshot, source: Path) -> None:
    """Every requirement of the file is met by what was installed."""
    markers = fit.markers(found.language_version, found.platform) | {"extra": ""}
    for requirement in _requirements(wish):
        if requirement.marker and not requirement.marker.evaluate(markers):
            continue
        package = found.package(canonical(requirement.name))
        if package is None or not _within(package.version, requirement.specifier):
            there = package.version if package else "nothing"
            raise CommandFailed(f"what {source} gave is not what it says", hint=f"{requirement}: {there} is installed")


def _pin(package: Package) -> Requirement:
    return Requirement(f"{package.name}=={package.version}" if package.version else package.name)


def _source(package: Package) -> str:
    """The package as a line of a requirements file."""
    return str(_pin(package)) if package.origin == "index" else f"{package.name} @ {package.url}"


def _within(version: str, specifier: SpecifierSet) -> bool:
    try:
        return specifier.contains(Version(version), prereleases=True)
    except InvalidVersion:
        return str(specifier) in ("", f"==={version}")


def _requirements(wish: Wish) -> tuple[Requirement, ...]:
    """What the file asks for by name; options, paths and plain URLs are the installer's business."""
    found = []
    for line in wish.requirements:
        try:
            found.append(Requirement(line.partition(" #")[0].partition(" --")[0]))
        except InvalidRequirement:
            continue
    return tuple(found)


def _noted(store: Store, env: Environment, listed: tuple[Requirement, ...], actor: Actor) -> Environment:
    """Write down what somebody chose by name; a record, which pins every package there is, says nothing of that."""
    names = {canonical(each.name) for each in listed}
    there = {each.name for each in observe(store, env).packages}
    pinned = all(each.url or str(each.specifier).startswith("==") for each in listed)
    if not names or (pinned and names.issuperset(there - {"pip"})):
        return env
    with store.held(env.name):
        noted = replace(env, packages=tuple(map(str, listed)), dev_packages=())
        store.save(noted)
    asked = (Asked(tool="venvoy", verb="install", names=tuple(sorted(names))),)
    record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=asked)
    return noted
