"""An R package as it lies in a library, as one file, and back; no R is needed for either."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from .. import files
from ..errors import InvalidInput
from ..inventory import Description, r_files, r_tarball
from ..inventory.r_files import Build
from .packing import Member, pack


def pack_built(package: Description, target: Path) -> None:
    """Write the package as a file that R installs by copying; what a link in it leads to is in it as a file.

    Raises InvalidInput for what cannot be read.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    members = [
        Member(name=f"{package.name}/{path}", path=file, executable=_runs(file))
        for path in r_files.paths(package.folder)
        if (file := package.folder / path)
    ]
    pack(members, target, compression="gz")


def unpack_built(file: Path, library: Path) -> None:
    """Put the package into a library that does not have it yet.

    Raises InvalidInput for what is no built package, for a name that leads out of it, and where the disk is full; then
    nothing of it is there.
    """
    if not r_tarball.described(file).get("Built"):
        raise InvalidInput(f"{file} is the source of an R package, and not a built one")
    folder = library / r_tarball.name_of(file)
    folder.mkdir()
    try:
        with r_tarball.opened(file) as tar:
            for path, stream, program in r_tarball.plain(tar, file):
                target = folder / path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    shutil.copyfileobj(stream, out)
                target.chmod(0o755 if program else 0o644)
    except OSError as error:
        files.remove(folder)
        raise InvalidInput(f"{file} cannot be unpacked: {error.strerror or error}") from error
    except BaseException:
        files.remove(folder)
        raise


def builds(listed: Iterable[Path]) -> Mapping[str, Build]:
    """What each of these built packages has in it, by name; what is no such file is passed over."""
    found = {}
    for file in listed:
        with suppress(InvalidInput):
            found[r_tarball.name_of(file)] = r_tarball.build(file)
    return found


def _runs(file: Path) -> bool:
    try:
        return bool(file.stat().st_mode & 0o100)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror or error}") from error
