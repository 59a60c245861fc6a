"""conda's names for platforms (CEP 26), and ours."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import InvalidInput

SUBDIRS: Mapping[str, str] = {
    "linux-x86_64": "linux-64",
    "linux-aarch64": "linux-aarch64",
    "linux-ppc64le": "linux-ppc64le",
    "linux-s390x": "linux-s390x",
    "darwin-arm64": "osx-arm64",
    "darwin-x86_64": "osx-64",
    "windows-amd64": "win-64",
    "windows-arm64": "win-arm64",
}
"""From what a snapshot calls a platform to what a channel calls it."""
LOCKED: tuple[str, ...] = ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64")
"""Those that a lock is made for at once."""
_PLATFORMS = {subdir: platform for platform, subdir in SUBDIRS.items()}


def subdir_of(platform: str) -> str:
    """Conda's name of a snapshot's platform. Raises InvalidInput for one that conda has no packages for."""
    try:
        return SUBDIRS[platform.lower()]
    except KeyError:
        raise InvalidInput(f"conda has no packages for {platform!r}") from None


def platform_of(subdir: str) -> str:
    """The other way round. Raises InvalidInput."""
    try:
        return _PLATFORMS[subdir]
    except KeyError:
        raise InvalidInput(f"there is no platform {subdir!r}", hint=f"there is: {', '.join(_PLATFORMS)}") from None
