"""Which package managers are here, and what for."""

from __future__ import annotations

from collections.abc import Sequence

from ...actions.package_managers import ManagerFound
from ...managers.conda import extra
from .view import Data, View


def managers_view(found: Sequence[ManagerFound]) -> View:
    return View(
        data={"managers": [_data(each) for each in found]},
        head=f"{_engine(found)}\nPyPI packages: {_used(found, 'pypi') or 'no uv that runs'}",
        columns=("manager", "version", "usable", "used for", "why", "path"),
        rows=tuple(_row(each) for each in found),
    )


def _engine(found: Sequence[ManagerFound]) -> str:
    engine = _used(found, "conda")
    return f"conda packages: {engine}" if engine else f"conda packages: no engine is here; add it: {extra()}"


def _used(found: Sequence[ManagerFound], kind: str) -> str:
    """The first of a kind that venvoy uses."""
    return next((f"{each.name} {each.version}" for each in found if each.kind == kind and each.role), "")


def _data(found: ManagerFound) -> Data:
    return {
        "name": found.name,
        "kind": found.kind,
        "path": str(found.path) if found.path else None,
        "version": found.version or None,
        "usable": found.usable,
        "role": found.role or None,
        "reason": found.reason or None,
    }


def _row(found: ManagerFound) -> tuple[str, ...]:
    path = str(found.path) if found.path else ""
    return (found.name, found.version, "yes" if found.usable else "no", found.role, found.reason, path)
