"""How a command that takes long is seen from elsewhere, and ended."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from collections.abc import Sequence

from ...actions.asked import without_secrets
from ...jobs import Jobs
from ..tracking import VARIABLE, Track
from .options import current_store


def track_of(verb: str, words: Sequence[str]) -> Track:
    """The track of this run of the program; it is a job already where somebody has begun one for it."""
    track = Track(
        verb=verb,
        origin="command",
        jobs=_jobs,
        command=without_secrets(shlex.join(["venvoy", *words])),
        # A signal is heard in the main thread alone; a test or a program that calls us in another has its own ways.
        on_cancel=_end if threading.current_thread() is threading.main_thread() else None,
    )
    # What we start ourselves is not that job.
    if job := os.environ.pop(VARIABLE, ""):
        track.join(job)
    return track


def _jobs() -> Jobs:
    return current_store().jobs


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)
