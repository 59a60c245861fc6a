"""Where a job runs: each runtime turns a Job into one host Command, and does nothing else."""

from __future__ import annotations

import os
from typing import Protocol

from ..errors import RuntimeUnavailable
from ..model import Command, Environment, Job
from .host import HostRuntime
from .oci import OciRuntime
from .sif import SifRuntime


class Runtime(Protocol):
    """A pure function from (Environment, Job) to Command; it starts nothing."""

    @property
    def name(self) -> str:
        """The word that `--runtime` and config.yaml use."""
        ...

    def command(self, env: Environment, job: Job) -> Command:
        """How the job is run in the environment on this machine."""
        ...

    def deliver(self, label: str) -> Command | None:
        """What sends a container of that label a signal, `{}` being its number; None where it gets them itself."""
        ...

    def state(self, label: str) -> Command | None:
        """What says how a container of that label ended, as JSON; None where the process that was started does."""
        ...

    def stop(self, label: str) -> Command | None:
        """What ends and removes a container of that label; None where nothing is left to remove."""
        ...


RUNTIMES: dict[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        HostRuntime("venv"),
        HostRuntime("conda"),
        OciRuntime("docker", os.getuid(), os.getgid(), tuple(os.getgroups())),
        OciRuntime("podman", os.getuid(), os.getgid(), tuple(os.getgroups())),
        SifRuntime("apptainer", os.getuid()),
        SifRuntime("singularity", os.getuid()),
    )
}


def get(name: str) -> Runtime:
    """The runtime of that name. Raises RuntimeUnavailable."""
    try:
        return RUNTIMES[name]
    except KeyError:
        raise RuntimeUnavailable(f"there is no runtime {name!r}", hint=f"there is: {', '.join(RUNTIMES)}") from None
