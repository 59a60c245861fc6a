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


OF_R = ("R_HOME", "R_ARCH", "RHOME")
"""Variables by which another R would be taken for the environment's; rpy2 in a Python environment needs them."""


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
            dropped=(*FOREIGN, *(OF_R if env.speaks("r") else ()), *job.dropped),
            search=(*job.search, bin_folder),
            fallback=job.tools,
            cwd=job.cwd,
            stdin=job.stdin,
        )

    def deliver(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """A process gets its signals itself."""
        return

    def state(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """A process is all there is."""
        return

    def stop(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """A process is all there is."""
        return


def activation(env: Environment) -> dict[str, str]:
    """The variables that make pip, uv, conda and the shell's programs act on this prefix.

    UV_PYTHON is stronger than a VIRTUAL_ENV that leaked in from elsewhere, and PIP_PYTHON makes any pip on PATH act
    on this interpreter. uv takes no VIRTUAL_ENV for a conda prefix, so that has CONDA_PREFIX alone.
    """
    of_r = r_libraries(str(env.prefix), isolated=True) if env.speaks("r") else {}
    if not env.speaks("python"):
        return of_r
    if of_r:
        of_r["RETICULATE_PYTHON"] = str(env.python)
    installers = {"UV_PYTHON": str(env.python), "PIP_PYTHON": str(env.python)}
    if env.runtime != "conda":
        return {"VIRTUAL_ENV": str(env.prefix), **installers, **of_r}
    return {"CONDA_PREFIX": str(env.prefix), "CONDA_DEFAULT_ENV": env.name, "CONDA_SHLVL": "1", **installers}


def r_libraries(prefix: str, *, isolated: bool) -> dict[str, str]:
    """The variables that make every R see the prefix's library first, also one that reads no start-up files.

    Where it is `isolated` nothing else is seen but R's own packages: R_LIBS_SITE moves the library of the machine's
    administrator. The prefix's own Rprofile.site (`managers.cran.PROFILE`) says the same again, behind all that a
    user's .Renviron may have set.
    """
    library = f"{prefix}/R"
    site = {"R_LIBS_SITE": library} if isolated else {}
    return {"R_LIBS": library, "R_LIBS_USER": library, **site, "R_PROFILE": f"{prefix}/etc/Rprofile.site"}
