"""`venvoy status`, `history`, `diff`, `freeze` and `prune`."""

from __future__ import annotations

from pathlib import Path

import click

from ...actions.changes import changes
from ...actions.check_container import hindrance
from ...actions.diff import diff as compare
from ...actions.freeze import freeze as frozen
from ...actions.observe import observe
from ...actions.prune import prunable
from ...actions.prune import prune as pruned
from ...actions.status import status as compared
from ...settings import DEFAULT_NAME
from ...store import Store
from ..views.record import checked_record_view, diff_view, frozen_view, history_view, pruned_view, status_view
from .options import actor, agreed, current_store, name_option, named, output, patient, platform_option, usable
from .output import Output
from .points import is_name, point_of


@click.command
@named
@output
def status(name: str, out: Output) -> int:
    """Say how an environment stands against its last freeze.

    For a NOTEBOOK: how the environment that is written into it stands against its last run. The exit code is 1 when
    something changed since, and 0 when nothing did or it was never frozen.
    """
    store = current_store()
    if name.endswith(".ipynb"):
        from .notebooks import status_of

        view, code = status_of(store, Path(name))
        out.show(view)
        return code
    env = usable(store.environment(name))
    found = compared(store.history(name), observe(store, env))
    problem = hindrance(env) if env.container else ""
    if problem:
        out.warn(f"{problem}; this is what was remembered of the image", hint=f"more: venvoy check {name}")
    out.show(status_view(name, found, problem=problem))
    return 1 if found.state == "changed" else 0


@click.command
@named
@click.option("--last", type=click.IntRange(min=1), metavar="N", help="Only the last N entries.")
@click.option("--check", is_flag=True, help="See whether the record is as it was written; exit code 1 if it is not.")
@output
def history(name: str, last: int | None, *, check: bool, out: Output) -> int:
    """Show every change of an environment, with when and who.

    It can be asked for also when the environment itself is deleted.
    """
    store = current_store()
    kept = store.history(name)
    if not kept.log.exists():
        store.environment(name)
    if check:
        problems = kept.check()
        out.show(checked_record_view(name, problems, entries=kept.count()))
        return 1 if problems else 0
    out.show(history_view(name, changes(kept), last=last))
    return 0


@click.command
@click.argument("words", metavar="[NAME] [A] [B]", nargs=-1)
@name_option
@output
def diff(words: tuple[str, ...], option: str | None, out: Output) -> int:
    """Compare two states of the record, of files, or now.

    A and B are numbers or digests of `venvoy history`, times ("yesterday", "2026-11-03 14:02", "2 days ago"), freeze,
    now, or files of any format that venvoy reads. By default the last freeze is compared with now. The exit code is 1
    where they differ.
    """
    store = current_store()
    name, points = _meant(store, words, option)
    found = [point_of(store, name, text) for text in points]
    difference = compare(found[0].snapshot, found[1].snapshot)
    out.show(diff_view(found[0], found[1], difference))
    return 1 if difference else 0


def _meant(store: Store, words: tuple[str, ...], option: str | None) -> tuple[str, tuple[str, str]]:
    """The environment's name and the two points; the first word is the name where an environment is called so."""
    if not option and words and is_name(store, words[0]):
        option, words = words[0], words[1:]
    if len(words) > 2:
        raise click.UsageError(f"two states can be compared, not {len(words)}: {' '.join(words)}")
    first, second = (*words, *(("freeze", "now") if not words else ("now",)))[:2]
    return option or DEFAULT_NAME, (first, second)


@click.command
@named
@click.option("--include-dev", is_flag=True, help="Also what is there for development alone.")
@click.option("--vendor", is_flag=True, help="Also keep the file of every package.")
@platform_option("conda: for other platforms, too (several times, or all).")
@output
def freeze(name: str, *, include_dev: bool, vendor: bool, platforms: tuple[str, ...], out: Output) -> None:
    """Lock what is installed, every package with its url and hash.

    The lock is the file pylock.toml, for a conda environment conda-lock.yml, for R renv.lock, in its project folder.
    What cannot be fetched again is named. What only requirements-dev.txt asks for is left out, and named, unless
    --include-dev is given.

    With --vendor the wheels, and conda's packages as channels, are kept in the environment's folder vendor/: fetched
    side by side, checked, and built where there is none. An interrupted run goes on where it was.
    """
    store = current_store()
    out.concerns(name)
    env = usable(store.environment(name))
    with out.measured("Looking every installed package up …") as (on_line, on_progress):
        lock = frozen(store, env, actor=actor(out), include_dev=include_dev, platforms=platforms, on_line=on_line)
        wheels = None
        if vendor:
            from ...actions.vendor import vendor as vendored

            wheels = vendored(store, env, lock.snapshot, on_progress=on_progress, on_line=on_line)
    for each in lock.remarks:
        out.warn(each)
    out.show(frozen_view(name, lock, wheels))


@click.command
@named
@click.option("--keep", type=click.IntRange(min=0), default=10, metavar="N", help="The last N changes keep all (10).")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--images", is_flag=True, help="Instead: the images that no environment of anybody uses any more.")
@output
def prune(name: str, keep: int, *, yes: bool, dry_run: bool, images: bool, out: Output) -> int:
    """Remove what is only kept for going back.

    These are timed copies of environment.yml and prefixes that were replaced. The log and its snapshots stay, so every
    state can still be restored, from the index.

    With --images it is about no environment, but about the images that venvoy has brought to this machine's container
    runtimes: those go that no environment uses, be it yours or another user's, and that no prefix kept for going back
    stands on.
    """
    store = current_store()
    if images:
        if name != DEFAULT_NAME:
            raise click.UsageError("--images is about all environments; it goes with no NAME")
        return _prune_images(store, out, yes=yes, dry_run=dry_run)
    store.environment(name)
    found = prunable(store, name, keep=keep)
    if dry_run or not (found.copies or found.prefixes):
        out.show(pruned_view(name, found, done=False))
        return 0
    if not yes:
        out.say(pruned_view(name, found, done=False).head)
        if not agreed("remove it?", hint=f"if you mean it: venvoy prune {name} --keep {keep} --yes"):
            return 1
    patient(store, name, out)
    out.show(pruned_view(name, pruned(store, name, keep=keep), done=True))
    return 0


def _prune_images(store: Store, out: Output, *, yes: bool, dry_run: bool) -> int:
    from ...actions import image_uses
    from ..views.images import pruned_images_view

    found = image_uses.prunable(store)
    if dry_run or not found:
        out.show(pruned_images_view(image_uses.Pruned(gone=found, kept=()), done=False))
        return 0
    if not yes:
        out.say(pruned_images_view(image_uses.Pruned(gone=found, kept=()), done=False).text)
        if not agreed("remove them?", hint="if you mean it: venvoy prune --images --yes"):
            return 1
    pruned = image_uses.prune(store)
    for each in pruned.kept:
        out.warn(
            f"{each.reference or each.digest} stays: a container is made of it", hint=f"see: {each.runtime} ps --all"
        )
    out.show(pruned_images_view(pruned, done=True))
    return 0
