"""Keep the files of conda packages as the channels that they came from, so that any conda installs from the folder."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from .. import files
from ..engine.request import OF_THE_SYSTEM, Source, place
from ..errors import InvalidInput
from ..formats import repodata
from ..inventory import conda_file
from ..model import OnProgress, Package
from .conda import channels_of

REPODATA = "repodata.json"


def lies_at(package: Package) -> str:
    """The path of a conda package's file in a folder of channels. Raises InvalidInput for an address that leads out."""
    _, _, name = package.url.rpartition("/")
    path = f"{place(package.channel)}/{package.subdir}/{name}"
    if not all(path.split("/")) or {".", ".."} & set(path.split("/")) or "\0" in path:
        raise InvalidInput(
            f"{package.name}: {package.url!r} is no address of a file in a channel",
            hint="it must be as in https://conda.anaconda.org/conda-forge/noarch/NAME-VERSION-BUILD.conda",
        )
    return path


def bring(
    packages: Sequence[Package], folder: Path, source: Source, *, on_progress: OnProgress | None = None
) -> Mapping[str, str]:
    """Put every package's file into the folder; returns, by url, why those could not be had that are missing.

    What is there already stays. They come from the user's mirrors and else from their own addresses, through the
    proxies and from whom the source trusts, and every hash is checked. Raises InvalidInput as `lies_at`.
    """
    lost = {each.url: "its record has no sha256" for each in packages if not each.sha256}
    absent = [each for each in packages if each.sha256 and not _is_there(each, folder / lies_at(each))]
    from .. import fetch  # noqa: PLC0415  # 0.1 s, and whoever attends a kernel learns of this module, too

    wanted = {
        each.url: fetch.Wanted(urls=_urls(each.url, source), file=folder / lies_at(each), sha256=each.sha256)
        for each in absent
    }
    for one in wanted.values():
        one.file.parent.mkdir(parents=True, exist_ok=True)
    trust = True if source.ssl == OF_THE_SYSTEM else source.ssl
    found = fetch.fetch(tuple(wanted.values()), trust=trust, proxies=source.proxies, on_progress=on_progress)
    missed = {each.wanted.file: each.reason for each in found}
    return lost | {url: missed[one.file] for url, one in wanted.items() if one.file in missed}


def indexed(folder: Path, packages: Iterable[Package]) -> dict[str, str]:
    """The repodata.json of every subdir with a file of the packages, by its path in the folder; nothing is written.

    Raises InvalidInput for a file that is no conda package.
    """
    by_subdir: dict[str, dict[str, Mapping[str, object]]] = {}
    channels = set()
    for each in packages:
        file = folder / lies_at(each)
        subdir, _, name = lies_at(each).rpartition("/")
        channels.add(subdir.rpartition("/")[0])
        said = conda_file.index(file)
        changed = {"depends": list(each.depends), "constrains": list(each.constrains)} if each.depends else {}
        known = {"sha256": each.sha256, "md5": each.md5, "size": file.stat().st_size}
        entry = {**said, **changed, **{key: value for key, value in known.items() if value}}
        by_subdir.setdefault(subdir, {})[name] = entry
    for channel in channels:  # conda takes a folder without it for no channel
        by_subdir.setdefault(f"{channel}/noarch", {})
    return {
        f"{subdir}/{REPODATA}": repodata.dump(subdir.rpartition("/")[2], entries)
        for subdir, entries in sorted(by_subdir.items())
    }


def write_index(folder: Path, packages: Iterable[Package]) -> None:
    """Write these beside the files."""
    for name, text in indexed(folder, packages).items():
        files.replace(folder / name, text)


def prune(folder: Path, keep: Iterable[str]) -> None:
    """Remove what is not named, folders that become empty too; a download that was cut short stays."""
    named = {os.path.normpath(folder / each) for each in keep}
    for root, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(root, name)
            if str(path) not in named and name != REPODATA and not name.endswith(".partial"):
                files.remove(path)
        if not [each for each in os.listdir(root) if each != REPODATA]:
            files.remove(Path(root))


def spec_lines(packages: Iterable[Package]) -> str:
    """Every package as an exact match spec, one a line: what `conda create --file` reads."""
    return "".join(f"{each.name}={each.version}={each.build}\n" for each in sorted(packages))


def channel_options(packages: Iterable[Package], folder: str) -> str:
    """How conda is told of the channels kept in a folder, by somebody who stands in the folder above it."""
    return " ".join(f"--channel file://$PWD/{folder}/{place(each)}" for each in channels_of(packages))


def _is_there(package: Package, file: Path) -> bool:
    return file.is_file() and files.sha256(file) == package.sha256


def _urls(url: str, source: Source) -> tuple[str, ...]:
    """Where the file may be had, mirrors first."""
    found = [
        f"{each}{url.removeprefix(start)}"
        for start, places in source.mirrors.items()
        if url.startswith(start)
        for each in places
    ]
    return tuple(dict.fromkeys((*found, url)))
