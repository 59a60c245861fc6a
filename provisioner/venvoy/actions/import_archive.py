"""Make an environment from an archive, without any network; what is there already is not touched until it is whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from .. import files
from ..errors import EnvironmentExists, InvalidInput, RuntimeUnavailable, VenvoyError
from ..formats.environment_yml import EnvironmentYml
from ..formats.locks import LOCKS
from ..formats.origins import public
from ..formats.pylock import PylockToml
from ..formats.snapshot_json import digest
from ..history import History
from ..inventory import r_tarball
from ..model import Actor, Asked, Base, Ecosystem, Environment, OnProgress, Repository
from ..process import OnLine
from ..settings import Policy
from ..store import Store, checked_name
from . import payload, support
from .bases import base_in, base_of_image, interpreter
from .carried_images import Hears
from .channels import REPODATA
from .contain import Wanted
from .dated import is_dated
from .facts import FACTS
from .kept import CHANNELS, FOLDERS, Kept, folder_of, remember
from .locks import lock_files
from .observe import observe
from .place import EVERYTHING, Place, carried, placed
from .r_repository import CRAN, INDEXES
from .record import keep
from .restore import How, Restored, from_bundle, restore
from .unpacking import Manifest, unpack

_NAME = re.compile(r"[\w.-]+", re.ASCII)
_WEB = re.compile(r"https?://[^\s\"'\\]+", re.ASCII)
_OF_FOLDERS: Mapping[str, Mapping[str, Ecosystem]] = {
    CHANNELS: {"conda": "conda"},
    CRAN: {"cran": "cran", "bioconductor": "bioconductor"},
}
"""What the files of a folder may belong to; all others are wheels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The new environment, what came with it, and what did not.

    `record` says whether the archive's record was taken over, because there was none before; `files` is where its
    notebooks and other files were put, None where it had none. `kernel` says whether the lent kernel came along;
    `remarks` are sentences on what the environment stands on here, where that is other than where it was packed.
    """

    restored: Restored
    manifest: Manifest
    record: bool
    files: Path | None
    kernel: bool
    missing: tuple[Mapping[str, str], ...]
    remarks: tuple[str, ...] = ()

    @property
    def environment(self) -> Environment:
        return self.restored.environment


def import_archive(
    store: Store,
    archive: Path,
    *,
    actor: Actor,
    name: str | None = None,
    force: bool = False,
    python: str | None = None,
    r: str | None = None,
    wanted: Wanted | None = None,
    trust_repositories: bool = False,
    policy: Policy = EVERYTHING,
    allowed_signers: Path | None = None,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Imported:
    """Check the archive, make its environment, and bring what it carries into the project folder.

    `wanted` is the container runtime to make it for, and how it is run, or "venv" for none; None takes what it was
    packed from. While it is made, the image sees none of the user's files but the new prefix, and has no network.

    An R environment goes on to take packages from the repositories that it kept to, where these are CRAN of a day as
    this machine knows it; from any others only with `trust_repositories`.

    No file of the user's is replaced: where there are files already, those of the archive get a folder of their own.
    Raises InvalidInput for an archive that is not as announced, EnvironmentExists, RuntimeUnavailable where there is no
    interpreter or runtime for it, NotPermitted, CommandFailed where the result differs from its lock.
    """
    with _unpacked(store, archive, allowed_signers, on_progress) as (folder, manifest):
        name = checked_name(name or _word(manifest, "environment"))
        if store.exists(name) and not force:
            raise EnvironmentExists(
                f"an environment {name!r} exists already",
                hint=f"give it another name: --name OTHER\nor replace it: venvoy import-archive {archive} --force",
            )
        if python:
            _refuse_unfit(folder, manifest, interpreter(store, python))
        image = carried(manifest, folder)
        hears = Hears(on_line=on_line, on_progress=on_progress)
        before = _generation(store, name)

        def stands() -> bool:
            return _generation(store, name) != before

        with (
            placed(store, manifest, image, wanted, policy, archive=archive, hears=hears, keep=stands) as place,
            _record(store.history(name), folder / "history", stands) as taken,
        ):
            named = _repositories(manifest)
            places = tuple(each for each in named if trust_repositories or is_dated(store.settings, each))
            how = How(python=python, r=r, repositories=places, on_line=on_line, on_progress=on_progress)
            restored = made(store, folder, manifest, place, name=name, actor=actor, force=force, how=how)
            env = restored.environment  # still without network and the user's files, for what is left to do in it
            settled = _settled(store, env, place)
            _keep_files(store, env, folder, manifest)
            _write_down(store, env, folder, manifest, actor, taken=taken)
            lent = _lent(store, env, folder / "payload", on_line)
            return Imported(
                restored=replace(restored, environment=settled),
                manifest=manifest,
                record=taken,
                files=_bring(folder / "files", store.project(name), manifest),
                kernel=lent,
                missing=_missing(manifest),
                remarks=(*_remarks(manifest, place), *_kept_to(archive, named, places)),
            )


def made(
    store: Store,
    folder: Path,
    manifest: Manifest,
    place: Place | None,
    *,
    name: str,
    actor: Actor,
    force: bool = False,
    how: How,
) -> Restored:
    """Make the environment of an archive that was unpacked into `folder`; without network where its files are in it."""
    if place is not None and (how.python or how.r):
        raise InvalidInput(
            f"{'--python' if how.python else '--r-version'} chooses among this machine's, and an image brings its own",
            hint="leave it out, or name another image: --image IMAGE",
        )
    if place is not None and manifest.said.get("language") != "r":
        _refuse_unfit(folder, manifest, base_of_image(store, *place.apart))
    # What is no package would be found when the environment is there already.
    for each in manifest.members:
        if each.startswith(f"{CRAN}/") and not each.endswith(INDEXES):
            r_tarball.checked(folder / each)
    if manifest.said.get("tier") != "spec":
        how = replace(how, place=place.apart if place else None)
        return from_bundle(store, folder, name=name, actor=actor, force=force, how=how)
    lock = next((folder / each.filename for each in LOCKS.values() if each.filename in manifest.members), None)
    if lock is None:
        raise InvalidInput("it has no lock in it")
    how = replace(how, place=(place.runtime, place.container) if place else None)
    return restore(store, lock, name=name, actor=actor, force=force, how=how)


def _refuse_unfit(folder: Path, manifest: Manifest, base: Base) -> None:
    """Raise RuntimeUnavailable where the packages of the archive are for another Python than that one."""
    lock = folder / LOCKS["venv"].filename
    if lock.name not in manifest.members or LOCKS["conda"].filename in manifest.members:
        return
    try:
        PylockToml().load(lock.read_text("utf-8"), source=lock.name, base=base)
    except RuntimeUnavailable as error:
        minor = ".".join(str(manifest.said.get("python", "")).split(".")[:2])
        raise RuntimeUnavailable(
            f"the archive is for Python {minor}, and its packages do not fit Python {base.version} on {base.platform}",
            hint=f"take that: --python {minor}\nin a container: --image docker.io/library/python:{minor}-slim",
        ) from error


def _settled(store: Store, env: Environment, place: Place | None) -> Environment:
    """Let the container see from now on what those of this machine see."""
    if place is None:
        return env
    with store.held(env.name):
        env = replace(env, container=place.container)
        store.save(env)
    return env


def _remarks(manifest: Manifest, place: Place | None) -> tuple[str, ...]:
    if place is not None:
        return place.remarks
    said = manifest.said.get("image")
    if not isinstance(said, dict):
        return ()
    reference = said.get("reference") or said.get("digest")
    speaks = "R" if manifest.said.get("language") == "r" else "Python"
    return (f"It stood on the image {reference} and stands on this machine's {speaks} now: the base was not compared.",)


def _kept_to(archive: Path, named: tuple[Repository, ...], places: tuple[Repository, ...]) -> Iterator[str]:
    """Where packages come from, from now on: whoever made the archive has said so."""
    if places:
        yield f"It takes packages from {', '.join(each.url for each in places)}, as the archive says."
    if others := [each.url for each in named if each not in places]:
        yield (
            f"It took packages from {', '.join(others)}, and takes them from where your R does now; if you trust"
            f" whoever made the archive: venvoy import-archive {archive} --force --trust-repositories"
        )


@contextmanager
def _unpacked(
    store: Store, archive: Path, allowed: Path | None, on_progress: OnProgress | None
) -> Iterator[tuple[Path, Manifest]]:
    """The archive's content in a private folder, for as long as it is needed."""
    with store.scratch() as scratch:
        folder = scratch / "archive"
        yield folder, unpack(archive, folder, allowed_signers=allowed, on_progress=on_progress)


def _generation(store: Store, name: str) -> str | None:
    """Which prefix is there under that name, None where none is that can be read."""
    try:
        return store.environment(name).generation
    except VenvoyError:
        return None


@contextmanager
def _record(history: History, carried: Path, stands: Callable[[], bool]) -> Iterator[bool]:
    """Take the archive's record over where there is none; it goes again when no environment comes to stand."""
    taken = (carried / "log.jsonl").exists() and not history.log.exists() and _taken(history, carried)
    try:
        yield taken
    except BaseException:
        if taken and not stands():
            files.remove(history.log.parent)
        raise


def _taken(history: History, carried: Path) -> bool:
    """Whether it is that record which is there now. Raises InvalidInput for one that is not as it was written."""
    if History(carried.parent, carried.name).check():
        raise InvalidInput(f"the record in {carried.name} is not as it was written")
    files.private(history.log.parent)
    with history.locked():
        if history.log.exists():  # another import was quicker
            return False
        for kept in sorted((*(carried / "snapshots").glob("*.json"), *(carried / "bases").glob("*.json"))):
            files.replace(history.log.parent / kept.relative_to(carried), kept.read_bytes())
        files.replace(history.log, (carried / "log.jsonl").read_bytes())
    return True


def _keep_files(store: Store, env: Environment, unpacked: Path, manifest: Manifest) -> None:
    """Keep wheels and channels, so that the environment can be carried on from here."""
    if manifest.said.get("tier") == "spec":
        return
    folder = files.private(folder_of(store, env.name))
    found = []
    for each in manifest.said.get("wheels", ()):
        if (told := _kept(each, folder, manifest)) is None:
            continue
        name, kept = told
        kept.file.parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).replace(kept.file)
        found.append(kept)
    for index in sorted(each for each in manifest.members if each.startswith(f"{CHANNELS}/")):
        if index.endswith(f"/{REPODATA}"):
            (folder / index).parent.mkdir(parents=True, exist_ok=True)
            (unpacked / index).replace(folder / index)
    remember(folder, found)


def _kept(said: Any, folder: Path, manifest: Manifest) -> tuple[str, Kept] | None:
    """What the manifest says of a file that is one of its members, and the member's name."""
    try:
        place = str(said["file"])
        laid = place.startswith(tuple(f"{each}/" for each in FOLDERS))
        name = place if laid else f"wheels/{Path(place).name}"
        announced = manifest.members.get(name)
        ecosystem = _OF_FOLDERS[place.partition("/")[0]].get(str(said.get("ecosystem"))) if laid else "pypi"
        if announced is None or ecosystem is None:
            return None
        return name, Kept(
            ecosystem=ecosystem,
            name=str(said["name"]),
            version=str(said["version"]),
            file=folder / name if laid else folder / Path(place).name,
            size=announced.size,
            sha256=announced.sha256,
            built=said.get("built") or "",
            source_sha256=str(said.get("source_sha256") or ""),
        )
    except (AttributeError, KeyError, TypeError):
        return None


def _write_down(store: Store, env: Environment, folder: Path, manifest: Manifest, actor: Actor, *, taken: bool) -> None:
    history = store.history(env.name)
    now = observe(store, env)
    asked = (Asked(tool="archive", verb="install", names=(), command=manifest.digest),)
    with history.locked():
        locks = [folder / "history" / each.name for each in lock_files(store, env)]
        for lock in (each for each in locks if each.exists()):
            history.write(lock.name, lock.read_text("utf-8"))
        facts = history.log.parent / FACTS
        if (folder / FACTS).exists() and not facts.exists():
            files.replace(facts, (folder / FACTS).read_bytes())
        if not history.latest.exists():  # the state is one that the archive's record ends with
            history.save(EnvironmentYml().dump(now), at=now.taken)
        keep(history, now)
        said = partial(history.append, at=now.taken, actor=actor, snapshot=digest(now), stands_on=now.stands_on)
        said("import", asked=asked)
        if not taken and locks[0].exists():
            said("freeze", asked=())


def _bring(carried: Path, project: Path, manifest: Manifest) -> Path | None:
    if not carried.is_dir():
        return None
    target = project / "files"
    if target.exists():
        target = project / f"files-{manifest.digest[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}-{manifest.digest[:12]}")
        files.remove(aside)
        try:
            shutil.move(carried, aside)  # projects may lie on another file system than what is unpacked
            aside.rename(target)
        finally:
            files.remove(aside)
    return target


def _lent(store: Store, env: Environment, wheels: Path, on_line: OnLine | None) -> bool:
    """Build the lent kernel from the archive, where it is the one that this venvoy lends."""
    try:
        base = base_in(store, env)
    except RuntimeUnavailable:  # a conda environment without a Python
        return False
    if env.language == "r":
        return support.built(store, base) is not None
    if payload.built(store, base):
        return True
    lock = wheels / "requirements.txt"
    if not lock.exists() or lock.read_text("utf-8") != payload.own_lock():
        return False
    try:
        payload.payload_for(store, base, env=env, wheels=wheels, on_line=on_line)
    except VenvoyError:
        return False
    return True


def _repositories(manifest: Manifest) -> tuple[Repository, ...]:
    """Those that an R environment keeps to, as far as they are addresses."""
    listed = manifest.said.get("repositories")
    told = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    found = ((str(each.get("name", "")), public(str(each.get("url", "")))) for each in told)
    return tuple(Repository(name=name, url=url) for name, url in found if _NAME.fullmatch(name) and _WEB.fullmatch(url))


def _missing(manifest: Manifest) -> tuple[Mapping[str, str], ...]:
    said = manifest.said.get("missing", ())
    keys = ("name", "version", "reason")
    listed = said if isinstance(said, list) else ()
    return tuple({key: str(each.get(key, "")) for key in keys} for each in listed if isinstance(each, dict))


def _word(manifest: Manifest, key: str) -> str:
    said = manifest.said.get(key)
    if not isinstance(said, str):
        raise InvalidInput(f"its manifest does not say what {key} it carries", hint="give it a name: --name NAME")
    return said
