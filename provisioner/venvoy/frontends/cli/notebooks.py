"""`venvoy stamp`: write into a notebook which environment it was run in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import click

from ...actions.diff import diff
from ...actions.note import note
from ...actions.observe import observe
from ...errors import InvalidInput, NotPermitted
from ...formats.snapshot_json import SnapshotJson
from ...model import Actor, Diff, Environment
from ...session import running
from ...store import Store
from .. import servers
from ..binding import Bound, bound, bound_in, lock_of, metadata_of, named_by_kernel, read
from ..views.notebooks import notebook_view, stamped_view
from ..views.view import View
from .options import FILE, current_store, name_option, output, usable
from .output import Output


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """A notebook and the environment that is to be written into it."""

    notebook: Path
    environment: str


@click.command
@click.argument("notebooks", metavar="NOTEBOOK...", type=FILE, nargs=-1, required=True)
@name_option
@click.option("--force", is_flag=True, help="Also where a Jupyter server does not say which notebooks it has open.")
@output
def stamp(notebooks: tuple[Path, ...], option: str | None, *, force: bool, out: Output) -> None:
    """Write into notebooks which environment they were run in.

    Their metadata gets the key `venvoy`: the environment's name, the digest of its state now, and where its lock lies.
    A notebook that is saved in Jupyter while a kernel of venvoy runs has that already; this is for scripts and CI.
    Without --name the environment is the one that the notebook names, or whose kernel it asks for.

    A notebook that is open in a running Jupyter is left alone: save it there. Either all are stamped or none.
    """
    from ..stamping import stamp as stamped

    store = current_store()
    wishes = [_Wish(notebook=each, environment=option or _environment(store, each)) for each in notebooks]
    for each in wishes:
        _refuse_open(store, each.notebook, force=force)
    digests = {name: _digest(store, usable(store.environment(name))) for name in {each.environment for each in wishes}}
    said: list[tuple[Path, Bound]] = []
    for each in wishes:
        what = bound(store, each.environment, digests[each.environment], each.notebook.resolve())
        said.append((each.notebook, what))
    changed = stamped(said)
    unlocked = [path for path, _ in said if _lock_of(store, path)[0] is None]
    out.show(stamped_view(said, changed=changed, unlocked=unlocked))


def status_of(store: Store, notebook: Path) -> tuple[View, int]:
    """How a notebook's environment stands against its last run, and the exit code: 0 where nothing changed since."""
    said = read(notebook)
    lock, problem = _lock_of(store, notebook)
    if not store.exists(said.environment):
        return notebook_view(notebook, said, lock=lock, problem=problem, present=False, since=None), 1
    env = usable(store.environment(said.environment))
    since = _since(store, env, said)
    return notebook_view(notebook, said, lock=lock, problem=problem, present=True, since=since), int(since != Diff())


def _lock_of(store: Store, notebook: Path) -> tuple[Path | None, str]:
    """The lock of the state that the notebook names, or why there is none."""
    try:
        return lock_of(store, notebook), ""
    except InvalidInput as error:
        return None, error.message


def _since(store: Store, env: Environment, said: Bound) -> Diff | None:
    if not said.snapshot:
        return None
    try:
        then = SnapshotJson().load(store.history(env.name).snapshot(said.snapshot), environment=env.name)
    except InvalidInput:
        return None
    return diff(then, observe(store, env))


def _environment(store: Store, notebook: Path) -> str:
    metadata = metadata_of(notebook)
    try:
        said = bound_in(metadata)
    except InvalidInput as error:
        raise InvalidInput(
            f"{notebook}: {error.message}", hint=f"say it: venvoy stamp {notebook} --name NAME"
        ) from error
    named = said.environment if said else named_by_kernel(metadata, store)
    if named is None:
        raise InvalidInput(
            f"{notebook} does not say which environment it was run in",
            hint=f"say it: venvoy stamp {notebook} --name NAME",
        )
    return named


def _refuse_open(store: Store, notebook: Path, *, force: bool) -> None:
    """Raise NotPermitted for a notebook that its client would overwrite with what it has in memory."""
    path = notebook.resolve()
    if any(each.notebook and Path(each.notebook).resolve() == path for each in running(store.settings.runtime)):
        raise NotPermitted(f"{notebook} is open: a kernel of venvoy runs for it", hint="save it there; that stamps it")
    for server in servers.running():
        found = server.notebooks()
        if found is None and path.is_relative_to(server.root) and not force:
            raise NotPermitted(
                f"the Jupyter server at {server.address} does not say whether {notebook} is open in it",
                hint="save the notebook there, or where it is closed: venvoy stamp --force",
            )
        if found and path in found:
            raise NotPermitted(
                f"{notebook} is open in the Jupyter server at {server.address}", hint="save it there, or close it first"
            )


def _digest(store: Store, env: Environment) -> str:
    """The digest of the environment's state now, which is in its record from here on."""
    history = store.history(env.name)
    with store.held(env.name):
        note(store, env, actor=Actor(kind="terminal"))
    last = history.last()
    return last.snapshot if last else ""
