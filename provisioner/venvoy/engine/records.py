"""The records of exactly the files that were asked for: from the prefix, the cache, the channel, or the file itself."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

from rattler import RepoDataRecord
from rattler.exceptions import GatewayError, InvalidMatchSpecError, InvalidUrlError, ParseSubdirError
from rattler.package_streaming import download_to_path, extract
from rattler.repo_data import PackageRecord

from .. import files
from .channels import Reach
from .request import Pin, place

_LOCK_HEAD = 8
"""Bytes of a cache entry's lock file before the sha256 of the archive that it was unpacked from."""


class Damaged(Exception):
    """A file is not the one that its hash says."""


class Unreachable(Exception):
    """A file cannot be had."""


async def pinned(
    reach: Reach, pins: Sequence[Pin], *, cache: Path, there: Iterable[RepoDataRecord]
) -> list[RepoDataRecord]:
    """A record for every pin: of what is `there`, or as its channel has it. Raises Damaged, Unreachable."""
    kept = {each.url: each for each in there}
    found: dict[str, RepoDataRecord] = {}
    for pin in pins:
        if pin.url in kept and _is(kept[pin.url], pin):
            found[pin.url] = kept[pin.url]
        elif (record := _of_folder(pin, reach)) is not None:
            found[pin.url] = record
    # The cache knows a file's sha256 alone; its channel also what the locks of others ask for.
    rest = [pin for pin in pins if pin.url not in found]
    found |= {record.url: record for record in await _of_channels(reach, rest)}
    for pin in rest:
        if pin.url not in found:
            found[pin.url] = _of_cache(pin, cache) or await _of_file(reach, pin)
    return [_as_pinned(found[pin.url], pin) for pin in pins]


def unpacked(cache: Path, pin: Pin) -> Path | None:
    """Where the cache has the pin's very file unpacked, or None, also for a pin that names no sha256."""
    folder = cache / f"{pin.name}-{pin.version}-{pin.build}"
    try:
        head = folder.with_name(f"{folder.name}.lock").read_bytes()
    except OSError:
        return None
    if head[_LOCK_HEAD : _LOCK_HEAD + 32].hex() != pin.sha256:
        return None
    return folder if (folder / "info/index.json").is_file() else None


def check_cached(records: Iterable[RepoDataRecord], cache: Path) -> None:
    """Where there is no network the cache must have them whole: the installer would fetch. Raises Unreachable."""
    lost = [each for each in records if not each.url.startswith("file:") and not _whole(unpacked(cache, pin_of(each)))]
    if lost:
        names = ", ".join(_parts(each.url)[2] for each in lost)
        raise Unreachable(f"not in the cache, and there is no network: {names}")


def _whole(folder: Path | None) -> bool:
    """Whether an unpacked package has all the files that it lists (CEP 34: `info/paths.json`, before that `files`)."""
    if folder is None:
        return False
    info = folder / "info"
    try:
        if (info / "paths.json").exists():
            listed = [each["_path"] for each in json.loads((info / "paths.json").read_bytes())["paths"]]
        else:
            listed = (info / "files").read_text("utf-8").splitlines()
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return all(os.path.lexists(folder / each) for each in listed)


def pin_of(record: RepoDataRecord) -> Pin:
    """The very file that a record is of."""
    sha256, md5 = _hashes(record)
    return Pin(
        name=record.name.normalized,
        version=str(record.version),
        build=str(record.build),
        url=record.url,
        sha256=sha256,
        md5=md5,
    )


def check_local(records: Iterable[RepoDataRecord]) -> None:
    """Hash the files of `file://` channels, which nobody else does. Raises Damaged, Unreachable."""
    for record in records:
        if record.url.startswith("file:"):
            sha256, md5 = _hashes(record)
            check_file(files.named_by(record.url), sha256, md5=md5)


def check_file(file: Path, sha256: str, *, md5: str = "") -> None:
    """Raises Damaged unless the file has these hashes ("" for one nobody knows), Unreachable where it is not there."""
    for kind, wanted in (("sha256", sha256), ("md5", md5)):
        if wanted and (found := _digest(file, kind)) != wanted:
            raise Damaged(f"{file.name} is not what its channel says: its {kind} is {found}, not {wanted}")


def _digest(file: Path, kind: str) -> str:
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(stream, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise Unreachable(f"{file} cannot be read: {error.strerror}") from error


def _of_folder(pin: Pin, reach: Reach) -> RepoDataRecord | None:
    """What is served has no index that could be believed; its files say themselves what they are."""
    if not reach.source.served:
        return None
    channel, subdir, name = _parts(pin.url)
    file = Path(reach.source.served, place(channel), subdir, name)
    if not file.is_file():
        return None
    return _from_archive(file, pin)


def _of_cache(pin: Pin, cache: Path) -> RepoDataRecord | None:
    folder = unpacked(cache, pin)
    return _read(folder / "info/index.json", pin) if folder else None


async def _of_channels(reach: Reach, pins: Sequence[Pin]) -> list[RepoDataRecord]:
    """What the indexes of the channels say, of files with the hash that is wanted."""
    found = []
    by_channel: dict[str, list[Pin]] = {}
    for pin in pins:
        by_channel.setdefault(_parts(pin.url)[0], []).append(pin)
    for channel, wanted in by_channel.items():
        subdirs = sorted({_parts(pin.url)[1] for pin in wanted})
        names = sorted({pin.name for pin in wanted})
        try:
            answers = await reach.gateway.query([channel], subdirs, names, recursive=False)  # type: ignore[arg-type]
        except (GatewayError, InvalidMatchSpecError, InvalidUrlError, ParseSubdirError):
            continue  # the files may be there although the index is not
        known = {each.url: each for one in answers for each in one}
        found += [known[pin.url] for pin in wanted if pin.url in known and _is(known[pin.url], pin)]
    return found


def _is(record: RepoDataRecord, pin: Pin) -> bool:
    """Whether the channel's file has the hashes that are wanted."""
    sha256, md5 = _hashes(record)
    return pin.sha256 in ("", sha256) and pin.md5 in ("", md5)


def _hashes(record: RepoDataRecord) -> tuple[str, str]:
    """Its sha256 and md5, "" for what nobody says."""
    return record.sha256.hex() if record.sha256 else "", record.md5.hex() if record.md5 else ""


async def _of_file(reach: Reach, pin: Pin) -> RepoDataRecord:
    """The file itself, whose index is gone or has another one under its name."""
    name = _parts(pin.url)[2]
    if pin.url.startswith("file:"):
        return _from_archive(files.named_by(pin.url), pin)
    if reach.source.offline:
        raise Unreachable(f"not in the cache, and there is no network: {name}")
    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        file = Path(folder, name)
        try:
            await download_to_path(reach.client, pin.url, file)
        except Exception as error:
            raise Unreachable(f"{name} cannot be fetched: {error}") from error
        return _from_archive(file, pin)


def _from_archive(file: Path, pin: Pin) -> RepoDataRecord:
    """What a file says of itself, whose hashes are checked before anything of it is read."""
    check_file(file, pin.sha256, md5=pin.md5)
    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        try:
            sha256, md5 = extract(file, Path(folder))
            record = PackageRecord.from_index_json(
                Path(folder, "info/index.json"), size=file.stat().st_size, sha256=sha256.hex(), md5=md5.hex()
            )
        except Exception as error:
            raise Damaged(f"{file.name} is no conda package: {error}") from error
    return _as_record(record, pin)


def _read(file: Path, pin: Pin) -> RepoDataRecord | None:
    if not file.is_file():
        return None
    record = PackageRecord.from_index_json(file, sha256=pin.sha256 or None, md5=pin.md5 or None)
    return _as_record(record, pin)


def _as_record(record: PackageRecord, pin: Pin) -> RepoDataRecord:
    channel, _, name = _parts(pin.url)
    return RepoDataRecord(record, name, pin.url, channel)


def _as_pinned(record: RepoDataRecord, pin: Pin) -> RepoDataRecord:
    """With what the package was known to need then: its channel may mend that after the file was built, and again.

    Raises Damaged for another package.
    """
    found = (record.name.normalized, str(record.version), str(record.build))
    if found != (pin.name.lower(), pin.version, pin.build):
        raise Damaged(f"{_parts(pin.url)[2]} holds {' '.join(found)}, not {pin.name} {pin.version} {pin.build}")
    if pin.depends is not None:
        record.depends = list(pin.depends)
    return record


def _parts(url: str) -> tuple[str, str, str]:
    """The channel, the subdir and the file's name."""
    rest, _, name = url.rpartition("/")
    channel, _, subdir = rest.rpartition("/")
    return channel, subdir, name
