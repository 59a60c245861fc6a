"""`venvoy` and `python -m venvoy`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; a kernel's start does without the parts that only people need."""
    if len(sys.argv) > 1 and sys.argv[1] == "kernel":
        from .frontends.cli.kernel import kernel

        sys.exit(kernel(sys.argv[2:]))
    from .frontends.cli import venvoy

    venvoy(prog_name="venvoy")


if __name__ == "__main__":
    main()
