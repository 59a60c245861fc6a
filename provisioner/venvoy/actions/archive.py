"""One file that carries an environment away: its lock, wheels, record and notebooks (docs/archive.md)."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from .. import cancelling, files, inventory
from ..errors import CommandFailed, InvalidInput, KernelUnusable, RuntimeUnavailable
from ..formats.conda_lock import CondaLock
from ..formats.environment_yml import EnvironmentYml
from ..formats.locks import dumped
from ..formats.origins import public
from ..formats.pylock import PylockToml
from ..formats.renv import RenvLock
from ..formats.snapshot_json import SnapshotJson, digest
from ..history import History
from ..model import Actor, Environment, Image, OnProgress, Snapshot
from ..process import OnLine
from ..store import Store
from . import carried_images, payload
from .bases import base_in
from .channels import REPODATA, channel_options, spec_lines
from .facts import FACTS, facts
from .freeze import freeze, unpinned
from .image_file import ImageFile
from .kept import CHANNELS, Kept, folder_of
from .locks import lock_files, locked
from .observe import observe
from .packing import LEVEL, Member, Packed, pack, place_for
from .place import IMAGE
from .r_repository import CONTRIB, CRAN, indexed
from .signing import sign
from .tiers import Tier
from .unpacking import FORMAT, MANIFEST, SIGNATURE, refuse_names
from .vendor import Vendored, beside, requirements, vendor

SUFFIX = ".venvoy.tar.zst"
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
{image}
Make it again, without network:

    venvoy import-archive THE-ARCHIVE           with venvoy
{by_hand}{missing}"""
_BY_HAND = """\
    python{minor} restore.py FOLDER                 with Python alone, in the unpacked folder
    uv venv FOLDER && VIRTUAL_ENV=FOLDER uv pip sync --offline pylock.toml        with uv
"""
_IMAGE = """\
image.tar       the image that it stands on, {digest}:
                an OCI layout that Docker and Podman load, and that Apptainer builds from
"""
_BY_HAND_IMAGE = """\
    docker load -i image.tar                    the image alone; podman takes the same words
    apptainer build image.sif docker-archive:image.tar

and in it, with the unpacked folder mounted at /archive:

    python3 -m venv --system-site-packages FOLDER
    FOLDER/bin/pip install --no-deps --require-hashes -r /archive/requirements.txt
"""
_ON_IMAGE = """
It stands on the image {reference} ({digest}), which is not in here.
"""
_README_SPEC = """\
{name}: what an environment of {speech} for {platform} is made of, as it was frozen on {frozen}.

manifest.json   what is in here: every file with its size and sha256
{lock}     every package with its address and hash
environment.yml, snapshot.json   what was installed, in conda's form and in venvoy's own
history/        every change since the environment was made
files/          notebooks, and the files that were named with them
facts.json      the processor, the numeric libraries and the settings of the machine where it was made
{image}
The packages themselves are not in here; they are fetched, and every hash is checked:

    venvoy import-archive THE-ARCHIVE
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
_README_R = """\
{name}: an R {python} environment for {platform}, as it was frozen on {frozen}.

manifest.json   what is in here: every file with its size and sha256
renv.lock       every package with its version and repository; renv reads it
environment.yml, snapshot.json   what was installed, in conda's form and in venvoy's own
cran/           a repository with the source of every package; below cran/built what was built of them
history/        every change since the environment was made
files/          notebooks, and the files that were named with them
facts.json      the processor, the numeric libraries and the settings of the machine where it was made
{image}
Make it again, without network:

    venvoy import-archive THE-ARCHIVE           with venvoy
{by_hand}{missing}"""
_BY_HAND_R = """\
    mkdir FOLDER; Rscript -e 'there <- paste0("file://", normalizePath("{repository}"))' \\
      -e 'install.packages(rownames(available.packages(repos = there)), lib = "FOLDER", repos = there)'

The last is for R alone, in the unpacked folder. It takes the packages as they were built, for R {minor} on such a
system; with cran instead of {repository} it compiles their sources, with any R.
"""
_README_BOTH = """\
{name}: an environment of {speech} for {platform}, as it was frozen on {frozen}.

manifest.json   what is in here: every file with its size and sha256
pylock.toml, requirements.txt, wheels/   its Python packages, each with the hash of its wheel (PEP 751)
renv.lock, cran/   its R packages: renv's lock, and a repository with their sources and what was built of them
environment.yml, snapshot.json   what was installed, in conda's form and in venvoy's own
history/        every change since the environment was made
files/          notebooks, and the files that were named with them
payload/        the Python kernel that venvoy lends to environments which have none
facts.json      the processor, the numeric libraries and the settings of the machine where it was made
{image}
Make it again, without network:

    venvoy import-archive THE-ARCHIVE           with venvoy
    uv venv FOLDER && VIRTUAL_ENV=FOLDER uv pip sync --offline pylock.toml        its Python packages, with uv
{by_hand}{missing}"""
SPECS = "specs.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """The file, what of the environment it carries, and the manifest's own sha256, which names the content.

    `image` is the digest of the image in it, "" where it has none.
    """

    packed: Packed
    snapshot: Snapshot
    tier: Tier
    image: str
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
    tier: Tier | None = None,
    notebooks: Sequence[Path] = (),
    inputs: Sequence[Path] = (),
    sign_with: Path | None = None,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Archived:
    """Write the archive of the environment as it is now; it is frozen first unless that was done in this very state.

    `tier` None takes all that makes it again without network. The same content gives the same bytes. What has no wheel
    is named, in the manifest and in the answer. Raises InvalidInput for files that cannot be read or written, and where
    there is no image for that tier; CommandFailed where the index is needed and does not answer, or the engine does not
    give the image.
    """
    tier = _tier(env, tier)
    target = place_for(target, f"{env.name}{SUFFIX}")
    named = _named(env, notebooks, inputs)
    history = store.history(env.name)
    with history.locked():
        _refuse_damaged(history)
    lock = locked_now(store, env, actor=actor, on_line=on_line)
    vendored = _vendored(store, env, lock, tier, on_progress, on_line)
    with _image(store, env, tier, on_progress, on_line) as image:
        said = _said(env, lock, vendored, notebooks=notebooks, tier=tier, image=_of_image(env, image))
        members = [
            *_specified(store, env, lock, vendored, said),
            *([] if tier == "spec" else file_members(vendored)),
            *([] if tier == "spec" else _payload_members(store, env, on_progress, on_line)),
            *([Member(name=IMAGE, path=image.file)] if image else []),
            *named,
            Member(name="README.txt", data=_readme(env, lock, vendored, said).encode()),
        ]
        members = sorted((_hashed(each) for each in members), key=lambda each: each.name)
        text = _json({**said, "members": {each.name: _announced(each) for each in members}})
        head = [Member(name=MANIFEST, data=text)]
        if sign_with is not None:
            head.append(Member(name=SIGNATURE, data=sign(text, sign_with)))
        packed = pack([*head, *members], target, compression="zst", on_progress=on_progress)
    return Archived(
        packed=packed,
        snapshot=lock,
        tier=tier,
        image=image.digest if image else "",
        vendored=vendored,
        files=tuple(each.name for each in named),
        digest=hashlib.sha256(text).hexdigest(),
        signed=sign_with is not None,
    )


def _tier(env: Environment, asked: Tier | None) -> Tier:
    """The tier that is asked for. Without the image nobody could make a container environment without network."""
    if asked == "image" and env.container is None:
        raise InvalidInput(
            f"{env.name!r} is a {env.runtime} environment, and stands on no image",
            hint="carry its packages: --tier packages",
        )
    return asked or ("image" if env.container else "packages")


def _vendored(
    store: Store,
    env: Environment,
    lock: Snapshot,
    tier: Tier,
    on_progress: OnProgress | None,
    on_line: OnLine | None,
) -> Vendored:
    if tier == "spec":
        return Vendored(folder=folder_of(store, env.name), kept=(), missing=(), new=0)
    return vendor(store, env, lock, on_progress=on_progress, on_line=on_line)


@contextmanager
def _image(
    store: Store, env: Environment, tier: Tier, on_progress: OnProgress | None, on_line: OnLine | None
) -> Iterator[ImageFile | None]:
    """The image as a file, for as long as it is packed."""
    if tier != "image":
        yield None
        return
    with store.scratch() as folder:
        yield carried_images.save(store, env, folder / IMAGE, on_line=on_line, on_progress=on_progress)


def _of_image(env: Environment, packed: ImageFile | None) -> dict[str, str] | None:
    """What the manifest says of the image; `digest` is what Docker and Podman call the one that lies in the archive."""
    if env.container is None:
        return None
    image: Image = env.container.image
    said = {"reference": image.reference, "digest": packed.digest if packed else image.made_of or image.digest}
    if image.file is None:
        return said
    return {**said, "digest": packed.digest if packed else image.made_of, "sif": image.digest}


def _specified(
    store: Store, env: Environment, lock: Snapshot, vendored: Vendored, said: Mapping[str, Any]
) -> list[Member]:
    """What every tier has: the lock, the record, the machine, and how to go on from there."""
    history = store.history(env.name)
    spec = said["tier"] == "spec"
    found = [
        *(spec_members(lock) if spec else lock_members(lock, vendored)),
        *_history_members(history, [each.name for each in lock_files(store, env)]),
        Member(name=FACTS, data=_facts(store, env, lock.state, said["image"])),
    ]
    by_script = lock.kind == "venv" and not lock.r_version and not spec
    return [*found, *([Member(name="restore.py", data=_restore_script())] if by_script else [])]


def locked_now(store: Store, env: Environment, *, actor: Actor, on_line: OnLine | None = None) -> Snapshot:
    """The lock of the state of now: that of the last freeze, or a new one."""
    now = observe(store, env)
    lock = locked(store, env)
    if lock is not None and lock.state == digest(now):
        return _with_addresses(replace(lock, taken=_frozen_at(store.history(env.name), now).taken), now)
    if on_line is not None:
        on_line("freezing it first")
    lock = freeze(store, env, actor=actor, on_line=on_line).snapshot
    cancelling.not_yet_late()
    return lock


def _with_addresses(lock: Snapshot, now: Snapshot) -> Snapshot:
    """A lock that was read, with the addresses of what it does not pin: it names places of this machine nowhere."""
    known = {(each.ecosystem, each.name): each.url for each in now.packages if each.origin not in ("index", "archive")}
    packages = (
        each if each.url else replace(each, url=known.get((each.ecosystem, each.name), "")) for each in lock.packages
    )
    return replace(lock, packages=tuple(packages))


def _frozen_at(history: History, now: Snapshot) -> Snapshot:
    """The state with the time of its freeze."""
    frozen = [each for each in history.entries() if each.event == "freeze" and each.snapshot == digest(now)]
    return replace(now, taken=frozen[-1].at) if frozen else now


def spec_members(lock: Snapshot) -> list[Member]:
    """The lock with the addresses of all files."""
    texts = {
        "environment.yml": EnvironmentYml(builds=True).dump(lock),
        "snapshot.json": SnapshotJson().dump(lock),
        **dumped(lock),
    }
    return [Member(name=name, data=text.encode()) for name, text in texts.items()]


def lock_members(lock: Snapshot, vendored: Vendored) -> list[Member]:
    """The lock in the words of everybody who may install it."""
    texts = {
        "environment.yml": EnvironmentYml(builds=True).dump(lock),
        "snapshot.json": SnapshotJson().dump(lock),
    }
    by_conda = lock.of("conda")
    if by_r := next((each for each in lock.halves if each.language == "r"), None):
        texts[RenvLock().filename] = RenvLock().dump(by_r)
    if lock.kind != "r" and (lock.of("pypi") or not by_conda):
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
        if each.ecosystem != "pypi":
            name = each.file.relative_to(vendored.folder).as_posix()
            members.append(Member(name=name, path=each.file, sha256=each.sha256))
    members += [Member(name=f"{CRAN}/{name}", data=data) for name, data in _of_repository(vendored).items()]
    indexes = sorted((vendored.folder / CHANNELS).rglob(REPODATA))
    members += [Member(name=each.relative_to(vendored.folder).as_posix(), data=each.read_bytes()) for each in indexes]
    return members


def _of_repository(vendored: Vendored) -> Mapping[str, bytes]:
    """The indexes of the R packages that are carried: others may be kept as well."""
    repository = vendored.folder / CRAN
    listed = [each.file for each in vendored.kept if each.file.is_relative_to(repository)]
    return indexed(repository, listed) if listed else {}


def _history_members(history: History, locks: Iterable[str]) -> list[Member]:
    """The log, the snapshots that it names, what is in the images of these, and the locks with the addresses.

    Raises InvalidInput for a record that is not as it was written: no import would take it.
    """
    with history.locked():  # kernels write into it at any time
        _refuse_damaged(history)
        digests = sorted({each.snapshot for each in history.entries()})
        texts = {f"history/snapshots/{each}.json": history.snapshot(each).encode() for each in digests}
        for name in sorted({*map(history.based_on, digests)} - {""}):
            texts[f"history/bases/{name.partition(':')[2]}.json"] = history.base(name).encode()
        texts["history/log.jsonl"] = history.log.read_bytes()
        texts |= {f"history/{lock}": (history.folder / lock).read_bytes() for lock in locks}
    return [Member(name=name, data=text) for name, text in texts.items()]


def _refuse_damaged(history: History) -> None:
    """Raise InvalidInput for a record that is not as it was written; who asks holds it."""
    history.mend()
    if problem := next(iter(history.check()), None):
        name, record = history.folder.name, history.log.parent
        raise InvalidInput(
            f"the record is not as it was written: {problem.message}",
            hint=f"see all of it: venvoy history {name} --check\n"
            f"or lay it aside and begin another: mv {shlex.quote(f'{record}')} {shlex.quote(f'{record}-damaged')}"
            f" && venvoy freeze {name}",
        )


def _payload_members(
    store: Store, env: Environment, on_progress: OnProgress | None, on_line: OnLine | None
) -> list[Member]:
    """The wheels of the lent kernel, so that notebooks run where there is no network."""
    if env.language == "r" or "ipykernel" in inventory.names(env.prefix):
        return []
    try:
        wheels = payload.wheels(store, base_in(store, env), env=env, on_progress=on_progress)
    except (CommandFailed, KernelUnusable, RuntimeUnavailable) as error:
        if on_line is not None:
            on_line(f"the lent kernel is not carried along: {error.message}")
        return []
    found = [Member(name=f"payload/{each.name}", path=each) for each in wheels]
    return [*found, Member(name="payload/requirements.txt", data=payload.own_lock().encode())] if found else []


def _facts(store: Store, env: Environment, state: str, image: Mapping[str, str] | None) -> bytes:
    """The facts of the machine on which this state was first archived: elsewhere they stay what they were."""
    file = store.history(env.name).log.parent / FACTS
    try:
        if json.loads(file.read_text("utf-8"))["state"] == state:
            return file.read_bytes()
    except (OSError, ValueError, KeyError, TypeError):
        pass
    text = _json({"state": state, **facts(env), **({"image": image} if image else {})})
    files.replace(file, text)
    return text


def _named(env: Environment, notebooks: Sequence[Path], inputs: Sequence[Path]) -> list[Member]:
    """The files that the user named, each as it lies from the folder that they have in common."""
    given = [Path(os.path.abspath(each)) for each in (*notebooks, *inputs)]  # noqa: PTH100  # keeps links
    if missing := [each for each in given if not each.is_file()]:
        raise InvalidInput(f"{missing[0]} is no file", hint="name every file that the notebook reads")
    if secret := [each for each in given if each.name == ".env" or each in env.env_file]:
        raise InvalidInput(f"{secret[0]} may hold secrets, and they have no place in an archive")
    if not given:
        return []
    common = Path(os.path.commonpath([each.parent for each in given]))
    named = {f"files/{each.relative_to(common).as_posix()}": each for each in given}
    try:
        refuse_names(named)
    except InvalidInput as error:
        raise InvalidInput(f"{error.message}: no archive can have it", hint="give the file another name") from error
    return [Member(name=name, path=each) for name, each in named.items()]


def _said(
    env: Environment,
    locked: Snapshot,
    vendored: Vendored,
    *,
    notebooks: Sequence[Path],
    tier: Tier,
    image: Mapping[str, str] | None,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "tier": tier,
        "environment": env.name,
        "language": locked.language,
        "python": None,
        "r": None,
        **{each.language: each.language_version for each in locked.halves},
        "platform": locked.platform,
        "base": locked.base,
        "base_image": env.base_image,
        "repositories": [{"name": each.name, "url": public(each.url)} for each in env.repositories],
        "image": image,
        "runtime": env.runtime,
        "snapshot": locked.state,
        "frozen": f"{locked.taken:%Y-%m-%dT%H:%M:%SZ}",
        "compression": {"zstd": LEVEL},
        "notebooks": [each.name for each in notebooks],
        "wheels": [asdict(each) | {"file": _inside(each, vendored)} for each in vendored.kept],
        "missing": _missing(locked, vendored, tier),
    }


def _missing(locked: Snapshot, vendored: Vendored, tier: Tier) -> list[dict[str, str]]:
    """What cannot be made again from the archive: its file is not in it, or nobody knows from where to fetch it."""
    if tier == "spec":
        return [
            {"name": each.package.name, "version": each.package.version, "reason": each.reason}
            for each in unpinned(locked)
        ]
    return [
        {"name": each.package.name, "version": each.package.version, "reason": each.reason} for each in vendored.missing
    ]


def _inside(kept: Kept, vendored: Vendored) -> str:
    """Where the file lies in the archive."""
    return kept.file.name if kept.ecosystem == "pypi" else kept.file.relative_to(vendored.folder).as_posix()


def _readme(env: Environment, locked: Snapshot, vendored: Vendored, said: Mapping[str, Any]) -> str:
    missing = "".join(f"  {each['name']} {each['version']}: {each['reason']}\n" for each in said["missing"])
    minor = ".".join(locked.language_version.split(".")[:2])
    image: Mapping[str, str] = said["image"] or {}
    carried = said["tier"] == "image"
    made_by = {"venv": _README_BOTH if locked.r_version else _README, "conda": _README_CONDA, "r": _README_R}
    text = _README_SPEC if said["tier"] == "spec" else made_by[locked.kind]
    return text.format(
        channels=channel_options(locked.packages, CHANNELS),
        name=env.name,
        speech=locked.speech,
        python=locked.language_version,
        platform=locked.platform,
        frozen=said["frozen"],
        lock=", ".join(dumped(locked)),
        image=_IMAGE.format(**image) if carried else _ON_IMAGE.format(**image) if image else "",
        by_hand=_by_hand(locked, said, vendored, minor),
        missing=f"\nNot carried:\n\n{missing}" if missing else "",
    )


def by_hand_of_r(locked: Snapshot, kept: Iterable[Kept], folder: Path) -> str:
    """How R alone installs what is kept in the `folder`, which is unpacked somewhere."""
    libraries = (each.file for each in kept if each.built == "library")
    roots = (each.relative_to(folder).as_posix().partition(f"/{CONTRIB}/")[0] for each in libraries)
    minor = ".".join(locked.language_version.split(".")[:2])
    return _BY_HAND_R.format(minor=minor, repository=next(roots, CRAN))


def _by_hand(locked: Snapshot, said: Mapping[str, Any], vendored: Vendored, minor: str) -> str:
    if by_r := next((each for each in locked.halves if each.language == "r"), None):
        return by_hand_of_r(by_r, vendored.kept, vendored.folder)
    return _BY_HAND_IMAGE if said["tier"] == "image" else _BY_HAND.format(minor=minor)


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
