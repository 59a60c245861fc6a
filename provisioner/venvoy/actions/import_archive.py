"""Make an environment from an archive, without any network; what is there already is not touched until it is whole."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files
from ..errors import EnvironmentExists, InvalidInput, RuntimeUnavailable, VenvoyError
from ..formats.environment_yml import EnvironmentYml
from ..formats.snapshot_json import digest
from ..history import History
from ..model import Actor, Asked, Environment, OnProgress
from ..process import OnLine
from ..store import Store, checked_name
from . import payload
from .archive import FACTS
from .bases import base_of
from .channels import REPODATA
from .locks import lock_file
from .observe import observe
from .restore import How, Restored, from_bundle
from .unpacking import Manifest, unpack
from .vendor import CHANNELS, Kept, folder_of, remember


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """The new environment, what came with it, and what did not.

    `record` says whether the archive's record was taken over, because there was none before; `files` is where its
    notebooks and other files were put, None where it had none. `kernel` says whether the lent kernel came along.
    """

    restored: Restored
    manifest: Manifest
    record: bool
    files: Path | None
    kernel: bool
    missing: tuple[Mapping[str, str], ...]

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
    allowed_signers: Path | None = None,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Imported:
    """Check the archive, make its environment, and bring what it carries into the project folder.

    No file of the user's is replaced: where there are files already, those of the archive get a folder of their own.
    Raises InvalidInput for an archive that is not as announced, EnvironmentExists, RuntimeUnavailable where there is no
    interpreter for it, CommandFailed where the result differs from its lock.
    """
    with _unpacked(store, archive, allowed_signers, on_progress) as (folder, manifest):
        name = checked_name(name or _word(manifest, "environment"))
        if store.exists(name) and not force:
            raise EnvironmentExists(
                f"an environment {name!r} exists already",
                hint=f"give it another name: --name OTHER\nor replace it: venvoy import-archive {archive} --force",
            )
        project = store.project(name)
        with _record(store.history(name), folder / "history") as taken:
            how = How(python=python, on_line=on_line, on_progress=on_progress)
            restored = from_bundle(store, folder, name=name, actor=actor, force=force, how=how)
        env = restored.environment
        _keep_files(store, env, folder, manifest)
        _write_down(store, env, folder, manifest, actor, taken=taken)
        return Imported(
            restored=restored,
            manifest=manifest,
            record=taken,
            files=_bring(folder / "files", project, manifest),
            kernel=_lent(store, env, folder / "payload", on_line),
            missing=_missing(manifest),
        )


@contextmanager
def _unpacked(
    store: Store, archive: Path, allowed: Path | None, on_progress: OnProgress | None
) -> Iterator[tuple[Path, Manifest]]:
    """The archive's content in a private folder, for as long as it is needed."""
    folder = store.settings.home / "imports" / secrets.token_hex(6)
    files.private(folder.parent)
    try:
        yield folder, unpack(archive, folder, allowed_signers=allowed, on_progress=on_progress)
    finally:
        files.remove(folder)


@contextmanager
def _record(history: History, carried: Path) -> Iterator[bool]:
    """Take the archive's record over where there is none and it is whole; it goes again when the import fails."""
    theirs = History(carried)
    whole = (carried / "log.jsonl").exists() and not history.log.exists()
    if whole:
        files.private(history.log.parent)
        for snapshot in sorted((carried / "snapshots").glob("*.json")):
            files.replace(history.log.parent / "snapshots" / snapshot.name, snapshot.read_bytes())
        files.replace(history.log, (carried / "log.jsonl").read_bytes())
        if history.check():
            files.remove(history.log.parent)
            raise InvalidInput(f"the record in {theirs.folder.name} is not as it was written")
    try:
        yield whole
    except BaseException:
        if whole:
            files.remove(history.log.parent)
        raise


def _keep_files(store: Store, env: Environment, unpacked: Path, manifest: Manifest) -> None:
    """Keep wheels and channels, so that the environment can be carried on from here."""
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
        by_conda = said.get("ecosystem") == "conda"
        place = str(said["file"])
        name = place if by_conda and place.startswith(f"{CHANNELS}/") else f"wheels/{Path(place).name}"
        announced = manifest.members.get(name)
        if announced is None:
            return None
        return name, Kept(
            ecosystem="conda" if by_conda else "pypi",
            name=str(said["name"]),
            version=str(said["version"]),
            file=folder / name if by_conda else folder / Path(place).name,
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
        lock = folder / "history" / lock_file(store, env).name
        if lock.exists():
            history.write(lock.name, lock.read_text("utf-8"))
        facts = history.log.parent / FACTS
        if (folder / FACTS).exists() and not facts.exists():
            files.replace(facts, (folder / FACTS).read_bytes())
        if not history.latest.exists():  # the state is one that the archive's record ends with
            history.save(EnvironmentYml().dump(now), at=now.taken)
        history.append("import", at=now.taken, actor=actor, asked=asked, snapshot=digest(now))
        if not taken and lock.exists():
            history.append("freeze", at=now.taken, actor=actor, asked=(), snapshot=digest(now))


def _bring(carried: Path, project: Path, manifest: Manifest) -> Path | None:
    if not carried.is_dir():
        return None
    target = project / "files"
    if target.exists():
        target = project / f"files-{manifest.digest[:12]}"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        carried.rename(target)
    return target


def _lent(store: Store, env: Environment, wheels: Path, on_line: OnLine | None) -> bool:
    """Build the lent kernel from the archive, where it is the one that this venvoy lends."""
    try:
        base = base_of(store, env.python)
    except RuntimeUnavailable:  # a conda environment without a Python
        return False
    if payload.built(store, base):
        return True
    lock = wheels / "requirements.txt"
    if not lock.exists() or lock.read_text("utf-8") != payload.own_lock():
        return False
    try:
        payload.payload_for(store, base, wheels=wheels, on_line=on_line)
    except VenvoyError:
        return False
    return True


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
