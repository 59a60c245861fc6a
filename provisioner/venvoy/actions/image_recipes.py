"""What builds an environment's image without venvoy, and where such recipes are kept."""

from __future__ import annotations

import logging
from dataclasses import replace

from .. import files
from ..errors import InvalidInput, VenvoyError
from ..formats.dockerfile import MICROMAMBA
from ..formats.registry import FORMATS, IMAGES, image_format
from ..model import Environment, Ground, Package, Snapshot
from ..runtimes.inside import container_of
from ..store import Store
from .contents_of import contents_of
from .diff import based
from .locks import locked
from .observe import observe
from .r_prefix import IMAGE as R_IMAGE
from .stand_on import on_image

CONDA_IMAGE = MICROMAMBA.removeprefix("docker.io/")
"""What an image of a conda environment is built on: it has nothing in it but micromamba."""
_SYSTEM = frozenset({"deb", "apk", "rpm"})
_log = logging.getLogger(__name__)


def keep_image_recipes(store: Store, env: Environment) -> None:
    """Have the recipes in the environment's folder say what it is now: a Dockerfile; in a container all three.

    The same state gives the same bytes. Nothing is fetched: a package that the last freeze knows no hash of is named by
    its version. What cannot be written is not worth losing a record for.
    """
    forms = sorted(IMAGES) if env.container else ("dockerfile",)
    try:
        snapshot = _known(store, env)
        if not snapshot.platform.startswith("linux"):
            return
        ground = ground_of(store, env)
    except (VenvoyError, OSError) as error:
        _log.debug("no recipes of %s: %s", env.name, error)
        return
    for form in forms:
        file = store.folder(env.name) / FORMATS[form].filename
        try:
            text = image_format(form, ground=ground, loosely=True).dump(snapshot)
            if not file.exists() or file.read_bytes() != text.encode():
                files.replace(file, text, lasting=False)
        except (VenvoyError, OSError) as error:
            _log.debug("no %s of %s: %s", form, env.name, error)


def ground_of(store: Store, env: Environment) -> Ground | None:
    """What a recipe begins from where the environment stands on an image, None where it does not.

    Raises RuntimeUnavailable where an image has to be asked and does not answer, InvalidInput where it has no Python.
    """
    if env.container is None:
        return None
    contents = contents_of(store, env)
    interpreter = contents.rscript if env.language == "r" else str(contents.python.path) if contents.python else ""
    if not interpreter:
        raise InvalidInput(f"the image of {env.name!r} has no {env.language_name} to install packages with")
    image = env.container.image
    if not image.origin:
        return Ground(image=image, python=interpreter)
    under = on_image(store, env, image.origin)
    change = based(contents_of(store, under), contents)
    new = (*change.added, *(each.after for each in change.changed)) if change else ()
    system = tuple(sorted(each for each in new if each.ecosystem in _SYSTEM))
    return Ground(image=container_of(under).image, python=interpreter, system=system)


def public_image(env: Environment | None) -> str:
    """The image that somebody chose; every environment says one, of its minor version, when nobody did."""
    if env is None:
        return ""
    usual = (
        CONDA_IMAGE,
        f"{R_IMAGE}:{env.r_version}",
        f"python:{'.'.join(env.python_version.split('.')[:2])}-slim",
    )
    return "" if env.base_image in usual else env.base_image


def _known(store: Store, env: Environment) -> Snapshot:
    """What is installed, with the hashes that the last freeze found for those very versions."""
    state, lock = observe(store, env), locked(store, env)
    known = {_key(each): each for each in lock.packages} if lock else {}
    packages = tuple(_filled(each, known.get(_key(each))) for each in state.packages)
    image = "" if env.container else public_image(env)
    return replace(
        state, packages=packages, image=image, repositories=state.repositories or (lock.repositories if lock else ())
    )


def _key(package: Package) -> tuple[str, ...]:
    return (package.ecosystem, package.name, package.version, package.build, package.origin)


def _filled(package: Package, known: Package | None) -> Package:
    if known is None or package.origin != "index":
        return package
    return replace(package, url=known.url, sha256=known.sha256, depends=package.depends or known.depends)
