"""Where the files of packages may be taken from beside their addresses."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput
from .r_repository import Mark

TRUST = "if that may be: --trust"


class WouldRun(InvalidInput):
    """It cannot be made of what lies there without running some of that, and nobody has said that it may be run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A library of R that has packages to be copied, and for what they were built."""

    folder: Path
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """Where files are taken from beside their addresses.

    `lock` is a pylock.toml for what came from the Python index, whose files lie beside it; `wheels` a folder of wheels,
    `channels` one with the files of conda channels. With `offline` no network is touched: these and the caches must do.
    `cache` is where conda packages are unpacked, None for where they usually are. `libraries` are those of R that have
    packages to be copied, `repository` is a folder with sources and built packages of R (`r_repository`). Where they
    are not `trusted`, WouldRun is raised instead of running anything that lies there.
    """

    lock: Path | None = None
    wheels: Path | None = None
    channels: Path | None = None
    cache: Path | None = None
    libraries: tuple[Library, ...] = ()
    repository: Path | None = None
    offline: bool = False
    trusted: bool = True
