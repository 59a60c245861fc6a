"""Tell from an installer's command line what was asked for by name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from ..inventory.dist_info import canonical
from ..model import Asked

_COMMAND = re.compile(
    r"(?:\b|^)(?P<tool>uv\s+pip|uv|pip3?(?:\.[0-9]+)?|micromamba|mamba|conda)\s+(?:-\S+\s+)*"
    r"(?P<verb>install|add|uninstall|remove)\b(?P<rest>.*)",
)
_WITH_VALUE = frozenset(
    {
        "-r", "--requirement", "--requirements", "-c", "--constraint", "--constraints", "-e", "--editable", "-i",
        "--index-url", "--extra-index-url", "--default-index", "--index", "-f", "--find-links", "-t", "--target",
        "--python", "-p", "--prefix", "--root", "--platform", "--python-version", "--only-binary", "--no-binary",
        "--upgrade-strategy", "--proxy", "--cert", "--timeout", "--retries", "--trusted-host", "--cache-dir",
        "--log", "--progress-bar", "-n", "--name", "--channel", "--exclude-newer", "-P", "--upgrade-package",
    }
)  # fmt: skip
_SECRET = re.compile(r"(?<=://)[^/@\s]+@")


def asked_in(commands: Iterable[str]) -> tuple[Asked, ...]:
    """Read shell lines, magics and lists of words (as in `subprocess.run([...])`); others are passed over."""
    return tuple(asked for command in commands if (asked := _asked(command)) is not None)


def without_secrets(command: str) -> str:
    """The command with user names and passwords taken out of its URLs."""
    return _SECRET.sub("***@", command)


def _asked(command: str) -> Asked | None:
    # A list of words reads like a command line once its quotes and commas are gone.
    plain = re.sub(r"""['"]\s*,\s*['"]""", " ", command)
    found = _COMMAND.search(plain)
    if found is None:
        return None
    verb: Literal["install", "remove"] = "install" if found["verb"] in ("install", "add") else "remove"
    return Asked(
        tool=" ".join(found["tool"].split()),
        verb=verb,
        names=tuple(sorted(set(_names(found["rest"])))),
        command=without_secrets(command.strip())[:500],
    )


def _names(rest: str) -> Iterable[str]:
    words = iter(_words(rest))
    for word in words:
        if word in ("&&", "||", ";", "|", "&", ">", "2>"):
            return
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            try:
                yield canonical(Requirement(word.strip("'\"[](),")).name)
            except InvalidRequirement:
                continue


def _words(rest: str) -> list[str]:
    try:
        return shlex.split(rest)
    except ValueError:
        return rest.split()
