"""The environment as something to carry away: export and archive."""

from __future__ import annotations

from pathlib import Path

from ...actions.tiers import TIERS, Tier
from ...errors import InvalidInput
from ...formats.registry import FORMATS
from ..views.notebooks import told_view
from ..views.view import View
from .asking import Context, Options, Places, Progress, Verb, parser

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
    also = tuple(context.file(each) for each in options.notebook)
    inputs = tuple(options.input)
    return _packed(context, "archive", options.output, progress, notebooks=also, inputs=inputs, tier=options.tier)


def _packed(
    context: Context,
    format_: str,
    output: str | None,
    progress: Progress,
    *,
    notebooks: tuple[Path, ...] = (),
    inputs: tuple[str, ...] = (),
    tier: Tier | None = None,
) -> View:
    from ...actions.archive import archive
    from ...actions.tarball import tarball
    from ..views.archives import archived_view, wrapped_view

    store, env = context.store, context.env
    target = context.target(output or f"{env.name}{PACKED[format_]}")
    if format_ == "tarball":
        wrapped = tarball(store, env, target, actor=context.actor, on_progress=progress.measured, on_line=progress)
        return wrapped_view(env.name, wrapped)
    archived = archive(
        store,
        env,
        target,
        actor=context.actor,
        tier=tier,
        notebooks=_with_own(context, notebooks, progress),
        inputs=tuple(context.file(each) for each in inputs),
        on_progress=progress.measured,
        on_line=progress,
    )
    return archived_view(env.name, archived)


def _with_own(context: Context, others: tuple[Path, ...], progress: Progress) -> tuple[Path, ...]:
    """The notebooks that go into an archive: the one that asks, and others."""
    notebook = Path(context.notebook) if context.notebook else None
    if notebook is None or notebook in others:
        return others
    if not notebook.is_file():
        progress(f"without the notebook: there is no {notebook} (if it has another name now: --notebook FILE)")
        return others
    return (notebook, *others)


def _export_said(name: str, options: Options, places: Places) -> tuple[str, ...]:
    if options.format not in (*FORMATS, *PACKED):
        raise InvalidInput(
            f"export: there is no format {options.format!r}", hint=f"there is: {', '.join((*FORMATS, *PACKED))}"
        )
    target = places.target(options.output) if options.output else places.made(filename(name, options.format))
    return ("export", name, f"--format={options.format}", f"--output={target}")


def _archive_said(name: str, options: Options, places: Places) -> tuple[str, ...]:
    target = places.target(options.output) if options.output else places.made(filename(name, "archive"))
    inputs = (f"--input={places.file(each)}" for each in options.input)
    notebooks = (f"--notebook={places.file(each)}" for each in options.notebook)
    tier = (f"--tier={options.tier}",) if options.tier else ()
    return ("archive", name, f"--output={target}", *notebooks, *inputs, *tier)


def filename(name: str, format_: str) -> str:
    """What the file of an environment in that format is called."""
    return f"{name}{PACKED[format_]}" if format_ in PACKED else FORMATS[format_].filename


def _exporting() -> Verb:
    words = parser("export", "Write this environment down in a format of the field, or pack it.")
    words.add_argument(
        "format", metavar="FORMAT", help="yaml, requirements, pylock and more (the tab key has them all)"
    )
    words.add_argument(
        "-o", "--output", metavar="FILE", help="where to, from the notebook's folder; without it a text is shown"
    )
    return Verb(name="export", answer=_export, command=_export_said, parser=words, offers={"format": formats})


def _archiving() -> Verb:
    words = parser("archive", "Pack this environment, with its wheels, its record and this notebook, into one file.")
    words.add_argument("-o", "--output", metavar="FILE", help="where to, from the notebook's folder")
    words.add_argument("--input", action="append", default=[], metavar="FILE", help="also this file")
    words.add_argument("--notebook", action="append", default=[], metavar="FILE", help="also this notebook")
    words.add_argument("--tier", choices=TIERS, help="how much of it; by default all that it needs to be made again")
    return Verb(name="archive", answer=_archive, command=_archive_said, parser=words, progress="Looking …")


VERBS = (_exporting(), _archiving())
