"""Work in a thread that somebody else may cancel: it ends at its next step, as a signal ends a program.

Only what is done in a `scope`, by its own thread, is ever ended; threads that it starts are its own affair.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEP = 0.1
"""Seconds for which whoever waits in a scope waits at a time."""


class Cancelled(BaseException):
    """Somebody has cancelled what this thread does. As KeyboardInterrupt it is for those alone who clean up."""


class _Work(threading.local):
    asked: threading.Event | None = None


_work = _Work()


@contextmanager
def scope() -> Iterator[Callable[[], None]]:
    """What this thread does in it may be cancelled, by whoever calls what is given, in any thread."""
    before, asked = _work.asked, threading.Event()
    _work.asked = asked
    try:
        yield asked.set
    finally:
        _work.asked = before


def possible() -> bool:
    """Whether what this thread does may be cancelled: then it must not wait for longer than STEP without a look."""
    return _work.asked is not None


def look() -> None:
    """Raise Cancelled where that was asked for. Once: cleaning up is not cancelled."""
    if _work.asked is not None and _work.asked.is_set():
        too_late()
        raise Cancelled


@contextmanager
def whole() -> Iterator[None]:
    """What is done in it is done to its end."""
    before, _work.asked = _work.asked, None
    try:
        yield
    finally:
        _work.asked = before


def too_late() -> None:
    """What was to be done is done, or is being undone: the rest of the scope is not cancelled any more."""
    _work.asked = None
