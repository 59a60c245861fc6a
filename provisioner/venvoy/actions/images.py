"""Have the image of an environment here, by its digest: pulled, built, or taken from a file."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace

from .. import files, process, runtimes
from ..errors import CommandFailed, RuntimeUnavailable
from ..model import Image, Network, OnProgress
from ..process import OnLine
from ..runtimes.oci import OciRuntime
from ..runtimes.sif import SifRuntime
from ..store import Store
from . import oci_images, sif_images
from .detect import Found
from .image_named import file_named
from .image_uses import remove_sif
from .layers import Layers


def image_for(
    store: Store,
    found: Found,
    wanted: str,
    *,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Image:
    """The image that `wanted` names: a reference, a digest, or the path of a SIF, an archive, a layout or a Dockerfile.

    What is here already is not fetched, and what was fetched of one stays for the next time when this is interrupted.
    Raises InvalidInput for what no image is, RuntimeUnavailable, CommandFailed.
    """
    runtime = runtimes.get(found.name)
    hears = Layers(on_line, on_progress)
    path = file_named(wanted)
    if isinstance(runtime, OciRuntime):
        if path:
            return oci_images.from_file(store, runtime, path, hears)
        return oci_images.named(store, found, runtime, wanted, hears)
    assert isinstance(runtime, SifRuntime)  # noqa: S101  # there is no third kind of image
    if path:
        return sif_images.from_file(store, runtime, path, hears)
    return sif_images.named(store, runtime, wanted, hears)


def extended(
    store: Store,
    runtime: OciRuntime | SifRuntime,
    image: Image,
    steps: Sequence[str],
    *,
    network: Network | None,
    on_line: OnLine | None = None,
) -> Image:
    """A new image: `image` with what the lines of one shell command change in it, run by root. Raises CommandFailed."""
    if isinstance(runtime, SifRuntime):
        with store.scratch() as folder:
            box = folder / "image"
            sif_images.unpack(runtime, image, box)
            try:
                process.run(runtime.change(box, "\n".join(steps)), on_line=on_line)
                built = sif_images.built(store, runtime, str(box), image.reference, Layers(on_line, None))
            finally:
                if runtime.user:
                    # To the outside they belong to numbers that are the user's and not the user.
                    own = "find / -xdev ! -user 0 -exec chown -h 0:0 {} +"
                    with contextlib.suppress(CommandFailed):
                        process.run(runtime.change(box, own))
    else:
        said = oci_images.inspected(runtime, image.digest)
        if said is None:  # the engine would look for a registry that has it
            raise RuntimeUnavailable(f"the image {image.reference} is gone", hint="venvoy repair has it again")
        process.run(runtime.tag(image.digest, image.kept))  # somebody else may have taken that name away
        user = (said.get("Config") or {}).get("User") or ""
        as_root, again = (["USER root"], [f"USER {user}"]) if user else ([], [])
        text = "\n".join([f"FROM {image.kept}", *as_root, f"RUN {steps[0]}", *steps[1:], *again])
        with store.scratch() as folder:
            recipe, context, told = folder / "Dockerfile", files.private(folder / "context"), folder / "digest"
            files.replace(recipe, f"{text}\n")
            process.run(runtime.build(context, recipe, told, network=network), on_line=on_line)
            name = told.read_text("utf-8").strip()
        built = oci_images.kept(store, runtime, image.reference, oci_images.inspected(runtime, name) or {"Id": name})
    return replace(built, origin=image.origin or image.digest)


def let_go(store: Store, runtime: str, image: Image) -> None:
    """Forget an image that turned out to be of no use, unless an environment stands on it, or it is the user's file."""
    if any(image.digest == each.digest for name in store.names() for each in store.image_notes(name)):
        return
    engine = runtimes.get(runtime)
    if isinstance(engine, OciRuntime):
        process.run(engine.forget(image.kept))
    elif image.file and image.file.parent == store.images:
        remove_sif(image.file)
