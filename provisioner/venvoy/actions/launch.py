"""Say how the kernel of an environment is started, or in one sentence why it cannot be."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.version import Version

from .. import files, inventory
from ..errors import KernelUnusable
from ..inventory import description, venv
from ..managers import cran, uv
from ..managers.cran import GUEST
from ..model import Environment, Job, Mount
from ..process import OnLine
from ..runtimes.inside import container_of
from ..settings import Policy
from ..store import Store
from .activation import activated
from .bases import base_in
from .contents_of import own_names
from .limits import refuse_impossible
from .machine import time_zone
from .payload import Payload, conflicts, payload_for, upgrade, usable_kernel
from .permission import permitted
from .r_bases import r_in
from .support import KERNEL, Support, support_for
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
    """Which ipykernel or IRkernel will run: the environment's own (`payload` None), or the one lent to it."""

    version: str
    payload: Payload | Support | None
    name: str = "ipykernel"

    @property
    def encrypts(self) -> bool:
        """Whether it understands Curve keys in the connection file."""
        return self.name == "ipykernel" and Version(self.version) >= _CURVE_SINCE


def kernel_of(store: Store, env: Environment, *, on_line: OnLine | None = None) -> Kernel:
    """Choose the kernel; the one that is lent is built when it is not there yet, and `on_line` hears of it.

    Raises KernelUnusable, naming what stands in the way and the command that mends it.
    """
    mend = f"mend it: venvoy repair {env.name}"
    if not env.prefix.exists():
        raise KernelUnusable(f"the environment {env.name!r} has no folder {env.prefix} any more", hint=mend)
    if not env.container and not os.access(env.interpreter, os.X_OK):
        raise KernelUnusable(f"the interpreter of {env.name!r} is gone ({env.interpreter})", hint=mend)
    if env.language == "r":
        return _of_r(store, env, on_line)
    if own := _own(store, env):
        return Kernel(version=own, payload=None)
    image = own_names(store, env)
    if own := usable_kernel(image):
        return Kernel(version=own, payload=None)
    payload = payload_for(store, base_in(store, env), env=env, on_line=on_line)
    if found := conflicts(payload, env, image=image):
        raise KernelUnusable(
            f"a kernel cannot run in {env.name!r}: {'; '.join(found)}",
            hint=f"upgrade: {upgrade(env, found)}\nor give it a kernel of its own: venvoy install {env.name} ipykernel",
        )
    return Kernel(version=payload.versions["ipykernel"], payload=payload)


def _of_r(store: Store, env: Environment, on_line: OnLine | None) -> Kernel:
    """The IRkernel that was installed in the environment, or that its image has, or else one that is lent."""
    r = r_in(store, env)
    there = {each.name: each.version for each in description.read(env.library)}
    own = there.get(KERNEL) or (r.irkernel if env.container else "")
    lent = None if own else support_for(store, r.base, env=env, on_line=on_line)
    return Kernel(version=own or (lent.version if lent else ""), payload=lent, name=KERNEL)


def _own(store: Store, env: Environment) -> str | None:
    """The version of the ipykernel that is found in the environment before any that is lent, or None."""
    names = inventory.names(env.prefix)
    if "ipykernel" not in names and not env.container and venv.sees_system(env.prefix):
        from .check import visible  # noqa: PLC0415  # asks the interpreter, and such environments are few

        names = {each.name: each.version for each in visible(store, env)}
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
    if has := env.container:
        refuse_impossible(has.resources, engine=has.engine, rootless=has.rootless, name=env.name)
    shims = _shims(store) if env.runtime == "conda" else None
    boot = ("/bin/sh", str(GUEST / "boot.sh")) if env.container else ()
    words = _r_words if env.language == "r" else _python_words
    hidden = (*SECRETS, *policy.dropped_variables)
    job = Job(
        argv=(*boot, *words(kernel, session, connection_file), *arguments),
        variables={
            **uv.CERTIFICATES,
            **(_conda_programs(shims, variables) if shims else {}),
            **variables_from(env.env_file if policy.env_files else (), hidden=hidden),
            "VENVOY_ENVIRONMENT": env.name,
            **({} if env.container else {"SHELL": _shell(variables)}),
            **_profile(env, variables),
        },
        dropped=hidden,
        tools=(_tools(store), *((shims,) if shims else ())),
        cwd=cwd,
    )
    return _contained(env, job, kernel, session, variables) if env.container else activated(store, env, job)


def _python_words(kernel: Kernel, session: Path, connection_file: Path) -> tuple[str, ...]:
    lent = ("--payload", str(kernel.payload.folder)) if kernel.payload else ()
    start = ("python", "-Xfrozen_modules=off", str(GUEST / "kernel.py"), "--session", str(session))
    return (*start, *lent, "-f", str(connection_file))


def _r_words(kernel: Kernel, session: Path, connection_file: Path) -> tuple[str, ...]:
    return cran.kernel(session, kernel.payload.folder if kernel.payload else None, connection_file)


def _profile(env: Environment, variables: Mapping[str, str]) -> dict[str, str]:
    """Where the user's start-up file of R lies, for the kernel to read it when it can say what is wrong with it."""
    said = variables.get("R_PROFILE_USER")
    return {} if env.language != "r" or env.container or said is None else {"VENVOY_R_PROFILE": said}


def _contained(env: Environment, job: Job, kernel: Kernel, session: Path, variables: Mapping[str, str]) -> Job:
    """The job with what it needs of this machine, in a container of its own that ends with its stdin."""
    lent = (kernel.payload.folder,) if kernel.payload else ()
    program = Path(uv.program())
    read = tuple(Mount(source=each, target=str(each), read_only=True) for each in (GUEST, *lent, program))
    label = f"venvoy-{session.name}-{secrets.token_hex(3)}"
    container, cwd = container_of(env), job.cwd or Path.cwd()
    told = [
        "writable" if container.writable else "fixed",
        *(["offline"] if container.resources.network == "none" else []),
    ]
    return replace(
        job,
        variables={"TZ": time_zone(variables), **job.variables, "VENVOY_CONTAINER": " ".join(told)},
        cwd=cwd,
        mounts=(*read, Mount(source=session, target=str(session))),
        label=label,
        labels={"kernel": session.name, "session": str(session)},
        terminal="pipe",
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
