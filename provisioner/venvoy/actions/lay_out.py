"""An archive as a plain folder: the files of its image, its packages, and all else that it carries; nothing runs."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import files, inventory
from ..errors import CommandFailed, InvalidInput
from ..formats.locks import LOCKS
from ..inventory import r_files, recorded
from ..managers import cran
from ..model import OnProgress, Package, Snapshot
from ..runtimes.inside import PREFIX
from . import image_file, rootfs
from .diff import normal
from .image_file import Reading
from .locks import read_lock
from .place import IMAGE, carried
from .r_built import unpack_built
from .r_prefix import PROFILE
from .r_repository import CRAN, built_files
from .spread import Interpreter, spread
from .unpacking import Manifest, unpack

ROOTFS, PACKAGES = "rootfs", "prefix"
"""The two folders beside what the archive has in it."""
_PROGRAMS = ("python3", "python")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaidOut:
    """The folder, what is in it, and what was compared: files with their recorded hash, packages with the lock.

    `image` is the digest of the image whose files are in `rootfs`; `devices` is how many of it were left out.
    """

    folder: Path
    manifest: Manifest
    image: str
    packages: int
    files: int
    devices: int


def lay_out(
    archive: Path, folder: Path, *, allowed_signers: Path | None = None, on_progress: OnProgress | None = None
) -> LaidOut:
    """Unpack an archive with its image into the new folder `folder`, every byte of it checked.

    In it `rootfs` has the image's files, and `prefix`, which belongs at /venvoy/env in that, its packages. Raises
    InvalidInput for an archive that is not as announced or has no image, CommandFailed where what comes out is not what
    its lock says; then the folder is not there.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidInput(f"{folder} is not empty", hint="name a folder that is not there yet")
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.partial")
    try:
        manifest = unpack(archive, aside, allowed_signers=allowed_signers, on_progress=on_progress)
        _refuse_rootless(archive, manifest)
        image = carried(manifest, aside)
        with image_file.reading(aside / IMAGE) as reading:
            devices = rootfs.lay(reading, aside / ROOTFS, on_progress=on_progress)
            by_r = manifest.said.get("language") == "r"
            python = None if by_r else _python(reading, aside / ROOTFS)
        if python is not None:
            interpreter = Interpreter(path=python, version=_version(manifest), prefix=PREFIX)
            spread(sorted((aside / "wheels").glob("*.whl")), aside / PACKAGES, interpreter)
        if manifest.said.get("r"):
            _lay_library(aside, manifest)
        files.remove(aside / IMAGE)
        lock = read_lock(aside / LOCKS["r" if by_r else "venv"].filename, environment=PACKAGES, platform="")
        compared = _compared(aside / PACKAGES, lock)
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    except BaseException:
        if aside.exists():
            rootfs.remove(aside)
        raise
    return LaidOut(
        folder=folder,
        manifest=manifest,
        image=image.digest,
        packages=len(lock.packages),
        files=compared,
        devices=devices,
    )


def _lay_library(folder: Path, manifest: Manifest) -> None:
    """The library of an R environment, of what was built for the R of its image."""
    library = folder / PACKAGES / inventory.LIBRARY
    library.mkdir(parents=True)
    files.replace(folder / PACKAGES / PROFILE, cran.profile())
    said = manifest.said.get("platform")
    minor = ".".join(str(manifest.said.get("r")).split(".")[:2])
    for each in built_files(folder / CRAN):
        if each.relative_to(folder / CRAN).as_posix().startswith(f"built/R-{minor}/{said}"):
            unpack_built(each, library)


def _refuse_rootless(archive: Path, manifest: Manifest) -> None:
    if IMAGE not in manifest.members:
        raise InvalidInput(
            f"{archive} carries no image, so there is no root to lay its packages into",
            hint=f"make the environment: venvoy import-archive {archive}\nunpack it: tar --zstd -xf {archive}",
        )


def _version(manifest: Manifest) -> str:
    said = manifest.said.get("python")
    if not isinstance(said, str) or not said[:1].isdigit() or any(each not in "0123456789.abrc+" for each in said):
        raise InvalidInput("its manifest does not say which Python it is for")
    return said


def _python(reading: Reading, root: Path) -> str:
    """The path of the image's own Python, as it is found there."""
    settings = reading.config.get("config") or {}
    listed = settings.get("Env") or () if isinstance(settings, dict) else ()
    said = dict(each.split("=", 1) for each in listed if isinstance(each, str) and "=" in each)
    for folder in str(said.get("PATH") or _PATH).split(":"):
        for name in _PROGRAMS:
            if folder.startswith("/") and rootfs.exists(root, f"{folder}/{name}"):
                return f"{folder.rstrip('/')}/{name}"
    raise InvalidInput("its image has no Python")


def _compared(prefix: Path, lock: Snapshot) -> int:
    """How many files have the hash that was recorded for them. Raises CommandFailed where anything is other."""
    distributions = inventory.distributions(prefix)
    library, by_r = prefix / inventory.LIBRARY, inventory.r_packages(prefix)
    audit = recorded.audit(inventory.site_folders(prefix), distributions, written_for={}).with_also(
        r_files.audit(library, by_r, {})
    )
    wrong = [f"{each.path} is {each.kind}" for each in audit.deviations]
    wrong += _other_packages(lock, inventory.packages(prefix))
    trees = {("pypi", each.name): recorded.tree(each) for each in distributions}
    trees |= {(each.package().ecosystem, each.name): r_files.tree(each) for each in by_r}
    wrong += [
        f"{each.name} has other files"
        for each in lock.packages
        if each.tree and trees.get((each.ecosystem, each.name)) != each.tree
    ]
    if wrong:
        raise CommandFailed("what the archive gave is not what its lock says", hint="\n".join(wrong[:20]))
    return audit.files


def _other_packages(lock: Snapshot, there: Iterable[Package]) -> Iterator[str]:
    wanted, found = (
        {(each.ecosystem, each.name): normal(each).version for each in some} for some in (lock.packages, there)
    )
    for key in sorted(wanted.keys() | found.keys()):
        if wanted.get(key) != found.get(key):
            yield f"{key[1]}: {wanted.get(key, 'nothing')} in the lock, {found.get(key, 'nothing')} here"
