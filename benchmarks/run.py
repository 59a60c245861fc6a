"""Run the benchmarks, all or those named: `python benchmarks/run.py [NAME]...`."""

from __future__ import annotations

import sys
from importlib import import_module

ALL = (
    "server",
    "sidebar",
    "help",
    "snapshot",
    "cell_hook",
    "kernel_start",
    "init",
    "freeze",
    "carry",
    "archive_containers",
    "conda",
    "conda_solve",
    "containers",
    "r",
)

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        import_module(name).main()
