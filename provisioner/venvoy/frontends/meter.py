"""Progress in words: how much, how fast, and how long still."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..model import Progress
from ..process import OnLine
from .views.view import size_of

Measured = Callable[[Progress, float | None, float | None], None]
"""Is told of progress with its rate, in its units a second, and how many seconds are left; None for what is unknown."""
_FIRST = 0.5
"""Seconds of a phase before its rate means anything."""


class Meter:
    """Says every report of progress as one line, at most one in `every` seconds; the end of a phase is always said.

    `tell` is told of each.
    """

    def __init__(
        self,
        say: OnLine,
        *,
        every: float,
        clock: Callable[[], float] = time.monotonic,
        tell: Measured | None = None,
    ) -> None:
        self._say, self._every, self._clock, self._tell = say, every, clock, tell
        self._phase = ""
        self._began = self._said = 0.0
        self._first = 0

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if progress.phase != self._phase:
            self._phase, self._began, self._first, self._said = progress.phase, now, progress.done, now - self._every
        if self._tell:
            self._tell(progress, *self.pace(progress, now - self._began))
        if now - self._said >= self._every or progress.done == progress.total:
            self._said = now
            self._say(self.line(progress, now - self._began))

    def pace(self, progress: Progress, seconds: float) -> tuple[float | None, float | None]:
        """Units in a second, and how many seconds are left, `seconds` after the phase began."""
        rate = (progress.done - self._first) / seconds if seconds >= _FIRST else 0
        if not rate:
            return None, None
        known = progress.total is not None and progress.done < progress.total
        return rate, ((progress.total or 0) - progress.done) / rate if known else None

    def line(self, progress: Progress, seconds: float) -> str:
        """One report as it is said `seconds` after the phase began: "Fetching: 45 MB of 116 MB, 23 MB/s, 3 s left"."""
        parts = [f"{progress.phase}: {_much(progress.done, progress.unit)}"]
        if progress.total is not None:
            parts[0] = f"{progress.phase}: {_much(progress.done, progress.unit, progress.total)}"
        rate, left = self.pace(progress, seconds)
        if rate and progress.unit == "bytes":
            parts.append(f"{size_of(int(rate))}/s")
        if left is not None:
            parts.append(f"{_time(left)} left")
        return ", ".join(parts)


def _much(done: int, unit: str, total: int | None = None) -> str:
    if unit == "bytes":
        return size_of(done) + (f" of {size_of(total)}" if total is not None else "")
    return f"{done}{f' of {total}' if total is not None else ''} {unit}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"
