"""Decide how an environment is run in a container: by which runtime, from which image, with what of the machine."""

from __future__ import annotations

import contextlib
import grp
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import containers, files
from ..model import Container, Image, Language, Mount, OnProgress, Resources
from ..process import OnLine
from ..settings import Policy
from ..store import Store
from .detect import AUTO, Detected, Found, choose, current, detect, usable
from .images import image_for
from .permission import bounded, possible
from .permitted_image import permitted_image
from .r_bases import checked
from .r_prefix import IMAGE as R_IMAGE

NO_DIGEST = f"sha256:{'0' * 64}"
NEWEST = "3.13"
"""The Python of an image where nobody asks for one."""
NEWEST_R = "4.5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What is asked of a container. `runtime` is a runtime's name or "auto"; `image` None takes the field's own."""

    runtime: str = AUTO
    image: str | None = None
    language: Language = "python"
    python: str | None = None
    r: str | None = None
    resources: Resources = field(default_factory=Resources)
    mounts: tuple[Mount, ...] = ()
    home: bool = True
    writable: bool = False


def contain(
    store: Store,
    wanted: Wanted,
    policy: Policy,
    *,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> tuple[str, Container]:
    """Choose the runtime and have the image here; returns the runtime's name and how it is run.

    Raises NotPermitted, RuntimeUnavailable, InvalidInput, CommandFailed.
    """
    found = chosen(detect(), wanted.runtime, usual=store.settings.containers)
    reference = wanted.image or usual_image(wanted)
    container = planned(store, found, reference, wanted, policy)
    image = image_for(store, found, reference, on_line=on_line, on_progress=on_progress)
    if policy.images is not None:
        permitted_image(found.name, image, policy.images)
    return found.name, replace(container, image=image)


def planned(store: Store, found: Found, reference: str, wanted: Wanted, policy: Policy) -> Container:
    """How an image of that name would be run: what cannot be is better known before than after the download.

    Raises NotPermitted, and RuntimeUnavailable for what the runtime cannot give.
    """
    container = arranged(store, found, Image(reference=reference, digest=NO_DIGEST, file=Path("/")), wanted)
    bounded(container, policy)
    possible(found.name, container)
    return container


def chosen(detected: Detected, wanted: str, *, usual: str = AUTO) -> Found:
    """The runtime of that name, or for "auto" the usual, or the first that can be used. Raises RuntimeUnavailable."""
    choice = choose(detected, wanted, usual=usual)
    if choice.runtime is not None:
        return choice.runtime
    here = [each for each in detected.runtimes if each.path]
    return usable(here[0] if here else detected.runtimes[0])


def usual_image(wanted: Wanted) -> str:
    """The field's own image of that Python or R. Raises InvalidInput for what is no version."""
    if wanted.language == "r":
        return f"docker.io/{R_IMAGE}:{checked(wanted.r) or NEWEST_R}"
    return f"docker.io/library/python:{wanted.python or NEWEST}-slim"


def arranged(store: Store, found: Found, image: Image, wanted: Wanted) -> Container:
    """How an image that is here is run."""
    home: Path | None = store.settings.user_home if wanted.home else None
    users: Path | None = None
    if containers.needs_users(found.engine, rootless=found.rootless):
        users = store.settings.home / "users"
        named(users, store.settings.user_home)
    return Container(
        image=image,
        engine=found.engine,
        rootless=found.rootless,
        resources=wanted.resources,
        mounts=wanted.mounts,
        home=home,
        users=users,
        writable=wanted.writable,
    )


def named(users: Path, home: Path) -> None:
    """Write a passwd and a group in which the user has a name; programs ask for it, and fail where there is none."""
    user, group = os.getuid(), os.getgid()
    name, of_group = current().user or f"user{user}", f"group{group}"
    with contextlib.suppress(KeyError):
        of_group = grp.getgrgid(group).gr_name
    shell = "/bin/sh"
    passwd = (
        f"root:x:0:0:root:/root:{shell}",
        f"{name}:x:{user}:{group}::{home}:{shell}",
        f"nobody:x:65534:65534::/:{shell}",
    )
    files.replace(users / "passwd", "".join(f"{each}\n" for each in passwd))
    files.replace(users / "group", f"root:x:0:\n{of_group}:x:{group}:\nnogroup:x:65534:\n")
