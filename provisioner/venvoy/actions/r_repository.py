"""A folder that R takes for a repository: sources as CRAN has them, and what was built of them, beside.

    src/contrib/PACKAGES  NAME_VERSION.tar.gz  Archive/NAME/NAME_VERSION.tar.gz
    built/R-4.2/linux-x86_64-glibc-2.36/src/contrib/PACKAGES  NAME_VERSION.tar.gz

`install.packages` and renv take either for a repository (`file://FOLDER`, `file://FOLDER/built/R-4.2/PLATFORM`): R
copies a package that says by which R it was built, and compiles any other.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import files
from ..formats import cran_index
from ..inventory import r_tarball
from ..model import Base, Package
from .r_bases import numbers

CRAN = "cran"
"""What such a folder is called where it lies beside others."""
CONTRIB = "src/contrib"
INDEXES = (cran_index.FILENAME, f"{cran_index.FILENAME}.gz")
_BUILT = "built"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """For what a package was built: the minor version of R ("4.2"), "linux-x86_64", and "glibc-2.36"."""

    r: str
    platform: str
    libc: str

    @property
    def folder(self) -> str:
        """The repository of such packages, in the one of the sources."""
        return f"{_BUILT}/R-{self.r}/{self.platform}{f'-{self.libc}' if self.libc else ''}"

    def runs_on(self, base: Base) -> bool:
        """Whether what is built so can be loaded there: a program runs with a newer libc of its kind, too."""
        (kind, _, version), (other, _, newer) = self.libc.partition("-"), base.libc.partition("-")
        same = (self.r, self.platform, kind) == (base.minor, base.platform, other)
        return same and numbers(version) <= numbers(newer)


def mark(base: Base) -> Mark:
    """What is built there is marked so."""
    return Mark(r=base.minor, platform=base.platform, libc=base.libc)


def source_at(name: str, version: str, *, old: bool = False) -> str:
    """Where the source of a package lies in the repository, `old` where that has another version."""
    return "/".join((CONTRIB, *(("Archive", name) if old else ()), _filename(name, version)))


def built_at(name: str, version: str, base: Base) -> str:
    """Where that which was built of a package lies in the repository."""
    return f"{mark(base).folder}/{CONTRIB}/{_filename(name, version)}"


def source_in(repository: Path, package: Package) -> Path | None:
    """The source of that version, None where the repository has none."""
    both = (repository / source_at(package.name, package.version, old=old) for old in (False, True))
    return next((each for each in both if each.is_file()), None)


def built_in(repository: Path, package: Package, base: Base) -> Path | None:
    """What was built of that version and can be loaded there, None where the repository has nothing of the kind."""
    begin = f"{base.platform}-" if base.libc else base.platform
    for folder in sorted((repository / _BUILT / f"R-{base.minor}").glob("*")):
        found = Mark(r=base.minor, platform=base.platform, libc=folder.name.removeprefix(begin) if base.libc else "")
        file = repository / found.folder / CONTRIB / _filename(package.name, package.version)
        if folder.name.startswith(begin) and found.runs_on(base) and file.is_file():
            return file
    return None


def built_files(repository: Path) -> tuple[Path, ...]:
    """All that was built and lies in the repository."""
    return tuple(sorted((repository / _BUILT).rglob("*.tar.gz")))


def indexed(repository: Path, listed: Iterable[Path]) -> Mapping[str, bytes]:
    """The indexes of these files of the repository, by their path in it; of what is in an archive R asks none.

    Raises InvalidInput for a file that is no R package.
    """
    folders: dict[str, list[Mapping[str, str]]] = {CONTRIB: []}
    for file in sorted(listed):
        folder = file.relative_to(repository).parent.as_posix()
        if folder.endswith(CONTRIB):
            folders.setdefault(folder, []).append({**r_tarball.described(file), "MD5sum": _md5(file)})
    texts = {folder: cran_index.dump(packages).encode() for folder, packages in sorted(folders.items())}
    plain, packed = INDEXES
    return {
        **{f"{folder}/{plain}": text for folder, text in texts.items()},
        **{f"{folder}/{packed}": gzip.compress(text, mtime=0) for folder, text in texts.items()},
    }


def write_index(repository: Path, listed: Iterable[Path]) -> None:
    """Write the indexes beside the files."""
    for name, text in indexed(repository, listed).items():
        files.replace(repository / name, text)


def _filename(name: str, version: str) -> str:
    return f"{name}_{version}.tar.gz"


def _md5(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
