"""Find the Rs of this machine, and ask each once what it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import files, process
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable, VenvoyError
from ..managers import cran
from ..model import Base, Command, Environment, Job
from ..runtimes.host import FOREIGN, OF_R
from ..runtimes.inside import container_of, without_prefix
from ..store import Store
from .start_of import start_of

R_VERSION = re.compile(r"[1-9](\.[0-9]+){0,2}")
_INSTALLED = (
    "/opt/R/*/bin/Rscript",  # rig and Posit's packages
    "~/.local/share/rig/*/bin/Rscript",
    "~/.local/share/rig/*/*/bin/Rscript",
    "/usr/local/bin/Rscript",
    "/usr/bin/Rscript",
    "/Library/Frameworks/R.framework/Versions/*/Resources/bin/Rscript",
    "~/Library/Frameworks/R.framework/Versions/*/Resources/bin/Rscript",
)
"""Where installers put R, several versions side by side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class R:
    """One R: the base that it is, and which IRkernel its own libraries have, "" for none."""

    base: Base
    irkernel: str = ""


def r_of(store: Store, rscript: Path) -> R:
    """What the R at `rscript` is; remembered for as long as its file stays the same.

    Raises RuntimeUnavailable where it does not run.
    """
    try:
        key = hashlib.sha256(files.state(rscript).encode()).hexdigest()[:24]
    except OSError as error:
        raise RuntimeUnavailable(f"the R at {rscript} is gone") from error
    command = without_library(cran.script("probe.R", program=str(rscript)))
    said = _remembered(store.bases / f"r-{key}.json", lambda: command, f"the R at {rscript}")
    return _r({**said, "path": str(rscript)})


def r_in(store: Store, env: Environment) -> R:
    """The R of an environment: of this machine, or of its image, which is asked once."""
    if env.container is None:
        return r_of(store, env.prefix / "bin" / "Rscript")
    digest = container_of(env).image.digest
    alone = without_prefix(env)
    kept = store.bases / f"r-image-{digest.partition(':')[2][:24]}.json"
    who = f"the R of the image {container_of(env).image.reference}"
    return _r(_remembered(kept, lambda: start_of(alone, cran.script("probe.R")), who))


def r_wanted(store: Store, wanted: str | None) -> Base:
    """The newest R for `wanted`: a version ("4.4", "4.4.1"), the path of an Rscript or of its folder, or None for any.

    Raises InvalidInput for a word that is none of these, and RuntimeUnavailable, with what there is, when none matches.
    """
    if wanted and os.sep in wanted:
        place = Path(wanted).absolute()
        return r_of(store, place / "bin" / "Rscript" if place.is_dir() else place.with_name("Rscript")).base
    checked(wanted)
    found = rs(store)
    fitting = [each for each in found if not wanted or f"{each.version}.".startswith(f"{wanted}.")]
    if not fitting:
        listed = "\n".join(f"  {each.version:10} {each.path}" for each in found)
        raise RuntimeUnavailable(
            f"there is no R {wanted} on this machine" if wanted else "there is no R on this machine",
            hint=f"there is:\n{listed or '  none'}\nor take it in a container: --runtime auto",
        )
    return fitting[0]


def r_nearest(store: Store, version: str) -> Base:
    """The version itself where this machine has it, else the newest of the same minor version."""
    try:
        return r_wanted(store, version)
    except RuntimeUnavailable:
        return r_wanted(store, ".".join(version.split(".")[:2]))


def checked(wanted: str | None) -> str | None:
    """A version of R, as it is asked for. Raises InvalidInput."""
    if wanted and not R_VERSION.fullmatch(wanted):
        raise InvalidInput(f"{wanted!r} is not a version of R", hint="write it as 4.4 or 4.4.1, or give a path")
    return wanted


def rs(store: Store) -> tuple[Base, ...]:
    """Every R of this machine, one per version, newest first; the one on PATH before others of its version."""
    found: dict[str, Base] = {}
    for path in _candidates():
        try:
            base = r_of(store, path).base
        except VenvoyError:
            continue
        found.setdefault(base.version, base)
    return tuple(sorted(found.values(), key=lambda base: numbers(base.version), reverse=True))


def numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version of R or of glibc, for comparing."""
    return tuple(int(number) for number in re.findall(r"[0-9]+", version)[:3])


def without_library(job: Job) -> Command:
    """The job outside any environment, with the libraries that R usually has."""
    return Command(
        argv=job.argv, variables=job.variables, dropped=(*FOREIGN, *OF_R, *job.dropped), cwd=job.cwd, stdin=job.stdin
    )


def _candidates() -> Iterator[Path]:
    environ = process.environment(Command(argv=()))
    home = Path(environ.get("HOME", "/"))
    for folder in environ["PATH"].split(os.pathsep):
        path = Path(folder, "Rscript")
        # The R of an environment that is active is not one to stand on.
        if folder and os.access(path, os.X_OK) and not (path.parent.parent / "etc" / "Rprofile.site").is_file():
            yield path
    for pattern in _INSTALLED:
        whole = Path(str(home) + pattern[1:] if pattern.startswith("~") else pattern)
        yield from sorted(Path("/").glob(str(whole.relative_to("/"))), reverse=True)


def _remembered(kept: Path, command: Callable[[], Command], who: str) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        _r(said)
    except (OSError, ValueError, KeyError, TypeError):
        said = _asked(command(), who)
        files.replace(kept, json.dumps(said, sort_keys=True))
    return said


def _asked(command: Command, who: str) -> dict[str, Any]:
    try:
        pairs = [line.split("\t", 1) for line in process.run(command, timeout=120).splitlines() if "\t" in line]
        said: dict[str, Any] = dict(pairs)
        said["build"] = [value for word, value in pairs if word == "build"]
        _r(said)
    except (CommandFailed, RuntimeUnavailable, KeyError, ValueError) as error:
        raise RuntimeUnavailable(f"{who} does not run", hint=str(error)) from error
    return said


def _r(said: dict[str, Any]) -> R:
    version = str(said["version"])
    libc = str(said["libc"]).replace(" ", "-") if "glibc" in str(said["libc"]) else ""
    if not libc and "musl" in str(said["build"]):
        libc = "musl"
    build = json.dumps([*said["build"], said["platform"], libc])
    base = Base(
        path=Path(said["path"]),
        version=version,
        abi=f"r{''.join(version.split('.')[:2])}",
        platform=str(said["platform"]),
        libc=libc,
        digest=hashlib.sha256(build.encode()).hexdigest(),
    )
    return R(base=base, irkernel=str(said.get("irkernel", "")))
