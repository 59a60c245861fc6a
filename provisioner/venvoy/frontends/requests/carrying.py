"""The environment as something to carry away: export and archive."""

from __future__ import annotations

from pathlib import Path

from ...errors import InvalidInput
from ...formats import FORMATS
from ..meter import Meter
from ..views.notebooks import told_view
from ..views.view import View
from .asking import EVERY, Context, Options, Progress, Verb, parser

PACKED = {"tarball": ".tar.gz", "archive": ".venvoy.tar.zst"}
"""The formats that are no text, and how their files end."""


def formats(_context: Context) -> tuple[str, ...]:
    """The words for all of them."""
    return (*FORMATS, *PACKED)


def _export(context: Context, options: Options, progress: Progress) -> View:
    known = formats(context)
    if options.format not in known:
        raise InvalidInput(f"%env-export: there is no format {options.format!r}", hint=f"there is: {', '.join(known)}")
    if options.format in PACKED:
        return _packed(context, options.format, options.output, progress)
    from ...actions.export import Order, export

    order = Order(form=options.format, target=context.target(options.output) if options.output else None)
    exported = export(context.store, context.env.name, order, actor=context.actor, on_line=progress)
    return told_view(exported)


def _archive(context: Context, options: Options, progress: Progress) -> View:
    return _packed(context, "archive", options.output, progress, inputs=tuple(options.input))


def _packed(
    context: Context, format_: str, output: str | None, progress: Progress, *, inputs: tuple[str, ...] = ()
) -> View:
    from ...actions.archive import archive
    from ...actions.tarball import tarball
    from ..views.archives import archived_view, wrapped_view

    store, env = context.store, context.env
    target = context.target(output or f"{env.name}{PACKED[format_]}")
    meter = Meter(progress, every=EVERY)
    if format_ == "tarball":
        wrapped = tarball(store, env, target, actor=context.actor, on_progress=meter, on_line=progress)
        return wrapped_view(env.name, wrapped)
    notebook = Path(context.notebook) if context.notebook else None
    archived = archive(
        store,
        env,
        target,
        actor=context.actor,
        notebooks=(notebook,) if notebook and notebook.is_file() else (),
        inputs=tuple(context.file(each) for each in inputs),
        on_progress=meter,
        on_line=progress,
    )
    return archived_view(env.name, archived)


def _exporting() -> Verb:
    words = parser("export", "Write this environment down in a format of the field, or pack it.")
    words.add_argument(
        "format", metavar="FORMAT", help="yaml, requirements, pylock and more (the tab key has them all)"
    )
    words.add_argument(
        "-o", "--output", metavar="FILE", help="where to, from the notebook's folder; without it a text is shown"
    )
    return Verb(name="export", answer=_export, parser=words, offers={"format": formats})


def _archiving() -> Verb:
    words = parser("archive", "Pack this environment, with its wheels, its record and this notebook, into one file.")
    words.add_argument("-o", "--output", metavar="FILE", help="where to, from the notebook's folder")
    words.add_argument("--input", action="append", default=[], metavar="FILE", help="also this file")
    return Verb(name="archive", answer=_archive, parser=words, progress="Looking …")


VERBS = (_exporting(), _archiving())
