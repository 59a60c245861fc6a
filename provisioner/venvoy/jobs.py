"""What takes long, as everybody may watch it: one private folder for each job, whoever runs it and wherever.

```
HOME/jobs/ID/  job.json  log  result.json  made/  lock  cancel  said
```

Whoever runs the job holds `lock` and alone writes `job.json`, whose `seq` rises with every change; a job that is open
while nobody holds its lock has lost its process. A file `cancel` asks for its end, and says why: so that is heard also
from another machine, and nobody signals a process that only has the number of the right one. What is not ours is none.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal, Self, get_args

from . import files
from .errors import InvalidInput
from .model import Progress

State = Literal["queued", "running", "cancelling", "succeeded", "failed", "cancelled", "lost"]
Origin = Literal["sidebar", "command", "cell"]
OPEN: frozenset[State] = frozenset({"queued", "running", "cancelling"})
ID = re.compile(r"[0-9a-f]{16}")
KEPT = 50
"""How many jobs that have ended stay."""
LOG_LIMIT = 16 << 20
"""Bytes of a log after which nothing more is written into it."""
CANCELLED = "cancelled from JupyterLab"
"""Why a job ends, as whoever runs it tells it."""
_LONGEST = 500
"""Characters of a message."""
_BEAT = 0.2
"""Seconds between two looks for `cancel`, and at least between two writings of job.json."""
FILES_KEPT = timedelta(days=1)
"""How long after its end what a job has made can be fetched: archives are large."""
_YOUNG = timedelta(minutes=10)
"""How long a job may be queued before nobody is taken to run it: a file server may be slow, and clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why a job failed; `kind` is the name of the error's class."""

    kind: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How far a job has come. "" stands for what is not known.

    `verb` is what is done, `command` and `magic` the same as people would type it. `rate` is in units of the progress a
    second, `remaining` in seconds. `host` is the machine that it runs on, `message` the last line of its log.
    """

    id: str
    verb: str
    origin: Origin
    started: datetime
    seq: int = 1
    environment: str = ""
    notebook: str = ""
    command: str = ""
    magic: str = ""
    state: State = "queued"
    progress: Progress | None = None
    rate: float | None = None
    remaining: float | None = None
    message: str = ""
    ended: datetime | None = None
    host: str = ""
    cancellable: bool = False
    exit_code: int | None = None
    error: Trouble | None = None

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self.state in OPEN


@dataclass(frozen=True, slots=True)
class Jobs:
    """All of one user; `folder` is HOME/jobs."""

    folder: Path

    def begin(
        self,
        verb: str,
        *,
        origin: Origin,
        environment: str = "",
        notebook: str = "",
        command: str = "",
        magic: str = "",
        cancellable: bool = False,
    ) -> Job:
        """A new job, queued; the oldest of those that have ended are forgotten. Raises OSError."""
        self._sweep()
        job = Job(
            id=secrets.token_hex(8),
            verb=verb,
            origin=origin,
            started=datetime.now(UTC),
            environment=environment,
            notebook=notebook,
            command=command,
            magic=magic,
            host=platform.node(),
            cancellable=cancellable,
        )
        files.private(self.folder)
        files.private(self.place(job.id))
        _write(self.place(job.id), job)
        return job

    def place(self, job: str) -> Path:
        """The folder of a job. Raises InvalidInput for what is no job's id."""
        if not ID.fullmatch(job):
            raise InvalidInput(f"{job!r:.80} is no job's id")
        return self.folder / job

    def made(self, job: str) -> Path:
        """The folder for the file that a job makes for whoever fetches it."""
        return self.place(job) / "made"

    def said(self, job: str) -> Path:
        """The file for what its process prints that is no line of its log: the words of a crash."""
        return self.place(job) / "said"

    def ids(self) -> tuple[str, ...]:
        """The ids of all jobs."""
        try:
            return tuple(each.name for each in self.folder.iterdir() if ID.fullmatch(each.name))
        except OSError:  # there is none, or it is somebody else's
            return ()

    def all(self) -> tuple[Job, ...]:
        """Every job, the newest first."""
        found = [job for each in self.ids() if (job := self.job(each))]
        return tuple(sorted(found, key=lambda job: (job.started, job.id), reverse=True))

    def job(self, job: str) -> Job | None:
        """One job as it stands, None where there is none or nothing of it can be read."""
        place = self.place(job)
        found = _read(place)
        if found is None or not found.open or self._run(place, found):
            return found
        again = _read(place)  # it may have ended between the two looks
        return _lost(again, place) if again and again.open else again

    def moved(self, job: str) -> int:
        """What is another once its job.json was written again; 0 where there is none."""
        try:
            found = (self.place(job) / "job.json").stat()
        except OSError:
            return 0
        return found.st_mtime_ns ^ found.st_ino

    def cancel(self, job: str, why: str = CANCELLED) -> None:
        """Ask whoever runs it to stop and to undo what is half done; of one that was removed nothing is made again."""
        if not (self.place(job) / "job.json").exists():
            return
        files.replace(self.place(job) / "cancel", why, mode=0o600, lasting=False)

    def forget(self, job: str) -> None:
        """Remove what is kept of a job that has ended."""
        files.remove(self.place(job))

    def log(self, job: str, *, offset: int, limit: int) -> tuple[str, int, int]:
        """Lines of its log from a byte on, the byte where to go on reading, and the log's size."""
        try:
            with (self.place(job) / "log").open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(min(offset, size))
                read = stream.read(limit)
        except FileNotFoundError:
            return "", 0, 0
        whole = read[: read.rfind(b"\n") + 1] or read
        return whole.decode("utf-8", "replace"), min(offset, size) + len(whole), size

    def result(self, job: str) -> dict[str, Any] | None:
        """What it answered, as JSON has it; None where it has not."""
        try:
            said = json.loads((self.place(job) / "result.json").read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return said if isinstance(said, dict) else None

    def file(self, job: str) -> Path | None:
        """The file that it made, None where there is none."""
        try:
            return next((each for each in sorted(self.made(job).iterdir()) if each.is_file()), None)
        except OSError:
            return None

    def _run(self, place: Path, job: Job) -> bool:
        """Whether somebody runs it, or will."""
        young = job.state == "queued" and datetime.now(UTC) - job.started < _YOUNG
        return young or files.is_locked(place / "lock")

    def _sweep(self) -> None:
        ended, now = [each for each in self.all() if not each.open], datetime.now(UTC)
        for each in ended[KEPT:]:
            self.forget(each.id)
        for each in ended[:KEPT]:
            if each.ended and now - each.ended > FILES_KEPT:
                files.remove(self.made(each.id))


class Work:
    """The end of a job that runs it: a context within which others see how far it has come.

    `on_cancel` is called, in another thread and once, when somebody asks for its end. Raises OSError where nothing can
    be written, or TimeoutError where somebody else runs it; later on, what cannot be written is left out.
    """

    def __init__(self, jobs: Jobs, job: Job, *, on_cancel: Callable[[], None] | None = None) -> None:
        self._place, self._on_cancel = jobs.place(job.id), on_cancel
        self._job = replace(job, state="running", seq=job.seq + 1, cancellable=on_cancel is not None)
        self._guard = threading.RLock()
        self._over, self._stack = threading.Event(), ExitStack()
        self._written, self._logged = 0.0, 0
        self._due = False
        self._why = ""

    @property
    def job(self) -> Job:
        return self._job

    @property
    def cancelled(self) -> str:
        """Why it is to end, in words, once that was heard; "" before."""
        return self._why

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(files.locked(self._place / "lock", timeout=1))
            _write(self._place, self._job)
            self._stack = stack.pop_all()
        threading.Thread(target=self._attend, name="venvoy-job", daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        if self._job.open:
            self.end("failed")
        self._over.set()
        self._stack.close()

    def concerns(self, environment: str) -> None:
        """Say which environment it is about."""
        self._change(environment=environment)

    def say(self, line: str) -> None:
        """One line for its log."""
        with self._guard:
            said = f"{line.rstrip()}\n"
            self._logged += len(said.encode())
            if self._logged <= LOG_LIMIT:
                with contextlib.suppress(OSError):
                    files.append(self._place / "log", said[:-1], lasting=False)
            self._change(message=line.strip()[:_LONGEST] or self._job.message)

    def measure(self, progress: Progress, rate: float | None, remaining: float | None) -> None:
        """How far it has come."""
        self._change(progress=progress, rate=rate, remaining=remaining)

    def result(self, data: Mapping[str, Any]) -> None:
        """What it answers."""
        with contextlib.suppress(OSError):
            files.replace(self._place / "result.json", json.dumps(data), mode=0o600, lasting=False)

    def end(
        self,
        state: Literal["succeeded", "failed", "cancelled"],
        *,
        exit_code: int | None = None,
        error: Trouble | None = None,
    ) -> None:
        """It is over."""
        with self._guard:
            if self._job.open:
                # What is cut short fails, and that is what was asked for.
                state = "cancelled" if (self._job.state, state) == ("cancelling", "failed") else state
                self._change(state=state, exit_code=exit_code, error=error, ended=datetime.now(UTC), remaining=None)
                self._flush()

    def _change(self, **said: Any) -> None:
        with self._guard:
            before = self._job
            self._job = replace(before, **said)
            self._due = self._due or self._job != before
            if self._due and time.monotonic() - self._written >= _BEAT:
                self._flush()

    def _flush(self) -> None:
        with self._guard:
            self._job = replace(self._job, seq=self._job.seq + 1)
            self._due, self._written = False, time.monotonic()
            with contextlib.suppress(OSError):
                _write(self._place, self._job)

    def _attend(self) -> None:
        while not self._over.wait(_BEAT):
            with self._guard:
                if self._due and self._job.open:
                    self._flush()
            if self._on_cancel is not None and (why := self._asked_to_end()):
                heard, self._on_cancel = self._on_cancel, None
                with self._guard:
                    if not self._job.open:
                        return
                    self._why = why
                    self._change(state="cancelling")
                    self._flush()
                heard()

    def _asked_to_end(self) -> str:
        try:
            return (self._place / "cancel").read_text("utf-8", "replace").strip()[:_LONGEST] or CANCELLED
        except OSError:
            return ""


def _lost(job: Job, place: Path) -> Job:
    try:
        words = (place / "said").read_text("utf-8", "replace").strip()
    except OSError:
        words = ""
    error = Trouble(kind="Lost", message="its process ended without a word", hint=words[-4000:])
    ended = datetime.fromtimestamp((place / "job.json").stat().st_mtime, UTC) if place.is_dir() else job.started
    return replace(job, state="lost", seq=job.seq + 1, ended=ended, remaining=None, error=error)


def _write(place: Path, job: Job) -> None:
    said = asdict(job)
    said |= {each: said[each].isoformat() for each in ("started", "ended") if said[each]}
    files.replace(place / "job.json", json.dumps(said), mode=0o600, lasting=False)


def _read(place: Path) -> Job | None:
    try:
        if place.lstat().st_uid != os.getuid():
            return None
        said = json.loads((place / "job.json").read_text("utf-8"))
        if said["state"] not in get_args(State) or said["origin"] not in get_args(Origin) or said["id"] != place.name:
            return None
        said |= {each: datetime.fromisoformat(said[each]) for each in ("started", "ended") if said[each]}
        said["progress"] = Progress(**said["progress"]) if said["progress"] else None
        said["error"] = Trouble(**said["error"]) if said["error"] else None
        return Job(**said)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # being removed, of a later version, or no job's
