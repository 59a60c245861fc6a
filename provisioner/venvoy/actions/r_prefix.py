"""The prefix of an R environment: a library, the file that makes R see it, and links to the R that it is for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from .. import files
from ..errors import RuntimeUnavailable
from ..formats.r_image import IMAGE as PUBLIC
from ..managers import cran
from ..model import Base, Environment
from ..process import OnLine
from ..store import Store
from .r_bases import r_in, r_wanted
from .r_library import change

IMAGE = PUBLIC.removeprefix("docker.io/")
"""The field's own images of R; its tags are versions."""
PROFILE = Path("etc", "Rprofile.site")
REPOSITORIES = Path("etc", "repositories")


def base_for(store: Store, env: Environment, wanted: str | None) -> Base:
    """The R that a new environment stands on: of its image, or of this machine in the version that is wanted.

    Raises RuntimeUnavailable, InvalidInput.
    """
    if env.container is None:
        return r_wanted(store, wanted)
    base = r_in(store, env).base
    if wanted and not f"{base.version}.".startswith(f"{wanted}."):
        raise RuntimeUnavailable(
            f"the image {env.container.image.reference} has R {base.version}, and not {wanted}",
            hint=f"take another image, or leave --r-version away: --image docker.io/{IMAGE}:{wanted}",
        )
    return base


def standing(env: Environment, base: Base) -> Environment:
    """The environment on that R, or with it beside its Python."""
    if env.also:
        return replace(env, r_version=base.version)
    return replace(
        env,
        r_version=base.version,
        base=None if env.container else base.path,
        base_image=env.container.image.reference if env.container else f"{IMAGE}:{base.version}",
        architecture=base.platform.partition("-")[2],
    )


def begin(env: Environment, base: Base) -> None:
    """Make the folder, with an empty library in it."""
    files.private(env.prefix)
    files.private(env.library)
    files.replace(env.prefix / ".gitignore", "*\n")
    enter(env, base.path)


def enter(env: Environment, rscript: Path) -> None:
    """Write what makes R see the library; also again, where some of it is lost."""
    files.replace(env.prefix / PROFILE, cran.profile())
    files.replace(env.prefix / REPOSITORIES, "".join(f"{each.name}\t{each.url}\n" for each in env.repositories))
    if env.container is None:
        (env.prefix / "bin").mkdir(exist_ok=True)
        for name in ("R", "Rscript"):
            files.link(env.prefix / "bin" / name, str(rscript.with_name(name)))


def fill(env: Environment, packages: tuple[str, ...], *, on_line: OnLine | None) -> None:
    """Install what an environment lists."""
    if packages:
        change(env, cran.install(env.library, packages), on_line=on_line)
