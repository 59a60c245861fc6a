"""conda's explicit lists (`@EXPLICIT`, CEP 23): addresses of conda packages, which a venv cannot take."""

from __future__ import annotations

import re
from typing import NoReturn

from ..errors import InvalidInput

MARK = re.compile(r"^@EXPLICIT[ \t]*\r?$", re.MULTILINE)
_PACKAGE = re.compile(
    r"^\S+/(?P<name>[\w.-]+)-[^-/\s]+-[^-/\s]+(?:\.conda|\.tar\.bz2)(?:#\S+)?[ \t]*\r?$", re.MULTILINE
)


def refused(text: str, *, source: str) -> NoReturn:
    """Raises InvalidInput that names what the list has and what could take it."""
    names = [each["name"] for each in _PACKAGE.finditer(text)]
    some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    raise InvalidInput(
        f"{source} lists packages that only conda can install: {some or 'none that can be read'}",
        hint="a conda environment can take them; for a venv give an environment.yml with a pip section, or a lock",
    )
