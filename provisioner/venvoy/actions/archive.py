"""One file that carries an environment away: its lock, wheels, record and notebooks (docs/archive.md)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from .. import files, inventory
from ..errors import CommandFailed, InvalidInput, KernelUnusable, RuntimeUnavailable
from ..formats.conda_lock import CondaLock
from ..formats.environment_yml import EnvironmentYml
from ..formats.pylock import PylockToml
from ..formats.snapshot_json import SnapshotJson, digest
from ..history import History
from ..model import Actor, Environment, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store
from . import payload
from .bases import base_of
from .channels import REPODATA, channel_options, spec_lines
from .facts import facts
from .freeze import freeze
from .locks import lock_file, locked
from .observe import observe
from .packing import LEVEL, Member, Packed, pack
from .signing import sign
from .unpacking import FORMAT, MANIFEST, SIGNATURE
from .vendor import CHANNELS, Kept, Vendored, beside, requirements, vendor

SUFFIX = ".venvoy.tar.zst"
FACTS = "facts.json"
_README = """\
{name}: a Python {python} environment for {platform}, as it was frozen on {frozen}.

manifest.json   what is in here: every file with its size and sha256
pylock.toml     every package with the hash of its wheel (PEP 751); uv and newer pips install it
requirements.txt, wheels/   the same for any pip
environment.yml, snapshot.json   what was installed, in conda's form and in venvoy's own
history/        every change since the environment was made; history/pylock.toml has the addresses of the files
files/          notebooks, and the files that were named with them
payload/        the kernel that venvoy lends to environments which have none
facts.json      the processor, the numeric libraries and the settings of the machine where it was made

Make it again, without network:

    venvoy import-archive THE-ARCHIVE           with venvoy
    python{minor} restore.py FOLDER                 with Python alone, in the unpacked folder
    uv venv FOLDER && VIRTUAL_ENV=FOLDER uv pip sync --offline pylock.toml        with uv
{missing}"""
_README_CONDA = """\
{name}: a conda environment with Python {python} for {platform}, as it was frozen on {frozen}.

manifest.json   what is in here: every file with its size and sha256
conda-lock.yml  every package with its address and hash (CEP 37)
channels/       the packages of conda, as the channels that they came from
specs.txt       the same as match specs
pylock.toml, requirements.txt, wheels/   what came from the Python index, if anything did
environment.yml, snapshot.json   what was installed, in conda's form and in venvoy's own
history/        every change since the environment was made
files/          notebooks, and the files that were named with them
payload/        the kernel that venvoy lends to environments which have none
facts.json      the processor, the numeric libraries and the settings of the machine where it was made

Make it again, without network:

    venvoy import-archive THE-ARCHIVE           with venvoy
    micromamba create --prefix FOLDER --override-channels {channels} --file specs.txt
    FOLDER/bin/python -m pip install --no-deps --require-hashes -r requirements.txt

The second is micromamba's, and mamba and conda take it as well; the third is for what came from the index.
{missing}"""
SPECS = "specs.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """The file, what of the environment it carries, and the manifest's own sha256, which names the content."""

    packed: Packed
    snapshot: Snapshot
    vendored: Vendored
    files: tuple[str, ...]
    digest: str
    signed: bool


def archive(
    store: Store,
    env: Environment,
    target: Path,
    *,
    actor: Actor,
    notebooks: Sequence[Path] = (),
    inputs: Sequence[Path] = (),
    sign_with: Path | None = None,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Archived:
    """Write the archive of the environment as it is now; it is frozen first unless that was done in this very state.

    The same content gives the same bytes. What has no wheel is named, in the manifest and in the answer. Raises
    InvalidInput for files that cannot be read, CommandFailed where the index is needed and does not answer.
    """
    named = _named(notebooks, inputs)
    lock = locked_now(store, env, actor=actor, on_line=on_line)
    vendored = vendor(store, env, lock, on_progress=on_progress, on_line=on_line)
    members = [
        *lock_members(lock, vendored),
        *_history_members(store.history(env.name), lock_file(store, env).name),
        *file_members(vendored),
        *_payload_members(store, env, on_progress, on_line),
        *named,
        Member(name=FACTS, data=_facts(store, env, lock.state)),
        *([] if env.runtime == "conda" else [Member(name="restore.py", data=_restore_script())]),
    ]
    said = _said(env, lock, vendored, notebooks)
    members.append(Member(name="README.txt", data=_readme(env, lock, said).encode()))
    members = sorted((_hashed(each) for each in members), key=lambda each: each.name)
    text = _json({**said, "members": {each.name: _announced(each) for each in members}})
    head = [Member(name=MANIFEST, data=text)]
    if sign_with is not None:
        head.append(Member(name=SIGNATURE, data=sign(text, sign_with)))
    packed = pack([*head, *members], target, compression="zst", on_progress=on_progress)
    return Archived(
        packed=packed,
        snapshot=lock,
        vendored=vendored,
        files=tuple(each.name for each in named),
        digest=hashlib.sha256(text).hexdigest(),
        signed=sign_with is not None,
    )


def locked_now(store: Store, env: Environment, *, actor: Actor, on_line: OnLine | None = None) -> Snapshot:
    """The lock of the state of now: that of the last freeze, or a new one."""
    now = observe(store, env)
    lock = locked(store, env)
    if lock is not None and lock.state == digest(now):
        return replace(lock, taken=_frozen_at(store.history(env.name), now).taken)
    if on_line is not None:
        on_line("freezing it first")
    return freeze(store, env, actor=actor, on_line=on_line).snapshot


def _frozen_at(history: History, now: Snapshot) -> Snapshot:
    """The state with the time of its freeze."""
    frozen = [each for each in history.entries() if each.event == "freeze" and each.snapshot == digest(now)]
    return replace(now, taken=frozen[-1].at) if frozen else now


def lock_members(lock: Snapshot, vendored: Vendored) -> list[Member]:
    """The lock in the words of everybody who may install it."""
    texts = {
        "environment.yml": EnvironmentYml(builds=True).dump(lock),
        "snapshot.json": SnapshotJson().dump(lock),
    }
    by_conda = lock.of("conda")
    if lock.of("pypi") or not by_conda:
        texts["pylock.toml"] = PylockToml().dump_beside(lock, beside(vendored.kept), folder="wheels")
        texts["requirements.txt"] = requirements(vendored.kept)
    if by_conda:
        texts[CondaLock().filename] = CondaLock().dump(lock)
        texts[SPECS] = spec_lines(by_conda)
    return [Member(name=name, data=text.encode()) for name, text in texts.items()]


def file_members(vendored: Vendored) -> list[Member]:
    """The wheels, and the files of conda channels with their indexes."""
    members = [Member(name=f"wheels/{each.file.name}", path=each.file, sha256=each.sha256) for each in vendored.wheels]
    for each in vendored.kept:
        if each.ecosystem == "conda":
            name = each.file.relative_to(vendored.folder).as_posix()
            members.append(Member(name=name, path=each.file, sha256=each.sha256))
    indexes = sorted((vendored.folder / CHANNELS).rglob(REPODATA))
    members += [Member(name=each.relative_to(vendored.folder).as_posix(), data=each.read_bytes()) for each in indexes]
    return members


def _history_members(history: History, lock: str) -> list[Member]:
    """The log, the snapshots that it names, and the lock with the addresses."""
    digests = sorted({each.snapshot for each in history.entries()})
    texts = {f"history/snapshots/{each}.json": history.snapshot(each).encode() for each in digests}
    texts["history/log.jsonl"] = history.log.read_bytes()
    texts[f"history/{lock}"] = (history.folder / lock).read_bytes()
    return [Member(name=name, data=text) for name, text in texts.items()]


def _payload_members(
    store: Store, env: Environment, on_progress: OnProgress | None, on_line: OnLine | None
) -> list[Member]:
    """The wheels of the lent kernel, so that notebooks run where there is no network."""
    if "ipykernel" in inventory.names(env.prefix):
        return []
    try:
        wheels = payload.wheels(store, base_of(store, env.python), on_progress=on_progress)
    except (CommandFailed, KernelUnusable, RuntimeUnavailable) as error:
        if on_line is not None:
            on_line(f"the lent kernel is not carried along: {error.message}")
        return []
    found = [Member(name=f"payload/{each.name}", path=each) for each in wheels]
    return [*found, Member(name="payload/requirements.txt", data=payload.own_lock().encode())] if found else []


def _facts(store: Store, env: Environment, state: str) -> bytes:
    """The facts of the machine on which this state was first archived: elsewhere they stay what they were."""
    file = store.history(env.name).log.parent / FACTS
    try:
        if json.loads(file.read_text("utf-8"))["state"] == state:
            return file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        pass
    text = _json({"state": state, **facts(env)})
    files.replace(file, text)
    return text


def _named(notebooks: Sequence[Path], inputs: Sequence[Path]) -> list[Member]:
    """The files that the user named, each as it lies from the folder that they have in common."""
    given = [Path(os.path.abspath(each)) for each in (*notebooks, *inputs)]  # noqa: PTH100  # keeps links
    if missing := [each for each in given if not each.is_file()]:
        raise InvalidInput(f"{missing[0]} is no file", hint="name every file that the notebook reads")
    if secret := [each for each in given if each.name == ".env"]:
        raise InvalidInput(f"{secret[0]} may hold secrets, and they have no place in an archive")
    if not given:
        return []
    common = Path(os.path.commonpath([each.parent for each in given]))
    return [Member(name=f"files/{each.relative_to(common).as_posix()}", path=each) for each in dict.fromkeys(given)]


def _said(env: Environment, locked: Snapshot, vendored: Vendored, notebooks: Sequence[Path]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "environment": env.name,
        "language": locked.language,
        "python": locked.language_version,
        "platform": locked.platform,
        "base": locked.base,
        "base_image": env.base_image,
        "runtime": env.runtime,
        "snapshot": locked.state,
        "frozen": f"{locked.taken:%Y-%m-%dT%H:%M:%SZ}",
        "compression": {"zstd": LEVEL},
        "notebooks": [each.name for each in notebooks],
        "wheels": [asdict(each) | {"file": _inside(each, vendored)} for each in vendored.kept],
        "missing": [
            {"name": each.package.name, "version": each.package.version, "reason": each.reason}
            for each in vendored.missing
        ],
    }


def _inside(kept: Kept, vendored: Vendored) -> str:
    """Where the file lies in the archive."""
    return kept.file.name if kept.ecosystem == "pypi" else kept.file.relative_to(vendored.folder).as_posix()


def _readme(env: Environment, locked: Snapshot, said: Mapping[str, Any]) -> str:
    missing = "".join(f"  {each['name']} {each['version']}: {each['reason']}\n" for each in said["missing"])
    text = _README_CONDA if env.runtime == "conda" else _README
    return text.format(
        channels=channel_options(locked.packages, CHANNELS),
        name=env.name,
        python=locked.language_version,
        minor=".".join(locked.language_version.split(".")[:2]),
        platform=locked.platform,
        frozen=said["frozen"],
        missing=f"\nNot carried:\n\n{missing}" if missing else "",
    )


def _restore_script() -> bytes:
    return package_files("venvoy.guest").joinpath("restore.py").read_bytes()


def _hashed(member: Member) -> Member:
    """A member with its hash; that of a wheel is known and checked while it is packed."""
    if member.sha256:
        return member
    try:
        with member.opened() as stream:
            return replace(member, sha256=hashlib.file_digest(stream, "sha256").hexdigest())  # type: ignore[arg-type]
    except OSError as error:
        raise InvalidInput(f"{member.path} cannot be read: {error.strerror or error}") from error


def _announced(member: Member) -> dict[str, Any]:
    return {"size": member.size, "sha256": member.sha256} | ({"executable": True} if member.executable else {})


def _json(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"
