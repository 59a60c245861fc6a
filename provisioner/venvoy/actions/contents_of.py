"""Find out what is in the image that an environment stands on: asked once, and remembered by the image's digest."""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import replace
from importlib.resources import files as package_files
from pathlib import Path

from .. import files, process, runtimes
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats import base_json
from ..inventory import image as said_by_image
from ..model import Contents, Environment, Job, Mount, Resources
from ..runtimes.inside import container_of, without_prefix
from ..store import Store
from .start_of import start_of

PATIENCE = 300
"""Seconds that an image has to say what it is; R takes some to list a thousand packages."""
LARGEST = 20_000_000
"""Characters of the longest answer that is read; an image of ten thousand packages gives a thirtieth of that."""


def contents_of(store: Store, env: Environment) -> Contents:
    """What is in the environment's image: from what was remembered of it, here or in its record, else from itself.

    Raises RuntimeUnavailable where the image is asked and does not answer.
    """
    return remembered(store, env) or _asked(store, env)


def own_names(store: Store, env: Environment) -> dict[str, str]:
    """The version of every Python package that the environment's image has of its own; none on this machine.

    Raises RuntimeUnavailable as `contents_of` does.
    """
    if not env.container:
        return {}
    return {each.name: each.version for each in contents_of(store, env).of("pypi")}


def remembered(store: Store, env: Environment) -> Contents | None:
    """What is known of the environment's image without asking it."""
    try:
        return base_json.load(_file(store, env).read_text("utf-8"))
    except (OSError, InvalidInput):
        return _recorded(store, env)


def _recorded(store: Store, env: Environment) -> Contents | None:
    """What the environment's record says: it may have come from another machine."""
    digest, history = container_of(env).image.digest, store.history(env.name)
    try:
        named = [each.snapshot for each in history.entries() if each.stands_on and each.stands_on.digest == digest]
        return base_json.load(history.base(history.based_on(named[-1]))) if named else None
    except InvalidInput:
        return None


def _asked(store: Store, env: Environment) -> Contents:
    image = container_of(env).image
    try:
        contents = said_by_image.read(_answer(env))
        text = base_json.dump(contents)
        base_json.load(text)  # what an image says of itself is anybody's word
    except CommandFailed as error:
        raise RuntimeUnavailable(
            f"the image {image.reference} does not say what is in it: {error.message}", hint=error.hint
        ) from error
    except InvalidInput as error:
        raise RuntimeUnavailable(f"the image {image.reference}: {error.message}", hint=error.hint) from error
    files.replace(_file(store, env), text)
    return contents


def _answer(env: Environment) -> str:
    """What the image's own programs print, where nothing of this machine is mounted but the script."""
    guest = Path(str(package_files("venvoy.guest")))
    container = container_of(env)
    # Not every Apptainer lets its users be without a network.
    network = "none" if container.image.file is None else container.resources.network
    bare = replace(container, mounts=(), home=None, users=None, apart=True, resources=Resources(network=network))
    alone = without_prefix(replace(env, container=bare))
    runtime, label = runtimes.get(env.runtime), f"venvoy-probe-{secrets.token_hex(6)}"
    job = Job(
        argv=("/bin/sh", str(guest / "image.sh")),
        cwd=Path("/"),
        mounts=(Mount(source=guest, target=str(guest), read_only=True),),
        label=label,
    )
    try:
        return process.run(start_of(alone, job), timeout=PATIENCE, limit=LARGEST)
    finally:
        if removal := runtime.stop(label):
            with contextlib.suppress(CommandFailed):  # it is gone with a client that had to be ended
                process.run(removal, timeout=PATIENCE)


def _file(store: Store, env: Environment) -> Path:
    return store.bases / f"image-{container_of(env).image.digest.partition(':')[2]}.json"
