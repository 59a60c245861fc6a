"""Make exactly the packages of a snapshot the content of an empty R library."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .. import files
from ..errors import CommandFailed, RuntimeUnavailable
from ..formats.renv import checkout_of
from ..inventory import Description, description, r_files, r_tarball
from ..managers import cran
from ..model import Base, Environment, OnProgress, Package, Repository, Snapshot
from ..process import OnLine
from ..store import Store, generation_folder
from .diff import identity
from .r_bases import numbers, r_in
from .r_built import unpack_built
from .r_library import change
from .r_repository import built_in, mark, source_in
from .r_sources import comes_from, marked
from .r_vendor import fetched
from .stock import TRUST, Library, Stock, WouldRun


def exactly_r(
    store: Store,
    env: Environment,
    snapshot: Snapshot,
    stock: Stock,
    *,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Put each package in, in its very version: as it was built for this R, else from its source.

    `env` is the generation under way. Raises CommandFailed where something cannot be had, or is not what is locked.
    """
    base = r_in(store, env).base
    sources: list[tuple[Package, Path]] = []
    missing: list[Package] = []
    for package in snapshot.packages:
        if found := kept_in(stock.libraries, package, base):
            files.copy(found, env.library / package.name)
        elif stock.repository and (built := _fits(built_in(stock.repository, package, base), package)):
            _unpacked(built, env, package)
        elif stock.repository and (source := _fits(source_in(stock.repository, package), package)):
            sources.append((package, _checked(source, package)))
        else:
            missing.append(_fetchable(package, stock))
    if sources and not stock.trusted:
        raise WouldRun(
            f"{sources[0][0].name} would be compiled, and so run what its source says",
            hint=f"{TRUST}; in a container: --runtime",
        )
    with tempfile.TemporaryDirectory(prefix="venvoy-") as aside:
        fetched_now = _fetched(env, missing, Path(aside), snapshot.repositories, on_line, on_progress)
        sources += zip(missing, fetched_now, strict=True)
        if sources:
            noted = tuple(_noting(each, file, Path(aside)) for each, file in sources)
            change(env, cran.exactly(env.library, noted), on_line=on_line)


def _fetched(
    env: Environment,
    packages: list[Package],
    folder: Path,
    further: tuple[Repository, ...],
    on_line: OnLine | None,
    on_progress: OnProgress | None,
) -> list[Path]:
    """The sources of the packages, each of the hash that is locked. Raises CommandFailed where one cannot be had."""
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if on_line is not None:
            on_line(line)

    kept = fetched(env, packages, folder, further=further, on_progress=on_progress, on_line=hear)
    found = {each.name: each.file for each in kept}
    if lost := [f"{each.name} {each.version}" for each in packages if each.name not in found]:
        raise CommandFailed(f"{', '.join(lost)} cannot be had as it is locked", hint="\n".join(said[-20:]))
    return [found[each.name] for each in packages]


def _fits(file: Path | None, package: Package) -> Path | None:
    """The file, unless it is of the same version and from elsewhere; what an address gives is told by its hash."""
    by_hash = package.origin == "archive" and bool(package.sha256)
    return file if file and (comes_from(file, package) or (by_hash and files.sha256(file) == package.sha256)) else None


def _noting(package: Package, file: Path, aside: Path) -> Path:
    """The source as R shall install it: what came from an address says so, as it did where it was first installed."""
    if package.origin != "archive":
        return file
    target = aside / "noting" / file.name
    marked(file, package, target)
    return target


def _unpacked(built: Path, env: Environment, package: Package) -> None:
    unpack_built(built, env.library)
    if package.tree and package.tree != _tree(env.library, package.name):
        raise CommandFailed(f"{built.name} has not the files of {package.name} that are locked")


def _tree(library: Path, name: str) -> str:
    return next((r_files.tree(each) for each in description.read(library) if each.name == name), "")


def _checked(source: Path, package: Package) -> Path:
    if package.sha256 and files.sha256(source) != package.sha256:
        raise CommandFailed(f"{source} is not the source of {package.name} that is locked: its sha256 is another")
    r_tarball.checked(source)
    return source


def _fetchable(package: Package, stock: Stock) -> Package:
    """The package, where its repository can be asked for it. Raises CommandFailed."""
    known = (package.origin == "archive" and package.sha256) or checkout_of(package)
    if package.origin != "index" and not known:
        where = package.url or "this machine"
        raise CommandFailed(f"{package.name} {package.version} came from {where}, and is not kept anywhere")
    if stock.offline:
        raise CommandFailed(
            f"{package.name} {package.version} is not kept, neither its source nor as it was built for this R"
        )
    return package


def kept_in(libraries: tuple[Library, ...], package: Package, base: Base) -> Path | None:
    """Where that very package lies, built for that R and its system; None where it does not.

    A package of a lock says more of where it came from than one that was looked at, and what files it installs.
    """
    for library in libraries:
        for each in description.read(library.folder) if library.mark.runs_on(base) else ():
            fits = numbers(each.built)[:2] == numbers(base.version)[:2]
            if each.name == package.name and fits and _is(each, package):
                return each.folder
    return None


def _is(lying: Description, package: Package) -> bool:
    found = lying.package()
    same = (found.ecosystem, found.channel, identity(found)) == (package.ecosystem, package.channel, identity(package))
    return same and package.tree in ("", r_files.tree(lying))


def libraries_of(store: Store, env: Environment) -> tuple[Library, ...]:
    """The library that the environment has, and those that it had and that stay for going back to them."""
    return tuple(_libraries(store, env))


def _libraries(store: Store, env: Environment) -> Iterator[Library]:
    before = store.kept(env.name)
    folders = (generation_folder(each.prefix, each.generation or "") for each in before)
    for each in (env, *(replace(one, prefix=folder) for one, folder in zip(before, folders, strict=True))):
        with suppress(RuntimeUnavailable):  # nobody knows for what it was built
            if each.speaks("r"):
                yield Library(folder=each.library, mark=mark(r_in(store, each.speaking("r")).base))
