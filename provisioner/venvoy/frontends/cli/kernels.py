"""Keep Jupyter's list of kernels in step with the environments."""

from __future__ import annotations

from ...actions.launch import kernel_of
from ...errors import VenvoyError
from ...model import Environment
from ...store import Store
from .. import kernelspecs
from .output import Output


def offered(store: Store, env: Environment, out: Output, *, first: str = "") -> str | None:
    """Write the kernelspecs; returns the name of its own language's, None after a warning where that cannot run.

    `first` is said while a kernel that is lent for the first time is fetched.
    """
    kernelspecs.forget(store, env)
    names = [_offered(store, each, out, first) for each in env.halves]
    return names[0]


def _offered(store: Store, env: Environment, out: Output, first: str) -> str | None:
    try:
        kernelspecs.refuse_another(store, kernelspecs.kernel_name(env))
        with out.progress(first) as on_line:
            kernel = kernel_of(store, env, on_line=on_line)
    except VenvoyError as error:
        what = "an R kernel" if env.language == "r" else "a kernel"
        out.warn(
            f"Jupyter cannot run {what} in {env.name!r} as it is: {error.message}",
            hint=f"{error.hint}\nthen: venvoy configure {env.name}".lstrip(),
        )
        return None
    kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))
    return kernelspecs.kernel_name(env)
