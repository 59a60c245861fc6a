"""The images of Apptainer and Singularity: a SIF that somebody has, or one that is made of another image."""

from __future__ import annotations

import re
import secrets
import tempfile
from dataclasses import replace
from pathlib import Path

from .. import files, process
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..model import Image
from ..runtimes.sif import SifRuntime
from ..settings import variables
from ..store import Store
from . import image_file
from .image_named import is_recipe, is_sif
from .image_uses import announced, sif_note
from .layers import Layers
from .registries import DIGEST, cannot_be_had, full, registered_now

_SQUASHED = re.compile(r"\|(\d+)-\d+\s*\|FS \(Squashfs")
"""What `sif list` says of the file system."""
_DEVICE = re.compile(r"could not create (?:character|block) device|created \d+ ")
_NOT_FATAL = 2
"""What unsquashfs ends with where something was left out."""
_TEMPORARY = ("APPTAINER_TMPDIR", "SINGULARITY_TMPDIR")


def named(store: Store, runtime: SifRuntime, wanted: str, hears: Layers) -> Image:
    if DIGEST.fullmatch(wanted):
        raise InvalidInput(
            f"{runtime.name} knows images by their files, and none by {wanted}",
            hint="name where it is to be had, too: --image NAME@sha256:…",
        )
    name = full(wanted)
    if made := _made(store, name):
        return _again(made, wanted)
    registered = name if "@" in name else registered_now(runtime.name, name)
    return built(store, runtime, f"docker://{registered or name}", wanted, hears, name=name, registered=registered)


def from_file(store: Store, runtime: SifRuntime, path: Path, hears: Layers) -> Image:
    if is_sif(path):
        try:
            digest = files.sha256(path)
            return Image(reference=str(path), digest=f"sha256:{digest}", file=path, sha256=digest)
        except OSError as error:
            raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    if path.suffix == ".sif":
        raise InvalidInput(f"{path} is no SIF, though it is called so")
    if path.suffix == ".def":
        return built(store, runtime, str(path), str(path), hears)
    if is_recipe(path):
        raise InvalidInput(
            f"{runtime.name} builds no Dockerfile ({path})",
            hint="build it with Docker or Podman, save that and take the file (docker save -o image.tar NAME), "
            "or write it as a definition (.def)",
        )
    with store.scratch() as folder:
        written = image_file.write(path, folder / "image.tar", on_progress=hears.on_progress)
        source = f"docker-archive:{written.file}"
        made = built(store, runtime, source, str(path), hears, name=written.digest)
    return replace(made, sha256=files.sha256(path)) if path.is_file() else made


def built(
    store: Store,
    runtime: SifRuntime,
    source: str,
    reference: str,
    hears: Layers,
    *,
    name: str = "",
    registered: str = "",
) -> Image:
    """Make a SIF, or take the one that was made of the same: `name` says what that is, "" where nobody knows."""
    if made := _made(store, name):
        return _again(made, reference)
    folder = files.private(store.images)
    aside = folder / f".{secrets.token_hex(6)}.sif"
    said = variables()
    place = next((said[each] for each in _TEMPORARY if said.get(each)), None)
    try:
        # A folder of ours: what it was about to unpack goes also when it is killed.
        with tempfile.TemporaryDirectory(prefix="venvoy-", dir=place) as temporary:
            command = runtime.build(source, aside)
            command = replace(command, variables={**command.variables, **dict.fromkeys(_TEMPORARY, temporary)})
            process.run(command, on_line=hears, terminal=True)
        digest = files.sha256(aside)
        file = folder / f"{digest[:32]}.sif"
        aside.rename(file)
        note = {"made_of": name, "reference": reference, "registered": registered, "runtime": runtime.name}
        announced(file, note)
    except CommandFailed as error:
        raise cannot_be_had(error, name or reference, runtime.name) from error
    except OSError as error:
        raise CommandFailed(f"the image {reference} cannot be written: {error.strerror}", hint=str(folder)) from error
    finally:
        files.remove(aside)
    return Image(reference=reference, digest=f"sha256:{digest}", file=file, registered=registered)


def _again(made: Path, reference: str) -> Image:
    """A SIF of ours, for one more environment."""
    note = sif_note(made)
    announced(made, note)
    digest = f"sha256:{files.sha256(made)}"
    return Image(reference=reference, digest=digest, file=made, registered=str(note.get("registered", "")))


def _made(store: Store, name: str) -> Path | None:
    """The newest SIF that was made of what `name` says."""
    notes = store.images.glob("*.json") if name else ()
    found = [note.with_suffix(".sif") for note in notes if sif_note(note).get("made_of") == name]
    return max((each for each in found if each.is_file()), key=lambda each: each.stat().st_mtime, default=None)


def unpack(runtime: SifRuntime, image: Image, folder: Path) -> None:
    if image.file is None or not image.file.exists():
        raise RuntimeUnavailable(f"the image {image.file or image.reference} is gone")
    squashed = _SQUASHED.search(process.run(runtime.parts(image.file)))
    if squashed is None:
        raise InvalidInput(f"{image.file} has no files that could be read: it is encrypted, or no SIF of one system")
    try:
        process.run(runtime.unpack(image.file, int(squashed[1]), folder))
    except CommandFailed as error:
        # Only root can make devices, and nobody needs those of an image.
        said = [line for line in error.hint.splitlines() if line.strip() and not _DEVICE.search(line)]
        if error.code != _NOT_FATAL or any("create" in line or "write" in line for line in said):
            raise


def file_of(image: Image) -> Path:
    if image.file is None or not image.file.exists():
        raise RuntimeUnavailable(f"the image {image.file or image.reference} is gone")
    return image.file
