"""What was packed to be carried away, and what was imported."""

from __future__ import annotations

from ...actions.archive import Archived
from ...actions.import_archive import Imported
from ...actions.lay_out import LaidOut
from ...actions.tarball import Wrapped
from ...actions.unpacking import Manifest
from .data import environment_data
from .view import Data, View, counted, size_of


def archived_view(name: str, archived: Archived) -> View:
    packed, vendored = archived.packed, archived.vendored
    head = f"{name}: {packed.path} ({size_of(packed.size)}) carries {counted(len(vendored.kept), vendored.noun)}"
    head = f"{head}, its record and {counted(len(archived.files), 'file')}"
    head += f", and its image, {archived.image}." if archived.image else "."
    if archived.tier == "spec":
        head += "\nThe packages themselves are not in it: they are fetched where it is imported."
    head += "\nIt is signed." if archived.signed else "\nIt is not signed (--sign KEY)."
    head += f"\nsha256 {packed.sha256}\nmake it again: venvoy import-archive {packed.path}"
    return View(
        data={
            "environment": name,
            "file": str(packed.path),
            "size": packed.size,
            "sha256": packed.sha256,
            "tier": archived.tier,
            "image": archived.image or None,
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
    way = "by fetching its packages" if imported.manifest.said.get("tier") == "spec" else "without network"
    where = f" in {env.runtime}" if env.container else ""
    speaks = f"{env.language_name} {env.language_version}"
    head = [
        f"{env.name}: made{where} with {speaks}, {way}; every file had the hash in the manifest.",
        imported.manifest.signature.sentence,
        f"kernel in Jupyter: {kernel or 'none yet'}",
        f"its record was {'taken over' if imported.record else 'left in the archive: there is one here already'}",
    ]
    if imported.files:
        head.append(f"its files: {imported.files}")
    if imported.restored.other_python:
        said, has = imported.restored.other_python
        head.append(f"{env.language_name} {said} is not on this machine; it has {has}.")
    head += imported.remarks
    if imported.missing:
        head.append("What the archive does not carry is not there:")
    return View(
        data={
            "environment": environment_data(env),
            "kernel": kernel,
            "manifest": imported.manifest.digest,
            "signature": _signature(imported.manifest),
            "record": imported.record,
            "files": str(imported.files) if imported.files else None,
            "missing": [dict(each) for each in imported.missing],
            "remarks": list(imported.remarks),
            "other_python": list(imported.restored.other_python) if imported.restored.other_python else None,
        },
        head="\n".join(head),
        columns=("package", "version", "why"),
        rows=tuple((each["name"], each["version"], each["reason"]) for each in imported.missing),
    )


def laid_out_view(laid: LaidOut) -> View:
    what = counted(laid.packages, "package")
    head = [
        f"{laid.folder}: rootfs/ has the files of the image {laid.image},",
        f"prefix/, which belongs at /venvoy/env in it, those of {what}.",
        f"{counted(laid.files, 'file')} of packages had the recorded hash, and the packages are those of the lock.",
        laid.manifest.signature.sentence,
    ]
    if laid.devices:
        head.append(f"{counted(laid.devices, 'device')} of the image's /dev were left out.")
    return View(
        data={
            "folder": str(laid.folder),
            "manifest": laid.manifest.digest,
            "signature": _signature(laid.manifest),
            "image": laid.image,
            "packages": laid.packages,
            "files": laid.files,
            "devices": laid.devices,
        },
        head="\n".join(head),
    )


def _signature(manifest: Manifest) -> Data:
    said = manifest.signature
    return {"state": said.state, "key": said.key or None, "who": said.who or None}


def _missing(carried: Archived | Wrapped) -> list[Data]:
    return [
        {"name": each.package.name, "version": each.package.version, "reason": each.reason}
        for each in carried.vendored.missing
    ]
