"""Say how the kernel of an environment is started, or in one sentence why it cannot be."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from packaging.version import Version

from .. import files, inventory
from ..errors import KernelUnusable, NotPermitted
from ..inventory import venv
from ..managers import uv
from ..model import Environment, Job
from ..process import OnLine
from ..settings import Policy
from ..store import Store
from .activation import activated
from .bases import base_of
from .payload import Payload, conflicts, payload_for
from .variables import variables_from

SECRETS = (
    "JUPYTERHUB_*",
    "JUPYTER_TOKEN",
    "JPY_API_TOKEN",
    "JPY_PARENT_PID",
    "CONFIGPROXY_*",
    "JUPYTER_SERVER_*",
)
"""Variables of the server that never reach a kernel."""

_CURVE_SINCE = Version("7.3")
_SHELLS = ("/bin/bash", "/bin/sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """Which ipykernel will run: the environment's own (`payload` None), or the one lent to it."""

    version: str
    payload: Payload | None

    @property
    def encrypts(self) -> bool:
        """Whether it understands Curve keys in the connection file."""
        return Version(self.version) >= _CURVE_SINCE


def kernel_of(store: Store, env: Environment, *, on_line: OnLine | None = None) -> Kernel:
    """Choose the kernel; the one that is lent is built when it is not there yet, and `on_line` hears of it.

    Raises KernelUnusable, naming what stands in the way and the command that mends it.
    """
    mend = f"mend it: venvoy repair {env.name}"
    if not env.prefix.exists():
        raise KernelUnusable(f"the environment {env.name!r} has no folder {env.prefix} any more", hint=mend)
    if not os.access(env.python, os.X_OK):
        raise KernelUnusable(f"the interpreter of {env.name!r} is gone ({env.python})", hint=mend)
    own = _own(env)
    if own:
        return Kernel(version=own, payload=None)
    payload = payload_for(store, base_of(store, env.python), on_line=on_line)
    if found := conflicts(payload, env):
        names = " ".join(sorted({each.split()[0] for each in found}))
        raise KernelUnusable(
            f"a kernel cannot run in {env.name!r}: {'; '.join(found)}",
            hint=f"upgrade: venvoy run {env.name} -- pip install --upgrade {names}\n"
            f"or give it a kernel of its own: venvoy install {env.name} ipykernel",
        )
    return Kernel(version=payload.versions["ipykernel"], payload=payload)


def _own(env: Environment) -> str | None:
    """The version of the ipykernel that is found in the environment before any that is lent, or None."""
    names = inventory.names(env.prefix)
    if "ipykernel" not in names and venv.sees_system(env.prefix):
        from .check import visible  # noqa: PLC0415  # asks the interpreter, and such environments are few

        names = {each.name: each.version for each in visible(env)}
    return names.get("ipykernel")


def kernel_job(
    store: Store,
    env: Environment,
    kernel: Kernel,
    *,
    connection_file: Path,
    session: Path,
    variables: Mapping[str, str],
    policy: Policy,
    cwd: Path | None = None,
    arguments: tuple[str, ...] = (),
) -> Job:
    """The job that starts it. `variables` are what the front end gives; files of variables come on top.

    What activates a conda environment may have to be found out first, which runs its scripts. Raises NotPermitted where
    the policy forbids the environment, InvalidInput for a bad file of variables.
    """
    permitted(env, policy)
    shims = _shims(store) if env.runtime == "conda" else None
    lent = ("--payload", str(kernel.payload.folder)) if kernel.payload else ()
    guest = Path(str(package_files("venvoy.guest")))
    job = Job(
        argv=(
            "python",
            "-Xfrozen_modules=off",
            str(guest / "kernel.py"),
            "--session",
            str(session),
            *lent,
            "-f",
            str(connection_file),
            *arguments,
        ),
        variables={
            **uv.CERTIFICATES,
            **(_conda_programs(shims, variables) if shims else {}),
            **variables_from(env.env_file if policy.env_files else ()),
            "VENVOY_ENVIRONMENT": env.name,
            "SHELL": _shell(variables),
        },
        dropped=(*SECRETS, *policy.dropped_variables),
        tools=(_tools(store), *((shims,) if shims else ())),
        cwd=cwd,
    )
    return activated(store, env, job)


def permitted(env: Environment, policy: Policy) -> None:
    """Raise NotPermitted unless the policy allows the environment's place."""
    if policy.prefixes is None:
        return
    prefix = env.prefix.resolve()
    if not any(prefix.is_relative_to(folder.resolve()) for folder in policy.prefixes):
        allowed = ", ".join(map(str, policy.prefixes))
        raise NotPermitted(
            f"environments outside {allowed} may not run here: {env.name!r} lies in {prefix}",
            hint="make it in an allowed folder: venvoy init NAME --prefix DIR",
        )


def _shell(variables: Mapping[str, str]) -> str:
    """IPython runs `!command` by $SHELL and fails when that is not there."""
    wanted = variables.get("SHELL", "")
    return next((each for each in (wanted, *_SHELLS) if each and os.access(each, os.X_OK)), _SHELLS[-1])


def _tools(store: Store) -> Path:
    """A folder with nothing in it but uv, for `!uv` where the user has none; all else of ours stays out of PATH."""
    tools = store.settings.home / "tools"
    program = uv.program()
    link = tools / "uv"
    if not (link.is_symlink() and os.readlink(link) == program):
        tools.mkdir(parents=True, exist_ok=True)
        files.link(link, program)
    return tools


def _shims(store: Store) -> Path:
    """A folder with a `conda`, `mamba` and `micromamba` that are the engine; found after any real one."""
    folder = store.settings.home / "tools" / "conda"
    for name in ("conda", "mamba", "micromamba"):
        text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -m venvoy.frontends.mamba {name} "$@"\n'
        file = folder / name
        try:
            same = file.read_text("utf-8") == text
        except OSError:
            same = False
        if not same:
            files.replace(file, text, mode=0o755)
    return folder


def _conda_programs(shims: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """What IPython's `%conda` and `%mamba` start: the user's own programs, or ours where there are none."""
    path = variables.get("PATH")
    found = {}
    for variable, names in (("CONDA_EXE", ("conda",)), ("MAMBA_EXE", ("mamba", "micromamba"))):
        said = variables.get(variable, "")
        real = [said] if said and os.access(said, os.X_OK) else [shutil.which(each, path=path) for each in names]
        found[variable] = next((each for each in real if each), str(shims / names[0]))
    return found
