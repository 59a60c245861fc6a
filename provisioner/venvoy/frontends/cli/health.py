"""`venvoy check` and `venvoy repair`."""

from __future__ import annotations

import click

from ... import inventory
from ...actions.bases import base_of
from ...actions.check import check as checked
from ...actions.launch import kernel_of
from ...actions.payload import built
from ...actions.repair import repair as repaired
from ...errors import InvalidInput, VenvoyError
from ...model import Environment, Finding
from ...settings import DEFAULT_NAME
from ...store import Store
from .. import kernelspecs
from ..views.health import Examined, checked_view, repaired_view
from . import kernels
from .options import actor, current_store, environment_names, name_option, named, one_name, output, patient
from .output import Output


@click.command
@click.argument("position", metavar="[NAME]", required=False, shell_complete=environment_names)
@name_option
@click.option("--fix", is_flag=True, help="Remove kernelspecs whose environment is gone.")
@output
def check(position: str | None, option: str | None, *, fix: bool, out: Output) -> int:
    """Find and name what is broken.

    Without a name it looks at 'venvoy-env', or at all environments where that does not exist; kernelspecs that were
    left behind are always looked for. The exit code is 1 when an error was found; warnings leave it at 0.
    """
    store = current_store()
    names = _names(store, one_name(position, option))
    examined = [Examined(name=name, findings=_findings(store, name)) for name in names]
    orphans = list(kernelspecs.orphans(store))
    if fix:
        for folder in orphans:
            kernelspecs.remove(folder.name.removeprefix("venvoy-"))
    view = checked_view(examined, orphans=orphans, removed=fix)
    out.show(view)
    return 0 if view.data["ok"] else 1


@click.command
@named
@output
def repair(name: str, out: Output) -> int:
    """Mend what can be mended, and say what was done.

    The exit code is 1 when an error is left that only you can mend.
    """
    store = current_store()
    env = store.environment(name)
    patient(store, name, out)
    with out.progress(f"Looking at {name!r} …") as on_line:
        mended = repaired(store, env, actor=actor(out), on_line=on_line)
    env = store.environment(name)
    stale = _of_kernelspec(store, env)
    kernel = kernels.offered(store, env, out)
    done = (*mended.done, *(["wrote its kernelspec anew"] if stale and kernel else []))
    view = repaired_view(name, done=done, left=mended.left)
    out.show(view)
    return 0 if view.data["ok"] else 1


def _names(store: Store, name: str | None) -> tuple[str, ...]:
    if name:
        return (name,)
    return (DEFAULT_NAME,) if store.exists(DEFAULT_NAME) else store.names()


def _findings(store: Store, name: str) -> tuple[Finding, ...]:
    """What is wrong with one environment, its place in Jupyter included."""
    if not store.exists(name):
        store.environment(name)
    try:
        env = store.environment(name)
    except InvalidInput as error:
        return (Finding(code="config-wrong", message=error.message, mend=f"venvoy configure {name} --edit"),)
    return (*checked(store, env), *_of_kernelspec(store, env))


def _of_kernelspec(store: Store, env: Environment) -> tuple[Finding, ...]:
    """What is wrong with it as it lies there. What `check` itself says of the kernel is not said again."""
    wanted = [kernelspecs.spec(store, env, encrypts=encrypts) for encrypts in _encryption(store, env)]
    found = [kernelspecs.finding(each, env) for each in wanted]
    return (found[0],) if found[0] and all(found) else ()


def _encryption(store: Store, env: Environment) -> tuple[bool, ...]:
    """Whether its kernel encrypts; either may be where none was lent yet or none can run."""
    try:
        own = "ipykernel" in inventory.names(env.prefix)
        if own or built(store, base_of(store, env.python)):
            return (kernel_of(store, env).encrypts,)
    except VenvoyError:
        pass
    return (True, False)
