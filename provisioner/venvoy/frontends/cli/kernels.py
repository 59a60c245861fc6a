"""Keep Jupyter's list of kernels in step with the environments."""

from __future__ import annotations

from ...actions.launch import kernel_of
from ...errors import VenvoyError
from ...model import Environment
from ...store import Store
from .. import kernelspecs
from .output import Output


def offered(store: Store, env: Environment, out: Output, *, first: str = "") -> str | None:
    """Write the kernelspec; returns the kernel's name, or None after a warning where no kernel can run as things are.

    `first` is said while a kernel that is lent for the first time is fetched.
    """
    try:
        with out.progress(first) as on_line:
            kernel = kernel_of(store, env, on_line=on_line)
    except VenvoyError as error:
        out.warn(
            f"Jupyter cannot run a kernel in {env.name!r} as it is: {error.message}",
            hint=f"{error.hint}\nthen: venvoy configure {env.name}".lstrip(),
        )
        return None
    kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))
    return kernelspecs.spec_name(env.name)


def known(store: Store, env: Environment) -> str | None:
    """The name of the kernel, if Jupyter has one for the environment."""
    folder = kernelspecs.spec(store, env, encrypts=False).folder
    return folder.name if (folder / "kernel.json").exists() else None
