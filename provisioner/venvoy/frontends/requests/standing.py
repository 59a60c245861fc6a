"""How the environment stands: freeze, status, history, diff, info."""

from __future__ import annotations

from ...actions.changes import changes
from ...actions.observe import observe
from ...actions.status import status
from ...errors import InvalidInput
from ..views.record import frozen_view, history_view, status_view
from ..views.view import View
from .asking import Context, Options, Places, Progress, Verb, parser, with_restart
from .pointing import HELP, point_of, points_of


def _freeze(context: Context, options: Options, progress: Progress) -> View:
    from ...actions.freeze import freeze

    store, env, wheels = context.store, context.env, None
    frozen = freeze(store, env, actor=context.actor, include_dev=options.include_dev, on_line=progress)
    if options.vendor:
        from ...actions.vendor import vendor

        wheels = vendor(store, env, frozen.snapshot, on_progress=progress.measured, on_line=progress)
    return frozen_view(env.name, frozen, wheels)


def _freeze_said(name: str, options: Options, _places: Places) -> tuple[str, ...]:
    dev = ("--include-dev",) if options.include_dev else ()
    return ("freeze", name, *dev, *(("--vendor",) if options.vendor else ()))


def _status(context: Context, _options: Options, _progress: Progress) -> View:
    seen = observe(context.store, context.env)
    view = status_view(context.env.name, status(context.store.history(context.env.name), seen))
    return with_restart(view, context)


def _history(context: Context, options: Options, _progress: Progress) -> View:
    if options.last is not None and options.last < 1:
        raise InvalidInput(f"%env-history: --last takes a number from 1 on, not {options.last}")
    found = changes(context.store.history(context.env.name))
    return history_view(context.env.name, found, last=options.last)


def _diff(context: Context, options: Options, _progress: Progress) -> View:
    from ...actions.diff import diff
    from ..views.record import diff_view

    if len(options.points) > 2:
        raise InvalidInput(
            f"two states can be compared, not {len(options.points)}",
            hint="put a time of several words in quotes: %env-diff '2 days ago' now",
        )
    first, second = (*options.points, *(("freeze", "now") if not options.points else ("now",)))[:2]
    older, newer = point_of(context, first), point_of(context, second)
    return diff_view(older, newer, diff(older.snapshot, newer.snapshot))


def _info(context: Context, _options: Options, _progress: Progress) -> View:
    from ...session import running
    from ..views.notebooks import info_view

    env, history = context.env, context.store.history(context.env.name)
    view = info_view(
        env,
        status=status(history, observe(context.store, env)),
        folder=context.store.folder(env.name),
        project=context.store.project(env.name),
        entries=history.count(),
        notebook=context.notebook,
        kernels=len(running(context.store.settings.runtime, env.name)),
    )
    return with_restart(view, context)


def _freezing() -> Verb:
    words = parser("freeze", "Lock what is installed now, every package with its url and hash.")
    words.add_argument("--include-dev", action="store_true", help="also what only development needs")
    words.add_argument(
        "--vendor", action="store_true", help="also fetch every package, to be kept with the environment"
    )
    return Verb(
        name="freeze",
        answer=_freeze,
        command=_freeze_said,
        parser=words,
        progress="Looking every installed package up …",
    )


def _telling() -> Verb:
    words = parser("history", "Show every change of this environment, with when and who.")
    words.add_argument("--last", type=int, metavar="N", help="only the last N entries")
    return Verb(name="history", answer=_history, parser=words)


def _comparing() -> Verb:
    words = parser("diff", "Compare two states of this environment; by default the last freeze with now.")
    words.add_argument("points", nargs="*", metavar="POINT", help=HELP)
    return Verb(name="diff", answer=_diff, parser=words, offers={"points": points_of})


VERBS = (
    _freezing(),
    Verb(
        name="status",
        answer=_status,
        parser=parser("status", "Say how this environment stands against its last freeze."),
    ),
    _telling(),
    _comparing(),
    Verb(
        name="info",
        answer=_info,
        parser=parser("info", "Say what this environment is, where it lies, and what this kernel runs on."),
    ),
)
