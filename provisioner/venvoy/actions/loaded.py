"""Say which modules that a running kernel has loaded are not what is installed any more."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from packaging.version import InvalidVersion, Version

from .. import files, inventory
from ..errors import InvalidInput
from ..history import Entry, History
from ..inventory import Distribution
from ..inventory.dist_info import canonical
from ..model import Environment, Snapshot
from .record import recorded

_SAID_IN = ("_version.py", "version.py", "__about__.py")
"""Files beside a module in which its `__version__` may stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A top-level module as a running kernel has it.

    `version` is its `__version__`, None where it has none. `file` is relative to the folder of the search path that it
    lies in, one of the environment's or, with `lent`, of the kernel's. It was loaded later than `after` and not later
    than `by` (seconds since the epoch).
    """

    name: str
    version: str | None
    file: str
    lent: bool = False
    after: float
    by: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """A loaded module whose package stands otherwise on disk: `loaded` is "" where the version is not known.

    `installed` is "" where the package is gone.
    """

    module: str
    package: str
    loaded: str
    installed: str

    @property
    def sentence(self) -> str:
        loaded = f"{self.package} {self.loaded}" if self.loaded else f"an earlier {self.package}"
        there = f"{self.installed} is installed" if self.installed else "is not installed any more"
        return f"{loaded} is loaded, {there}" if self.installed else f"{loaded} is loaded and {there}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """Why a kernel must be restarted; false where it need not be.

    `replaced` is whether the whole prefix was swapped since the kernel started; `python` the version that runs and the
    one that is there now, None where they are the same.
    """

    stale: tuple[Stale, ...] = ()
    replaced: bool = False
    python: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.stale or self.replaced or self.python)


def stale(env: Environment, modules: Iterable[Module], history: History) -> tuple[Stale, ...]:
    """Compare what is loaded with what is on disk, sorted by package.

    A module tells its version itself, or the record tells what stood when it was loaded. What was installed before it
    was loaded is what was loaded. Of R packages each says its version, and is compared with the one in the library, if
    there is one: R loads no second version beside one that was lent.
    """
    if env.language == "r":
        return _of_r(modules, {each.name: each.version for each in inventory.r_packages(env.prefix)})
    there = _There(env)
    then = partial(_then, history)
    found = (_compared(each, there, then) for each in modules)
    return _sorted(each for each in found if each)


def owners(env: Environment, modules: Iterable[Module]) -> frozenset[str]:
    """The names of the packages that the modules are of."""
    there = _There(env)
    found = (there.owner(each) for each in modules)
    return frozenset(each.name for each in found if each)


def would_be_stale(env: Environment, modules: Iterable[Module], snapshot: Snapshot) -> tuple[Stale, ...]:
    """The same for when the environment will have come to `snapshot`."""
    if env.language == "r":
        return _of_r(modules, {each.name: each.version for each in snapshot.packages})
    there = _There(env)
    found = []
    for module in modules:
        now = there.owner(module)
        if now is None or module.lent:
            continue
        after = snapshot.package(now.name)
        if after is None or not _same(now.version, after.version):
            loaded = module.version or now.version
            installed = after.version if after else ""
            if not _same(loaded, installed):
                found.append(Stale(module=module.name, package=now.name, loaded=loaded, installed=installed))
    return _sorted(found)


def _of_r(modules: Iterable[Module], versions: Mapping[str, str]) -> tuple[Stale, ...]:
    return _sorted(
        Stale(module=each.name, package=each.name, loaded=each.version or "", installed=versions.get(each.name, ""))
        for each in modules
        if (each.name in versions or not each.lent) and versions.get(each.name) != each.version
    )


def _compared(module: Module, there: _There, then: Callable[[str, float], str]) -> Stale | None:
    owner = there.owner(module)
    if owner is None:
        gone = not module.lent and not there.has(module.file)
        package = canonical(module.name)
        loaded = module.version or then(package, module.by)
        return Stale(module=module.name, package=package, loaded=loaded, installed="") if gone else None
    if module.version is not None:
        if there.installed(owner) <= module.after or there.says(module) or _same(module.version, owner.version):
            return None
        return Stale(module=module.name, package=owner.name, loaded=module.version, installed=owner.version)
    if there.installed(owner) <= module.by or module.lent:
        return None
    loaded = then(owner.name, module.by)
    if _same(loaded, owner.version):
        return None
    return Stale(module=module.name, package=owner.name, loaded=loaded, installed=owner.version)


class _There:
    """What is on the environment's disk now, each look taken once."""

    def __init__(self, env: Environment) -> None:
        self._folders = inventory.site_folders(env.prefix)
        self._distributions = {each.name: each for each in inventory.distributions(env.prefix)}
        self._swapped = os.lstat(env.prefix).st_mtime if env.prefix.is_symlink() else 0.0  # a link's own
        self._records: dict[str, str] | None = None

    def owner(self, module: Module) -> Distribution | None:
        """The distribution that the module is of, or None for one that no distribution has."""
        if named := self._distributions.get(canonical(module.name)):
            return named
        if not self.has(module.file):
            return None
        for name, listed in self._listed().items():
            if f"\n{module.file}," in listed:
                return self._distributions[name]
        return None

    def has(self, file: str) -> bool:
        return any((folder / file).exists() for folder in self._folders)

    def installed(self, distribution: Distribution) -> float:
        """When it came to be what is found under its prefix, in seconds since the epoch."""
        try:
            return max(distribution.folder.stat().st_mtime, self._swapped)
        except OSError:
            return 0.0

    def says(self, module: Module) -> bool:
        """Whether the files on disk give the version that is loaded: some do not tell their package's."""
        for folder in self._folders:
            file = folder / module.file
            beside = (file.with_name(each) for each in _SAID_IN) if file.name == "__init__.py" else ()
            if any(_holds(each, module.version or "") for each in (file, *beside)):
                return True
        return False

    def _listed(self) -> Mapping[str, str]:
        if self._records is None:
            self._records = {name: _record(each) for name, each in self._distributions.items()}
        return self._records


def _record(distribution: Distribution) -> str:
    try:
        return "\n" + files.content(distribution.folder / "RECORD").decode("utf-8", "replace")
    except OSError:
        return ""


def _holds(file: Path, version: str) -> bool:
    try:
        text = files.content(file).decode("utf-8", "replace")
    except OSError:
        return False
    return f'"{version}"' in text or f"'{version}'" in text


def _then(history: History, name: str, at: float) -> str:
    """The version that stood at a time, as the record knows it, or ""."""
    try:
        entry = _entry_at(history.entries(), datetime.fromtimestamp(at, UTC))
        package = recorded(history, entry).package(name) if entry else None
    except InvalidInput:
        return ""
    return package.version if package else ""


def _entry_at(entries: Iterable[Entry], at: datetime) -> Entry | None:
    before = [entry for entry in entries if entry.at <= at]
    return before[-1] if before else None


def _same(one: str, other: str) -> bool:
    try:
        left, right = Version(one), Version(other)
    except InvalidVersion:
        return one == other
    return left == right or (left.public == right.public and not (left.local and right.local))


def _sorted(found: Iterable[Stale]) -> tuple[Stale, ...]:
    """One for each package: several modules may be of the same."""
    by_package = {each.package: each for each in sorted(found, key=lambda each: each.module, reverse=True)}
    return tuple(by_package[name] for name in sorted(by_package))
