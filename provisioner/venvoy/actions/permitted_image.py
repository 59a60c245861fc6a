"""Whether the administrator allows an image: by what its engine says of it, and not by what anybody calls it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import files, runtimes
from ..containers import matches
from ..errors import InvalidInput, NotPermitted
from ..model import Image
from ..runtimes.oci import OciRuntime
from . import image_file, oci_images
from .image_uses import sif_note
from .registries import full, repository
from .unpacking import announced


def permitted_image(runtime: str, image: Image, patterns: tuple[str, ...]) -> None:
    """Raise NotPermitted unless the image has a name among those of the shell patterns; one that is gone runs nowhere.

    In Docker and Podman it has those by which registries give just this image or the one that it was put on top of,
    its digest, and the path of a file that has it in it. A SIF has its path, and what venvoy wrote beside it when it
    made it, as long as the file is the same.
    """
    engine = runtimes.get(runtime)
    if isinstance(engine, OciRuntime):
        said = oci_images.inspected(engine, image.digest)
        if said is None:
            return
        known = tuple(_known(engine, image, said))
    else:
        known = tuple(_noted(image))
    if not any(_among(each, patterns) for each in known):
        more = ", ".join(known[1:]) or "nobody here can tell where it is from"
        raise NotPermitted(
            f"the image {image.reference} may not be used here: it is {known[0]} ({more})",
            hint=f"allowed: {', '.join(patterns)}",
        )


def _known(engine: OciRuntime, image: Image, said: Mapping[str, Any]) -> Iterator[str]:
    yield image.digest
    yield from _registered(said)
    if image.origin and (below := oci_images.inspected(engine, image.origin)) and _lies_on(said, below):
        yield image.origin
        yield from _registered(below)
    if image.reference.startswith("/") and image.digest == _digest_in(Path(image.reference)):
        yield image.reference


def _registered(said: Mapping[str, Any]) -> Iterator[str]:
    yield from map(full, sorted(said.get("RepoDigests") or ()))


def _lies_on(said: Mapping[str, Any], below: Mapping[str, Any]) -> bool:
    """Whether the lowest layers of the one are all of the other."""
    own, others = ((each.get("RootFS") or {}).get("Layers") or [] for each in (said, below))
    return bool(others) and own[: len(others)] == others


def _digest_in(file: Path) -> str:
    """The digest of the image in a file or folder, or in an archive of ours; "" where there is none."""
    with contextlib.suppress(InvalidInput):
        return image_file.digest(file)
    with contextlib.suppress(InvalidInput):
        said = announced(file).said.get("image")
        return str(said.get("digest", "")) if isinstance(said, dict) else ""
    return ""


def _noted(image: Image) -> Iterator[str]:
    file = image.file or Path("/")
    yield str(file)
    try:
        same = f"sha256:{files.sha256(file)}" == image.digest
    except OSError:
        same = False
    if same:
        note = sif_note(file)
        yield image.digest
        yield from (str(note[each]) for each in ("made_of", "reference") if note.get(each))


def _among(name: str, patterns: Iterable[str]) -> bool:
    """What a registry gives by a digest has no tag there, so a pattern with one allows the whole repository."""
    return matches(name, patterns) or ("@" in name and matches(repository(name), map(_untagged, patterns)))


def _untagged(pattern: str) -> str:
    if "@" in pattern:
        return pattern
    host, slash, last = pattern.rpartition("/")
    return f"{host}{slash}{last.partition(':')[0]}"
