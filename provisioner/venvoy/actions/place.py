"""Where the environment of an archive is made: on this machine, or in which container of which image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import containers
from ..containers import ENGINES
from ..errors import InvalidInput, NotPermitted, RuntimeUnavailable
from ..model import Container, Image, Resources
from ..settings import Policy
from ..store import Store
from . import image_file
from .carried_images import Hears, borrowed, known
from .contain import Wanted, arranged, chosen, planned, usual_image
from .detect import AUTO, Found, detect
from .image_file import ImageFile, architecture
from .images import image_for
from .unpacking import Manifest

IMAGE = "image.tar"
"""The member of an archive that is its image."""
HOST = ("venv", "conda")
EVERYTHING = Policy()
"""What holds where no administrator says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A container runtime, and how the image is run in it: for good, and while packages of strangers are put in.

    `scratch` is an empty folder that is the home folder meanwhile; `remarks` are sentences on what is other than where
    it was packed.
    """

    runtime: str
    container: Container
    scratch: Path
    remarks: tuple[str, ...] = ()

    @property
    def apart(self) -> tuple[str, Container]:
        """The runtime and the container without the user's files in it, and without network."""
        bare = Resources(network="none")
        return self.runtime, replace(self.container, home=self.scratch, mounts=(), apart=True, resources=bare)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """What an archive says of its image; all of it is its own word but what was checked in `file`.

    `digest` is that of the image in the archive, or the one by which Docker and Podman call it; `sif` that of the SIF
    whose files it is.
    """

    reference: str = ""
    digest: str = ""
    sif: str = ""
    file: ImageFile | None = None


def carried(manifest: Manifest, folder: Path) -> Carried:
    """The image of an archive that was unpacked into `folder`. Raises InvalidInput for one that is not as it says."""
    said = manifest.said.get("image")
    said = said if isinstance(said, dict) else {}
    words = {key: said[key] for key in ("reference", "digest", "sif") if isinstance(said.get(key), str)}
    if IMAGE not in manifest.members:
        return Carried(**words)
    with image_file.reading(folder / IMAGE) as reading:
        found = reading.said
    if found.digest != words.get("digest"):
        raise InvalidInput(f"its image is {found.digest}, and its manifest says {words.get('digest', 'nothing')}")
    return Carried(**words, file=found)


@contextmanager
def placed(
    store: Store,
    manifest: Manifest,
    image: Carried,
    wanted: Wanted | None,
    policy: Policy,
    *,
    archive: Path,
    hears: Hears,
    keep: Callable[[], bool],
) -> Iterator[Place | None]:
    """Have the place ready for as long as it takes; None for this machine.

    `wanted` None takes the runtime that the archive was packed from, or where that cannot be used the best of this
    machine. An image that had to be brought goes again, unless `keep` says at the end that it is needed. Raises
    InvalidInput, NotPermitted, RuntimeUnavailable, CommandFailed.
    """
    found = _runtime(manifest, wanted)
    if found is None:
        yield None
        return
    wanted = wanted or Wanted()
    with ExitStack() as stack:
        if wanted.image is None and image.file is not None:
            brought = _brought(store, found, image, policy, wanted, archive=archive, hears=hears, keep=keep)
            here = stack.enter_context(brought)
        else:
            here = _named(store, found, manifest, image, wanted, policy, hears)
        container = arranged(store, found, here, wanted)
        remarks = tuple(_other_base(here, image))
        home = stack.enter_context(store.scratch())
        yield Place(runtime=found.name, container=container, scratch=home, remarks=remarks)


def _runtime(manifest: Manifest, wanted: Wanted | None) -> Found | None:
    """The container runtime to take, None for this machine itself."""
    packed = manifest.said.get("runtime")
    asked = wanted.runtime if wanted else None
    if packed == "conda" and asked not in (None, *HOST):
        raise InvalidInput(
            "it carries a conda environment, which brings its own Python and is made on this machine",
            hint="leave out --runtime",
        )
    if asked is None:
        if packed not in ENGINES:
            return None
        detected = detect()
        own = detected.named(str(packed))
        try:
            return own if own.usable else chosen(detected, AUTO)
        except RuntimeUnavailable as error:
            raise RuntimeUnavailable(
                f"it carries a container environment, and {error.message}",
                hint=f"{error.hint}\non this machine's own Python: --runtime venv\nonly to look at: --folder DIR",
            ) from error
    return None if asked in HOST else chosen(detect(), asked)


@contextmanager
def _brought(
    store: Store,
    found: Found,
    image: Carried,
    policy: Policy,
    wanted: Wanted,
    *,
    archive: Path,
    hears: Hears,
    keep: Callable[[], bool],
) -> Iterator[Image]:
    """The image that lies in the archive; what it is called there is anybody's word, its digest is not."""
    file = image.file
    assert file is not None  # noqa: S101  # only such an archive gets here
    planned(store, found, image.digest, wanted, replace(policy, images=None))
    reference = _answered_for(image, archive, policy)
    if file.architecture and file.architecture != architecture():
        raise RuntimeUnavailable(
            f"its image is for {file.architecture}, and this machine is {architecture()}",
            hint="take one for this machine, if its packages are for it, too: --image IMAGE",
        )
    with borrowed(store, found, file, reference=reference, hears=hears, keep=keep) as here:
        yield here


def _answered_for(image: Carried, archive: Path, policy: Policy) -> str:
    """What the image is called from now on: where only some are allowed, as it was allowed. Raises NotPermitted."""
    if policy.images is None:
        return image.reference or image.digest
    for name in (image.digest, str(archive.absolute())):
        if containers.matches(name, policy.images):
            return name
    raise NotPermitted(
        f"the image of {archive}, {image.digest}, may not be used here", hint=f"allowed: {', '.join(policy.images)}"
    )


def _named(
    store: Store,
    found: Found,
    manifest: Manifest,
    image: Carried,
    wanted: Wanted,
    policy: Policy,
    hears: Hears,
) -> Image:
    """An image that does not lie in the archive: the one that the user names, the archive's own, or the usual one."""
    own = wanted.image is None and bool(image.reference)
    reference = wanted.image or image.reference or usual_image(_speaking(manifest, wanted))
    planned(store, found, reference, wanted, policy)
    if own and policy.images is None and (here := known(store, found, image.digest, reference)):
        return here
    if own and Path(reference).expanduser().exists():
        raise InvalidInput(
            f"its image was the file {reference}, which is not in the archive", hint="name an image: --image IMAGE"
        )
    here = image_for(store, found, reference, on_line=hears.on_line, on_progress=hears.on_progress)
    if own and here.file is None and image.digest and here.digest != image.digest:
        raise InvalidInput(
            f"{reference} is another image today ({here.digest}) than the archive's ({image.digest})",
            hint=f"take it nevertheless: --image {reference}",
        )
    return here


def _speaking(manifest: Manifest, wanted: Wanted) -> Wanted:
    """What is wanted, in the language and its minor version that the archive says."""
    if manifest.said.get("language") == "r":
        return replace(wanted, language="r", r=_minor(manifest.said.get("r")))
    return replace(wanted, python=_minor(manifest.said.get("python")))


def _minor(said: object) -> str | None:
    return ".".join(said.split(".")[:2]) or None if isinstance(said, str) else None


def _other_base(here: Image, image: Carried) -> Iterator[str]:
    """What an archive's environment stands on here, against what it stood on where it was packed."""
    if not image.digest:
        yield f"It stands on the image {here.reference} now, and its lock knows of none: the base was not compared."
    elif image.digest not in (here.digest, here.made_of):
        yield f"It stands on another image than the archive's ({image.reference}, {image.digest})."
    elif here.made_of and image.file is None:
        yield f"Its image was made of {here.reference} as it is today; SIFs cannot be compared by their digest."


def base_sentence(said: Mapping[str, Any], here: Image) -> str:
    """How far the image of an environment is the one that was packed, for a report."""
    then, sif = str(said.get("digest") or ""), str(said.get("sif") or "")
    if here.digest in (then, sif):
        return f"base: the very image that was packed ({here.digest})"
    if then and here.made_of == then:
        return (
            f"base: a SIF ({here.digest}) that was made of the image that was packed ({then}); every layer of that had "
            "its digest, and the SIF's own differs with each making"
        )
    return f"base: another image ({here.digest}) than the one that was packed ({then or sif or 'not known'})"
