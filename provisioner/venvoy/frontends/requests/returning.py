"""Back to an earlier state: restore and undo."""

from __future__ import annotations

import shlex

from ...actions.changes import changes
from ...errors import InvalidInput, VenvoyError
from ...store import Store
from ..views.record import history_view
from ..views.running import stale_data
from ..views.view import View
from .asking import Context, Options, Places, Progress, Verb, parser, with_lines, with_restart
from .pointing import HELP, point_of, points_of

SHOWN = 20
"""How many entries of the record are shown to choose from."""


def _restore(context: Context, options: Options, progress: Progress) -> View:
    from ...actions.go_back import go_back
    from ..views.record import returned_view

    said = " ".join(options.point)
    if not said:
        return _choice(context, options)
    target = point_of(context, said)
    if not options.yes:
        return _planned(context, said)
    progress(f"Taking {context.env.name!r} back to {target.label} …")
    returned = go_back(context.store, context.env, target, actor=context.actor, on_line=progress)
    return _over(returned_view(context.env.name, returned), context, progress)


def _undo(context: Context, options: Options, progress: Progress) -> View:
    from ...actions.undo import before_last, undo
    from ..views.record import returned_view

    if options.dry_run:
        last = before_last(context.store.history(context.env.name))
        return _planned(context, str(last.number), again="%env-undo")
    progress("Taking back the last change …")
    returned = undo(context.store, context.env, actor=context.actor, on_line=progress)
    return _over(returned_view(context.env.name, returned), context, progress)


def _restore_said(name: str, options: Options, places: Places) -> tuple[str, ...]:
    if not options.point:
        raise InvalidInput("restore: it is not said where to", hint="name a state of the history")
    return ("restore", f"--name={name}", f"--to={_point_said(' '.join(options.point), places)}", "--yes")


def _point_said(said: str, places: Places) -> str:
    """A state as the command takes it; a file is the one that the plan was made of, wherever the command is run."""
    from ...actions.points import is_path

    if is_path(said):
        return str(places.file(said))
    try:
        file = places.file(said)
    except VenvoyError:
        return said
    return str(file) if file.is_file() else said


def _undo_said(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    return ("undo", name, *(("--dry-run",) if options.dry_run else ()))


def _choice(context: Context, options: Options) -> View:
    if options.yes:
        raise InvalidInput("%env-restore: it is not said where to", hint="%env-restore POINT --yes")
    found = changes(context.store.history(context.env.name))
    view = history_view(context.env.name, found, last=SHOWN)
    return with_lines(view, "Go back to one of them: %env-restore NUMBER")


def _planned(context: Context, said: str, *, again: str = "") -> View:
    """What would change, what it would take, and how to say yes."""
    from ...actions.loaded import would_be_stale
    from ...actions.plan import plan
    from ..views.record import plan_view

    planned = plan(context.store, context.env, point_of(context, said))
    view = plan_view(context.env.name, planned)
    if not planned.changes:
        return with_lines(view, confirm=None, stale=[])
    stale = would_be_stale(context.half, context.modules, planned.point.snapshot)
    command = again or f"%env-restore {shlex.quote(said)} --yes"
    loaded = "; ".join(f"{each.package} {each.loaded} is loaded" for each in stale)
    return with_lines(
        view,
        f"The kernel will need a restart: {loaded}." if loaded else "",
        f"To do it: {command}",
        confirm=command,
        stale=stale_data(stale),
    )


def _over(view: View, context: Context, progress: Progress) -> View:
    """What there is to do after the environment was replaced."""
    try:
        _offered(context.store, context.env.name, progress)
        problem = ""
    except VenvoyError as error:
        problem = f"A kernel cannot run in it as it is: {error.message}"
    return with_restart(with_lines(view, problem), context)


def _offered(store: Store, name: str, progress: Progress) -> None:
    """Have the kernel ready that the next start needs, also for another Python, and its kernelspec right."""
    from ...actions.launch import kernel_of
    from .. import kernelspecs

    for env in store.environment(name).halves:
        kernel = kernel_of(store, env, on_line=progress)
        if kernelspecs.known(store, env):
            kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))


def _restoring() -> Verb:
    words = parser(
        "restore", "Take this environment back to an earlier state, in place. Without --yes only say what would change."
    )
    words.add_argument("point", nargs="*", metavar="POINT", help=HELP)
    words.add_argument("--yes", "-y", action="store_true", help="do it")
    return Verb(name="restore", answer=_restore, command=_restore_said, parser=words, offers={"point": points_of})


def _undoing() -> Verb:
    words = parser("undo", "Take back the last change of this environment; once more, the one before that.")
    words.add_argument("--dry-run", action="store_true", help="only say what would change")
    return Verb(name="undo", answer=_undo, command=_undo_said, parser=words)


VERBS = (_restoring(), _undoing())
