"""`venvoy export`: an environment as a text of the field, or packed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from ...actions.tiers import TIERS, Tier
from ...formats.registry import FORMATS
from ...store import Store
from .options import FILE, actor, current_store, named, patient, platform_option, usable
from .output import Output, output_of
from .points import point_of

PACKED = {"tarball": ".tar.gz", "archive": ".venvoy.tar.zst"}
"""The formats that are no text, and how their files end."""
STDOUT = "-"


def _json(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    return output_of(ctx, param, "json" if value else "text")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What was said on the command line beside the name."""

    form: str
    target: str | None
    point: str | None
    platforms: tuple[str, ...]
    builds: bool
    from_history: bool
    notebooks: tuple[Path, ...]
    inputs: tuple[Path, ...]
    tier: Tier | None
    sign: Path | None


@click.command
@named
@click.option("--output", "-o", "target", metavar="FILE", help="Where to; by default ./NAME.venvoy.tar.zst.")
@click.option("--tier", type=click.Choice(TIERS), help="How much; by default all that it needs to be made again.")
@click.option("--notebook", "notebooks", multiple=True, type=FILE, help="A notebook that was run in it.")
@click.option("--input", "inputs", multiple=True, type=FILE, help="A file that the notebook reads.")
@click.option("--sign", type=FILE, metavar="KEY", help="Sign it with this SSH key.")
@click.option("--json", "out", is_flag=True, callback=_json, help="The answer for programs, as JSON on stdout.")
def archive(name: str, *, out: Output, **words: Any) -> None:
    """Carry an environment away in one file.

    \b
    spec            the lock and the record; packages are fetched where it is imported
    packages        with the file of every package: made again without network, on a base that is there
    image           with the image as well: made again without network by any container runtime

    A container environment is carried with its image, any other with its packages, unless --tier says otherwise. It is
    the same as `venvoy export --format archive`; `venvoy import-archive` makes the environment again.
    """  # noqa: D301  # click's own sign for lines that stay as they are
    said = _Words(form="archive", point=None, platforms=(), builds=False, from_history=False, **words)
    _pack(current_store(), name, said, out)


@click.command
@named
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMATS, *PACKED]),
    default="yaml",
    show_default=True,
    help="In which words.",
)
@click.option(
    "--output", "-o", "target", metavar="FILE", help="Where to; by default, or with -, a text goes to stdout."
)
@click.option("--point", metavar="POINT", help="A state of the history, and not the one of now.")
@platform_option("pylock, requirements, conda-lock, pixi: for other platforms, too (several times, or all).")
@click.option("--builds", is_flag=True, help="yaml: conda packages with their build strings.")
@click.option("--from-history", is_flag=True, help="yaml: only what was asked for, as it was asked for.")
@click.option(
    "--notebook", "notebooks", multiple=True, type=FILE, help="rocrate, archive: a notebook that was run in it."
)
@click.option("--input", "inputs", multiple=True, type=FILE, help="rocrate, archive: a file that the notebook reads.")
@click.option(
    "--tier", type=click.Choice(TIERS), help="archive: how much of it; by default all that it needs to be made again."
)
@click.option("--sign", type=FILE, metavar="KEY", help="archive: sign it with this SSH key.")
@click.option("--json", "out", is_flag=True, callback=_json, help="The answer for programs, as JSON on stdout.")
def export(name: str, *, out: Output, **words: Any) -> None:
    """Write an environment in another format, or pack it.

    \b
    yaml            environment.yml, for conda, mamba and venvoy
    requirements    requirements.txt with hashes, for pip and uv
    pylock          pylock.toml (PEP 751), for pip and uv
    conda-lock      conda-lock.yml (CEP 37), for conda-lock, micromamba and pixi
    explicit        a list of conda packages by address and hash (CEP 23), for conda and mamba
    pixi            pixi.lock, for pixi
    renv            renv.lock, for renv, of an R environment
    lock            the whole state as venvoy keeps it
    dockerfile      an image for Docker, Podman and others, hashes enforced
    apptainer       a definition for Apptainer and Singularity, hashes enforced
    docker-compose  the image and the folder it works in
    cyclonedx       a bill of materials (CycloneDX 1.6)
    rocrate         a research object; with --notebook a Process Run Crate
    tarball         lock, wheels and how to install them offline, for anybody
    archive         all that is known of it, to be imported elsewhere

    Here --output is the file and never a form: programs get their JSON with --json. The hashes are those of the last
    freeze where nothing changed since; otherwise formats with hashes have the environment frozen first. What nobody
    else can fetch is named. tarball and archive go to ./NAME.tar.gz and ./NAME.venvoy.tar.zst unless -o says otherwise.
    """  # noqa: D301  # click's own sign for lines that stay as they are
    said = _Words(**words)
    store = current_store()
    if said.form in PACKED:
        _pack(store, name, said, out)
    else:
        _write(store, name, said, out)


def _write(store: Store, name: str, said: _Words, out: Output) -> None:
    from ...actions.export import Order
    from ...actions.export import export as exported
    from ..views.carrying import exported_view, lacking, remarks
    from ..views.view import counted

    if said.sign or said.tier:
        raise click.UsageError("--sign and --tier are for --format archive")
    point = point_of(store, name, said.point) if said.point else None
    if point is None:
        usable(store.environment(name))
    target = None if said.target in (None, STDOUT) else Path(str(said.target))
    order = Order(
        form=said.form,
        target=target,
        point=point,
        platforms=said.platforms,
        builds=said.builds,
        from_history=said.from_history,
        notebooks=said.notebooks,
        inputs=said.inputs,
    )
    out.concerns(name)
    with out.progress("") as on_line:
        done = exported(store, name, order, actor=actor(out), on_line=on_line)
    if done.path or out.json:
        out.show(exported_view(done))
        return
    for each in remarks(done):
        out.say(each)
    if missing := lacking(done):
        count, all_ = len(missing.splitlines()), counted(len(done.snapshot.packages), "package")
        out.warn(f"{count} of {all_} {'is' if count == 1 else 'are'} not in it:", hint=missing)
    click.echo(done.text, nl=False)


def _pack(store: Store, name: str, said: _Words, out: Output) -> None:
    if said.point or said.platforms or said.builds or said.from_history:
        raise click.UsageError(f"--point, --platform, --builds, --from-history are not for --format {said.form}")
    if said.form == "tarball" and (said.notebooks or said.inputs or said.sign or said.tier):
        raise click.UsageError("--notebook, --input, --tier and --sign are for --format archive")
    if said.target == STDOUT:
        raise click.UsageError(f"{said.form} is a file: -o FILE")
    env = usable(store.environment(name))
    target = Path(said.target or f"{name}{PACKED[said.form]}")
    if target.is_dir():
        raise click.UsageError(f"{target} is a folder; name the file in it: -o {target / (name + PACKED[said.form])}")
    patient(store, name, out)
    with out.measured("Looking …") as (on_line, on_progress):
        if said.form == "tarball":
            from ...actions.tarball import tarball
            from ..views.archives import wrapped_view

            view = wrapped_view(
                name, tarball(store, env, target, actor=actor(out), on_progress=on_progress, on_line=on_line)
            )
        else:
            from ...actions.archive import archive as packed
            from ..views.archives import archived_view

            archived = packed(
                store,
                env,
                target,
                actor=actor(out),
                tier=said.tier,
                notebooks=said.notebooks,
                inputs=said.inputs,
                sign_with=said.sign,
                on_progress=on_progress,
                on_line=on_line,
            )
            view = archived_view(name, archived)
    out.show(view)
