"""Tell whoever started the engine how far it is: a line of JSON on standard error."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

_PAUSE = 0.1
"""Seconds between two lines of one phase."""


class Teller:
    """Listens to the installer, whose threads call it, and adds up what all packages together have come to."""

    def __init__(self, sizes: Iterable[int | None]) -> None:
        self._lock = threading.Lock()
        self._said = 0.0
        self._operations = 0
        self._finished = 0
        self._fetched: dict[int, int] = {}
        self._announced: dict[int, int] = {}
        self._names: dict[int, str] = {}
        known = list(sizes)
        self._most = sum(each or 0 for each in known) if all(known) else 0

    def on_transaction_start(self, total_operations: int) -> None:
        self._operations = total_operations

    def on_download_progress(self, download_idx: int, progress: int, total: int | None) -> None:
        with self._lock:
            self._fetched[download_idx] = progress
            self._announced[download_idx] = total or progress
            done = sum(self._fetched.values())
            total = max(self._most, sum(self._announced.values()), done)
            self._tell("Fetching", done, total, "bytes", last=done == total)

    def on_populate_cache_start(self, operation: int, package_name: str) -> int:
        with self._lock:
            self._names[operation] = package_name
        return operation

    def on_download_completed(self, download_idx: int) -> None:
        with self._lock:
            name, size = self._names.get(download_idx, ""), self._fetched.get(download_idx, 0)
        if name and size:
            say(f"fetched {name} ({size:,} bytes)")

    def on_transaction_operation_complete(self, operation: int) -> None:  # noqa: ARG002  # rattler's signature
        with self._lock:
            self._finished += 1
            self._tell(
                "Installing", self._finished, self._operations, "packages", last=self._finished == self._operations
            )

    def _tell(self, phase: str, done: int, total: int, unit: str, *, last: bool) -> None:
        now = time.monotonic()
        if last or now - self._said > _PAUSE:
            self._said = now
            tell(phase=phase, done=done, total=total, unit=unit)

    def __getattr__(self, name: str) -> Any:
        """All that the installer also tells and nobody asked for; it hands tokens back that it is given."""
        if not name.startswith("on_"):
            raise AttributeError(name)
        return lambda token=0, *_others: token


def say(line: str) -> None:
    """One line for people."""
    tell(line=line)


def tell(**said: object) -> None:
    sys.stderr.write(json.dumps(said) + "\n")
    sys.stderr.flush()
