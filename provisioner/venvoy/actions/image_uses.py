"""Which images environments use, noted where the images lie: whoever shares them can see it, and none goes too early.

In Docker and Podman a use is a name of the image, so one of them is as good as a hundred, and none is taken by
mistake: an image goes when its last name does, and each takes away but its own. A SIF belongs to one VENVOY_HOME, and
is used by the environments there that name it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import files, process, runtimes
from ..errors import CommandFailed, EnvironmentNotFound, InvalidInput, RuntimeUnavailable
from ..model import Engine, Environment, Image
from ..runtimes.oci import ABSENT, OciRuntime
from ..store import Store
from .detect import Detected, detect
from .registries import repository

_PLACE = "localhost/venvoy/"
"""Begins the names of ours: a registry of that name is nobody else's."""
BROUGHT = f"{_PLACE}brought"
"""Begins the names of images that venvoy has fetched, and may take away again under the name that they have there."""
USED = f"{_PLACE}used"
"""Begins the names that are uses: USER-HOME-DIGEST-ENVIRONMENT, or -_TIME while an environment is about to be made."""
HOUR = 3600
_USE = re.compile(r"(?P<user>\d+)-(?P<home>[0-9a-f]{8})-(?P<digest>[0-9a-f]{12})-(?:_(?P<since>\d+)|(?P<name>.+))")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Other:
    """A use of somebody else: another user, by number, or another VENVOY_HOME of the same."""

    environment: str
    user: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """An image, and who uses it: `environments` are ours, `others` are not; `busy` says that one is being made of it.

    `size` is in bytes, None where the image is gone; images share layers, so removing one may give back less. `names`
    are those that go when it is pruned.
    """

    runtime: str
    digest: str
    reference: str
    registered: str = ""
    file: Path | None = None
    size: int | None = None
    environments: tuple[str, ...] = ()
    others: tuple[Other, ...] = ()
    busy: bool = False
    names: tuple[str, ...] = ()

    @property
    def prunable(self) -> bool:
        return self.size is not None and not (self.environments or self.others or self.busy)


# --- noting ----------------------------------------------------------------------------------------------------------


def announce(store: Store, runtime: OciRuntime, image: Image) -> None:
    """Keep an image from being pruned for the hour in which its environment is made."""
    process.run(runtime.tag(image.digest, f"{USED}:{_ours(store, image.digest)}-_{int(time.time())}"))


def renounce(store: Store, runtime: OciRuntime, image: Image) -> None:
    """Take back what was announced of it. Raises CommandFailed."""
    announced = f"{USED}:{_ours(store, image.digest)}-_"
    for name in _tags(runtime):
        if name.startswith(announced):
            process.run(runtime.forget(name))


def keep(store: Store, env: Environment) -> None:
    """Note that the environment uses its image. Raises CommandFailed where that is gone."""
    if env.container is None:
        return
    image, runtime = env.container.image, runtimes.get(env.runtime)
    if isinstance(runtime, OciRuntime):
        process.run(runtime.tag(image.digest, f"{USED}:{_ours(store, image.digest)}-{env.name}"))
    elif image.file is None or not image.file.is_file():
        raise CommandFailed(f"the image {image.reference} is gone: {image.file}", hint="try again")


def let_go(store: Store, name: str, before: Iterable[Environment] = ()) -> None:
    """Take back what is noted for images that the environment neither stands on nor can be taken back to at once.

    `before` is what it was, in other runtimes perhaps. An engine that does not answer keeps an image too long, which
    `prune` mends; nothing is taken from an environment that cannot be read.
    """
    try:
        stands = _standing(store, name)
    except InvalidInput:
        return  # nobody knows what it needs
    for image in (each.container.image for each in stands if each.container):
        _settled(store, image)
    for runtime in {each.runtime for each in (*stands, *before)}:
        engine = runtimes.get(runtime)
        if isinstance(engine, OciRuntime):
            digests = [each.container.image.digest for each in stands if each.container and each.runtime == runtime]
            with contextlib.suppress(CommandFailed, RuntimeUnavailable):
                _free(store, engine, name, digests)


def forget(store: Store, runtime: str) -> None:
    """Take back every use that was noted for environments of a store that goes."""
    engine = runtimes.get(runtime)
    if not isinstance(engine, OciRuntime):
        return
    with contextlib.suppress(CommandFailed, RuntimeUnavailable):
        for tag in _tags(engine):
            if (use := _use(tag)) and _is_ours(store, use):
                _taken(engine, tag)


def _free(store: Store, runtime: OciRuntime, name: str, digests: Iterable[str]) -> None:
    wanted = {f"{USED}:{_ours(store, each)}-{name}" for each in digests}
    announced = tuple(f"{USED}:{_ours(store, each)}-_" for each in digests)
    for tag in _tags(runtime):
        use = _use(tag)
        if use and _is_ours(store, use) and (tag.startswith(announced) or (use["name"] == name and tag not in wanted)):
            _taken(runtime, tag)


def announced(file: Path, said: Mapping[str, Any]) -> None:
    """Note of a SIF what it was made of, and that an environment is about to be."""
    files.replace(file.with_suffix(".json"), json.dumps({**said, "announced": int(time.time())}, sort_keys=True))


def _settled(store: Store, image: Image) -> None:
    """Of this SIF an environment was made: from now on that is what keeps it."""
    if image.file is None or image.file.parent != store.images:
        return
    said = dict(sif_note(image.file))
    if said.pop("announced", None):
        files.replace(image.file.with_suffix(".json"), json.dumps(said, sort_keys=True))


def sif_note(file: Path) -> Mapping[str, Any]:
    """What was noted of a SIF when it was made; nothing where that cannot be read."""
    try:
        said = json.loads(file.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def remove_sif(file: Path) -> None:
    """Remove a SIF of ours, with what was noted of it."""
    files.remove(file)
    files.remove(file.with_suffix(".json"))


# --- looking ---------------------------------------------------------------------------------------------------------


def held(store: Store, detected: Detected | None = None) -> tuple[Held, ...]:
    """Every image that venvoy holds here, in all runtimes that answer; those of environments also where they are gone.

    Raises InvalidInput for an environment that cannot be read: nobody knows what that one needs.
    """
    stands = [each for name in store.names() for each in _standing(store, name)]
    found: dict[tuple[str, str], Held] = {}
    for runtime, engine in _engines(detected or detect()):
        here = [each for each in stands if each.container and each.container.engine == engine]
        for each in _in_engine(store, runtime, here):
            found[each.runtime, each.digest] = each
    for each in _in_folder(store, stands):
        found[each.runtime, each.digest] = each
    for env in stands:
        if env.container and not any(_names(each, env) for each in found.values()):
            found[env.runtime, env.container.image.digest] = _elsewhere(env, stands)
    return tuple(sorted(found.values(), key=lambda each: (each.reference, each.runtime, each.digest)))


def _engines(detected: Detected) -> Iterator[tuple[OciRuntime, Engine]]:
    """Those that answer, each once: a `docker` may be Podman."""
    seen: set[Engine] = set()
    for found in sorted(detected.runtimes, key=lambda each: each.name != each.engine):
        runtime = runtimes.get(found.name)
        if found.usable and isinstance(runtime, OciRuntime) and found.engine not in seen:
            seen.add(found.engine)
            yield runtime, found.engine


def _in_engine(store: Store, runtime: OciRuntime, stands: Iterable[Environment]) -> Iterator[Held]:
    for said in listed(runtime):
        digest = f"sha256:{str(said['Id']).removeprefix('sha256:')}"
        ours = [each for each in stands if each.container and each.container.image.digest == digest]
        tags = said.get("RepoTags") or ()
        uses = [use for each in tags if (use := _use(each))]
        known = sorted(said.get("RepoDigests") or ())
        fetched = any(each.startswith(f"{BROUGHT}:") for each in tags)
        own = [each for each in tags if each.startswith(_PLACE) and not _use(each)]
        theirs = [each for each in tags if fetched and repository(each) in map(repository, known)]
        others = [each for each in tags if not each.startswith(_PLACE)]
        images = [each.container.image for each in ours if each.container]
        yield Held(
            runtime=runtime.name,
            digest=digest,
            reference=next((each.reference for each in images), (*others, *known, "")[0]),
            registered=next((each.registered for each in images), (*known, "")[0]),
            size=int(said.get("Size") or 0),
            environments=tuple(sorted({each.name for each in ours})),
            others=tuple(sorted({_other(use) for use in uses if use["name"] and not _is_ours(store, use)})),
            busy=any(_is_fresh(use) for use in uses),
            # Each names it alone, so that the image goes with the last of them, and stays with anybody else's.
            names=(*theirs, *sorted(own), *(known if fetched else ())),
        )


def listed(runtime: OciRuntime) -> list[Mapping[str, Any]]:
    """What the engine says of each image that has a name of ours."""
    digests = sorted(set(process.run(runtime.named(f"{_PLACE}*")).split()))
    if not digests:
        return []
    try:
        said: list[Mapping[str, Any]] = json.loads(process.run(runtime.inspect(*digests)))
    except CommandFailed:  # one went meanwhile
        return [each for digest in digests for each in _one(runtime, digest)]
    return said


def _tags(runtime: OciRuntime) -> tuple[str, ...]:
    """Every name of the images that have one of ours."""
    return tuple(each for said in listed(runtime) for each in said.get("RepoTags") or ())


def _one(runtime: OciRuntime, digest: str) -> list[Mapping[str, Any]]:
    try:
        said: list[Mapping[str, Any]] = json.loads(process.run(runtime.inspect(digest)))
    except CommandFailed:
        return []
    return said


def _in_folder(store: Store, stands: Iterable[Environment]) -> Iterator[Held]:
    for file in sorted(store.images.glob("[0-9a-f]*.sif")):
        ours = [each for each in stands if each.container and each.container.image.file == file]
        said = sif_note(file)
        images = [each.container.image for each in ours if each.container]
        yield Held(
            runtime=next((each.runtime for each in ours), str(said.get("runtime", "apptainer"))),
            digest=next((each.digest for each in images), f"sha256:{files.sha256(file)}"),
            reference=next((each.reference for each in images), str(said.get("reference", ""))),
            registered=next((each.registered for each in images), ""),
            file=file,
            size=file.stat().st_size,
            environments=tuple(sorted({each.name for each in ours})),
            busy=float(said.get("announced") or 0) > time.time() - HOUR,
        )


def _elsewhere(env: Environment, stands: Iterable[Environment]) -> Held:
    """The image of an environment that is in no store of ours: a SIF of the user's own, or one that is not there."""
    assert env.container is not None  # noqa: S101  # who asks has looked
    image = env.container.image
    same = {each.name for each in stands if each.container and each.container.image.digest == image.digest}
    here = image.file is not None and image.file.is_file()
    return Held(
        runtime=env.runtime,
        digest=image.digest,
        reference=image.reference,
        registered=image.registered,
        file=image.file,
        size=image.file.stat().st_size if image.file and here else None,
        environments=tuple(sorted(same)),
    )


def _names(image: Held, env: Environment) -> bool:
    return env.container is not None and env.container.image.digest == image.digest and env.name in image.environments


def environments(store: Store, name: str) -> tuple[Environment, ...]:
    """The environment, and those that it was and can be again; none where it is not there, or cannot be read."""
    try:
        return _standing(store, name)
    except InvalidInput:
        return ()


def _standing(store: Store, name: str) -> tuple[Environment, ...]:
    """The same, with kept prefixes, and images that it stood on. Raises InvalidInput for one that cannot be read."""
    try:
        env = store.environment(name)
    except EnvironmentNotFound:
        return ()
    return (env, *store.kept(name), *_on_other_images(store, env))


def _on_other_images(store: Store, env: Environment) -> Iterator[Environment]:
    """On the images that its own was made of, or that were made of the same: packages of the system can go again."""
    if env.container is None:
        return
    stands = env.container.image
    for image in store.image_notes(env.name):
        if image.digest != stands.digest and (image.origin or image.digest) == (stands.origin or stands.digest):
            yield replace(env, container=replace(env.container, image=image))


# --- taking away -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """`gone` are the images that went, `kept` those that their engine would not give: a container is made of them."""

    gone: tuple[Held, ...]
    kept: tuple[Held, ...]

    @property
    def size(self) -> int:
        return sum(each.size or 0 for each in self.gone)


def prunable(store: Store) -> tuple[Held, ...]:
    """The images that no environment of anybody uses. What was noted for environments that are gone goes first."""
    detected = detect()
    for runtime, _ in _engines(detected):
        _sweep(store, runtime)
    return tuple(each for each in held(store, detected) if each.prunable and (each.names or _in_ours(store, each)))


def prune(store: Store) -> Pruned:
    """Remove them."""
    gone: list[Held] = []
    kept: list[Held] = []
    for each in prunable(store):
        (gone if _removed(each) else kept).append(each)
    for left in store.images.glob(".*"):
        if left.lstat().st_mtime < time.time() - 24 * HOUR:  # of one that was killed
            files.remove(left)
    return Pruned(gone=tuple(gone), kept=tuple(kept))


def _in_ours(store: Store, image: Held) -> bool:
    return image.file is not None and image.file.parent == store.images


def _removed(image: Held) -> bool:
    if image.file is not None:
        remove_sif(image.file)
        return True
    runtime = runtimes.get(image.runtime)
    assert isinstance(runtime, OciRuntime)  # noqa: S101  # only those have images that are no files
    if False not in [_taken(runtime, name) for name in image.names]:
        return True
    with contextlib.suppress(CommandFailed):  # for the next time
        process.run(runtime.tag(image.digest, Image(reference=image.reference, digest=image.digest).kept))
    return False


def _sweep(store: Store, runtime: OciRuntime) -> None:
    """Take away what is noted for environments of ours that are gone, or stand on something else by now.

    And what was announced for one that nobody makes any more. Raises InvalidInput for one that cannot be read.
    """
    for said in listed(runtime):
        digest = f"sha256:{str(said['Id']).removeprefix('sha256:')}"
        for tag in said.get("RepoTags") or ():
            use = _use(tag)
            if use and _is_ours(store, use) and not _holds(store, use, digest):
                _taken(runtime, tag)


def _holds(store: Store, use: Mapping[str, str], digest: str) -> bool:
    """Whether that use of ours is one: of an environment that stands on the image, or is being made or changed."""
    if not use["name"]:
        return _is_fresh(use)
    if store.busy(use["name"]):
        return True
    return any(each.container.image.digest == digest for each in _standing(store, use["name"]) if each.container)


def _taken(runtime: OciRuntime, name: str) -> bool:
    """Take a name away; False where a container still needs the image that would go with it."""
    try:
        process.run(runtime.forget(name))
    except CommandFailed as error:
        return ABSENT.search(error.hint) is not None
    return True


def _ours(store: Store, digest: str) -> str:
    return f"{os.getuid()}-{store.identity}-{digest.partition(':')[2][:12]}"


def _use(tag: str) -> Mapping[str, str] | None:
    found = _USE.fullmatch(tag.removeprefix(f"{USED}:")) if tag.startswith(f"{USED}:") else None
    return found.groupdict() if found else None


def _is_fresh(use: Mapping[str, str]) -> bool:
    """Whether it announces an environment that may still be being made."""
    return bool(use["since"]) and int(use["since"]) > time.time() - HOUR


def _is_ours(store: Store, use: Mapping[str, str]) -> bool:
    return use["home"] == store.identity and int(use["user"]) == os.getuid()


def _other(use: Mapping[str, str]) -> Other:
    return Other(environment=use["name"], user=int(use["user"]))
