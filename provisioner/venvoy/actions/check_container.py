"""What is wrong with an environment whose base is an image: the runtime, the image, what is mounted, its Python."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from .. import files, inventory, process, runtimes
from ..errors import CommandFailed, NotPermitted, RuntimeUnavailable
from ..inventory import venv
from ..model import Base, Container, Environment, Finding, Job
from ..runtimes.inside import container_of
from ..runtimes.oci import ABSENT, OciRuntime
from ..store import Store
from .contents_of import contents_of, remembered
from .detect import Detected, Found, detect
from .limits import refuse_impossible
from .start_of import start_of


def of_container(store: Store, env: Environment) -> Iterator[Finding]:
    """Its runtime, its image, its mounts, and whether it is made for the image's Python."""
    found = detect().named(env.runtime)
    yield from _of_image(env, found)
    yield from _of_resources(env)
    yield from _of_policy(env)
    if container_of(env).writable:
        system = f"have system packages in the image (venvoy add {env.name} --system PACKAGE), then"
        yield Finding(
            code="image-writable",
            message=f"what kernels and runs of {env.name!r} change in the image's own files goes with their containers",
            mend=f"{system}: venvoy configure {env.name} --set writable=false",
            severity="warning",
        )
    yield from _of_mounts(store, env)
    if env.language == "python":
        yield from _of_python(store, env)


def hindrance(env: Environment, *, look: Callable[[], Detected] = detect) -> str:
    """Why nothing can be run in the environment's container at the moment, in one sentence, "" where it can be.

    `look` says what there is on this machine: whoever asks for many environments looks once.
    """
    found = obstacle(env, look=look)
    return found.message if found else ""


def obstacle(env: Environment, *, look: Callable[[], Detected] = detect) -> Finding | None:
    """The same with what mends it, None where nothing stands in the way."""
    return next(_of_image(env, look().named(env.runtime), whole=False), None)


def refuse_hindered(store: Store, env: Environment) -> None:
    """Raise RuntimeUnavailable, with what mends it, where nothing can be run in its container at the moment."""
    found = (*_of_image(env, detect().named(env.runtime), whole=False), *_of_mounts(store, env))
    if found:
        raise RuntimeUnavailable(found[0].message, hint=f"mend it: {found[0].mend}")


def _of_mounts(store: Store, env: Environment) -> Iterator[Finding]:
    for source, target in _mounted(env):
        if not source.exists():
            own = source.is_relative_to(store.settings.home)
            yield Finding(
                code="mount-gone",
                message=f"{source}, which is to be seen as {target}, is not there",
                mend=_repair(env) if own else f"venvoy configure {env.name} --edit",
            )


def _of_resources(env: Environment) -> Iterator[Finding]:
    container = container_of(env)
    try:
        refuse_impossible(container.resources, engine=container.engine, rootless=container.rootless, name=env.name)
    except RuntimeUnavailable as error:
        yield Finding(code="resources-impossible", message=error.message, mend=error.hint)


def _of_policy(env: Environment) -> Iterator[Finding]:
    try:
        start_of(env, Job(argv=("true",)))
    except NotPermitted as error:
        yield Finding(code="not-permitted", message=error.message, mend=error.hint)
    except (CommandFailed, RuntimeUnavailable):
        return  # told already


def image_is_here(env: Environment) -> bool:
    """Whether the runtime has the image that the environment stands on. Raises CommandFailed where it cannot tell."""
    image, runtime = container_of(env).image, runtimes.get(env.runtime)
    if not isinstance(runtime, OciRuntime):
        return image.file is not None and image.file.is_file()
    try:
        process.run(runtime.inspect(image.digest), timeout=20)
    except CommandFailed as error:
        if ABSENT.search(error.hint):
            return False
        raise
    return True


def is_other(env: Environment, found: Found) -> bool:
    """Whether the engine is another than the environment is run for: who its user is inside hangs on that."""
    container = container_of(env)
    layers = isinstance(runtimes.get(env.runtime), OciRuntime)
    return layers and (container.engine, container.rootless) != (found.engine, found.rootless)


def kind_of(engine: Container | Found) -> str:
    """What decides over who the user is inside, in words."""
    return f"{engine.engine.capitalize()} {'without' if engine.rootless else 'with'} root"


def _of_image(env: Environment, found: Found, *, whole: bool = True) -> Iterator[Finding]:
    """Whether it can be run; `whole` looks at all of its bytes where it is a file."""
    image, mend = container_of(env).image, _repair(env)
    if not found.usable:
        problem = found.problem or "it is not installed"
        yield Finding(code="runtime-unusable", message=f"{found.name} cannot be used: {problem}", mend=found.cure)
        return
    if is_other(env, found):
        message = f"{env.name!r} was made for {kind_of(container_of(env))}, and {found.name} is {kind_of(found)} now"
        yield Finding(code="runtime-other", message=message, mend=mend)
    try:
        here = image_is_here(env)
    except (CommandFailed, RuntimeUnavailable) as error:
        said = error.hint.strip().splitlines()[-1:] or [error.message]
        yield Finding(code="runtime-unusable", message=f"{found.name} does not answer: {said[0]}", mend=found.cure)
        return
    if not here:
        message = f"the image of {env.name!r} is not here any more ({image.reference}, {image.digest[:19]}…)"
        yield Finding(code="image-gone", message=message, mend=mend)
    elif whole and image.file and f"sha256:{files.sha256(image.file)}" != image.digest:
        message = f"{image.file} is another image than {env.name!r} stands on: its sha256 is not {image.digest[7:19]}…"
        yield Finding(code="image-changed", message=message, mend=mend)


def _mounted(env: Environment) -> Iterator[tuple[Path, str]]:
    container = container_of(env)
    yield from ((each.source, each.target) for each in container.mounts)
    if users := container.users:
        yield from ((users / name, f"/etc/{name}") for name in ("passwd", "group"))


# --- its Python ------------------------------------------------------------------------------------------------------


def python_of(store: Store, env: Environment) -> Base | None:
    """The Python of the image, as far as it is known or can be asked; None where it has none, too."""
    if contents := remembered(store, env):
        return contents.python
    try:
        return contents_of(store, env).python
    except (CommandFailed, NotPermitted, RuntimeUnavailable):
        return None


def leads_to(env: Environment) -> str:
    """What `bin/python` of the prefix means inside the container, "" where it leads nowhere."""
    link, seen = env.python, 0
    while link.is_symlink() and seen < 10:
        target = os.readlink(link)
        if target.startswith("/"):
            return target
        link, seen = link.parent / target, seen + 1
    return ""


def made_for(env: Environment, python: Base) -> bool:
    """Whether the prefix says that it is of that very interpreter."""
    said = venv.settings(env.prefix)
    return leads_to(env) == str(python.path) and said.get("home") == str(python.path.parent)


def _of_python(store: Store, env: Environment) -> Iterator[Finding]:
    image = container_of(env).image.reference
    if not venv.settings(env.prefix):
        message = f"{env.prefix} has no pyvenv.cfg any more, so its python does not see its packages"
        yield Finding(code="pyvenv-cfg-gone", message=message, mend=_repair(env))
        return
    python = python_of(store, env)
    if python is None:
        if remembered(store, env) is not None:
            message = f"the image of {env.name!r} has no Python that runs ({image})"
            mend = f"venvoy init {env.name} --force --runtime {env.runtime} --image IMAGE"
            yield Finding(code="interpreter-gone", message=message, mend=mend)
        return
    folders = [each.parent.name for each in inventory.site_folders(env.prefix)]
    if env.system and env.platform != python.platform:
        yield Finding(
            code="platform-other",
            message=f"{env.name!r} was made on {env.system} {env.architecture}, and the image is for {python.platform}",
            mend=f"venvoy init {env.name} --force",
        )
    elif folders and not any(each.removesuffix("t") == f"python{python.minor}" for each in folders):
        message = (
            f"the image has Python {python.version} ({image}), and the packages of {env.name!r} are installed for "
        )
        yield Finding(
            code="interpreter-changed",
            message=message + ", ".join(dict.fromkeys(folders)),
            mend=f"venvoy init {env.name} --force",
        )
    elif not env.python.is_symlink():
        message = f"the interpreter of {env.name!r} is gone: there is no {env.python}"
        yield Finding(code="interpreter-gone", message=message, mend=_repair(env))
    elif not made_for(env, python):
        message = f"the prefix of {env.name!r} was made for another image: its python is {leads_to(env) or 'nowhere'}, "
        message += f"and that of {image} is {python.path}"
        yield Finding(code="image-other", message=message, mend=_repair(env))


def _repair(env: Environment) -> str:
    return f"venvoy repair {env.name}"
