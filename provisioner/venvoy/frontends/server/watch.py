"""Tells every browser of what moves: jobs, whoever runs them, and the environments that were asked about lately."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jsonschema import ValidationError

from ...errors import VenvoyError
from .root import Root

if TYPE_CHECKING:  # takes long to import, and a server that nobody asks anything of needs none of it
    from ...jobs import Job, Jobs
    from .rooms import Rooms
    from .sight import Moves

JOB, ENVIRONMENT = "https://events.venvoy.dev/job", "https://events.venvoy.dev/environment"
QUICK, SLOW = 0.25, 1.0
"""Seconds between two looks, while a job goes on and otherwise."""
LATELY = 600.0
"""Seconds for which an environment that was asked about is watched."""
Emit = Callable[[str, dict[str, Any]], None]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Watch:
    """Looks and tells, until it is stopped."""

    rooms: Rooms
    emit: Emit = field(kw_only=True)
    _jobs: dict[str, tuple[int, Job | None, float]] = field(default_factory=dict)
    _folder: int = -1
    _asked: dict[str, float] = field(default_factory=dict)
    _moves: dict[str, tuple[Moves | None, Moves | None]] = field(default_factory=dict)
    _task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        """Look no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def about(self, name: str) -> None:
        """Somebody asks about that environment: what moves from now on is told."""
        self._asked[name] = time.monotonic()
        if name not in self._moves:
            stands = self._stands(name)
            self._moves.setdefault(name, (stands, stands))

    async def _run(self) -> None:
        first, looked = True, 0.0
        while True:
            # A disk that does not answer for a moment is looked at again: browsers would hear nothing for ever.
            with _noted():
                for job in await asyncio.to_thread(self._changed):
                    if job.open or not first:
                        self._tell(job)
                first = False
                if time.monotonic() - looked >= SLOW:
                    looked = time.monotonic()
                    for name, reasons in (await asyncio.to_thread(self._moved)).items():
                        self.emit(ENVIRONMENT, {"environment": name, "reasons": reasons})
            await asyncio.sleep(QUICK if any(job and job.open for _, job, _ in self._jobs.values()) else SLOW)

    def _tell(self, job: Job) -> None:
        with _noted():  # of a job that another version has written not all is as our schema has it
            self.emit(JOB, told(job, self.rooms.store.jobs, self.rooms.root))

    def _changed(self) -> list[Job]:
        """The jobs that are not as they were at the last look."""
        jobs, now = self.rooms.store.jobs, time.monotonic()
        self.rooms.look()
        folder = _changed_at(jobs)
        if folder != self._folder:
            self._folder, ids = folder, frozenset(jobs.ids())
            self._jobs = {each: self._jobs.get(each, (-1, None, 0.0)) for each in ids}
        found = []
        for each, (moved, before, looked) in tuple(self._jobs.items()):
            if before is not None and not before.open:
                continue
            stands = jobs.moved(each)
            # A process that died writes nothing: that is seen from its lock alone.
            if stands == moved and now - looked < SLOW:
                continue
            job = jobs.job(each)
            self._jobs[each] = (stands, job, now)
            if job is not None and (before is None or job.seq > before.seq):
                found.append(job)
        if found:
            self.rooms.open()  # what tells of them takes long to import: here, not where the server waits for it
        return sorted(found, key=lambda job: job.started)

    def _moved(self) -> Mapping[str, list[str]]:
        """The environments of which something moved and stands still again, and what."""
        now, found = time.monotonic(), {}
        self._asked = {name: at for name, at in tuple(self._asked.items()) if now - at < LATELY}
        self._moves = {name: each for name, each in tuple(self._moves.items()) if name in self._asked}
        for name in tuple(self._asked):
            stands = self._stands(name)
            told_, last = self._moves.get(name, (stands, stands))
            if stands == last and stands != told_:
                found[name] = _reasons(told_, stands)
                told_ = stands
            self._moves[name] = (told_, stands)
        return found

    def _stands(self, name: str) -> Moves | None:
        from .sight import moves

        try:
            env = self.rooms.store.environment(name)
            return replace(moves(self.rooms.store, name, env.prefix), runtime=self.rooms.desk.fitness.known(env))
        except (VenvoyError, OSError):
            return None


@contextlib.contextmanager
def _noted() -> Iterator[None]:
    try:
        yield
    except (VenvoyError, OSError, ValidationError) as error:
        _log.warning("venvoy: browsers are not told: %s", error)


def told(job: Job, jobs: Jobs, root: Root) -> dict[str, Any]:
    """A job as browsers are told of it."""
    from ..views.sidebar import job_data

    file = jobs.file(job.id) if job.state == "succeeded" else None
    return job_data(job, notebook=(root.shown(job.notebook) or job.notebook) if job.notebook else None, file=file)


def _reasons(before: Moves | None, now: Moves | None) -> list[str]:
    if now is None:
        return ["gone"]
    if before is None:
        return ["settings"]
    return [
        each for each in ("packages", "record", "settings", "runtime") if getattr(before, each) != getattr(now, each)
    ]


def _changed_at(jobs: Jobs) -> int:
    try:
        return jobs.folder.stat().st_mtime_ns
    except OSError:
        return 0
