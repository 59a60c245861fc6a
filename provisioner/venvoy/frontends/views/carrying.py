"""What was written down of an environment, and what of it nobody else can have."""

from __future__ import annotations

from ...actions.export import Exported
from ...actions.universal import Elsewhere
from .data import package_data
from .view import Data, View, counted, size_of

SHOWN = 5
"""How many names a sentence lists."""


def exported_view(exported: Exported) -> View:
    size = len(exported.text.encode())
    count = len(exported.snapshot.packages)
    head = f"{exported.environment}: {counted(count, 'package')} as {exported.form}"
    head += f" in {exported.path} ({size_of(size)}).\nsha256 {exported.sha256}" if exported.path else "."
    if exported.beside:
        head += f"\nThe lock that it speaks of lies beside it: {exported.beside}"
    rows = _missing(exported)
    return View(
        data={
            "environment": exported.environment,
            "format": exported.form,
            "path": str(exported.path) if exported.path else None,
            "lock": str(exported.beside) if exported.beside else None,
            "sha256": exported.sha256,
            "size": size,
            "packages": count,
            "frozen": exported.locked,
            "lacking": [
                {"name": each.package.name, "version": each.package.version, "reason": each.reason}
                for each in exported.lacking
            ],
            "left_out": [package_data(each) for each in exported.left_out],
            "platforms": _platforms(exported),
            "remarks": list(exported.remarks),
            "text": None if exported.path else exported.text,
        },
        head="\n".join([head, *remarks(exported), *(["Not in it:"] if rows else [])]),
        columns=("package", "version", "why"),
        rows=rows,
    )


def remarks(exported: Exported) -> list[str]:
    """What is to be known of it beside what is not in it, one sentence each."""
    said = ["It was not frozen as it is now; that was done first."] if exported.locked else []
    if exported.left_out:
        names = [each.name for each in exported.left_out]
        said.append(f"{counted(len(names), 'package')} for development left out: {_some(names)}.")
    if exported.elsewhere:
        built = _built(exported.elsewhere)
        added = [f"{name} {version}" for name, version in exported.elsewhere.added]
        said += [f"To be built from source: {_some(built)}."] if built else []
        said += [f"Only other platforms need, and have been resolved now: {_some(added)}."] if added else []
    return [*said, *(f"{each}." for each in exported.remarks)]


def lacking(exported: Exported) -> str:
    """One line for each package that is not in it, with the reason; "" where there is none."""
    return "\n".join(f"{name} {version}: {why}" for name, version, why in _missing(exported))


def _missing(exported: Exported) -> tuple[tuple[str, str, str], ...]:
    rows = [(each.package.name, each.package.version, each.reason) for each in exported.lacking]
    gaps = exported.elsewhere.gaps if exported.elsewhere else ()
    rows += [(each.name, each.version, f"no file for {each.platform}") for each in gaps if not each.source]
    return tuple(rows)


def _platforms(exported: Exported) -> Data | None:
    if exported.elsewhere is None:
        return None
    gaps = exported.elsewhere.gaps
    return {
        "names": list(exported.elsewhere.platforms),
        "missing": [
            {"name": each.name, "version": each.version, "platform": each.platform} for each in gaps if not each.source
        ],
        "source": [
            {"name": each.name, "version": each.version, "platform": each.platform} for each in gaps if each.source
        ],
        "added": [{"name": name, "version": version} for name, version in exported.elsewhere.added],
    }


def _built(elsewhere: Elsewhere) -> list[str]:
    """What has no wheel, with the platforms where it has none, unless that is all of them."""
    where: dict[str, list[str]] = {}
    for each in elsewhere.gaps:
        if each.source:
            where.setdefault(each.name, []).append(each.platform)
    every = len(elsewhere.platforms)
    return [name if len(found) == every else f"{name} ({', '.join(found)})" for name, found in sorted(where.items())]


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
