"""Environments that are a folder on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..model import Command, Environment, Job

FOREIGN = (
    "CONDA_DEFAULT_ENV",
    "CONDA_EXE",
    "CONDA_PREFIX*",
    "CONDA_PROMPT_MODIFIER",
    "CONDA_PYTHON_EXE",
    "CONDA_ROOT",
    "CONDA_SHLVL",
    "MAMBA_EXE",
    "MAMBA_ROOT_PREFIX",
    "_CE_*",
    "_CONDA_*",
    "PIXI_*",
    "VIRTUAL_ENV*",
    "PYTHONHOME",
    "PYTHONPATH",
    "PYTHONEXECUTABLE",
    "PYTHONUSERBASE",
    "__PYVENV_LAUNCHER__",
    "PIP_PREFIX",
    "PIP_REQUIRE_VIRTUALENV",
    "PIP_ROOT",
    "PIP_TARGET",
    "PIP_USER",
    "UV_PROJECT*",
    "UV_SYSTEM_PYTHON",
    "UV_TARGET",
    "R_LIBS*",
)
"""Variables by which another environment, active where we were started, would reach into this one."""


@dataclass(frozen=True, slots=True)
class HostRuntime:
    """A prefix is entered by its variables: programs are found in it first, and installers act on it alone."""

    name: str

    def command(self, env: Environment, job: Job) -> Command:
        bin_folder = env.prefix / "bin"
        program, *rest = job.argv
        here = bin_folder / program
        return Command(
            argv=(str(here) if os.sep not in program and here.exists() else program, *rest),
            variables={**activation(env), **job.variables},
            dropped=(*FOREIGN, *job.dropped),
            search=(*job.search, bin_folder),
            fallback=job.tools,
            cwd=job.cwd,
            stdin=job.stdin,
        )


def activation(env: Environment) -> dict[str, str]:
    """The variables that make pip, uv, conda and the shell's programs act on this prefix.

    UV_PYTHON is stronger than a VIRTUAL_ENV that leaked in from elsewhere, and PIP_PYTHON makes any pip on PATH act
    on this interpreter. uv takes no VIRTUAL_ENV for a conda prefix, so that has CONDA_PREFIX alone.
    """
    installers = {"UV_PYTHON": str(env.python), "PIP_PYTHON": str(env.python)}
    if env.runtime != "conda":
        return {"VIRTUAL_ENV": str(env.prefix), **installers}
    return {"CONDA_PREFIX": str(env.prefix), "CONDA_DEFAULT_ENV": env.name, "CONDA_SHLVL": "1", **installers}
