"""Keep R packages: the source of each from its repository, and what was built of it, as it lies in the library."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .. import files, process
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats import renv
from ..inventory import Description, description, r_files, r_tarball
from ..managers import cran
from ..model import OF_R, Base, Environment, OnProgress, Package, Progress, Repository
from ..process import OnLine
from ..store import Store
from .kept import Kept, Lost, as_kept
from .r_bases import r_in
from .r_built import pack_built
from .r_repository import built_at, source_at
from .r_sources import checked_out, comes_from
from .start_of import start_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What is kept of the packages now, how many files of it are new, what is kept of other versions, what is lost."""

    kept: tuple[Kept, ...]
    new: int
    older: tuple[Kept, ...]
    lost: tuple[Lost, ...]


def bring_r(
    store: Store,
    env: Environment,
    packages: Sequence[Package],
    repository: Path,
    before: Iterable[Kept],
    *,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Brought:
    """Have a source and a built file of each package in the folder `repository`, as far as either can be had.

    `before` is what lies there with the right hash. Sources of other versions go into the repository's archive, as a
    CRAN has them. What has neither is lost. Raises RuntimeUnavailable where the environment's R does not run.
    """
    before = tuple(each for each in before if each.ecosystem in OF_R)
    if not packages and not before:
        return Brought(kept=(), new=0, older=(), lost=())
    wanted = {(each.name, each.version): each for each in packages}
    placed = [_placed(each, wanted, repository) for each in before if each.built != "library"]
    had = {each.name: each for each in placed if _is_wanted(each, wanted)}
    older = tuple(each for each in placed if (each.name, each.version) not in wanted)
    todo = [each for each in packages if each.name not in had and each.origin != "local"]
    new_ones = {each.name: each for each in fetched(env, todo, repository, on_progress=on_progress, on_line=on_line)}
    built, new, reasons = _built(store, env, packages, repository, before, on_progress)
    has = (had.keys() | new_ones.keys(), {each.name for each in built})
    for each in packages:
        if on_line is not None and each.name in has[1] - has[0]:
            on_line(f"{each.name} {each.version}: no source of it, only what was built for this R")
    return Brought(
        kept=(*had.values(), *new_ones.values(), *built),
        new=len(new_ones) + new,
        older=older,
        lost=tuple(
            Lost(package=each, reason=reasons.get(each.name, "none of the repositories has its source"))
            for each in packages
            if each.name not in has[0] | has[1]
        ),
    )


def _is_wanted(each: Kept, wanted: dict[tuple[str, str], Package]) -> bool:
    package = wanted.get((each.name, each.version))
    if package is None or package.sha256 not in ("", each.sha256):
        return False
    return package.origin != "vcs" or comes_from(each.file, package)


def _placed(each: Kept, wanted: dict[tuple[str, str], Package], repository: Path) -> Kept:
    """The source where it belongs now: in the archive once the lock has another version."""
    place = repository / source_at(each.name, each.version, old=(each.name, each.version) not in wanted)
    if place != each.file:
        place.parent.mkdir(parents=True, exist_ok=True)
        each.file.replace(place)
    return replace(each, file=place)


# --- sources ---------------------------------------------------------------------------------------------------------


def fetched(
    env: Environment,
    packages: Sequence[Package],
    repository: Path,
    *,
    further: tuple[Repository, ...] = (),
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Iterator[Kept]:
    """Put sources into the folder `repository`, each of the hash that is locked where one is; others are passed over.

    Those that the lock names by address and hash are fetched from there, commits by git, and the others by R from its
    repositories, and then from `further` ones.
    """
    from .. import fetch  # noqa: PLC0415  # 0.1 s, and whoever attends a kernel learns of this module, too

    wanted = {
        each.name: fetch.Wanted(
            urls=renv.places(each), file=repository / source_at(each.name, each.version), sha256=each.sha256
        )
        for each in packages
        if each.sha256 and each.url
    }
    for one in wanted.values():
        one.file.parent.mkdir(parents=True, exist_ok=True)
    lost = fetch.fetch(tuple(wanted.values()), on_progress=on_progress)
    missed = {each.wanted.file for each in lost}
    if on_line is not None:
        for miss in lost:
            on_line(f"{miss.wanted.file.name}: {miss.reason}")
    left = []
    for each in packages:
        if each.name in wanted and wanted[each.name].file not in missed:
            yield as_kept(each, wanted[each.name].file)
        elif each.origin == "index":
            left.append(each)
        elif each.origin == "vcs" and (kept := _by_git(each, repository, on_line)):
            yield kept
    if left:
        yield from _by_r(env, left, repository, tuple(each.url for each in further), on_line)


def _by_git(package: Package, repository: Path, on_line: OnLine | None) -> Kept | None:
    target = repository / source_at(package.name, package.version)
    try:
        checked_out(package, target)
    except (CommandFailed, InvalidInput, RuntimeUnavailable) as error:
        if on_line is not None:
            on_line(f"{package.name} {package.version}: {error.message}")
        return None
    return as_kept(package, target, built="vcs")


def _by_r(
    env: Environment,
    packages: Sequence[Package],
    repository: Path,
    further: tuple[str, ...],
    on_line: OnLine | None,
) -> Iterator[Kept]:
    with tempfile.TemporaryDirectory(prefix="venvoy-") as aside:
        pins = tuple(f"{each.name}=={each.version}" for each in packages)
        job = cran.fetch(Path(aside), pins, further=further)
        try:
            process.run(start_of(env, job), on_line=on_line)
        except CommandFailed as error:
            if on_line is not None:
                on_line(f"R fetches nothing: {error.message}")
        for each in packages:
            found = Path(aside) / f"{each.name}_{each.version}.tar.gz"
            if found.is_file() and _is_source(found, each):
                place = repository / source_at(each.name, each.version)
                files.remove(place)
                files.copy(found, place)
                yield as_kept(each, place)
            elif found.is_file() and on_line is not None:
                on_line(f"{found.name} of the repository is not the lock's source")


def _is_source(file: Path, package: Package) -> bool:
    try:
        said = r_tarball.described(file)
    except InvalidInput:
        return False
    same = said["Version"] == package.version and "Built" not in said
    return same and package.sha256 in ("", files.sha256(file))


# --- what was built --------------------------------------------------------------------------------------------------


def _built(
    store: Store,
    env: Environment,
    packages: Sequence[Package],
    repository: Path,
    before: Iterable[Kept],
    on_progress: OnProgress | None,
) -> tuple[list[Kept], int, dict[str, str]]:
    """The built file of each package, how many of them are new, and why there is none of the others."""
    base = r_in(store, env).base
    there = {each.name: each for each in description.read(env.library)}
    known = {each.file: each for each in before if each.built}
    found: list[Kept] = []
    new = 0
    reasons = {}
    for number, each in enumerate(packages, 1):
        old = known.get(repository / built_at(each.name, each.version, base))
        lying = there.get(each.name)
        if old is not None and (lying is None or _stamp(old.file) == lying.fields.get("Built")):
            found.append(old)
        elif reason := _unfit(each, lying):
            reasons[each.name] = reason
        elif lying is not None:
            found.append(_packed(each, lying, repository, base))
            new += 1
        if on_progress is not None:
            on_progress(Progress(phase="Keeping", done=number, total=len(packages), unit="packages"))
    return found, new, reasons


def _unfit(package: Package, lying: Description | None) -> str:
    """Why what lies in the library is not what the lock says, "" where it is."""
    if lying is None or lying.version != package.version:
        return "it is not in the library any more, and none of the repositories has its source"
    if package.tree and r_files.tree(lying) != package.tree:
        return "its files were changed since it was locked, and none of the repositories has its source"
    return ""


def _packed(package: Package, lying: Description, repository: Path, base: Base) -> Kept:
    target = repository / built_at(package.name, package.version, base)
    pack_built(lying, target)
    return as_kept(package, target, built="library")


def _stamp(file: Path) -> str:
    try:
        return r_tarball.described(file).get("Built", "")
    except InvalidInput:
        return ""
