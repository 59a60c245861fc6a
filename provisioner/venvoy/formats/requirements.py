"""requirements.txt as pip checks it: every file by its hash (`pip install --require-hashes -r`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from packaging.version import Version

from ..model import OF_R, Package, Snapshot
from .pylock import is_pinned

INDEX = "files.pythonhosted.org"
"""The host of the files that pip finds by name and version; files of any other are named by their address."""
# Neither quotes nor $, \, {, } or blanks: pip would put variables in, and a shell, a definition or YAML still more.
_SAFE = "%/:=&?~+!,@()*"
_REPOSITORY = re.compile(r"git\+https://[^@]+(?:@[^@]+)?@(?:[0-9a-f]{40}|[0-9a-f]{64})(?:#subdirectory=.+)?")
_NOTED = re.compile(r"# Python (?P<python>\d+\.\d+\S*) on \S.*, by venvoy\n")
_REASONS: Mapping[str, str] = {
    "editable": "its source is a folder of one machine",
    "local": "from a file or folder of one machine",
    "archive": "its address gives no file any more, or none that can be checked",
    "vcs": "from a repository, for which pip has no hash to check",
    "index": "not on the public index",
}
_REASONS_OF_R: Mapping[str, str] = {
    "index": "no source of it that anybody can fetch is known",
    "vcs": "from a repository of one machine, or at no commit that is known",
}


@dataclass(frozen=True, slots=True)
class RequirementsTxt:
    """One line for each file with its sha256; what pip cannot check so is named in comments."""

    name: str = "requirements"
    filename: str = "requirements.txt"

    def dump(self, snapshot: Snapshot) -> str:
        lines = [
            f"# Python {plain(snapshot.language_version)} on {plain(snapshot.platform)}, by venvoy",
            "# pip install --require-hashes --no-deps -r requirements.txt",
            *(f"# not in it: {named(each)}" for each in left_out(snapshot)),
        ]
        for each in hashed(snapshot):
            lines += [f"{requirement(each)} \\", f"    --hash=sha256:{each.sha256}"]
        return "\n".join(lines) + "\n"


def python_of(text: str) -> str:
    """The version of Python that `dump` noted, for a file of requirements has no other place for it; "" in others."""
    noted = _NOTED.match(text)
    return noted["python"] if noted else ""


def hashed(snapshot: Snapshot) -> list[Package]:
    """The packages whose file pip can fetch and check, sorted."""
    return [
        each
        for each in sorted(snapshot.packages)
        if each.ecosystem == "pypi" and is_pinned(each) and each.origin != "vcs" and _is_hash(each)
    ]


def left_out(snapshot: Snapshot) -> tuple[Package, ...]:
    """The packages that a file of requirements with hashes cannot name."""
    there = set(hashed(snapshot))
    return tuple(each for each in sorted(snapshot.packages) if each not in there)


def requirement(package: Package) -> str:
    """The package as pip takes it, without its hash: by version from the public index, else by its address."""
    if package.origin == "index" and urlsplit(package.url).hostname == INDEX:
        return f"{package.name}=={Version(package.version)}"
    return f"{package.name} @ {address(package.url)}"


def repository(package: Package) -> str:
    """The package as pip takes it from a public git repository at one commit, or "" where it is from none."""
    if package.origin != "vcs" or not is_pinned(package) or not _REPOSITORY.fullmatch(package.url):
        return ""
    return f"{package.name} @ {address(package.url)}"


def named(package: Package) -> str:
    """The package by name and version, with the reason why it cannot be fetched, for a comment."""
    return plain(f"{package.name} {package.version}: {reason(package)}")


def reason(package: Package) -> str:
    """Why the package cannot be fetched again by its installer, which checks what it gets."""
    if package.ecosystem == "conda":
        return "from a conda channel"
    of_r = package.ecosystem in OF_R
    return (_REASONS_OF_R if of_r else {}).get(package.origin) or _REASONS[package.origin]


def address(url: str) -> str:
    """The url with everything encoded that could mean something to pip, a shell, a definition or YAML."""
    place, mark, fragment = url.partition("#")
    return f"{_encoded(place)}{mark}{_encoded(fragment)}"


def plain(text: str) -> str:
    """The text as one line of printable ASCII."""
    return "".join(each if " " <= each <= "~" and each != "\\" else f"\\u{ord(each):04x}" for each in text)


def _encoded(text: str) -> str:
    # What is encoded already stays as it is, so that an address that was read again gives the same one.
    return quote(re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", text), safe=_SAFE, errors="replace")


def _is_hash(package: Package) -> bool:
    return re.fullmatch(r"[0-9a-f]{64}", package.sha256) is not None
