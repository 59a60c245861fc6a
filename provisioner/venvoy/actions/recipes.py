"""How a file is followed that says what should be installed: on which interpreter, by which jobs, with which result."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from packaging.pylock import is_valid_pylock_path
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from .. import files, process
from ..engine.request import name_in
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats.environment_yml import requirement as pin
from ..formats.pylock import PylockToml, parse
from ..formats.reading import Read
from ..formats.requirements_in import hashed
from ..formats.subdirs import subdir_of
from ..inventory import fit
from ..inventory.dist_info import canonical
from ..managers import uv
from ..model import (
    OF_R,
    Base,
    Container,
    Diff,
    Environment,
    Job,
    Kind,
    Language,
    OnProgress,
    Package,
    Repository,
    Snapshot,
    Wish,
)
from ..process import OnLine
from ..settings import this_platform
from ..store import Store
from . import conda
from .bases import VERSION, base_of_image, environment_of_image, interpreter, interpreters, nearest
from .create import absolute
from .diff import base_lines, diff, normal, on_those_of
from .exactly import exactly
from .named_r import named_r
from .observe import observe
from .r_bases import r_in, r_nearest, r_wanted
from .start_of import start_of
from .stock import Stock

RELEASED: Mapping[str, date] = {
    "3.6": date(2016, 12, 23),
    "3.7": date(2018, 6, 27),
    "3.8": date(2019, 10, 14),
    "3.9": date(2020, 10, 5),
    "3.10": date(2021, 10, 4),
    "3.11": date(2022, 10, 24),
    "3.12": date(2023, 10, 2),
    "3.13": date(2024, 10, 7),
    "3.14": date(2025, 10, 7),
}
"""When each Python came out (devguide.python.org/versions)."""
NO_STOCK = Stock()
USUAL = 180
"""Days after which most packages have wheels for a new Python."""


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """What whoever restores has chosen: another Python or `r`, no network, the index as it stood on a day.

    `runtime` is None where the file itself says what it needs; `channels` are those of a conda environment, instead of
    the file's, `repositories` those that an R environment keeps to; `scripts` allows conda packages' own scripts to
    run; `stock` has files that need no network. `place` is the container runtime, and how the image is run in it, that
    a venv is made in.
    """

    runtime: Kind | None = None
    place: tuple[str, Container] | None = None
    python: str | None = None
    r: str | None = None
    repositories: tuple[Repository, ...] = ()
    channels: tuple[str, ...] = ()
    scripts: bool = False
    offline: bool = False
    stock: Stock = NO_STOCK
    as_of: date | None = None
    command: str = ""
    on_line: OnLine | None = None
    on_progress: OnProgress | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a file is followed: `fill` installs and compares, `listed` are the requirements that somebody chose.

    `pins` is the requirements.txt from which `init --force` makes the same again; `exact` says that nothing but what
    the file names may be there, not even pip. `base` is None for a conda environment, which is made of `specs` from
    `channels`; an R environment stands on the R of that `language`, and lists `specs`. One of Python speaks `also` R
    where it has a `beside`, the base of that, and `specs` are of it.
    """

    name: str
    python: str
    base: Base | None
    fill: Callable[[Environment], None]
    pins: str
    language: Language = "python"
    beside: Base | None = None
    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] = ()
    exact: bool = False
    expected: Snapshot | None = None
    missing: tuple[Package, ...] = ()
    listed: tuple[Requirement, ...] = ()
    remarks: tuple[str, ...] = ()


def recipe(store: Store, said: Read, how: How) -> Recipe:
    """How to follow what a file says. Raises RuntimeUnavailable where no interpreter fits it, InvalidInput."""
    if how.as_of and how.as_of > datetime.now(UTC).date():
        raise InvalidInput(f"{how.as_of} is still to come", hint="give a day that has been: --as-of 2021-06-01")
    if how.as_of and said.wish is None:
        raise InvalidInput(f"{said.file} is a lock: it says itself what to install", hint="leave out --as-of")
    if said.wish is not None:
        if said.wish.r and how.runtime is None:
            return _of_r_names(store, said, said.wish, how)
        if (how.runtime or ("conda" if said.wish.beyond and not how.place else "venv")) == "conda":
            return _of_conda_wish(store, said, said.wish, how)
        return _of_wish(store, said, said.wish, how)
    snapshot = said.states(subdir_of(this_platform())) if said.states else said.snapshot
    by_r = snapshot.halves[1] if snapshot and snapshot.r_version else said.by_r
    _refuse_other(said, how, snapshot.kind if snapshot else "venv", both=by_r is not None)
    if snapshot and snapshot.kind == "r":
        return _of_r(store, said, snapshot, how)
    first = _of_snapshot(store, said, snapshot.halves[0], how) if snapshot else _of_lock(store, said, how)
    return _of_both(first, _of_r(store, said, by_r, how)) if by_r else first


def _refuse_other(said: Read, how: How, kind: Kind, *, both: bool = False) -> None:
    """Raise InvalidInput where a lock is to become another kind of environment than the one that it locks."""
    if how.runtime and kind == "r":
        raise InvalidInput(f"{said.file} locks an R environment", hint="leave out --runtime")
    if (how.python and kind == "r") or (how.r and kind != "r" and not both):
        language, option = ("an R", "--r-version") if kind == "r" else ("a Python", "--python")
        raise InvalidInput(f"{said.file} locks {language} environment", hint=f"its version is chosen with {option}")
    if how.runtime not in (None, kind):
        raise InvalidInput(f"{said.file} locks a {kind} environment", hint=f"make that: --runtime {kind}")
    if how.place and kind == "conda":
        raise InvalidInput(f"{said.file} locks a conda environment", hint="it brings its own Python: --runtime conda")


def _base(store: Store, wanted: str, how: How) -> Base:
    """The interpreter that is asked for, or the nearest to what the file wants; in a container the image's own."""
    if how.place:
        return base_of_image(store, *how.place)
    return interpreter(store, how.python) if how.python else nearest(store, wanted)


def described(difference: Diff) -> str:
    """The difference, one line each: + added, - removed, ~ changed."""
    lines = [f"+ {each.name} {each.version}" for each in difference.added]
    lines += [f"- {each.name} {each.version}" for each in difference.removed]
    lines += [f"~ {each.name} {_seen(each.before)} -> {_seen(each.after)}" for each in difference.changed]
    if difference.interpreter:
        lines.append(f"~ python {difference.interpreter[0]} -> {difference.interpreter[1]}")
    return "\n".join([*lines, *base_lines(difference.base)])


def _of_lock(store: Store, said: Read, how: How) -> Recipe:
    """A lock of anybody's, by `uv pip sync`, every hash checked."""
    base, text, expected = _fitting(store, said, how)
    pinned = {each.name for each in parse(text, str(said.file)).packages}
    fetched = replace(expected, packages=tuple(each for each in expected.packages if each.name in pinned))
    source = said.file.absolute()

    def fill(env: Environment) -> None:
        lock = source
        # uv takes a lock only under its standard name, and paths in it are seen from where it lies.
        if said.kind != "pylock" or not is_valid_pylock_path(source):
            beside = "path = " in text and said.kind == "pylock"
            lock = source.with_name(f"pylock.{env.generation}.toml") if beside else env.prefix / "pylock.toml"
            files.replace(lock, text)
        try:
            _run(env, uv.from_lock(env.python, lock), how)
        finally:
            if lock != source:
                files.remove(lock)
        _same(fetched, observe(store, env), source)

    return Recipe(
        name=said.name,
        python=how.python or _version(said.python),
        base=base,
        fill=fill,
        pins="".join(f"{_source(each)}\n" for each in fetched.packages),
        exact=True,
        expected=expected,
        missing=tuple(each for each in expected.packages if each.name not in pinned),
        listed=tuple(_pin(each) for each in fetched.packages if each.direct),
        remarks=said.remarks,
    )


def _of_snapshot(store: Store, said: Read, snapshot: Snapshot, how: How) -> Recipe:
    """A record of a state: its very files where they are named, else its versions, and nothing more."""
    base = None
    if snapshot.kind == "venv":
        base = _base(store, snapshot.language_version, how)
    elif how.python:
        raise InvalidInput(f"{said.file} locks its own Python, {snapshot.language_version}", hint="leave out --python")

    def fill(env: Environment) -> None:
        stock = replace(how.stock, offline=how.offline)
        exactly(
            store, env, snapshot, stock=stock, command=how.command, on_line=how.on_line, on_progress=how.on_progress
        )
        _same(snapshot, observe(store, env), said.file)

    return Recipe(
        name=said.name,
        python=how.python or snapshot.language_version,
        base=base,
        fill=fill,
        pins="".join(f"{pin(each)}\n" for each in snapshot.of("pypi")),
        channels=snapshot.channels or conda.channels_of(snapshot.packages),
        specs=_chosen(snapshot),
        exact=True,
        expected=snapshot,
        remarks=said.remarks,
    )


def _of_r_names(store: Store, said: Read, wish: Wish, how: How) -> Recipe:
    """The very versions of an R environment's record, by the names that the repositories have for them."""
    _refuse_other(said, how, "r")
    if how.as_of:
        raise InvalidInput(f"{said.file} says itself which versions to install", hint="leave out --as-of")
    if how.offline:
        raise InvalidInput(
            f"{said.file} says not how R calls its packages, and without network nobody can be asked",
            hint="a renv.lock says it",
        )
    snapshot = named_r(wish, _base_of_r(store, wish.r, how), how.place, source=said.file, on_line=how.on_line)
    remark = f"{said.file.name} names nothing but R's packages: it is made in R; by conda: --runtime conda"
    return _of_r(store, replace(said, remarks=(remark, *said.remarks)), snapshot, how)


def _base_of_r(store: Store, version: str, how: How) -> Base:
    """The R that is asked for, or the nearest to the version; in a container the image's own."""
    if how.place:
        return r_in(store, environment_of_image(*how.place, language="r")).base
    return r_wanted(store, how.r) if how.r else r_nearest(store, version)


def _of_r(store: Store, said: Read, snapshot: Snapshot, how: How) -> Recipe:
    """The very versions of a state, on the R that is nearest to that of the state, and nothing more."""
    base = _base_of_r(store, snapshot.language_version, how)

    def fill(env: Environment) -> None:
        exactly(store, env, snapshot, stock=replace(how.stock, offline=how.offline), on_line=how.on_line)
        _same(snapshot, observe(store, env), said.file)

    needed = {name for each in snapshot.packages for name in each.depends}
    told = any(each.direct for each in snapshot.packages)
    return Recipe(
        name=said.name,
        python=how.r or snapshot.language_version,
        base=base,
        fill=fill,
        pins="",
        language="r",
        specs=tuple(each.name for each in snapshot.packages if (each.direct if told else each.name not in needed)),
        exact=True,
        expected=snapshot,
        remarks=said.remarks,
    )


def _of_both(first: Recipe, second: Recipe) -> Recipe:
    """A lock of Python and R: each half as it is followed alone, into one prefix."""

    def fill(env: Environment) -> None:
        first.fill(replace(env, also=()))
        second.fill(replace(env.speaking("r"), also=()))

    expected = first.expected.beside(second.expected) if first.expected and second.expected else None
    return replace(first, fill=fill, beside=second.base, specs=second.specs, expected=expected)


def _chosen(snapshot: Snapshot) -> tuple[str, ...]:
    """What of a conda snapshot somebody asked for, as far as it says; else what nothing else in it needs."""
    by_conda = snapshot.of("conda")
    needed = {name_in(need) for each in by_conda for need in each.depends}
    told = any(each.direct for each in by_conda)
    chosen = [each for each in by_conda if (each.direct if told else each.name not in needed)]
    minor = ".".join(snapshot.language_version.split(".")[:2])
    return tuple(f"python={minor}" if each.name == "python" else each.name for each in chosen)


def _of_conda_wish(store: Store, said: Read, wish: Wish, how: How) -> Recipe:
    """Match specs, solved by the conda engine; requirements, resolved by uv on top of them."""
    folder = said.file.absolute().parent
    channels = how.channels or wish.channels or conda.channels()
    specs = _with_python(wish, how.python)
    then = datetime.combine(how.as_of + timedelta(days=1), time(), UTC).isoformat() if how.as_of else ""

    def fill(env: Environment) -> None:
        conda.fill(
            env,
            conda.source(channels, offline=how.offline, prefix=env.prefix),
            specs,
            as_of=then,
            scripts=how.scripts,
            command=how.command,
            on_line=how.on_line,
            on_progress=how.on_progress,
        )
        if wish.requirements:
            listed = "".join(f"{each}\n" for each in wish.requirements)
            job = uv.install_listed(
                env.python, listed, folder=folder, hashes=hashed(wish.requirements), as_of=how.as_of
            )
            _run(env, job, how)
        _met(wish, observe(store, env), said.file)

    return Recipe(
        name=said.name,
        python=how.python or _version(wish.python),
        base=None,
        fill=fill,
        pins=absolute("".join(f"{each}\n" for each in wish.requirements), folder),
        channels=channels,
        specs=specs,
        listed=_requirements(wish),
        remarks=said.remarks,
    )


def _with_python(wish: Wish, python: str | None) -> tuple[str, ...]:
    """The specs, with the Python that is wanted instead of the file's, and with one where requirements need it."""
    named = {name_in(each) for each in wish.conda}
    rest = tuple(each for each in wish.conda if name_in(each) != "python")
    if python and not VERSION.fullmatch(python):
        raise InvalidInput(f"{python!r} is not a version of Python", hint="write it as 3.12 or 3.12.1")
    if python:
        return (f"python={python}", *rest)
    if wish.requirements and "python" not in named:
        return ("python", *(() if "pip" in named else ("pip",)), *rest)
    return wish.conda


def _of_wish(store: Store, said: Read, wish: Wish, how: How) -> Recipe:
    """Requirements, resolved by uv; what comes out must meet them. Raises InvalidInput for what no venv can take."""
    if wish.beyond:
        raise InvalidInput(
            f"{said.file}: {', '.join(wish.beyond)} can only come from conda",
            hint="make a conda environment: --runtime conda; a venv takes what stands under 'pip:': move them there if "
            "the Python index has them",
        )
    folder = said.file.absolute().parent

    def fill(env: Environment) -> None:
        if wish.requirements:
            listed = "".join(f"{each}\n" for each in wish.requirements)
            job = uv.install_listed(
                env.python, listed, folder=folder, hashes=hashed(wish.requirements), as_of=how.as_of
            )
            try:
                _run(env, job, how)
            except CommandFailed as error:
                raise (_too_new(error, base, python) if other else error) from error
        _met(wish, observe(store, env), said.file)

    python = how.python or said.python or (usual(how.as_of) if how.as_of else "")
    base = _base(store, python, how) if how.python or how.place else _near(store, python, how)
    other = bool(how.as_of and _version(python) and not base.version.startswith(python))
    if other and how.on_line:
        how.on_line(f"Python {python} was usual then and is not on this machine; taking {base.version}")
    return Recipe(
        name=said.name,
        python=_version(python),
        base=base,
        fill=fill,
        pins=absolute("".join(f"{each}\n" for each in wish.requirements), folder),
        listed=_requirements(wish),
        remarks=said.remarks,
    )


def _too_new(error: CommandFailed, base: Base, python: str) -> CommandFailed:
    """The failure of an old project on a Python that came after it."""
    return CommandFailed(
        f"packages of that time could not be had for Python {base.version}; the Python of then was {python}",
        hint=f"fetch it: {uv.program()} python install {python}\n{error.hint}",
        code=error.code,
    )


def usual(day: date) -> str:
    """The Python that most people used on a day: the newest that had been out for half a year."""
    out = [version for version, came in RELEASED.items() if (day - came).days >= USUAL]
    return out[-1] if out else next(iter(RELEASED))


def _run(env: Environment, job: Job, how: How) -> None:
    job = uv.offline(job) if how.offline else job
    process.run(start_of(env, job), on_line=how.on_line)


def _fitting(store: Store, said: Read, how: How) -> tuple[Base, str, Snapshot]:
    """The interpreter for a lock, the lock's text for it, and what that gives an environment on it.

    It is the one that the user wants, or the one that the lock was made on, or the newest that the lock has files for.
    """

    def given(base: Base) -> tuple[Base, str, Snapshot]:
        text = said.lock(_variables(base)) if said.lock else ""
        return base, text, PylockToml().load(text, source=str(said.file), base=base).halves[0]

    if how.python or how.place or re.fullmatch(r"[0-9.]+", said.python):
        return given(_base(store, said.python, how))
    refused = RuntimeUnavailable("there is no Python for environments here")
    for base in interpreters(store):
        if said.python and not SpecifierSet(said.python).contains(base.version, prereleases=True):
            continue
        try:
            return given(base)
        except RuntimeUnavailable as error:
            refused = error
    raise refused


def _variables(base: Base) -> Mapping[str, str]:
    """PEP 508's variables of an interpreter."""
    return fit.markers(base.version, base.platform)


def _near(store: Store, wanted: str, how: How) -> Base:
    """The interpreter for a wish; of an old time the nearest one that this machine has."""
    if not wanted:
        return interpreter(store, None)
    try:
        return nearest(store, wanted)
    except RuntimeUnavailable:
        if how.as_of is None:
            raise
        minor = int(wanted.split(".")[1])
        return min(interpreters(store), key=lambda base: abs(int(base.minor.split(".")[1]) - minor))


def _version(said: str) -> str:
    """The version that a file names, "" where it names a range."""
    return said if re.fullmatch(r"[0-9]+(\.[0-9]+)*((a|b|rc)[0-9]+)?", said) else ""


def _same(expected: Snapshot, found: Snapshot, source: Path) -> None:
    if expected.language == "r":
        # What came from the other half of the lock is there already.
        found = replace(found, packages=tuple(each for each in found.packages if each.ecosystem in OF_R))
    there = {each.name: each for each in found.packages}
    wanted = tuple(
        normal(replace(each, version=each.version or (there[each.name].version if each.name in there else "")))
        for each in expected.packages
    )
    got = replace(found, packages=tuple(map(normal, found.packages)))
    difference = diff(on_those_of(found, replace(expected, packages=wanted)), got)
    if difference:
        raise CommandFailed(f"what {source} gave is not what it says", hint=described(difference))


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
            found.append(Requirement(re.split(r"\s(?:#|--)", line, maxsplit=1)[0]))
        except InvalidRequirement:
            continue
    return tuple(found)
