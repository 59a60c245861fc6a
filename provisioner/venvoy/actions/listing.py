"""List what is installed as a notebook sees it: what it imports first, and of each package why it is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from .. import inventory
from ..formats.pylock import is_pinned
from ..formats.requirements import reason
from ..history import Entry
from ..inventory import Description, Distribution
from ..model import Asked, Environment, Package
from ..store import Store
from .direct import requirers, told_apart
from .locks import locked
from .record import wanted
from .status import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who asked for a package by name; `number` is the entry's in the record."""

    number: int
    entry: Entry
    asked: Asked


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One installed package. `required_by` are the names of those that need it, `wish` who last asked for it.

    `added` and `before`, the package as it was, are since the last freeze. `reason` is why nobody else can have it, ""
    where they can as far as is known.
    """

    package: Package
    imported: bool
    required_by: tuple[str, ...] = ()
    wish: Wish | None = None
    added: bool = False
    before: Package | None = None
    reason: str = ""


def listing(store: Store, env: Environment, status: Status, *, imported: Iterable[str] = ()) -> tuple[Listed, ...]:
    """What `status` has seen: first what is `imported` (names), then what was asked for, then the rest, by name."""
    entries = store.history(env.name).entries()
    there: list[Distribution | Description] = [
        *inventory.distributions(env.prefix),
        *inventory.r_packages(env.prefix),
    ]
    snapshot = told_apart(status.snapshot, wanted(entries), there)
    needed, wishes = requirers(snapshot, there), _wishes(entries)
    before = {(each.after.ecosystem, each.name): each.before for each in status.since.changed}
    added = frozenset(status.since.added) if status.frozen else frozenset()
    lost = _lost(store, env)
    own = frozenset(imported)
    listed = (
        Listed(
            package=each,
            imported=each.name in own,
            required_by=needed.get(each.name, ()),
            wish=wishes.get(each.name),
            added=each in added,
            before=before.get((each.ecosystem, each.name)),
            reason=reason(each) if each.origin in ("editable", "local") or _key(each) in lost else "",
        )
        for each in snapshot.packages
    )
    return tuple(sorted(listed, key=lambda each: (not each.imported, not each.package.direct, each.package.name)))


def _wishes(entries: Iterable[Entry]) -> Mapping[str, Wish]:
    return {
        name: Wish(number=number, entry=entry, asked=asked)
        for number, entry in enumerate(entries, 1)
        for asked in entry.asked
        if asked.verb == "install"
        for name in asked.names
    }


def _lost(store: Store, env: Environment) -> frozenset[tuple[str, ...]]:
    """What the lock names and could not pin."""
    lock = locked(store, env)
    return frozenset(_key(each) for each in lock.packages if not is_pinned(each)) if lock else frozenset()


def _key(package: Package) -> tuple[str, ...]:
    return (package.ecosystem, package.name, package.version)
