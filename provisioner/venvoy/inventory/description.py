"""R packages, read from the DESCRIPTION of each folder of a library ("Writing R Extensions", 1.1.1)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..model import Ecosystem, Origin, Package
from ..r_words import GIT, HOSTED, MIRRORS, NAME, VERSION, project
from .dist_info import public_address

LOCK = "00LOCK"
"""Begins the names of the folders in which R builds what it installs."""
_NEED = re.compile(r"\s*([A-Za-z][A-Za-z0-9.]*)\s*(?:\(\s*(>=|==|>|<=|<)\s*([0-9][0-9.-]*)\s*\))?\s*")
_HOSTS = tuple(kind for _, kind, _ in HOSTED.values())
_LONGEST = 1_000_000
"""Bytes of a DESCRIPTION that are read; they have some hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """One installed package: its folder, and the fields of its DESCRIPTION."""

    name: str
    version: str
    folder: Path
    fields: Mapping[str, str] = field(repr=False)

    @property
    def built(self) -> str:
        """The version of R that it was installed by, as in "4.2.2"; "" where it does not say."""
        found = re.match(r"R\s+([0-9.]+)", self.fields.get("Built", ""))
        return found[1] if found else ""

    @property
    def requires(self) -> tuple[tuple[str, str, str], ...]:
        """What it needs to be loaded or built: name, operator and version, "" where any will do; R is not among it."""
        listed = ",".join(self.fields.get(each, "") for each in ("Depends", "Imports", "LinkingTo"))
        found = (_NEED.fullmatch(each) for each in listed.split(",") if each.strip())
        needs = {each[1]: (each[1], each[2] or "", each[3] or "") for each in found if each and each[1] != "R"}
        return tuple(needs[name] for name in sorted(needs))

    def package(self) -> Package:
        """The package as data, with its origin told from what installers note."""
        origin, url = self._origin()
        said = self.fields.get("Repository", "")
        repository = public_address(said) if "://" in said else said
        return Package(
            ecosystem=self._ecosystem(),
            name=self.name,
            version=self.version,
            channel="" if origin != "index" or repository in MIRRORS or "biocViews" in self.fields else repository,
            origin=origin,
            url=url,
        )

    def _ecosystem(self) -> Ecosystem:
        of_bioconductor = "biocViews" in self.fields and self.fields.get("Repository", "") not in MIRRORS
        return "bioconductor" if of_bioconductor else "cran"

    def _origin(self) -> tuple[Origin, str]:
        said = self.fields
        kind = said.get("RemoteType", "")
        commit = said.get("RemoteSha", "")
        if kind in _HOSTS or kind in GIT:
            words = (said.get(each, "") for each in ("RemoteHost", "RemoteUsername", "RemoteRepo"))
            place = said.get("RemoteUrl") or project(kind, *words)
            if not place:
                return "local", ""
            within = said.get("RemoteSubdir", "")
            url = public_address(f"git+{place.removeprefix('git+')}@{commit}")
            return "vcs", f"{url}#subdirectory={within}" if within else url
        if kind == "url":
            return "archive", public_address(said.get("RemoteUrl", ""))
        from_repository = kind in ("cran", "standard", "bioc", "bioconductor") or "Repository" in said
        return ("index" if from_repository or "biocViews" in said else "local"), ""


def read(library: Path) -> Iterator[Description]:
    """The packages of a library, by name; folders that are none, or not whole, are passed over."""
    try:
        with os.scandir(library) as listing:
            names = sorted(each.name for each in listing if not each.name.startswith((LOCK, ".")))
    except OSError:
        return
    for name in names:
        text = _text(f"{library}/{name}/DESCRIPTION")
        said = parsed(text) if text else {}
        version = said.get("Version", "")
        # A folder by another name is a package that R does not find, whatever it says of itself.
        if said.get("Package") == name and NAME.fullmatch(name) and VERSION.fullmatch(version):
            yield Description(name=name, version=version, folder=library / name, fields=said)


def broken(library: Path) -> tuple[str, ...]:
    """The folders of a library that R takes for packages and cannot load: without a DESCRIPTION, or without code."""
    whole = {each.name for each in read(library) if (each.folder / "Meta" / "package.rds").is_file()}
    try:
        with os.scandir(library) as listing:
            folders = [each.name for each in listing if each.is_dir() and NAME.fullmatch(each.name)]
    except OSError:
        return ()
    return tuple(sorted(set(folders) - whole))


def parsed(text: str) -> dict[str, str]:
    """The fields of a Debian control file; lines that begin with a space go on with the field before.

    R begins a long value, an address say, on a line of its own.
    """
    said: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line[:1] in " \t":
            if key:
                said[key] = f"{said[key]} {line.strip()}".strip()
        else:
            key, colon, value = line.partition(":")
            if colon:
                said[key] = value.strip()
            else:
                key = ""
    return said


def _text(path: str) -> str:
    """The text of a file, "" where it is none."""
    try:
        return files.beginning(path, _LONGEST).decode("utf-8", "replace")
    except OSError:
        return ""
