"""Build an image of an environment that needs nothing of venvoy: from the recipe that `export` writes, by an engine."""

from __future__ import annotations

import platform
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

from .. import files, process, runtimes
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable
from ..formats.dockerfile import image_tag, tied
from ..model import Actor, Environment, Snapshot
from ..process import OnLine
from ..runtimes.oci import OciRuntime
from ..runtimes.sif import SifRuntime
from ..store import Store
from .contain import chosen
from .detect import AUTO, Found, current, detect
from .export import Exported, Order, export
from .image_named import is_sif
from .images import image_for
from .oci_images import inspected
from .registries import full
from .steps import handed_on, refuse_secrets

_PLATFORM = re.compile(r"linux/[a-z0-9_]+(/v[0-9]+)?")
_EMULATED = {"arm64": "aarch64", "arm": "arm", "amd64": "x86_64", "ppc64le": "ppc64le", "s390x": "s390x",
             "riscv64": "riscv64", "386": "i386"}  # fmt: skip
"""What qemu calls the processors of platforms."""
_OWN = {"x86_64": ("amd64", "386"), "aarch64": ("arm64",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wished:
    """What to build. `tag` is the image's name, `file` where a SIF goes; both have the environment's name by default.

    `runtime` is the program that builds it, None that of the environment, or the first that can. `platforms` are as
    engines call them ("linux/arm64"), none for that of this machine. With `push` the image goes to its registry.
    """

    runtime: str | None = None
    tag: str | None = None
    file: Path | None = None
    platforms: tuple[str, ...] = ()
    push: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """The image by its name, or the SIF, the digest of it where one is known, and what was built."""

    runtime: str
    recipe: Exported
    digest: str = ""
    tag: str = ""
    file: Path | None = None
    platforms: tuple[str, ...] = ()


def build(store: Store, env: Environment, wished: Wished, *, actor: Actor, on_line: OnLine | None = None) -> Built:
    """Build the image. Without a fresh lock the environment is frozen first, as for `export`.

    Raises RuntimeUnavailable for what no engine here can build, InvalidInput, CommandFailed.
    """
    found = chosen(detect(), wished.runtime or (env.runtime if env.container else AUTO))
    runtime = runtimes.get(found.name)
    network = env.container.resources.network if env.container else None
    if isinstance(runtime, SifRuntime):
        return _sif(store, env, runtime, wished, actor=actor, on_line=on_line)
    assert isinstance(runtime, OciRuntime)  # noqa: S101  # there is no third kind of image
    tag = wished.tag or f"{image_tag(env.name)}:latest"
    full(tag)  # refuses what no image can be called
    _refuse_platforms(found, runtime, wished)
    recipe = export(store, env.name, Order(form="dockerfile"), actor=actor, on_line=on_line)
    text = recipe.text
    refuse_secrets(text)
    _ground(store, env, found, runtime, on_line)
    if wished.platforms:
        _refuse_tied(recipe.snapshot, wished.platforms)
        text = re.sub(r"(?m)^FROM --platform=\S+ ", "FROM ", text)
    with store.scratch() as folder:
        files.replace(folder / "Dockerfile", text)
        context, told = _context(env) or files.private(folder / "context"), folder / "digest"
        with _aside(runtime, tag) if wished.platforms and found.engine == "podman" else nullcontext(tag) as called:
            command = (
                runtime.build_for(
                    context, folder / "Dockerfile", wished.platforms, called, push=wished.push, network=network
                )
                if wished.platforms
                else runtime.build(context, folder / "Dockerfile", told, network=network, tags=(called,))
            )
            process.run(command, on_line=on_line)
        digest = told.read_text("utf-8").strip() if told.exists() else ""
    if wished.push and not (wished.platforms and found.engine == "docker"):
        process.run(runtime.push(tag, several=bool(wished.platforms)), on_line=on_line)
    return Built(runtime=found.name, recipe=recipe, digest=digest, tag=tag, platforms=wished.platforms)


@contextmanager
def _aside(runtime: OciRuntime, tag: str) -> Iterator[str]:
    """A name to build a list of images under, which has the other one when it is whole.

    Podman adds to a list that is there already, and would go on giving the images in it out.
    """
    aside = f"localhost/venvoy-building:{secrets.token_hex(8)}"
    try:
        yield aside
        with suppress(CommandFailed):  # it is the name of no list
            process.run(runtime.asked("manifest", "exists", tag))
            process.run(runtime.asked("manifest", "rm", tag))
        process.run(runtime.tag(aside, tag))
    finally:
        with suppress(CommandFailed):  # there is none yet
            process.run(runtime.asked("manifest", "rm", aside))


def _ground(store: Store, env: Environment, found: Found, runtime: OciRuntime, on_line: OnLine | None) -> None:
    """Have the image that the recipe begins from under the name that it has there, where no registry gives it."""
    image = env.container.image if env.container else None
    if image is None or image.registered or image.dockerfile or not image.reference.startswith(("/", "sha256:")):
        return
    under = next((each for each in store.image_notes(env.name) if each.digest == image.origin), image)
    if inspected(runtime, under.kept) is not None:
        return
    if not Path(under.reference).exists() or is_sif(Path(under.reference)):
        raise InvalidInput(
            f"{found.name} does not have the image of {env.name!r}, and {under.reference} is no file that it loads",
            hint="build it where the image is from: --runtime " + (env.runtime if env.container else "apptainer"),
        )
    given = image_for(store, found, under.reference, on_line=on_line)
    process.run(runtime.tag(given.digest, under.kept))


def _sif(
    store: Store, env: Environment, runtime: SifRuntime, wished: Wished, *, actor: Actor, on_line: OnLine | None
) -> Built:
    if wished.platforms or wished.push or wished.tag:
        raise InvalidInput(
            f"{runtime.name} builds one file, for this machine",
            hint="leave --platform, --tag and --push away, or build it by another: --runtime podman",
        )
    file = (wished.file or Path(f"{env.name}.sif")).absolute()
    if not file.parent.is_dir():
        raise InvalidInput(f"there is no folder {file.parent}", hint=f"make it first: mkdir -p {file.parent}")
    recipe = export(store, env.name, Order(form="apptainer"), actor=actor, on_line=on_line)
    aside = file.with_name(f".{file.name}.{secrets.token_hex(4)}.partial")
    with store.scratch() as folder:
        files.replace(folder / "apptainer.def", recipe.text)
        own = runtimes.get(env.runtime)
        if env.container and isinstance(own, OciRuntime) and "\nBootstrap: docker-archive\n" in recipe.text:
            _saved(store, env, own, folder)
        try:
            definition = str(folder / "apptainer.def")
            process.run(runtime.build(definition, aside, folder=folder, said=handed_on()), on_line=on_line)
            aside.rename(file)
        finally:
            files.remove(aside)
    return Built(runtime=runtime.name, recipe=recipe, digest=f"sha256:{files.sha256(file)}", file=file)


def _saved(store: Store, env: Environment, runtime: OciRuntime, folder: Path) -> None:
    """Write the image that the definition begins from where the definition looks for it."""
    image = env.container.image if env.container else None
    under = next((each for each in store.image_notes(env.name) if image and each.digest == image.origin), image)
    if under:
        process.run(runtime.save(under.kept, folder / "base.tar"))


def _context(env: Environment) -> Path | None:
    """The folder that the image's own Dockerfile takes files from."""
    if not (env.container and env.container.image.dockerfile):
        return None
    folder = Path(env.container.image.reference).parent
    if not folder.is_dir():
        raise InvalidInput(f"the folder of the image's own Dockerfile is gone: {folder}")
    return folder


def _refuse_tied(snapshot: Snapshot, platforms: tuple[str, ...]) -> None:
    if names := tied(snapshot):
        raise InvalidInput(
            f"the lock has files of {snapshot.platform} alone, which are of no use for all of {', '.join(platforms)}: "
            f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}",
            hint="build on each kind of machine, and join the images: docker manifest create",
        )


def _refuse_platforms(found: Found, runtime: OciRuntime, wished: Wished) -> None:
    """Raise where the engine cannot build for that; in words that say what is missing."""
    for each in wished.platforms:
        if not _PLATFORM.fullmatch(each):
            raise InvalidInput(f"{each!r} is no platform of images", hint="write it as linux/amd64 or linux/arm64")
    if wished.platforms and found.engine == "docker":
        try:
            process.run(runtime.asked("buildx", "version"), timeout=10)
        except CommandFailed as error:
            raise RuntimeUnavailable(
                f"{found.name} cannot build for {', '.join(wished.platforms)}: it has no buildx",
                hint="install it (https://docs.docker.com/build/buildx/install/), or build it by Podman: "
                "--runtime podman",
            ) from error
    if foreign := [each for each in wished.platforms if not _runs(each)]:
        raise RuntimeUnavailable(
            f"this machine cannot run programs of {', '.join(foreign)}",
            hint="install qemu for them: sudo apt-get install qemu-user-static, or "
            "docker run --privileged --rm docker.io/tonistiigi/binfmt --install all",
        )


def _runs(wanted: str) -> bool:
    """Whether the kernel starts programs of that platform, by itself or by an interpreter that is registered."""
    processor = wanted.split("/")[1]
    if processor in _OWN.get(platform.machine(), (platform.machine(),)):
        return True
    said = current().read(f"proc/sys/fs/binfmt_misc/qemu-{_EMULATED.get(processor, processor)}")
    return said.startswith("enabled")
