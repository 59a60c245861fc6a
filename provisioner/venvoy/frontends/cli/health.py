"""`venvoy check` and `venvoy repair`."""

from __future__ import annotations

import contextlib

import click

from ... import inventory
from ...actions.bases import base_in
from ...actions.check import check as checked
from ...actions.contents_of import remembered
from ...actions.launch import kernel_of
from ...actions.payload import built, usable_kernel
from ...actions.repair import repair as repaired
from ...actions.strays import remove, strays
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
@click.option("--fix", is_flag=True, help="Remove kernelspecs and containers that were left behind.")
@output
def check(position: str | None, option: str | None, *, fix: bool, out: Output) -> int:
    """Find and name what is broken.

    Without a name it looks at 'venvoy-env', or at all environments where that does not exist, and at all kernelspecs
    and containers that were left behind; with one it looks at nothing else. The exit code is 1 when an error was found;
    warnings and containers leave it at 0.
    """
    store = current_store()
    one = one_name(position, option)
    examined = [Examined(name=name, findings=_findings(store, name)) for name in _names(store, one)]
    orphans = [] if one else list(kernelspecs.orphans(store))
    left = strays() if fix or _contained(store) else ()
    left = tuple(each for each in left if one in (None, each.environment))
    if fix:
        for folder in orphans:
            kernelspecs.remove(store, folder.name.removeprefix("venvoy-"))
        for each in left:
            remove(each)
    view = checked_view(examined, orphans=orphans, strays=left, removed=fix)
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
    stale, lost = _of_kernelspec(store, env), _of_payload(store, env)
    kernel = kernels.offered(store, env, out)
    done = (
        *mended.done,
        *(["built the kernel that is lent to it anew"] if lost and kernel else []),
        *(["wrote its kernelspec anew"] if stale and kernel else []),
    )
    view = repaired_view(name, done=done, left=mended.left)
    out.show(view)
    return 0 if view.data["ok"] else 1


def _names(store: Store, name: str | None) -> tuple[str, ...]:
    if name:
        return (name,)
    return (DEFAULT_NAME,) if store.exists(DEFAULT_NAME) else store.names()


def _contained(store: Store) -> bool:
    """Whether any environment is in a container; where none is, no engine is asked whether it has any of ours."""
    for name in store.names():
        with contextlib.suppress(VenvoyError):
            if store.environment(name).container:
                return True
    return False


def _findings(store: Store, name: str) -> tuple[Finding, ...]:
    """What is wrong with one environment, its place in Jupyter included."""
    if not store.exists(name):
        store.environment(name)
    try:
        env = store.environment(name)
    except InvalidInput as error:
        return (Finding(code="config-wrong", message=error.message, mend=f"venvoy configure {name} --edit"),)
    return (*checked(store, env), *_of_kernelspec(store, env), *_of_payload(store, env))


def _of_kernelspec(store: Store, env: Environment) -> tuple[Finding, ...]:
    """What is wrong with it as it lies there. What `check` itself says of the kernel is not said again."""
    wanted = [kernelspecs.spec(store, env, encrypts=encrypts) for encrypts in _encryption(store, env)]
    found = [kernelspecs.finding(store, each, env) for each in wanted]
    return (found[0],) if found[0] and all(found) else ()


def _of_payload(store: Store, env: Environment) -> tuple[Finding, ...]:
    """Whether the kernel that is lent to a container is still there: without it the next start takes the index."""
    if not env.container or kernelspecs.known(store, env) is None or "ipykernel" in inventory.names(env.prefix):
        return ()
    contents = remembered(store, env)
    if contents is None or contents.python is None or built(store, contents.python):
        return ()
    if usable_kernel({each.name: each.version for each in contents.of("pypi")}):
        return ()
    message = f"the kernel that is lent to {env.name!r} is not there any more (Python {contents.python.minor})"
    return (Finding(code="payload-gone", message=message, mend=f"venvoy repair {env.name}", severity="warning"),)


def _encryption(store: Store, env: Environment) -> tuple[bool, ...]:
    """Whether its kernel encrypts; either may be where none was lent yet or none can run."""
    try:
        own = "ipykernel" in inventory.names(env.prefix)
        if own or built(store, base_in(store, env)):
            return (kernel_of(store, env).encrypts,)
    except VenvoyError:
        pass
    return (True, False)
