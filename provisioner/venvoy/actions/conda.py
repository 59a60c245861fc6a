"""Ask the conda engine, with the channels, mirrors and certificates that conda's own configuration names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import condarc, process
from ..engine.request import Request, Source
from ..errors import CommandFailed
from ..managers import conda
from ..model import Environment, OnProgress, Package, Progress
from ..process import OnLine
from ..store import Store, reached_by
from .bases import without_environment
from .package_managers import conda_program


def ask(
    request: Request,
    *,
    doing: str,
    timeout: float | None = None,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Any:
    """Run the engine on one request. `doing` begins the sentence of an error ("cannot install into 'demo'").

    Raises RuntimeUnavailable without the engine, InvalidInput, CommandFailed also where it takes longer than `timeout`
    seconds.
    """
    job = conda.job(request)
    told: list[str] = []

    def hear(line: str) -> None:
        said = conda.heard(line)
        if isinstance(said, Progress):
            if on_progress is not None:
                on_progress(said)
            return
        told.append(said)
        if on_line is not None and said:
            on_line(said)

    try:
        printed = process.run(without_environment(job), on_line=hear, timeout=timeout)
    except CommandFailed as error:
        raise CommandFailed(f"{doing}: {error.message}", hint="\n".join(told[-10:]), code=error.code) from error
    return conda.answer(printed, doing=doing)


def fill(
    env: Environment,
    source: Source,
    specs: tuple[str, ...],
    *,
    scripts: bool,
    command: str,
    as_of: str = "",
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> None:
    """Make the prefix of an environment that is being created, of match specs; the rest as in `Request`."""
    request = Request(
        verb="change",
        source=source,
        prefix=str(env.prefix),
        written_for=str(reached_by(env.prefix, env.generation or "")),
        specs=specs,
        as_of=as_of,
        scripts=scripts,
        command=command,
    )
    ask(request, doing=f"cannot make {env.name!r}", on_line=on_line, on_progress=on_progress)


def needs_engine(store: Store) -> None:
    """Raise RuntimeUnavailable where the engine is not installed, with what else there is on this machine."""
    if conda.embedded():
        return
    otherwise = ""
    if program := conda_program(store):
        otherwise = f"or make the prefix with {program} and take it as it is: venvoy adopt PREFIX --writable"
    conda.needed(otherwise)


def source(channels: Iterable[str], *, offline: bool = False, prefix: Path | None = None) -> Source:
    """Where those channels are reached, as the user's configuration has it; without any, the configured ones."""
    config = condarc.conda_config(prefix=prefix)
    # Those on a command line may hold credentials as well as those in a file.
    config = replace(config, channels=tuple(channels) or config.channels)
    addresses = condarc.addresses(config, config.channels)
    mirrors: dict[str, tuple[str, ...]] = {
        f"{condarc.public(each)}/": (f"{private.rstrip('/')}/",)
        for each, private in condarc.private_addresses(config).items()
    }
    for each, places in config.mirrors.items():
        mirrors[f"{each.rstrip('/')}/"] = tuple(f"{place.rstrip('/')}/" for place in places)
    return Source(
        channels=tuple(condarc.public(each) for each in addresses),
        mirrors=mirrors,
        proxies={key: value for key, value in config.proxies.items() if key in ("http", "https")},
        ssl=config.ssl_verify,
        offline=offline or config.offline,
        strict=config.channel_priority != "disabled",
        pinned=config.pinned,
    )


def named_in(specs: Iterable[str]) -> tuple[str, ...]:
    """The channels that match specs name themselves, as in `bioconda::bwa`."""
    found = (re.match(r"\s*([^\s\[]+?)(?:/[a-z]+-[a-z0-9]+|/noarch)?::", each) for each in specs)
    return tuple(dict.fromkeys(each[1] for each in found if each))


def channels() -> tuple[str, ...]:
    """The channels that the user has configured, as they are written there; conda-forge where nobody has."""
    return condarc.conda_config().channels


def served(channels: Iterable[str], folder: Path, *, cache: Path | None = None) -> Source:
    """The same channels from a folder that has their files (`engine.request.Source.served`), and from nowhere else."""
    return Source(channels=tuple(channels), served=str(folder.absolute()), cache=str(cache or ""), offline=True)


def channels_of(packages: Iterable[Package]) -> tuple[str, ...]:
    """The channels that conda packages came from, each once, in the order of their names."""
    return tuple(sorted({each.channel for each in packages if each.ecosystem == "conda" and each.channel}))
