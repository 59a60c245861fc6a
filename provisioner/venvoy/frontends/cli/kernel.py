"""`venvoy kernel NAME -f FILE`: what kernelspecs start; it needs nothing that only people need."""

from __future__ import annotations

import sys
from pathlib import Path

from ...errors import VenvoyError
from ..kernel import run_kernel

_USAGE = "usage: venvoy kernel NAME -f CONNECTION_FILE [--language LANGUAGE] [ARGUMENT]..."


def kernel(words: list[str]) -> int:
    """Run the kernel; returns the exit code."""
    if len(words) < 3 or words[1] != "-f":
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    language = words[4] if words[3:4] == ["--language"] and len(words) > 4 else ""
    rest = words[5:] if language else words[3:]
    try:
        return run_kernel(words[0], Path(words[2]), tuple(rest), language=language)
    except VenvoyError as error:
        sys.stderr.write(f"venvoy: {error}\n")
        return error.exit_code
