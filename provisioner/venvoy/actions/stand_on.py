"""Have an environment stand on another image, with the prefix that it has."""

from __future__ import annotations

from dataclasses import replace

from ..errors import KernelUnusable, RuntimeUnavailable
from ..formats.system_packages import TOOLS, name_of
from ..model import Asked, Base, Environment
from ..runtimes.inside import container_of
from ..store import Store
from . import image_uses
from .contents_of import contents_of


def stand_on(store: Store, env: Environment, on: Environment) -> Environment:
    """`on` is the same environment on the other image; the caller holds it.

    Raises KernelUnusable where that has another Python, or another R.
    """
    if env.speaks("r"):
        on = replace(on, r_version=_same_r(store, env, on))
    if env.language == "r":
        return _moved(store, on)
    other = contents_of(store, on).python
    if other is None or not fits(contents_of(store, env).python, other):
        has = f"{other.version}, in {other.path}" if other else "none"
        raise KernelUnusable(
            f"the image has another Python now ({has}), and the packages of {env.name!r} are for {env.python_version}",
            hint=f"make it anew on such an image: venvoy init {env.name} --image IMAGE --force",
        )
    return _moved(store, replace(on, python_version=other.version))


def _moved(store: Store, env: Environment) -> Environment:
    store.note(env.name, container_of(env).image)
    store.save(env)
    image_uses.keep(store, env)
    return env


def _same_r(store: Store, env: Environment, on: Environment) -> str:
    """The version of the image's R, where that is of the minor version that the library is for."""
    other = contents_of(store, on).r_version
    if other.split(".")[:2] != env.r_version.split(".")[:2]:
        now = f"the image has another R now ({other or 'none'})"
        raise KernelUnusable(
            f"{now}, and the packages of {env.name!r} are for {env.r_version}",
            hint=f"make it anew on such an image: venvoy init {env.name} --image IMAGE --force",
        )
    return other


def fits(one: Base | None, other: Base | None) -> bool:
    """Whether a prefix for one works with the other: it has the interpreter's path in it, and files for its ABI."""
    if one is None or other is None:
        return one is other
    return (one.path, one.abi, one.libc.partition("-")[0]) == (other.path, other.abi, other.libc.partition("-")[0])


def on_image(store: Store, env: Environment, digest: str) -> Environment:
    """The same environment on an image that it stood on before. Raises RuntimeUnavailable where that is not known."""
    image = next((each for each in store.image_notes(env.name) if each.digest == digest), None)
    if image is None:
        raise RuntimeUnavailable(
            f"nothing is known here of the image {digest} that {env.name!r} stood on",
            hint=f"take an image anew: venvoy init {env.name} --image IMAGE --force",
        )
    return replace(env, container=replace(container_of(env), image=image))


def asked_of_system(store: Store, env: Environment, then: Environment) -> tuple[Asked, ...]:
    """What was asked for of the image's system in one of the two and not in the other."""
    contents = contents_of(store, env)
    tool = next((TOOLS[each] for each in TOOLS if contents.of(each)), "")
    now, later = (frozenset(map(name_of, container_of(each).image.system_packages)) for each in (env, then))
    removed = Asked(tool=tool, verb="remove", names=tuple(sorted(now - later)))
    added = Asked(tool=tool, verb="install", names=tuple(sorted(later - now)))
    return tuple(each for each in (removed, added) if each.names)
