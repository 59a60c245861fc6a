"""Have the IRkernel that is lent to R environments which have none: a folder of packages for one R and machine.

It is seen while a kernel starts, and not by what is installed then (`guest/kernel.R`). Its packages come from a library
that this machine's R has, Debian's say; else from CRAN, built by the very R that needs them, in its image if it is in
one. What another R has installed serves a newer R of the same number too, on the same C library or a newer one.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .. import files, process
from ..errors import CommandFailed, KernelUnusable, RuntimeUnavailable
from ..inventory import description
from ..managers import cran
from ..model import Base, Command, Environment, Job, Mount
from ..process import OnLine
from ..runtimes.inside import without_prefix
from ..store import Store
from .r_bases import numbers, rs, without_library
from .r_prefix import enter
from .start_of import start_of

KERNEL = "IRkernel"
_MANIFEST = "venvoy-support.json"
_SYSTEMS = re.compile(
    r"lib(c|m|dl|rt|pthread|resolv|util|gcc_s|stdc\+\+)\.so|ld-linux|linux-vdso|libR(blas|lapack)?\.so"
)
"""Libraries that a system with R has by itself, or whose copy would not work with its other ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """The folder (`library/` and `shared/`, libraries of C that an image may not have), and which IRkernel is in it."""

    folder: Path
    version: str


def support_for(store: Store, base: Base, *, env: Environment, on_line: OnLine | None = None) -> Support:
    """The lent packages for an environment's R; copied or installed when they are not there yet.

    Two processes that need the same build them once. Raises KernelUnusable where they cannot be had, with the command
    for this system.
    """
    folder = _folder(store, base)
    if found := built(store, base):
        return found
    with files.locked(folder.parent / ".lock", timeout=1800):
        if found := built(store, base):
            return found
        return _copied(store, base, env) or _installed(folder, base, env, on_line)


def built(store: Store, base: Base) -> Support | None:
    """What is there already for that R, its own first, then what an older R of this machine has."""
    folders = (_folder(store, base), *sorted(store.payloads.glob("r[0-9]*"), reverse=True))
    return next((found for each in folders for found in _read(each) if _serves(each, base)), None)


def _folder(store: Store, base: Base) -> Path:
    return store.payloads / f"{base.abi}-{base.platform}-{base.libc or 'libc'}"


def _read(folder: Path) -> Iterator[Support]:
    try:
        said = json.loads((folder / _MANIFEST).read_text("utf-8"))
        yield Support(folder=folder, version=said["irkernel"])
    except (OSError, ValueError, KeyError, TypeError):
        return


def _serves(folder: Path, base: Base) -> bool:
    """Whether packages of that folder run on that R."""
    if not (found := re.fullmatch(r"r(\d)(\d+)-(.+?)-([a-z]+)-?([\d.]*)", folder.name)):
        return False
    major, minor, platform, family, version = found.groups()
    ours = base.libc.partition("-")
    theirs, wanted = (int(major), int(minor)), numbers(base.version)[:2]
    same_system = (platform, family) == (base.platform, ours[0] or "libc")
    return same_system and numbers(version) <= numbers(ours[2]) and theirs[0] == wanted[0] and theirs <= wanted


# --- from a library of this machine ----------------------------------------------------------------------------------


def _copied(store: Store, base: Base, env: Environment) -> Support | None:
    """What an R of this machine has, if that serves; None where none has it."""
    here = [base] if env.container is None else [each for each in rs(store) if _serves(_folder(store, each), base)]
    for each in here:
        if packages := _packages(each):
            folder = _folder(store, each)
            with _aside(folder) as aside:
                for package in packages:
                    files.copy(package, aside / "library" / package.name)
                for shared in _shared(aside / "library" / "pbdZMQ"):
                    files.copy(shared, aside / "shared" / shared.name)
                return _kept(aside, folder)
    return None


def _packages(base: Base) -> tuple[Path, ...]:
    """The folders of IRkernel and all that it needs, in the libraries that this R usually has; none without it."""
    try:
        printed = process.run(without_library(cran.script("irkernel.R", program=str(base.path))), timeout=120)
    except CommandFailed:
        return ()
    return tuple(Path(line) for line in printed.splitlines() if Path(line, "DESCRIPTION").is_file())


def _shared(pbdzmq: Path) -> Iterator[Path]:
    """ZeroMQ's library and what that needs, where the package has none of its own."""
    for line in _linked(next(iter(pbdzmq.glob("libs/*.so")), pbdzmq)):
        if line.name.startswith("libzmq.") and not line.is_relative_to(pbdzmq):
            yield line
            yield from (each for each in _linked(line) if not _SYSTEMS.match(each.name))


def _linked(file: Path) -> tuple[Path, ...]:
    try:
        printed = process.run(Command(argv=("ldd", str(file)), cwd=Path("/")), timeout=30)
    except (CommandFailed, RuntimeUnavailable):
        return ()
    return tuple(Path(each) for each in re.findall(r"=> (/\S+)", printed))


# --- from CRAN -------------------------------------------------------------------------------------------------------


def _installed(folder: Path, base: Base, env: Environment, on_line: OnLine | None) -> Support:
    """Have the R install it for itself, with the libraries that it has of its own."""
    with _aside(folder) as aside:
        job = cran.install(aside / "library", (KERNEL,))
        try:
            process.run(_alone(env, base, job, aside), on_line=on_line)
        except (CommandFailed, RuntimeUnavailable) as error:
            raise _not_to_be_had(base, env, error) from error
        files.remove(aside / "prefix")
        return _kept(aside, folder)


def _alone(env: Environment, base: Base, job: Job, aside: Path) -> Command:
    if env.container:
        job = replace(job, mounts=(*job.mounts, Mount(source=aside, target=str(aside))))
        return start_of(without_prefix(env), job)
    # Only what comes with R itself is seen, as in the environments that it is lent to, so that all the others come.
    alone = replace(env, prefix=aside / "prefix", repositories=())
    enter(alone, base.path)
    files.link(alone.library, str(aside / "library"))
    return start_of(alone, job)


def _not_to_be_had(base: Base, env: Environment, error: CommandFailed | RuntimeUnavailable) -> KernelUnusable:
    by_hand = f"""{env.base or "Rscript"} -e 'install.packages("{KERNEL}")'"""
    if env.container:
        hint = f"take an image that has it, built as: FROM {env.container.image.reference}, RUN {by_hand}"
    else:
        hint = _by_system(base.path.resolve()) or by_hand
    last = [line for line in error.hint.splitlines() if line.strip()][-3:]
    return KernelUnusable(
        f"there is no {KERNEL} for R {base.version}, and it could not be installed from CRAN",
        hint="\n".join((f"install it: {hint}", "R said:", *last)),
    )


def _by_system(rscript: Path) -> str:
    """The command by which the system's own manager adds it to the system's own R, "" for any other R."""
    if not any(rscript.is_relative_to(each) for each in ("/usr/bin", "/usr/lib", "/usr/lib64")):
        return ""
    commands = {"apt-get": "sudo apt-get install r-cran-irkernel", "dnf": "sudo dnf install R-IRkernel"}
    return next((said for program, said in commands.items() if shutil.which(program)), "")


# --- what both need --------------------------------------------------------------------------------------------------


@contextmanager
def _aside(folder: Path) -> Iterator[Path]:
    """A folder to fill; it is gone where that is cut short."""
    aside = folder.with_name(f".{folder.name}-{secrets.token_hex(3)}")
    try:
        for each in ("library", "shared"):
            files.private(aside / each)
        yield aside
    finally:
        files.remove(aside)


def _kept(aside: Path, folder: Path) -> Support:
    versions = {each.name: each.version for each in description.read(aside / "library")}
    said = {"irkernel": versions[KERNEL], "packages": versions}
    files.replace(aside / _MANIFEST, json.dumps(said, sort_keys=True, indent=1))
    files.remove(folder)
    aside.rename(folder)
    return Support(folder=folder, version=versions[KERNEL])
