"""How the package manager of an image's system is told to install, in the words of its own shell."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ..errors import InvalidInput
from ..model import Ecosystem, Package

TOOLS: Mapping[Ecosystem, str] = {"deb": "apt", "apk": "apk", "rpm": "dnf"}
"""What people call the manager of each."""
_WORD = re.compile(r"[A-Za-z0-9][\w.+:~^=-]*", re.ASCII)
# Where the builder is root for itself alone there is no other user that apt could become.
_APT = "apt-get -o APT::Sandbox::User=root"
_RPM = "$(command -v microdnf || command -v dnf || command -v yum)"


def checked(names: Sequence[str]) -> tuple[str, ...]:
    """The names, or names with versions as the manager takes them, sorted. Raises InvalidInput for what is none."""
    if odd := [each for each in names if not _WORD.fullmatch(each)]:
        raise InvalidInput(f"{odd[0]!r} is no package of a system", hint="write it as libxml2-dev or curl=7.88.1-10")
    return tuple(sorted(set(names)))


def name_of(word: str) -> str:
    """The name in what `checked` gave, without a version."""
    return word.partition("=")[0]


def pinned(package: Package) -> str:
    """The package at its version, as its manager takes it."""
    if package.ecosystem == "rpm":
        return f"{package.name}-{package.version}.{package.build}"
    return f"{package.name}={package.version}"


def installing(system: Ecosystem, words: Sequence[str]) -> list[str]:
    """Lines of one shell command that installs them and leaves no lists behind. Raises InvalidInput."""
    listed = [f"    {each} \\" for each in checked(words)]
    if system == "deb":
        install = "DEBIAN_FRONTEND=noninteractive " + _APT + " install --yes --no-install-recommends"
        return [f"{_APT} update && {install} \\", *listed, "    && rm -rf /var/lib/apt/lists/*"]
    if system == "apk":
        return ["apk add --no-cache \\", *listed[:-1], listed[-1].removesuffix(" \\")]
    return [f"{_RPM} install -y \\", *listed, f"    && {_RPM} clean all"]
