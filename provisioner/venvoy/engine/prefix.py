"""Bring a prefix from one set of packages to another, so that it can be told and mended when that was cut short."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rattler import MatchSpec, PrefixRecord, RepoDataRecord, Subdir, install
from rattler.package_cache import PackageCache, ValidationMode

from .. import files
from .channels import Reach, caches
from .progress import Teller
from .records import check_cached, check_local, pin_of, pinned, unpacked
from .request import LOCK, UNFINISHED, Request, name_in
from .solving import name_of, solved

_HELD = 600
"""Seconds that another process may take with the prefix before we give up."""
_SPECS = re.compile(r"^# (update|install|remove|uninstall|neutered) specs:\s*(\[.*\])\s*$", re.MULTILINE)


class Busy(Exception):
    """Somebody else holds the prefix."""


class Unknown(Exception):
    """What should go is not there."""


class Twice(Exception):
    """One package is asked for by two specs that are not one."""


class Halfway(Exception):
    """The installation ended when some of the prefix had changed."""


async def change(reach: Reach, request: Request) -> dict[str, Any]:
    """Add to or take from what was asked for, solve, and install the difference."""
    prefix = Path(request.prefix)
    with _held(prefix):
        there = installed(prefix)
        asked = _asked_with(request, there, prefix)
        records = await solved(
            reach,
            list(asked.values()),
            platform=str(Subdir.current()),
            locked=[each for each in there if not _freed(each, request)],
            constraints=_python_stays(there, request),
            as_of=request.as_of,
        )
        return await _brought(reach, request, records, asked, there)


async def exactly(reach: Reach, request: Request) -> dict[str, Any]:
    """Make the pins the packages of the prefix, and the specs what was asked for."""
    prefix = Path(request.prefix)
    with _held(prefix):
        there = installed(prefix)
        records = await pinned(reach, request.pins, cache=cache_of(reach), there=there)
        asked = _in_step(request.specs, records)
        return await _brought(reach, request, records, asked, there)


def installed(prefix: Path) -> list[PrefixRecord]:
    """The records of what is installed; a file that is none is for `venvoy check` to tell."""
    listed = sorted((prefix / "conda-meta").glob("*.json"))
    return [record for file in listed if (record := _record(file)) is not None]


def _record(file: Path) -> PrefixRecord | None:
    try:
        return PrefixRecord.from_path(file)
    except Exception:  # rattler raises what it likes; such a package is put in anew
        return None


def requested(prefix: Path, there: Iterable[PrefixRecord]) -> dict[str, str]:
    """What somebody asked for, by name: as the records have it, else conda's history, else all that nothing needs."""
    there = list(there)
    names = {each.name.normalized for each in there}
    told = {each.name.normalized: spec for each in there if (spec := _spec(each))}
    if not any(each.requested_specs for each in there):  # all are conda's, which keeps its history in step and no more
        told = {name: spec for name, spec in _of_history(prefix).items() if name in names} or told
    if told:
        return told
    needed = {name for each in there for name in _needs(each)}
    return {name: name for name in sorted(names - needed)}


def cache_of(reach: Reach) -> Path:
    """Where packages lie unpacked, for all environments of the user."""
    if reach.source.cache:
        return Path(reach.source.cache)
    return caches() / "pkgs"


def told(record: RepoDataRecord) -> dict[str, Any]:
    """A record as it is answered."""
    return {
        "name": record.name.normalized,
        "version": str(record.version),
        "build": str(record.build),
        "channel": (record.channel or "").rstrip("/"),
        "url": record.url,
        "sha256": record.sha256.hex() if record.sha256 else "",
        "md5": record.md5.hex() if record.md5 else "",
        "size": record.size,
        "depends": list(record.depends),
        "constrains": list(record.constrains),
    }


def _asked_with(request: Request, there: Sequence[PrefixRecord], prefix: Path) -> dict[str, str]:
    asked = requested(prefix, there)
    names = {each.name.normalized for each in there}
    if missing := [each for each in request.names if each not in names]:
        raise Unknown(", ".join(missing))
    if missing := [each for each in request.update if each not in {*names, "*"}]:
        raise Unknown(", ".join(missing))
    gone = _with_dependents(set(request.names), there)
    if "python" in gone and "python" not in request.names:
        raise Unknown(f"{', '.join(request.names)}: python needs it; name python as well if the whole is to go")
    kept = {name: spec for name, spec in asked.items() if name not in gone}
    freed = {name: name for name in request.update if name in kept and name != "*"}
    wanted: dict[str, str] = {}
    for each in request.specs:
        name = name_of(each)
        wanted[name] = _both(wanted[name], each) if name in wanted else each
    return {**kept, **freed, **wanted}


def _both(one: str, other: str) -> str:
    """Two specs for one package as one, so that both hold, now and at every later change. Raises Twice."""
    if one == other:
        return one
    specs = MatchSpec(one), MatchSpec(other)
    name = specs[0].name.normalized
    versions = [str(each.version) for each in specs if each.version is not None]
    if any(str(each) != (f"{name} {each.version}" if each.version is not None else name) for each in specs):
        raise Twice(f"{name} is asked for twice, as {one!r} and as {other!r}; write it as one")
    return f"{name} {','.join(f'({each})' if '|' in each else each for each in versions)}".strip()


def _in_step(specs: Iterable[str], records: Iterable[RepoDataRecord]) -> dict[str, str]:
    """The specs of what is there; one that its record does not meet would change it again at the next install."""
    there = {each.name.normalized: each for each in records}
    asked = {name_of(each): each for each in specs}
    return {
        name: spec if MatchSpec(spec).matches(there[name]) else f"{name}=={there[name].version}"
        for name, spec in asked.items()
        if name in there
    }


def _with_dependents(names: set[str], there: Iterable[PrefixRecord]) -> set[str]:
    """The names, and whatever needs them: conda takes both."""
    needs = {each.name.normalized: set(_needs(each)) for each in there}
    gone: set[str] = set()
    more = names
    while more - gone:
        gone |= more
        more = {name for name, needed in needs.items() if needed & gone}
    return gone


def _needs(record: PrefixRecord) -> Iterator[str]:
    for each in record.depends:
        yield name_in(each)


def _freed(record: PrefixRecord, request: Request) -> bool:
    return "*" in request.update or record.name.normalized in request.update


def _python_stays(there: Iterable[PrefixRecord], request: Request) -> tuple[str, ...]:
    """Its minor version does, unless somebody asks for another: all compiled packages are for it."""
    if "python" in {name_of(each) for each in request.specs} or "python" in request.names:
        return ()
    versions = [str(each.version) for each in there if each.name.normalized == "python"]
    return tuple(f"python {'.'.join(each.split('.')[:2])}.*" for each in versions)


async def _brought(
    reach: Reach,
    request: Request,
    records: list[RepoDataRecord],
    asked: Mapping[str, str],
    there: Sequence[PrefixRecord],
) -> dict[str, Any]:
    before, after = {_key(each): each for each in there}, {_key(each): each for each in records}
    prefix = Path(request.prefix)
    again = {*(request.names if request.verb == "exactly" else ()), *_under_way(prefix)}
    added = [each for key, each in after.items() if key not in before or key[0] in again]
    removed = [each for key, each in before.items() if key not in after]
    cache = cache_of(reach)
    answer = {
        "added": [{**told(each), "cached": unpacked(cache, pin_of(each)) is not None} for each in added],
        "removed": [told(each) for each in removed],
        "specs": dict(sorted(asked.items())),
    }
    if request.dry:
        return answer
    if added or removed:
        check_local(added)
        if reach.source.offline and not reach.source.served:
            check_cached(added, cache)
    with _between(prefix, records, added, removed) if added or removed else nullcontext():
        if added or removed:
            await _installed(reach, request, records, added, there, again)
        _note_requested(prefix, asked)
        _write_history(prefix, request, added, removed, asked)
    return {**answer, "scripts": [] if request.scripts else _scripts(prefix, added)}


@contextmanager
def _between(
    prefix: Path,
    records: Iterable[RepoDataRecord],
    added: Iterable[RepoDataRecord],
    removed: Iterable[RepoDataRecord],
) -> Iterator[None]:
    """Leave word of what the prefix is to become for as long as it is not that. Raises Halfway."""
    marker, before = prefix / "conda-meta" / UNFINISHED, _state(prefix)
    said = marker.read_bytes() if marker.exists() else b""
    becoming = {
        "pins": [asdict(pin_of(each)) for each in records],
        "names": [each.name.normalized for each in added],
        "removed": [each.name.normalized for each in removed],
    }
    files.replace(marker, json.dumps(becoming))
    try:
        yield
    except Exception as error:
        if _state(prefix) != before:
            raise Halfway(str(error)) from error
        files.replace(marker, said) if said else files.remove(marker)
        raise
    files.remove(marker)


def _under_way(prefix: Path) -> tuple[str, ...]:
    """The packages that were coming or going when somebody was cut short here: their files may not all be there."""
    try:
        said = json.loads((prefix / "conda-meta" / UNFINISHED).read_bytes())
        return tuple(map(str, (*said["names"], *said["removed"])))
    except (OSError, ValueError, KeyError, TypeError):
        return ()


def _state(prefix: Path) -> tuple[frozenset[tuple[str, str, str, str]], frozenset[Path]]:
    """Which packages there are, and which of their files."""
    there = installed(prefix)
    listed = (Path(path.relative_path) for each in there for path in each.paths_data.paths)
    return frozenset(map(_key, there)), frozenset(each for each in listed if os.path.lexists(prefix / each))


async def _installed(
    reach: Reach,
    request: Request,
    records: list[RepoDataRecord],
    added: Sequence[RepoDataRecord],
    there: Sequence[PrefixRecord],
    again: set[str],
) -> None:
    cache = cache_of(reach)
    sizes = [each.size for each in added if unpacked(cache, pin_of(each)) is None]
    # A file in the cache may be the same as in a prefix (hard links): what was changed there is changed here.
    validation = ValidationMode.full() if again else ValidationMode.fast()
    with _writable(cache, added) as layer:
        await install(
            records,
            Path(request.prefix),
            package_cache=PackageCache.new_layered([layer], validation_mode=validation),
            client=reach.client,
            installed_packages=list(there),
            reporter=Teller(sizes),
            execute_link_scripts=request.scripts,
            reinstall_packages={each.name.normalized for each in records} & again,
            alternative_target_prefix=request.written_for or None,
        )


@contextmanager
def _writable(cache: Path, added: Iterable[RepoDataRecord]) -> Iterator[Path]:
    """The cache, or a copy of what is wanted of it where it may only be read: the installer holds a lock in it."""
    if not cache.is_dir() or os.access(cache, os.W_OK):
        yield cache
        return
    with tempfile.TemporaryDirectory(prefix="venvoy-") as own:
        for folder in (found for each in added if (found := unpacked(cache, pin_of(each))) is not None):
            shutil.copytree(folder, Path(own, folder.name), symlinks=True)
            shutil.copyfile(folder.with_name(f"{folder.name}.lock"), Path(own, f"{folder.name}.lock"))
        yield Path(own)


def _note_requested(prefix: Path, asked: Mapping[str, str]) -> None:
    """Have the records say who was asked for; the installer says it of new ones alone."""
    for record in installed(prefix):
        name = record.name.normalized
        spec = asked.get(name, "")
        if _spec(record) != spec:
            record.requested_spec = None
            record.requested_specs = [spec] if spec else []
            file = prefix / "conda-meta" / f"{name}-{record.version}-{record.build}.json"
            record.write_to_path(file, True)  # rattler's signature: pretty


def _spec(record: PrefixRecord) -> str:
    """What was asked for by the package's name, "" where nobody did; conda writes "None" for that."""
    said = [*record.requested_specs, record.requested_spec]
    return next((each for each in said if each and each != "None"), "")


def _write_history(
    prefix: Path,
    request: Request,
    added: Iterable[RepoDataRecord],
    removed: Iterable[RepoDataRecord],
    asked: Mapping[str, str],
) -> None:
    """Conda's own log, which conda reads to know what was asked for; rattler leaves it to its caller."""
    now = datetime.now().astimezone()
    lines = [f"==> {now:%Y-%m-%d %H:%M:%S} <==", f"# cmd: {' '.join(request.command.split()) or 'venvoy'}"]
    lines += sorted(f"-{_dist(each)}" for each in removed)
    lines += sorted(f"+{_dist(each)}" for each in added)
    if request.names and request.verb == "change":
        lines.append(f"# remove specs: {list(request.names)!r}")
    specs = list(request.specs) or list(request.update) if request.verb == "change" else list(asked.values())
    if specs and specs != ["*"]:
        lines.append(f"# update specs: {specs!r}")
    files.append(prefix / "conda-meta" / "history", "\n".join(lines))


def _of_history(prefix: Path) -> dict[str, str]:
    """What conda's log says was asked for and not taken back since."""
    try:
        text = (prefix / "conda-meta" / "history").read_text("utf-8", "replace")
    except OSError:
        return {}
    asked: dict[str, str] = {}
    for verb, listed in _SPECS.findall(text):
        for spec in _strings(listed):
            name = name_in(spec)
            if verb in ("remove", "uninstall"):
                asked.pop(name, None)
            else:
                asked[name] = spec
    return asked


def _strings(listed: str) -> list[str]:
    try:
        said = ast.literal_eval(listed)
    except (ValueError, SyntaxError):
        return []
    return [each for each in said if isinstance(each, str)]


def _scripts(prefix: Path, added: Iterable[RepoDataRecord]) -> list[str]:
    """The packages with a script that conda would have run after linking them."""
    names = (each.name.normalized for each in added)
    return sorted(name for name in names if (prefix / "bin" / f".{name}-post-link.sh").exists())


def _key(record: RepoDataRecord) -> tuple[str, str, str, str]:
    return (record.name.normalized, str(record.version), str(record.build), record.url)


def _dist(record: RepoDataRecord) -> str:
    channel = (record.channel or "local").rstrip("/")
    return f"{channel}/{record.subdir}::{record.name.normalized}-{record.version}-{record.build}"


@contextmanager
def _held(prefix: Path) -> Iterator[None]:
    """Of two who change one prefix the second waits, and starts from what the first has made."""
    (prefix / "conda-meta").mkdir(parents=True, exist_ok=True)
    try:
        with files.locked(prefix / "conda-meta" / LOCK, timeout=_HELD):
            yield
    except TimeoutError as error:
        raise Busy(str(prefix)) from error
