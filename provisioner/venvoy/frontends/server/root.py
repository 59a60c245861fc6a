"""The folder that a server shows, and what paths in requests mean in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ...errors import InvalidInput, NotPermitted, VenvoyError

WORDS, LONGEST = 200, 4096
"""How many words a request may have, and characters a word or a path."""


class TooMany(VenvoyError):
    """As many of these go on as may."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """`folder` is None for a server that keeps its notebooks elsewhere than in files; `hidden` shows hidden ones."""

    folder: Path | None
    hidden: bool = False

    def file(self, said: str) -> Path:
        """The file at an API path. Raises NotPermitted for one that leads out or is hidden, InvalidInput for none."""
        if self.folder is None:
            raise InvalidInput("this server has no folder of files")
        if "\0" in said or not said.strip("/"):
            raise InvalidInput(f"{said!r:.80} is no path")
        plain = os.path.normpath(said.removeprefix("RTC:").strip("/"))
        parts = plain.split("/")
        if os.path.isabs(plain) or ".." in parts:  # noqa: PTH117  # as it is said, not as it lies
            raise NotPermitted(f"{said} leads out of the server's folder", hint="choose a path in it")
        if not self.hidden and any(each.startswith(".") for each in parts):
            raise NotPermitted(f"{said} is hidden", hint="the server shows hidden files with allow_hidden alone")
        return self.folder / plain

    def shown(self, file: str) -> str | None:
        """The API path of a file, None for one that the server does not show."""
        path = Path(file)
        if self.folder is None or not path.is_absolute():
            return None
        for real in (path, path.resolve()):
            for folder in (self.folder, self.folder.resolve()):
                if real.is_relative_to(folder):
                    return real.relative_to(folder).as_posix()
        return None
