"""The images of Docker and Podman: had by name or from a file, and kept by their digest."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import daemon, files, process
from ..errors import CommandFailed, InvalidInput
from ..model import Image
from ..runtimes.oci import ABSENT, OciRuntime
from ..store import Store
from . import image_file
from .detect import Found
from .image_file import ImageFile
from .image_named import is_recipe, is_sif, recipe_text
from .image_uses import BROUGHT, announce
from .layers import Layers
from .registries import DIGEST, cannot_be_had, full, registry, repository
from .steps import refuse_secrets


def named(store: Store, found: Found, runtime: OciRuntime, wanted: str, hears: Layers) -> Image:
    if DIGEST.fullmatch(wanted):
        said = inspected(runtime, wanted)
        if said is None:
            hint = f"name where it is to be had, too: --image NAME@{wanted}"
            raise CommandFailed(f"{runtime.name} has no image {wanted}", hint=hint)
        return kept(store, runtime, wanted, said)
    name = full(wanted)
    said = inspected(runtime, name)
    if said is None and not wanted.startswith(f"{registry(name)}/"):  # so Podman calls what was built or loaded here
        said = inspected(runtime, re.sub(r"^docker\.io/(library/)?", "localhost/", name))
    if said is not None:
        return kept(store, runtime, wanted, said, name)
    try:
        _pull(found, runtime, name, hears)
    except CommandFailed as error:
        raise cannot_be_had(error, name, runtime.name) from error
    said = inspected(runtime, name)
    if said is None:
        raise CommandFailed(f"{runtime.name} has pulled {name} and does not have it")
    image = kept(store, runtime, wanted, said, name)
    process.run(runtime.tag(image.digest, f"{BROUGHT}:{image.kept.partition(':')[2]}"))
    return image


def _pull(found: Found, runtime: OciRuntime, name: str, hears: Layers) -> None:
    """Pull by Docker's daemon where that can be reached from here, else by the engine's command at a terminal."""
    if found.engine == "docker":
        try:
            socket = process.run(runtime.endpoint()).strip()
        except CommandFailed:  # before contexts there were none to ask for
            socket = ""
        if socket.startswith("unix://") and daemon.pull(socket, name, hears.event):
            return
    process.run(runtime.pull(name), on_line=hears, terminal=True)


def from_file(store: Store, runtime: OciRuntime, path: Path, hears: Layers) -> Image:
    if is_sif(path):
        raise InvalidInput(
            f"{runtime.name} cannot run {path.name}, which is a SIF", hint="take --runtime apptainer or singularity"
        )
    if path.suffix == ".def":
        raise InvalidInput(
            f"{runtime.name} builds no definition of Apptainer ({path.name})",
            hint="take --runtime apptainer, or write it as a Dockerfile",
        )
    with store.scratch() as folder:
        if is_recipe(path):
            return _built(store, runtime, path, folder, hears)
        # A name of our own: those in the archive may be somebody's here, for another image.
        name = f"localhost/venvoy/loaded:{secrets.token_hex(8)}"
        written = image_file.write(path, folder / "image.tar", name=name, on_progress=hears.on_progress)
        try:
            process.run(runtime.load(written.file), on_line=hears.on_line)
            # An engine that calls images by another digest knows it by the name alone, and Podman by the digest alone.
            said = inspected(runtime, written.digest) or inspected(runtime, name)
        except CommandFailed as error:
            raise cannot_be_had(error, str(path), runtime.name) from error
        else:
            if said is None:
                raise CommandFailed(f"{runtime.name} has loaded {path} and does not have it")
            image = kept(store, runtime, str(path), said)
            return replace(image, sha256=files.sha256(path) if path.is_file() else "")
        finally:
            _forgotten(runtime, name)


def _built(store: Store, runtime: OciRuntime, recipe: Path, folder: Path, hears: Layers) -> Image:
    told = folder / "digest"
    refuse_secrets(recipe_text(recipe))
    try:
        process.run(runtime.build(recipe.parent, recipe, told), on_line=hears, terminal=True)
        digest = told.read_text("utf-8").strip()
    except (CommandFailed, OSError) as error:
        hint = error.hint if isinstance(error, CommandFailed) else str(error)
        raise CommandFailed(f"{runtime.name} cannot build {recipe}", hint=hint) from error
    said = inspected(runtime, digest)
    if said is None:
        raise CommandFailed(f"{runtime.name} has built {recipe} and does not have it")
    return replace(kept(store, runtime, str(recipe), said), dockerfile=recipe_text(recipe))


def kept(store: Store, runtime: OciRuntime, reference: str, said: Mapping[str, Any], name: str = "") -> Image:
    """The image by its digest, and a name for it that nobody moves or cleans away; `name` is its full one."""
    path = dict(each.split("=", 1) for each in (said.get("Config") or {}).get("Env") or () if "=" in each).get(
        "PATH", ""
    )
    image = Image(
        reference=reference,
        digest=f"sha256:{str(said['Id']).removeprefix('sha256:')}",
        search=path,
        registered=_registered(name, said) if name else "",
    )
    # From here on nobody prunes it; a name of ours that nobody uses, somebody might.
    announce(store, runtime, image)
    process.run(runtime.tag(image.digest, image.kept))
    return image


def _registered(name: str, said: Mapping[str, Any]) -> str:
    """The name with the digest by which the image's registry gives just this one, "" where it came from none.

    Podman gives such names also to what it has loaded from files; those have no registry but "localhost".
    """
    known = (full(each) for each in sorted(said.get("RepoDigests") or ()))
    return next((each for each in known if repository(each) == repository(name)), "")


def inspected(runtime: OciRuntime, name: str) -> Mapping[str, Any] | None:
    """What the engine says of an image that it has; None where it has none of that name."""
    try:
        said: list[Mapping[str, Any]] = json.loads(process.run(runtime.inspect(name)))
    except CommandFailed as error:
        if ABSENT.search(error.hint):
            return None
        raise
    return said[0] if said else None


def _forgotten(runtime: OciRuntime, name: str) -> None:
    """Take a name away, if it is there."""
    try:
        process.run(runtime.forget(name))
    except CommandFailed as error:
        if inspected(runtime, name) is not None:
            raise error from None


def carried(store: Store, runtime: OciRuntime, carried: ImageFile, reference: str, hears: Layers) -> tuple[Image, bool]:
    said = inspected(runtime, carried.digest)
    new = said is None
    if said is None:
        process.run(runtime.load(carried.file), on_line=hears.on_line)
        said = inspected(runtime, carried.digest)
    if said is None:
        raise CommandFailed(f"{runtime.name} has loaded the image {carried.digest} and does not have it")
    return kept(store, runtime, reference, said), new
