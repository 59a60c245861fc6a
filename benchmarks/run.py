"""Run the benchmarks, all or those named: `python benchmarks/run.py [NAME]...`."""

from __future__ import annotations

import sys
from importlib import import_module

ALL = ("help", "snapshot", "cell_hook", "kernel_start", "init", "freeze", "carry", "conda", "conda_solve")

if __name__ == "__main__":
    for name in sys.argv[1:] or ALL:
        import_module(name).main()
