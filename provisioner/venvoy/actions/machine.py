"""Whether this machine is part of a cluster, and by which signs."""

from __future__ import annotations

import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..settings import variables

_JOBS: Mapping[str, tuple[str, ...]] = {
    "Slurm": ("SLURM_JOB_ID", "SLURM_JOBID"),
    "PBS": ("PBS_JOBID",),
    "LSF": ("LSB_JOBID",),
    "Grid Engine": ("SGE_TASK_ID", "SGE_O_HOST"),
    "Flux": ("FLUX_JOB_ID", "FLUX_URI"),
}
"""What each scheduler sets in the jobs that it starts."""
_CONFIGURED: Mapping[str, tuple[str, ...]] = {
    "Slurm": ("SLURM_CONF",),
    "PBS": ("PBS_CONF_FILE", "PBS_SERVER"),
    "LSF": ("LSF_ENVDIR",),
    "Grid Engine": ("SGE_ROOT",),
}
"""What a login node has set for its commands."""
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "Slurm": ("sbatch", "scontrol"),
    "PBS": ("pbsnodes", "qsig"),
    "LSF": ("bsub", "lsid"),
    "Grid Engine": ("qconf", "qhost"),
    "Flux": ("flux",),
}
"""Commands that no other scheduler has: `qsub` and `qstat` are those of several."""
_MODULES = ("LMOD_CMD", "MODULESHOME", "MODULEPATH", "LOADEDMODULES")
_HOST = re.compile(
    r"(login|uan|hpc|cluster|head|front-?end|compute|node|cn|nid|gpu|cpu|mem|bigmem|knl|rack)s?-?\d+[a-z]?\d*"
    r"|[a-z]+-(login|compute|node|gpu)-?\d*|r\d+[cin]\d+(n\d+)?|x\d+c\d+s\d+b\d+n\d+|(.+\.)?(hpc|cluster)\..+",
    re.IGNORECASE,
)
"""How clusters call their machines: login1, node042, nid001234, r1i2n3, x1000c0s0b0n1, name.hpc.example.org."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """One thing that speaks for a cluster; `told` is where it was seen ("SLURM_JOB_ID is set")."""

    kind: Literal["job", "scheduler", "modules", "host"]
    told: str
    scheduler: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What speaks for a cluster. A scheduler does by itself; modules and a name do together."""

    host: str
    signs: tuple[Sign, ...]

    @property
    def cluster(self) -> bool:
        kinds = {each.kind for each in self.signs}
        return bool(kinds & {"job", "scheduler"}) or {"modules", "host"} <= kinds

    @property
    def scheduler(self) -> str:
        """The one whose job we are in, else the one that is here, else ""."""
        named = sorted((each for each in self.signs if each.scheduler), key=lambda each: each.kind != "job")
        return named[0].scheduler if named else ""

    @property
    def in_job(self) -> bool:
        return any(each.kind == "job" for each in self.signs)


def time_zone(environ: Mapping[str, str], link: Path = Path("/etc/localtime")) -> str | None:
    """Where the clocks of this machine are set, as TZ says it ("Europe/Berlin"); None where nobody says."""
    if said := environ.get("TZ"):
        return said
    try:
        name = os.readlink(link).rpartition("zoneinfo/")[2]
    except OSError:
        return None
    return name if re.fullmatch(r"[A-Za-z]+(/[\w+-]+)*", name) else None


def this_machine(
    environ: Mapping[str, str] | None = None,
    *,
    host: str | None = None,
    which: Callable[[str], str | None] = shutil.which,
) -> Machine:
    """Look for signs of a cluster; no program is started."""
    host = socket.gethostname() if host is None else host
    return Machine(host=host, signs=tuple(_signs(variables() if environ is None else environ, host, which)))


def _signs(environ: Mapping[str, str], host: str, which: Callable[[str], str | None]) -> Iterator[Sign]:
    for name, set_there in _JOBS.items():
        if said := next((each for each in set_there if environ.get(each)), ""):
            yield Sign(kind="job", scheduler=name, told=f"{said} is set")
    for name, set_there in _CONFIGURED.items():
        if said := next((each for each in set_there if environ.get(each)), ""):
            yield Sign(kind="scheduler", scheduler=name, told=f"{said} is set")
    for name, commands in _COMMANDS.items():
        if path := next((found for each in commands if (found := which(each)) and _is_schedulers(each, found)), None):
            yield Sign(kind="scheduler", scheduler=name, told=path)
    if said := next((each for each in _MODULES if environ.get(each)), ""):
        yield Sign(kind="modules", told=f"{said} is set")
    if _HOST.fullmatch(host) or _HOST.fullmatch(host.partition(".")[0]):
        yield Sign(kind="host", told=f"it is called {host}")


def _is_schedulers(command: str, path: str) -> bool:
    """Kubernetes has a `flux`, too; the scheduler's has its subcommands beside it."""
    tree = Path(path).resolve().parent.parent
    return command != "flux" or any((tree / each / "flux").is_dir() for each in ("libexec", "lib", "lib64"))
