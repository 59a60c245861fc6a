"""Work in a thread that somebody else may cancel: it ends at its next step, as a signal ends a program.

Only what is done in a `scope`, by its own thread, is ever ended so; threads that it starts are its own affair. A
program that a signal may end anywhere asks here first: what is done `whole` (`put_off`), and what comes too `late`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STEP = 0.1
"""Seconds for which whoever waits in a scope waits at a time."""
_MOMENT = 2.0


class Cancelled(BaseException):
    """Somebody has cancelled what this thread does. As KeyboardInterrupt it is for those alone who clean up."""


class _Work(threading.local):
    asked: threading.Event | None = None
    kept: threading.Event | None = None
    late: bool = False
    owed: BaseException | None = None
    said: float = 0.0
    wholes: int = 0
    waiting: Callable[[], None] | None = None


_work = _Work()


@contextmanager
def scope() -> Iterator[Callable[[], None]]:
    """What this thread does in it may be cancelled, by whoever calls what is given, in any thread."""
    before, asked = (_work.asked, _work.kept, _work.late, _work.owed), threading.Event()
    _work.asked, _work.kept, _work.late, _work.owed = asked, None, False, None
    try:
        yield asked.set
    finally:
        _work.asked, _work.kept, _work.late, _work.owed = before


def possible() -> bool:
    """Whether what this thread does may be cancelled: then it must not wait for longer than STEP without a look."""
    return _work.asked is not None


def look() -> None:
    """Raise Cancelled where that was asked for. Once: cleaning up is not cancelled."""
    if _work.asked is not None and _work.asked.is_set():
        _work.asked, _work.kept, _work.late = None, None, True
        raise Cancelled


@contextmanager
def whole() -> Iterator[None]:
    """What is done in it is done to its end; what was put off comes then."""
    before, _work.asked = _work.asked, None
    _work.wholes += 1
    try:
        yield
    finally:
        if _work.late:
            _work.kept = before or _work.kept
        else:
            _work.asked = before
        _work.wholes -= 1
        if not _work.wholes and (act := _work.waiting):
            _work.waiting = None
            act()


def too_late(owed: BaseException | None = None) -> None:
    """What was to be done is done, or goes on to its end: it is not cancelled any more.

    `owed` is the word that it should end, which was not followed; it holds for what comes next.
    """
    _work.asked, _work.kept, _work.late = None, _work.asked or _work.kept, True
    if owed is not None:
        _work.owed, _work.said = owed, time.monotonic()


def late() -> bool:
    """Whether it is too late for this thread to be cancelled."""
    return _work.late


def not_yet_late() -> None:
    """Something else begins, or what is done can be taken back with what follows. Raises what is owed."""
    _work.asked, _work.kept, _work.late = _work.asked or _work.kept, None, False
    if error := owed():
        raise error


def owed() -> BaseException | None:
    """The word that this thread should end, where it came too late for what was done; the next time None."""
    error, _work.owed = _work.owed, None
    return error


def just_said() -> bool:
    """Whether that word is owed and came this very moment: whoever hangs up or types twice means it once."""
    return _work.owed is not None and time.monotonic() - _work.said < _MOMENT


def put_off(act: Callable[[], None]) -> bool:
    """Whether this thread does something `whole`: then `act`, which would end it, is called when that is done."""
    if _work.wholes:
        _work.waiting = act
    return bool(_work.wholes)
