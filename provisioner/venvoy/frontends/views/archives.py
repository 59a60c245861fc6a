"""What was packed to be carried away, and what was imported."""

from __future__ import annotations

from ...actions.archive import Archived
from ...actions.import_archive import Imported
from ...actions.tarball import Wrapped
from .data import environment_data
from .view import Data, View, counted, size_of


def archived_view(name: str, archived: Archived) -> View:
    packed, vendored = archived.packed, archived.vendored
    head = f"{name}: {packed.path} ({size_of(packed.size)}) carries {counted(len(vendored.kept), vendored.noun)}"
    head += f", its record and {counted(len(archived.files), 'file')}."
    head += "\nIt is signed." if archived.signed else "\nIt is not signed (--sign KEY)."
    head += f"\nsha256 {packed.sha256}\nmake it again: venvoy import-archive {packed.path}"
    return View(
        data={
            "environment": name,
            "file": str(packed.path),
            "size": packed.size,
            "sha256": packed.sha256,
            "manifest": archived.digest,
            "signed": archived.signed,
            "wheels": len(vendored.kept),
            "files": list(archived.files),
            "missing": _missing(archived),
        },
        head=head + ("\nNot carried:" if vendored.missing else ""),
        columns=("package", "version", "why"),
        rows=tuple((each.package.name, each.package.version, each.reason) for each in vendored.missing),
    )


def wrapped_view(name: str, wrapped: Wrapped) -> View:
    packed, vendored = wrapped.packed, wrapped.vendored
    head = f"{name}: {packed.path} ({size_of(packed.size)}) has {counted(len(vendored.kept), vendored.noun)}; "
    head += f"its README.txt says how to install them without venvoy.\nsha256 {packed.sha256}"
    return View(
        data={
            "environment": name,
            "file": str(packed.path),
            "size": packed.size,
            "sha256": packed.sha256,
            "wheels": len(vendored.kept),
            "missing": _missing(wrapped),
        },
        head=head + ("\nNot in it:" if vendored.missing else ""),
        columns=("package", "version", "why"),
        rows=tuple((each.package.name, each.package.version, each.reason) for each in vendored.missing),
    )


def imported_view(imported: Imported, *, kernel: str | None) -> View:
    env = imported.environment
    head = [
        f"{env.name}: made with Python {env.python_version}, without network; every file had the hash in the manifest.",
        imported.manifest.signature.sentence,
        f"kernel in Jupyter: {kernel or 'none yet'}",
        f"its record was {'taken over' if imported.record else 'left in the archive: there is one here already'}",
    ]
    if imported.files:
        head.append(f"its files: {imported.files}")
    if imported.restored.other_python:
        said, has = imported.restored.other_python
        head.append(f"Python {said} is not on this machine; it has {has}.")
    if imported.missing:
        head.append("What the archive does not carry is not there:")
    return View(
        data={
            "environment": environment_data(env),
            "kernel": kernel,
            "manifest": imported.manifest.digest,
            "signature": {
                "state": imported.manifest.signature.state,
                "key": imported.manifest.signature.key or None,
                "who": imported.manifest.signature.who or None,
            },
            "record": imported.record,
            "files": str(imported.files) if imported.files else None,
            "missing": [dict(each) for each in imported.missing],
            "other_python": list(imported.restored.other_python) if imported.restored.other_python else None,
        },
        head="\n".join(head),
        columns=("package", "version", "why"),
        rows=tuple((each["name"], each["version"], each["reason"]) for each in imported.missing),
    )


def _missing(carried: Archived | Wrapped) -> list[Data]:
    return [
        {"name": each.package.name, "version": each.package.version, "reason": each.reason}
        for each in carried.vendored.missing
    ]
