"""Put packages of the image's own system into a new image, or take them out again, and write it down."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from .. import cancelling, runtimes
from ..errors import CommandFailed, InvalidInput
from ..formats.system_packages import TOOLS, checked, installing, name_of
from ..history import Entry
from ..model import Actor, Asked, BaseChange, Contents, Ecosystem, Environment, Image
from ..process import OnLine
from ..runtimes.inside import container_of
from ..runtimes.oci import OciRuntime
from ..runtimes.sif import SifRuntime
from ..store import Store
from . import images
from .contents_of import contents_of
from .diff import based
from .install import refuse_read_only
from .note import note
from .stand_on import on_image, stand_on


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """The environment on its new image, the entry of the record (None: there already), and what differs."""

    environment: Environment
    entry: Entry | None = None
    changes: BaseChange | None = None


def add_system(
    store: Store, env: Environment, packages: Sequence[str], *, actor: Actor, on_line: OnLine | None = None
) -> Extended:
    """Build a new image with them, by the manager that the image has, and have the environment stand on it.

    The packages of its language stay where they are, and the image of before stays for `undo`. Raises InvalidInput for
    an environment that is in no container, and for an image without such a manager; KernelUnusable where another
    Python came with them; CommandFailed. Then all is as it was.
    """
    words = checked(packages)
    _refuse(env)
    with store.held(env.name):
        env = store.again(env)
        image = container_of(env).image
        system = _system(env, contents_of(store, env))
        built = _built(store, env, image, installing(system, words), on_line)
        listed = {**{name_of(each): each for each in image.system_packages}, **{name_of(each): each for each in words}}
        built = replace(built, system_packages=tuple(sorted(listed.values())))
        asked = Asked(tool=TOOLS[system], verb="install", names=tuple(map(name_of, words)))
        return _stood(store, env, built, asked, actor)


def remove_system(
    store: Store, env: Environment, packages: Sequence[str], *, actor: Actor, on_line: OnLine | None = None
) -> Extended:
    """Build the image without them, from the one that there was before any were added.

    Raises InvalidInput for what was not added; as `add_system` otherwise.
    """
    names = frozenset(map(name_of, checked(packages)))
    _refuse(env)
    with store.held(env.name):
        env = store.again(env)
        image = container_of(env).image
        if missing := sorted(names.difference(map(name_of, image.system_packages))):
            raise InvalidInput(
                f"{', '.join(missing)} was not added to the image of {env.name!r}",
                hint=f"see: venvoy configure {env.name}\nwhat the image itself has, only another image has not",
            )
        rest = tuple(each for each in image.system_packages if name_of(each) not in names)
        under = on_image(store, env, image.origin)
        system = _system(under, contents_of(store, under))
        built = container_of(under).image
        if rest:
            built = _built(store, env, built, installing(system, rest), on_line)
        asked = Asked(tool=TOOLS[system], verb="remove", names=tuple(sorted(names)))
        return _stood(store, env, replace(built, system_packages=rest), asked, actor)


def _refuse(env: Environment) -> None:
    refuse_read_only(env)
    if env.container is None:
        raise InvalidInput(
            f"{env.name!r} is in no container: the packages of this machine's system are not venvoy's affair",
            hint="make one that is: venvoy init NAME --runtime auto",
        )


def _system(env: Environment, contents: Contents) -> Ecosystem:
    found = next((each for each in TOOLS if contents.of(each)), None)
    if found is None:
        raise InvalidInput(
            f"the image of {env.name!r} has no package manager that is known (apt, apk, dnf)",
            hint="build an image with what you need, and take that: venvoy init NAME --image Dockerfile",
        )
    return found


def _built(store: Store, env: Environment, image: Image, steps: Sequence[str], on_line: OnLine | None) -> Image:
    runtime = runtimes.get(env.runtime)
    assert isinstance(runtime, OciRuntime | SifRuntime)  # noqa: S101  # there is no third kind of image
    try:
        network = container_of(env).resources.network
        return images.extended(store, runtime, image, steps, network=network, on_line=on_line)
    except CommandFailed as error:
        raise CommandFailed(
            f"the image of {env.name!r} cannot be built anew; it stays as it was", hint=error.hint, code=error.code
        ) from error


def _stood(store: Store, env: Environment, image: Image, asked: Asked, actor: Actor) -> Extended:
    on = replace(env, container=replace(container_of(env), image=image))
    with ExitStack() as otherwise:
        otherwise.callback(images.let_go, store, env.runtime, image)
        changes = based(contents_of(store, env), contents_of(store, on))
        with cancelling.whole():
            moved = stand_on(store, env, on)
            otherwise.pop_all()
            entry = note(store, moved, actor=actor, asked=(asked,))
            cancelling.too_late()
    return Extended(environment=moved, entry=entry, changes=changes)
