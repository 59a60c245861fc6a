"""Keep the file of every package of a lock, so that the environment can be made again without any index."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from .. import cancelling, fetch, files, process
from ..errors import CommandFailed, RuntimeUnavailable
from ..formats.pylock import File
from ..inventory import recorded
from ..managers import pip, uv
from ..model import OF_R, Environment, Job, OnProgress, Package, Progress, Snapshot
from ..process import OnLine
from ..store import Store
from . import channels, conda
from .bases import without_environment
from .freeze import reachable
from .kept import CHANNELS, Built, Kept, Lost, as_kept, folder_of, kept, remember
from .r_repository import CRAN
from .r_vendor import bring_r
from .start_of import start_of

_NOT_SOURCE = re.compile(
    r"(?:\.git|\.hg|\.svn|__pycache__|\.venv|venv|\.tox|\.nox|build|dist|[^/]*\.egg-info|\.[a-z]+_cache)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendored:
    """What is kept, how many wheels of it were fetched or built now, and what is missing. `size` is in bytes."""

    folder: Path
    kept: tuple[Kept, ...]
    missing: tuple[Lost, ...]
    new: int

    @property
    def size(self) -> int:
        return sum(each.size for each in self.kept)

    @property
    def noun(self) -> str:
        """What the files are called."""
        return "package file" if any(each.ecosystem != "pypi" for each in self.kept) else "wheel"

    @property
    def wheels(self) -> tuple[Kept, ...]:
        return tuple(each for each in self.kept if each.ecosystem == "pypi")


def vendor(
    store: Store,
    env: Environment,
    locked: Snapshot,
    *,
    on_progress: OnProgress | None = None,
    on_line: OnLine | None = None,
) -> Vendored:
    """Fill the environment's folder `vendor` with a wheel, conda's file, or R's, for every package of the lock.

    What is there with the right hash stays; the rest is fetched side by side, from where this machine's index has it or
    from the public address, and checked. What has no wheel is built, with the environment's interpreter, and marked so.
    Of an R package both are kept, its source and what was built of it (`r_repository`). Raises CommandFailed when the
    index cannot be asked.
    """
    cancelling.not_yet_late()  # though the lock may be written just now
    folder = folder_of(store, env.name)
    with store.held(env.name):
        files.private(folder)
        whole = [each for each in kept(store, env.name) if files.sha256(each.file) == each.sha256]
        before = {_key(each): each for each in whole}
        shop = _Shop(env=env, folder=folder, on_progress=on_progress, on_line=on_line)
        by_r = bring_r(
            store,
            env,
            [each for each in locked.packages if each.ecosystem in OF_R],
            folder / CRAN,
            whole,
            on_progress=on_progress,
            on_line=on_line,
        )
        had = {_key(each): found for each in locked.packages if (found := _reusable(each, before))}
        todo = [each for each in locked.packages if _key(each) not in had]
        new = shop.bring_conda([each for each in todo if each.ecosystem == "conda"])
        new += shop.bring([each for each in todo if each.ecosystem == "pypi"])
        everything = tuple(sorted((*had.values(), *new, *by_r.kept), key=_place))
        remember(folder, (*everything, *by_r.older))
        lost = {_key(each.package) for each in shop.lost}
        by_conda = [each for each in locked.of("conda") if _key(each) not in lost]
        channels.write_index(folder / CHANNELS, by_conda)
    return Vendored(folder=folder, kept=everything, missing=(*shop.lost, *by_r.lost), new=len(new) + by_r.new)


def beside(wheels: Iterable[Kept]) -> dict[str, File]:
    """The wheels as a lock names those that lie beside it."""
    return {
        each.name: File(name=each.file.name, size=each.size, sha256=each.sha256)
        for each in wheels
        if each.ecosystem == "pypi"
    }


def source_digest(project: Path) -> str:
    """The sha256 over the files of a project: sorted lines "path TAB sha256 LF", without what is built or hidden."""
    lines = []
    for place, inner, names in os.walk(project):
        inner[:] = sorted(each for each in inner if not _NOT_SOURCE.fullmatch(each))
        for name in names:
            path = Path(place, name)
            if path.is_file() and not name.endswith(".pyc"):
                lines.append(f"{path.relative_to(project).as_posix()}\t{files.sha256(path)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


@dataclass(kw_only=True)
class _Shop:
    """One run: where things go, who is told, and what could not be had."""

    env: Environment
    folder: Path
    on_progress: OnProgress | None
    on_line: OnLine | None

    def __post_init__(self) -> None:
        self.lost: list[Lost] = []

    def bring_conda(self, packages: Sequence[Package]) -> list[Kept]:
        """The files of conda packages that are not there yet, laid as their channels have them."""
        if not packages:
            return []
        folder = self.folder / CHANNELS
        source = conda.source(conda.channels_of(packages), prefix=self.env.prefix)
        lost = channels.bring(packages, folder, source, on_progress=self.on_progress)
        self.lost += [Lost(package=each, reason=lost[each.url]) for each in packages if each.url in lost]
        return [as_kept(each, folder / channels.lies_at(each)) for each in packages if each.url not in lost]

    def bring(self, packages: Sequence[Package]) -> list[Kept]:
        """The wheels of packages that are not there yet."""
        if not packages:
            return []
        here = reachable(self.env, packages)
        fetched = self.fetched([each for each in packages if each.sha256 and _has_file(each, here)], here)
        found: list[Kept] = []
        count = len(packages)
        for number, each in enumerate(packages, 1):
            try:
                found.append(self.wheel(each, fetched.get(each.name)))
            except (CommandFailed, RuntimeUnavailable, _Unobtainable) as error:
                said = error.message if isinstance(error, CommandFailed | RuntimeUnavailable) else str(error)
                self.lost.append(Lost(package=each, reason=said))
            if self.on_progress is not None:
                self.on_progress(Progress(phase="Keeping", done=number, total=count, unit="wheels"))
        return found

    def fetched(self, packages: Sequence[Package], here: dict[str, str]) -> dict[str, Path]:
        """The files that the lock names, by the package's name."""
        wanted = {}
        for each in packages:
            urls = tuple(dict.fromkeys(url for url in (here.get(each.sha256, ""), each.url) if url))
            wanted[each.name] = fetch.Wanted(urls=urls, file=self.folder / _filename(urls[0]), sha256=each.sha256)
        missed = {
            each.wanted.file: each.reason for each in fetch.fetch(tuple(wanted.values()), on_progress=self.on_progress)
        }
        for file, reason in missed.items():
            self.say(f"{file.name}: {reason}; asking pip for it")
        return {name: one.file for name, one in wanted.items() if one.file not in missed}

    def wheel(self, package: Package, file: Path | None) -> Kept:
        """The wheel of one package. Raises _Unobtainable, or what the building says."""
        if file is not None:
            return self.as_wheel(package, file, built="sdist" if package.origin == "index" else "archive")
        match package.origin:
            case "vcs" | "archive":
                job = partial(pip.wheel, self.env.python, _requirement(package))
                return replace(self.made(package, job, package.origin), source_sha256=_commit(package))
            case "local" | "editable":
                return self.from_folder(package)
        return self.by_pip(package)

    def as_wheel(self, package: Package, file: Path, *, built: Built) -> Kept:
        if file.suffix == ".whl":
            return as_kept(package, file)
        source = files.sha256(file)
        made = self.made(package, partial(uv.build, self.env.python, file), built)
        files.remove(file)
        return replace(made, source_sha256=source)

    def from_folder(self, package: Package) -> Kept:
        """A project, built from the folder that it was installed from, or a wheel that lies there."""
        place = files.named_by(package.url)
        if place.suffix == ".whl" and place.is_file():
            target = self.folder / place.name
            shutil.copyfile(place, target)
            return as_kept(package, target)
        if not place.exists():
            raise _Unobtainable(f"{place}, from where it was installed, is gone")
        source = source_digest(place) if place.is_dir() else files.sha256(place)
        built: Built = "editable" if package.origin == "editable" else "local"
        made = self.made(package, partial(uv.build, self.env.python, place), built)
        return replace(made, source_sha256=source)

    def by_pip(self, package: Package) -> Kept:
        """What only pip can reach: an index that wants a password from a keyring, say."""
        with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
            self.run(pip.download(self.env.python, f"{package.name}=={package.version}", folder=Path(folder)))
            [file] = Path(folder).iterdir()
            if package.sha256 and files.sha256(file) != package.sha256:
                raise _Unobtainable(f"pip gives {file.name}, whose sha256 is another than the lock's")
            if not package.sha256 and not (file.suffix == ".whl" and _tree(file) == package.tree):
                raise _Unobtainable(f"the index has {file.name}, but that is not what is installed")
            target = self.folder / file.name
            shutil.copyfile(file, target)
            return self.as_wheel(package, target, built="sdist")

    def made(self, package: Package, job: Callable[..., Job], built: Built) -> Kept:
        """Run a job that leaves one wheel in a folder."""
        self.say(f"building {package.name} {package.version}")
        with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
            self.run(job(folder=Path(folder)))
            wheels = [each for each in Path(folder).iterdir() if each.suffix == ".whl"]
            if len(wheels) != 1 or not _is_of(wheels[0], package):
                raise _Unobtainable(f"what was built is {', '.join(each.name for each in wheels) or 'no wheel'}")
            target = self.folder / wheels[0].name
            shutil.copyfile(wheels[0], target)
        return as_kept(package, target, built=built)

    def run(self, job: Job) -> None:
        outside = job.argv[0] == uv.program()
        process.run(without_environment(job) if outside else start_of(self.env, job), on_line=self.on_line)

    def say(self, line: str) -> None:
        if self.on_line is not None:
            self.on_line(line)


class _Unobtainable(Exception):  # told as a reason
    pass


def _place(one: Kept) -> tuple[str, str, str]:
    return (one.name, one.ecosystem, str(one.file))


def _key(one: Kept | Package) -> tuple[str, str]:
    return (one.ecosystem, one.name)


def _reusable(package: Package, before: dict[tuple[str, str], Kept]) -> Kept | None:
    found = before.get(_key(package))
    if package.ecosystem in OF_R or found is None or not _same_version(found.version, package.version):
        return None
    if package.ecosystem == "conda":
        return found if found.sha256 == package.sha256 and str(found.file).endswith(channels.lies_at(package)) else None
    if package.origin in ("local", "editable"):
        place = files.named_by(package.url)
        return found if place.is_dir() and source_digest(place) == found.source_sha256 else None
    if package.origin == "vcs":
        return found if found.source_sha256 == _commit(package) else None
    if not package.sha256:  # an index may have another file of that version by now
        return found if _tree(found.file) == package.tree else None
    return found if package.sha256 in (found.sha256, found.source_sha256) else None


def _commit(package: Package) -> str:
    """Stands for the source of what has no file: the sha256 of its address, which has the commit in it."""
    return hashlib.sha256(package.url.encode()).hexdigest() if package.origin == "vcs" else ""


def _has_file(package: Package, here: dict[str, str]) -> bool:
    return package.origin in ("index", "archive") and bool(package.url or package.sha256 in here)


def _requirement(package: Package) -> str:
    return f"{package.name} @ {package.url}"


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])


def _is_of(wheel: Path, package: Package) -> bool:
    try:
        name, version, _, _ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename:
        return False
    return canonicalize_name(name) == package.name and _same_version(str(version), package.version)


def _same_version(one: str, other: str) -> bool:
    try:
        return Version(one) == Version(other)
    except InvalidVersion:
        return one == other


def _tree(wheel: Path) -> str:
    """What `inventory.recorded.tree` gives for it once it is installed, "" for one that cannot be read."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            [name] = [each for each in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/RECORD", each)]
            return recorded.tree_of(archive.read(name).decode("utf-8", "replace"))
    except (OSError, ValueError, zipfile.BadZipFile):
        return ""


def _lines(wheels: Iterable[Kept]) -> Iterator[str]:
    for each in (one for one in wheels if one.ecosystem == "pypi"):
        yield f"{each.name}=={each.version} --hash=sha256:{each.sha256}\n"


def requirements(wheels: Iterable[Kept]) -> str:
    """The wheels as a requirements file with hashes, for pips that read no pylock.toml."""
    return "--no-index\n--find-links wheels\n" + "".join(sorted(_lines(wheels)))
