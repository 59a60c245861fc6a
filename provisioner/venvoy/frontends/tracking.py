"""What others see of something that takes long, and keep of it: its job (`jobs`)."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..actions.asked import without_secrets
from ..jobs import Job, Jobs, Origin, Trouble, Work
from ..model import Progress

VARIABLE = "VENVOY_JOB"
"""Names the job that a process is, to that process alone."""


@dataclass(kw_only=True)
class Track:
    """One run of a verb. It is a job from its first line of progress on; where none can be written it is none."""

    verb: str
    origin: Origin
    jobs: Callable[[], Jobs]
    environment: str = ""
    notebook: str = ""
    command: str = ""
    magic: str = ""
    on_cancel: Callable[[], None] | None = None
    _work: Work | None = None
    _refused: bool = False
    _cancelled: str = ""

    @property
    def job(self) -> Job | None:
        """The job, where it is one already."""
        return self._work.job if self._work else None

    @property
    def cancelled(self) -> str:
        """Why somebody has cancelled it, in words, "" where nobody has."""
        return self._work.cancelled if self._work else self._cancelled

    def begin(self) -> None:
        """From here on it is a job."""
        if self._work is None and not self._refused:
            with self._at_most():
                said = {each: getattr(self, each) for each in ("origin", "environment", "notebook", "command", "magic")}
                jobs = self.jobs()
                self._enter(jobs, jobs.begin(self.verb, cancellable=self.on_cancel is not None, **said))

    def join(self, job: str) -> None:
        """It is that job, which somebody has begun for it."""
        with self._at_most():
            jobs = self.jobs()
            found = jobs.job(job)
            if found is not None and found.state == "queued":
                self._enter(jobs, found)

    def concerns(self, environment: str) -> None:
        """Say which environment it is about."""
        self.environment = environment
        if self._work:
            self._work.concerns(environment)

    def say(self, line: str) -> None:
        """One line of its log."""
        if self._work:
            self._work.say(without_secrets(line))

    def measure(self, progress: Progress, rate: float | None, remaining: float | None) -> None:
        """How far it has come."""
        self.begin()
        if self._work:
            self._work.measure(progress, rate, remaining)

    def result(self, data: Mapping[str, Any]) -> None:
        """What it answers."""
        if self._work:
            self._work.result(data)

    def succeed(self, exit_code: int | None = None) -> None:
        if self._work:
            self._work.end("succeeded", exit_code=exit_code)

    def fail(self, kind: str, message: str, hint: str, exit_code: int | None = None) -> None:
        if self._work:
            trouble = Trouble(kind=kind, message=without_secrets(message), hint=without_secrets(hint))
            self._work.end("failed", exit_code=exit_code, error=trouble)

    def interrupt(self, exit_code: int | None = None) -> None:
        """Somebody has ended it."""
        if self._work:
            self._work.end("cancelled", exit_code=exit_code)

    def close(self) -> None:
        """Nobody hears of it any more; what was not said to have ended has failed."""
        if self._work:
            work, self._refused = self._work, True
            work.__exit__(None, None, None)
            self._cancelled, self._work = work.cancelled, None

    def _enter(self, jobs: Jobs, job: Job) -> None:
        work = Work(jobs, job, on_cancel=self.on_cancel)
        work.__enter__()
        self._work = work

    @contextlib.contextmanager
    def _at_most(self) -> Any:
        """What is to be done is done also where nobody can be told of it."""
        try:
            yield
        except (OSError, TimeoutError):
            self._refused = True
