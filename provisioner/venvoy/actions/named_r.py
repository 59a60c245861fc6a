"""Find how R's packages are really called, of which conda knows the small letters alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from .. import process
from ..errors import InvalidInput
from ..formats.r_names import r_name
from ..managers import cran
from ..model import Base, Container, Package, Snapshot, Wish
from ..process import OnLine
from ..runtimes.inside import without_prefix
from .bases import environment_of_image
from .r_bases import without_library
from .start_of import start_of


def named_r(
    wish: Wish, base: Base, place: tuple[str, Container] | None, *, source: Path, on_line: OnLine | None = None
) -> Snapshot:
    """The state that an R environment's environment.yml describes, with the names that R's repositories have.

    They are asked by the R of `base`, in the image of `place` where there is one. Raises InvalidInput for what none of
    them has, CommandFailed where R cannot ask them.
    """
    job = cran.named(tuple(f"{r_name(each)}=={each.version}" for each in wish.of_r))
    if place:
        env = without_prefix(environment_of_image(*place, language="r"))
        command = start_of(env, job)
    else:
        command = without_library(replace(job, argv=(str(base.path), *job.argv[1:])))
    printed = process.run(command, on_line=on_line) if wish.of_r else ""
    said = [line.split("\t") for line in printed.splitlines() if line.startswith("name\t") and line.count("\t") == 3]
    found = {conda: (name, tuple(needs.split())) for _, conda, name, needs in said}
    if lost := [f"{r_name(each)} {each.version}" for each in wish.of_r if r_name(each) not in found]:
        raise InvalidInput(
            f"{source}: {', '.join(lost)} fits no package of the repositories of R",
            hint="say which they are: options(repos = …) in ~/.Rprofile\n"
            f"or make a conda environment of it: venvoy restore {source} --runtime conda",
        )
    return Snapshot(
        environment=wish.name,
        taken=datetime.now(UTC),
        base="",
        language="r",
        language_version=wish.r,
        platform="",
        packages=tuple(sorted(_called(each, *found[r_name(each)]) for each in wish.of_r)),
    )


def _called(package: Package, name: str, needs: tuple[str, ...]) -> Package:
    return replace(package, name=name, depends=needs)
