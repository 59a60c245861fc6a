"""Find the source behind every R package that is installed: where its repository has it, and its sha256."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import files, process
from ..errors import InvalidInput
from ..formats import renv
from ..formats.origins import public
from ..inventory import Description, r_tarball
from ..managers import cran
from ..model import Environment, Package, Repository, Snapshot
from ..process import OnLine
from .start_of import start_of


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What R says of its repositories: where the source of which package was, which they are, and the release."""

    sources: Mapping[str, str] = field(default_factory=dict)
    repositories: tuple[Repository, ...] = ()
    bioconductor: tuple[Repository, ...] = ()
    release: str = ""


def pinned_r(
    env: Environment,
    snapshot: Snapshot,
    packages: Sequence[Package],
    installed: Iterable[Description],
    *,
    known: Snapshot | None,
    on_line: OnLine | None = None,
) -> Snapshot:
    """The snapshot with these packages besides its own, each with the url and sha256 of its source, where it has one.

    What the lock of before, `known`, has of the same versions is taken from there. A source that was packaged at
    another time than what is installed is another one. Raises CommandFailed where R cannot be asked.
    """
    described = {each.name: each for each in installed}
    before = {(each.name, each.version): each for each in (known.packages if known else ())}
    had = {each.name: _as_before(each, before.get((each.name, each.version))) for each in packages}
    todo = [each for each in had.values() if _asked_for(each) and not each.sha256]
    with tempfile.TemporaryDirectory(prefix="venvoy-") as aside:
        job = cran.fetch(Path(aside), tuple(map(_asked_for, todo)))
        answer = _read(process.run(start_of(env, job), on_line=on_line))
        for each in todo:
            had[each.name] = _filled(each, Path(aside), answer, described.get(each.name), on_line)
    by_bioconductor = any(each.ecosystem == "bioconductor" for each in had.values())
    beyond = any(each.url.startswith(f"{place.url}/") for each in had.values() for place in answer.bioconductor)
    return replace(
        snapshot,
        packages=tuple(sorted((*snapshot.packages, *(_needs(had[each.name], described) for each in packages)))),
        repositories=(*answer.repositories, *(answer.bioconductor if by_bioconductor or beyond else ())),
        bioconductor=answer.release if by_bioconductor else "",
    )


def _asked_for(package: Package) -> str:
    """What R is asked for to have the source, "" where no file is one."""
    pin = f"{package.name}=={package.version}"
    by_address = package.origin == "archive" and renv.is_web(package.url)
    return f"{pin}@{package.url}" if by_address else pin if package.origin == "index" else ""


def _as_before(package: Package, known: Package | None) -> Package:
    """The package as the lock of before had it, if it is the same; what a repository gives has no address yet."""
    if known is None or not known.sha256:
        return package
    found = replace(package, url=known.url if package.origin == "index" else package.url, sha256=known.sha256)
    return found if found == known else package


def _filled(
    package: Package, folder: Path, answer: _Answer, lying: Description | None, on_line: OnLine | None
) -> Package:
    file = folder / f"{package.name}_{package.version}.tar.gz"
    url = public(answer.sources.get(package.name, ""))
    if not (file.is_file() and url):
        return package
    try:
        said = r_tarball.described(file)
    except InvalidInput:
        return package
    # What is installed from an address is packaged by its installer; the hash is of what the address gives now.
    stamp = lying.fields.get("Packaged", "") if lying and package.origin == "index" else ""
    if said["Version"] != package.version or (stamp and said.get("Packaged", stamp) != stamp):
        if on_line is not None:
            on_line(f"{package.name} {package.version}: what its repository has now is not what was installed")
        return package
    return replace(package, url=url, sha256=files.sha256(file))


def _needs(package: Package, described: Mapping[str, Description]) -> Package:
    lying = described.get(package.name)
    return replace(package, depends=tuple(name for name, _, _ in lying.requires)) if lying else package


def _read(printed: str) -> _Answer:
    said = [line.split("\t") for line in printed.splitlines() if line.count("\t") == 2]
    listed = {word: [(name, value) for each, name, value in said if each == word] for word, _, _ in said}

    def places(word: str) -> tuple[Repository, ...]:
        found = ((name, public(url).rstrip("/")) for name, url in listed.get(word, ()))
        return tuple(Repository(name=name or "CRAN", url=url) for name, url in found if url)

    return _Answer(
        sources=dict(listed.get("source", ())),
        repositories=places("repository"),
        bioconductor=places("bioconductor"),
        release=next((value for _, value in listed.get("release", ())), ""),
    )
