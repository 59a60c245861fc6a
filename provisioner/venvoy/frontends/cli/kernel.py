"""`venvoy kernel NAME -f FILE`: what kernelspecs start; it needs nothing that only people need."""

from __future__ import annotations

import sys
from pathlib import Path

from ...errors import VenvoyError
from ..kernel import run_kernel

_USAGE = "usage: venvoy kernel NAME -f CONNECTION_FILE [ARGUMENT]..."


def kernel(words: list[str]) -> int:
    """Run the kernel; returns the exit code."""
    if len(words) < 3 or words[1] != "-f":
        sys.stderr.write(f"{_USAGE}\n")
        return 2
    try:
        return run_kernel(words[0], Path(words[2]), tuple(words[3:]))
    except VenvoyError as error:
        sys.stderr.write(f"venvoy: {error}\n")
        return error.exit_code
