"""Have the image of an environment here again: the very same, or none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..errors import CommandFailed, InvalidInput
from ..formats import base_json
from ..model import Environment, Image
from ..process import OnLine
from ..runtimes.inside import container_of
from ..store import Store
from .contents_of import contents_of, remembered
from .detect import Found
from .images import image_for, let_go


def image_again(store: Store, env: Environment, found: Found, *, on_line: OnLine | None = None) -> Image:
    """Pull, load or build what the environment's image was taken from, and see that it is the same.

    For Docker and Podman the digest decides. A SIF is made with other bytes each time, so there it is what is in it:
    the interpreters, and every package of the image's own. Raises InvalidInput for another image, CommandFailed and
    RuntimeUnavailable where none can be had.
    """
    image = container_of(env).image
    if image.origin:
        raise CommandFailed(
            f"the image of {env.name!r} was built here, with {', '.join(image.system_packages)}, and is gone",
            hint=f"go back to the one without, and install them again: venvoy undo {env.name}",
        )
    if Path(image.reference).is_absolute() and not Path(image.reference).exists():
        raise CommandFailed(
            f"the image of {env.name!r} was taken from {image.reference}, which is not there any more",
            hint="put it there again, or take another image: "
            f"venvoy init {env.name} --force --runtime {env.runtime} --image IMAGE",
        )
    given = image_for(store, found, image.reference, on_line=on_line)
    if given.digest == image.digest or (image.file and _same_inside(store, env, given)):
        return given
    let_go(store, env.runtime, given)
    raise InvalidInput(
        f"{image.reference} is another image by now ({given.digest[:19]}…) than {env.name!r} stands on "
        f"({image.digest[:19]}…)",
        hint=f"make the environment anew in that one: venvoy init {env.name} --force --runtime {env.runtime} "
        f"--image {image.reference}",
    )


def _same_inside(store: Store, env: Environment, given: Image) -> bool:
    """Whether all that is known of the environment's image is true of the other."""
    known = remembered(store, env)
    if known is None:
        return False
    other = replace(env, container=replace(container_of(env), image=given))
    return base_json.name(contents_of(store, other)) == base_json.name(known)
