"""Time two or more ways of doing the same in turns, and print their medians and ratios."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


def compare(title: str, ways: Mapping[str, Callable[[], object]], *, rounds: int, unit: str = "ms") -> None:
    """Run every way once unmeasured, then `rounds` times in turns; the first way is ours."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            measured = way()
            taken[name].append(measured if isinstance(measured, float) else time.perf_counter() - started)
    report(title, taken, unit=unit)


def report(title: str, taken: Mapping[str, list[float]], *, unit: str = "ms") -> None:
    """Print the medians in `unit`, and how the first stands to each other one."""
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[unit]
    print(f"\n{title}  ({len(next(iter(taken.values())))} rounds, medians)")
    medians = {name: statistics.median(seconds) for name, seconds in taken.items()}
    ours, *others = medians
    for name, median in medians.items():
        spread = f"{min(taken[name]) * scale:.2f} to {max(taken[name]) * scale:.2f}"
        print(f"  {name:42} {median * scale:10.2f} {unit}   ({spread})")
    for other in others:
        print(f"  ratio {ours} / {other}: {medians[ours] / medians[other]:.3f}")


@contextmanager
def own_home() -> Iterator[Path]:
    """A temporary home for venvoy and Jupyter, with a short path, removed at the end."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="vvb-", dir="/tmp") as folder:  # sockets need short paths
        home = Path(folder)
        os.environ.update(
            VENVOY_HOME=str(home / "venvoy"),
            VENVOY_PROJECTS=str(home / "projects"),
            JUPYTER_DATA_DIR=str(home / "jupyter"),
            JUPYTER_RUNTIME_DIR=str(home / "jupyter" / "runtime"),
            XDG_RUNTIME_DIR=str(home),
        )
        try:
            yield home
        finally:
            os.environ.clear()
            os.environ.update(kept)
