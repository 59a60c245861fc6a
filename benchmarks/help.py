"""How long `venvoy --help` takes over an empty Python."""

from __future__ import annotations

import subprocess
import sys

from side_by_side import compare


def main() -> None:
    compare(
        "venvoy --help",
        {
            "venvoy --help": lambda: _quiet("-m", "venvoy", "--help"),
            "python -c pass": lambda: _quiet("-c", "pass"),
        },
        rounds=15,
    )


def _quiet(*words: str) -> None:
    subprocess.run([sys.executable, *words], check=True, capture_output=True)


if __name__ == "__main__":
    main()
