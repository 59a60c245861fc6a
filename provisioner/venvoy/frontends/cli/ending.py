"""How a command ends by a signal: at once where it may, later where it must not, and never unheard."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from ... import cancelling
from .output import Invocation

_ENDING = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL, signal.SIGHUP: signal.SIG_DFL}
"""What ends us politely, and what Python does about it by itself."""
_MOMENT = 0.01
"""Seconds after which an end that was not heard is asked for again."""


@contextmanager
def orderly_end(invocation: Invocation) -> Iterator[None]:
    """A polite end lets what is done `whole` be done, and every `finally` run, so that nothing half-made stays.

    A job that is cancelled when its work is done is told and recorded as ever: that has come too late.
    """

    def end(signum: int, frame: object) -> None:
        if cancelling.put_off(partial(end, signum, frame)) or cancelling.just_said():
            return
        cancelled = invocation.track is not None and invocation.track.cancelled
        if cancelled and cancelling.late() and signum == signal.SIGTERM:
            cancelling.too_late(SystemExit(128 + signum))
            return
        if signum == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    cancelling.owed()
    cancelling.not_yet_late()
    kept = {signum: signal.getsignal(signum) for signum in _ENDING}
    for signum, usual in _ENDING.items():
        if kept[signum] is usual:  # nohup's SIG_IGN stays
            signal.signal(signum, end)
    try:
        with _asked_again():
            yield
    finally:
        for signum, handler in kept.items():
            signal.signal(signum, handler)


@contextmanager
def _asked_again() -> Iterator[None]:
    """An end that arrives where Python drops every error is asked for again, a moment later.

    That is while a finalizer or the callback of a weak reference runs, and each import has one: of the jobs that were
    cancelled while they started, about one in two hundred went on (Python's own word was "Exception ignored in").
    """
    kept = sys.unraisablehook

    def again(dropped: sys.UnraisableHookArgs) -> None:
        if signum := _asked_by(dropped.exc_value):
            later = threading.Timer(_MOMENT, os.kill, (os.getpid(), signum))
            later.daemon = True
            later.start()
        else:
            kept(dropped)

    sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = kept


def _asked_by(error: BaseException | None) -> int:
    """The signal whose handler has raised it, 0 for any other error."""
    if isinstance(error, KeyboardInterrupt):
        return signal.SIGINT
    ended = error.code if isinstance(error, SystemExit) else None
    return next((signum for signum in _ENDING if ended == 128 + signum), 0)
