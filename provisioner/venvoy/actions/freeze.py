"""Turn a snapshot into a lock: find the file behind every installed package, with its url and sha256."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from packaging import pylock
from packaging.utils import InvalidWheelFilename, is_normalized_name, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from .. import cancelling, inventory, process
from ..errors import CommandFailed, InvalidInput
from ..formats.conda_lock import CondaLock
from ..formats.locks import dumped
from ..formats.pylock import is_pinned, parse
from ..formats.snapshot_json import digest
from ..inventory import Description, Distribution, conda_meta, r_files, recorded
from ..managers import uv
from ..model import OF_R, Actor, Environment, Package, Snapshot
from ..process import OnLine
from ..store import Store
from .bases import within
from .direct import only_for, told_apart
from .image_recipes import keep_image_recipes
from .lists import names
from .locks import locked as last_lock
from .note import note
from .observe import observe
from .pin_r import pinned_r
from .record import keep, wanted

PUBLIC = "https://files.pythonhosted.org/packages/"
PUBLIC_HOSTS = frozenset(
    {
        "files.pythonhosted.org",
        "test-files.pythonhosted.org",
        "download.pytorch.org",
        "download-r2.pytorch.org",
        "pypi.nvidia.com",
    }
)
"""Hosts of files that anybody can fetch under the same address."""
_CONTENT_PATH = re.compile(r"/packages/([0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/[^/?#]+)$")
_REASONS: Mapping[str, str] = {
    "editable": "an editable install: its source is a folder of this machine",
    "local": "installed from a file or folder of this machine",
    "archive": "installed from a URL that gives no such file any more",
    "vcs": "installed from a repository that only this machine can reach",
    "index": "not on the public index",
}
_REASONS_OF_R: Mapping[str, str] = {
    "index": "none of its repositories has the source of it",
    "archive": "installed from a URL that does not give its source",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unpinned:
    """A package that the lock names but cannot fetch again, and why."""

    package: Package
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Frozen:
    """The lock as a snapshot, where it was written, and what it could not pin."""

    snapshot: Snapshot
    path: Path
    unpinned: tuple[Unpinned, ...]
    left_out: tuple[Package, ...] = ()
    remarks: tuple[str, ...] = ()


def freeze(
    store: Store,
    env: Environment,
    *,
    actor: Actor,
    include_dev: bool = False,
    platforms: Sequence[str] = (),
    on_line: OnLine | None = None,
) -> Frozen:
    """Lock the environment as it is now, beside its record: into pylock.toml, or conda-lock.yml, or renv.lock for R.

    One that speaks Python and R gets pylock.toml and renv.lock, of the same state.

    What is there for development alone (`development`) is left out of the lock without `include_dev`; the entry of the
    record is of the whole state in any case. A conda environment can be locked for other `platforms` at once. Once the
    lock is written it is too late to cancel; what goes on from there may be again (`cancelling.not_yet_late`). Raises
    CommandFailed when the index cannot be asked, or when the environment changes while it is locked; InvalidInput for
    platforms of a lock that is for all of them.
    """
    if platforms and env.speaks("r"):
        raise InvalidInput("renv.lock names sources, which are for every platform", hint="leave out --platform")
    history = store.history(env.name)
    snapshot = observe(store, env)
    note(store, env, actor=actor)
    lying: tuple[Distribution | Description, ...] = (
        *inventory.distributions(env.prefix),
        *inventory.r_packages(env.prefix),
    )
    known = told_apart(snapshot, wanted(history.entries()), lying)
    halves = tuple(zip(env.halves, known.halves, strict=True))
    dev = {} if include_dev else {each.language: development(half, each, lying) for half, each in halves}
    kept = [without(each, dev.get(each.language, frozenset())) for _, each in halves]
    first, *others = (
        _locked(half, replace(each, state=digest(snapshot)), known=last_lock(store, env), on_line=on_line)
        for half, each in zip(env.halves, kept, strict=True)
    )
    locked = first.beside(others[0]) if others else first
    remarks: tuple[str, ...] = ()
    if platforms:
        from .elsewhere import everywhere  # noqa: PLC0415  # which itself looks up what is public here

        elsewhere = everywhere(env, locked, platforms, on_line=on_line)
        texts, remarks = {CondaLock().filename: CondaLock().dump_all(elsewhere.snapshots)}, elsewhere.remarks
    else:
        texts = dumped(locked)
    if digest(observe(store, env)) != digest(snapshot):
        raise CommandFailed(f"{env.name!r} changed while it was locked", hint="freeze it again when it is at rest")
    with history.locked(), cancelling.whole():
        # The lock's own file comes last: where it is not of the state that the other is of, neither counts.
        *_, path = [history.write(name, text) for name, text in reversed(texts.items())]
        keep(history, snapshot)
        history.append(
            "freeze",
            at=snapshot.taken,
            actor=actor,
            asked=(),
            snapshot=digest(snapshot),
            stands_on=snapshot.stands_on,
        )
        cancelling.too_late()
    with cancelling.whole():
        keep_image_recipes(store, env)
    left_out = tuple(one for _, each in halves for one in each.packages if one.name in dev.get(each.language, ()))
    return Frozen(snapshot=locked, path=path, unpinned=unpinned(locked), left_out=left_out, remarks=remarks)


def without(state: Snapshot, names: Container[str]) -> Snapshot:
    """The state without the packages of these names."""
    return replace(state, packages=tuple(each for each in state.packages if each.name not in names))


def _locked(env: Environment, state: Snapshot, *, known: Snapshot | None, on_line: OnLine | None) -> Snapshot:
    """What of an environment is of one language, each package with its file; `known` is the lock of before."""
    distributions = inventory.distributions(env.prefix)
    trees = trees_of(env, distributions)
    packages = [replace(each, tree=trees.get((each.ecosystem, each.name), "")) for each in state.packages]
    others = [each for each in packages if each.ecosystem not in OF_R]
    locked = replace(state, packages=_pinned(env, others, distributions, on_line))
    if env.language != "r":
        return locked
    of_r = [each for each in packages if each.ecosystem in OF_R]
    return pinned_r(env, locked, of_r, inventory.r_packages(env.prefix), known=known, on_line=on_line)


def trees_of(env: Environment, distributions: Iterable[Distribution]) -> dict[tuple[str, str], str]:
    """The digest of the files of everything that is installed, by ecosystem and name."""
    found: dict[tuple[str, str], str] = {("pypi", each.name): recorded.tree(each) for each in distributions}
    found |= {("conda", each.name): each.tree for each in conda_meta.records(env.prefix)}
    by_r = ((each, each.package().ecosystem) for each in inventory.r_packages(env.prefix))
    return found | {(ecosystem, each.name): r_files.tree(each) for each, ecosystem in by_r}


def development(
    env: Environment, snapshot: Snapshot, distributions: Iterable[Distribution | Description]
) -> frozenset[str]:
    """The names of what is there only because the environment's development requirements ask for it."""
    dev, others = (names("\n".join(each)) for each in (env.dev_packages, env.packages))
    return only_for(snapshot, dev, others, distributions)


def reachable(env: Environment, packages: Sequence[Package]) -> dict[str, str]:
    """From where this machine gets the files with those hashes now: sha256 to url, as far as its index has them.

    A mirror or a private index gives its own addresses, which no lock should name. Raises CommandFailed.
    """
    found = _on_index(env, [each for each in packages if _on_an_index(each)], None)
    files = [file for each in found.values() for file in (*(each.wheels or ()), *((each.sdist,) if each.sdist else ()))]
    return {file.hashes["sha256"]: file.url for file in files if file.url and "sha256" in file.hashes}


def unpinned(snapshot: Snapshot) -> tuple[Unpinned, ...]:
    """What of a lock cannot be fetched again."""
    return tuple(Unpinned(package=each, reason=_reason(each)) for each in snapshot.packages if not is_pinned(each))


def _reason(package: Package) -> str:
    if package.ecosystem in OF_R and package.origin in ("index", "archive"):
        return "its repository is of this machine" if package.sha256 else _REASONS_OF_R[package.origin]
    if package.ecosystem == "conda":
        return "its channel is a folder of this machine" if package.sha256 else "its record has no sha256"
    return "from a private index" if package.origin == "index" and package.sha256 else _REASONS[package.origin]


def _pinned(
    env: Environment,
    packages: Sequence[Package],
    distributions: Iterable[Distribution],
    on_line: OnLine | None,
) -> tuple[Package, ...]:
    files = _on_index(env, [each for each in packages if _on_an_index(each)], on_line)
    tags = {each.name: frozenset(each.tags) for each in distributions}
    unhashed = {each.name for each in packages if each.origin == "archive" and not each.sha256}
    return tuple(
        _filled(each, files[each.name], tags.get(each.name, frozenset()))
        if each.ecosystem == "pypi" and each.name in files
        else _hashed(env, each)
        if each.name in unhashed
        else each
        for each in packages
    )


def _on_an_index(package: Package) -> bool:
    return package.ecosystem == "pypi" and package.origin == "index" and _nameable(package)


def _nameable(package: Package) -> bool:
    """Whether uv can be asked for it: a name and a version as PEP 440 and 503 have them."""
    try:
        Version(package.version)
    except InvalidVersion:
        return False
    return is_normalized_name(package.name)


def _on_index(env: Environment, packages: Sequence[Package], on_line: OnLine | None) -> dict[str, pylock.Package]:
    """What the index has of these exact versions; those that it does not have are left out.

    Raises CommandFailed for an index that does not answer, or has nothing at all, not even pip.
    """
    found = _found(env, packages, on_line)
    if packages and not found:
        try:
            process.run(within(env, uv.lock(env.python, ("pip",))))
        except CommandFailed as error:
            raise _no_answer(env, error) from error
    return found


def _found(env: Environment, packages: Sequence[Package], on_line: OnLine | None) -> dict[str, pylock.Package]:
    """Ask for all at once; uv says no to all when it lacks one, so then each half is asked for by itself."""
    if not packages:
        return {}
    try:
        printed = process.run(within(env, uv.lock(env.python, [f"{each.name}=={each.version}" for each in packages])))
    except CommandFailed as error:
        if error.code != uv.UNSATISFIABLE:
            raise _no_answer(env, error) from error
    else:
        return {each.name: each for each in parse(printed, "uv's answer").packages}
    if len(packages) == 1:
        if on_line:
            on_line(f"{packages[0].name} {packages[0].version} is not on the index")
        return {}
    half = len(packages) // 2
    return _found(env, packages[:half], on_line) | _found(env, packages[half:], on_line)


def _no_answer(env: Environment, error: CommandFailed) -> CommandFailed:
    return CommandFailed(
        f"cannot lock {env.name!r}: the package index did not answer as it should", hint=error.hint, code=error.code
    )


def _filled(package: Package, found: pylock.Package, tags: frozenset[str]) -> Package:
    """The package with the file that it was installed from: the wheel with the same tags, else the source."""
    same = [wheel for wheel in found.wheels or () if _tags(wheel.filename) == tags]
    chosen: pylock.PackageWheel | pylock.PackageSdist | None = same[-1] if same else found.sdist
    if chosen is None or not chosen.url:
        return package
    return replace(package, url=public(chosen.url), sha256=chosen.hashes.get("sha256", ""))


def _hashed(env: Environment, package: Package) -> Package:
    """The package with the hash of what its URL gives now, for uv does not note it; unchanged where that is gone."""
    try:
        printed = process.run(within(env, uv.lock(env.python, (f"{package.name} @ {package.url}",))))
    except CommandFailed:
        return package
    given = [each for each in parse(printed, "uv's answer").packages if str(each.version) == package.version]
    return replace(package, sha256=given[0].archive.hashes.get("sha256", "")) if given and given[0].archive else package


def _tags(filename: str) -> frozenset[str]:
    try:
        return frozenset(str(tag) for tag in parse_wheel_filename(filename)[3])
    except InvalidWheelFilename:
        return frozenset()


def public(url: str) -> str:
    """The address under which anybody can fetch the file, or "" for what only a private index has.

    A mirror keeps the public path, in which the content's BLAKE2 digest stands, so the same path names the same file.
    """
    if urlsplit(url).hostname in PUBLIC_HOSTS:
        return url.partition("#")[0]
    found = _CONTENT_PATH.search(url)
    return f"{PUBLIC}{found[1]}" if found else ""
