"""Say in one line why an installer failed, from the last words that it printed."""

from __future__ import annotations

import re

from ..errors import CommandFailed


def why(error: CommandFailed) -> str:
    """The installer's reason; of uv's resolver its whole sentence."""
    lines = [re.sub(r"^[^\w`'\"(]+", "", line) for line in error.hint.splitlines() if line.strip()]
    reason = re.search(r"Because .*?(?= hint: |$)", " ".join(lines))
    return reason[0] if reason else (lines or [error.message])[-1]
