"""The images that archives carry: written out of an engine, and lent to one."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import process, runtimes
from ..errors import CommandFailed
from ..model import Environment, Image, OnProgress
from ..process import OnLine
from ..runtimes.inside import container_of
from ..runtimes.oci import OciRuntime
from ..runtimes.sif import SifRuntime
from ..store import Store
from . import image_file, oci_images, rootfs, sif_images
from .detect import Found
from .image_file import ImageFile
from .image_uses import remove_sif, renounce
from .layers import Layers
from .registries import DIGEST

_JSON = re.compile(r"^(\d+)\s*\|.*\|JSON", re.MULTILINE)
"""What `sif list` says of descriptions."""
_OF_IMAGES = frozenset(
    {"Cmd", "Entrypoint", "Env", "ExposedPorts", "Labels", "OnBuild", "Shell", "StopSignal", "User", "Volumes",
     "WorkingDir", "Healthcheck", "Hostname", "Domainname", "ArgsEscaped"}
)  # fmt: skip
"""The settings that the configuration of an image may have (OCI image specification, "config.md")."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hears:
    """Who is told how it goes."""

    on_line: OnLine | None = None
    on_progress: OnProgress | None = None

    def layers(self) -> Layers:
        return Layers(self.on_line, self.on_progress)


def save(
    store: Store,
    env: Environment,
    target: Path,
    *,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> ImageFile:
    """Write the image of an environment into a file, in the one form and without a name.

    A SIF has no layers: its files become the only one. Raises CommandFailed where the engine does not give the image.
    """
    runtime, image = runtimes.get(env.runtime), container_of(env).image
    with store.scratch() as folder:
        if isinstance(runtime, SifRuntime):
            file = sif_images.file_of(image)
            settings = _settings(runtime, file, _JSON.findall(process.run(runtime.parts(file))))
            sif_images.unpack(runtime, image, folder / "rootfs")
            rootfs.write_layer(folder / "rootfs", folder / "layer.tar", on_progress=on_progress)
            rootfs.remove(folder / "rootfs")
            return image_file.write(folder / "layer.tar", target, name=None, settings=settings, on_progress=on_progress)
        assert isinstance(runtime, OciRuntime)  # noqa: S101  # there is no third kind of image
        process.run(runtime.save(image.digest, folder / "saved.tar"), on_line=on_line)
        written = image_file.write(folder / "saved.tar", target, name=None, on_progress=on_progress)
    if written.digest != image.digest:
        raise CommandFailed(f"{runtime.name} gives {written.digest} for the image {image.digest}")
    return written


@contextmanager
def borrowed(
    store: Store, found: Found, carried: ImageFile, *, reference: str, hears: Hears, keep: Callable[[], bool]
) -> Iterator[Image]:
    """The image of a file that was checked, by its digest, in an engine.

    What has to be brought for it goes again at the end of the block, unless `keep` says then that it is needed.
    """
    runtime = runtimes.get(found.name)
    if isinstance(runtime, SifRuntime):
        made = sif_images.built(store, runtime, f"docker-archive:{carried.file}", reference, hears.layers())
        image, new = replace(made, made_of=carried.digest), True
    else:
        assert isinstance(runtime, OciRuntime)  # noqa: S101  # there is no third kind of image
        image, new = oci_images.carried(store, runtime, carried, reference, hears.layers())
    try:
        yield image
    finally:
        if new and not keep():
            _forget(store, runtime, image)


def known(store: Store, found: Found, digest: str, reference: str) -> Image | None:
    """The image of that digest where Docker or Podman has it already."""
    runtime = runtimes.get(found.name)
    if not isinstance(runtime, OciRuntime) or not DIGEST.fullmatch(digest):
        return None
    said = oci_images.inspected(runtime, digest)
    return oci_images.kept(store, runtime, reference, said) if said is not None else None


def _settings(runtime: SifRuntime, file: Path, numbers: Sequence[str]) -> Mapping[str, Any] | None:
    for number in numbers:
        try:
            said = json.loads(process.run(runtime.part(file, int(number))))
        except (CommandFailed, ValueError):
            continue
        if isinstance(said, dict) and said.keys() <= _OF_IMAGES and isinstance(said.get("Env"), list):
            return said
    return None


def _forget(store: Store, runtime: SifRuntime | OciRuntime, image: Image) -> None:
    if isinstance(runtime, SifRuntime):
        remove_sif(sif_images.file_of(image))
        return
    with contextlib.suppress(CommandFailed):  # somebody has begun to use it
        renounce(store, runtime, image)
        process.run(runtime.forget(image.kept))
