"""Where a job runs: each runtime turns a Job into one host Command, and does nothing else."""

from __future__ import annotations

from typing import Protocol

from ..errors import RuntimeUnavailable
from ..model import Command, Environment, Job
from .host import HostRuntime


class Runtime(Protocol):
    """A pure function from (Environment, Job) to Command; it starts nothing."""

    @property
    def name(self) -> str:
        """The word that `--runtime` and config.yaml use."""
        ...

    def command(self, env: Environment, job: Job) -> Command:
        """How the job is run in the environment on this machine."""
        ...


RUNTIMES: dict[str, Runtime] = {runtime.name: runtime for runtime in (HostRuntime("venv"), HostRuntime("conda"))}


def get(name: str) -> Runtime:
    """The runtime of that name. Raises RuntimeUnavailable."""
    try:
        return RUNTIMES[name]
    except KeyError:
        raise RuntimeUnavailable(f"there is no runtime {name!r}", hint=f"there is: {', '.join(RUNTIMES)}") from None
