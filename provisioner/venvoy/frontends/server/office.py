"""Begins jobs for the sidebar, each as a command of its own, and ends them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ... import files, process
from ...actions.asked import without_secrets
from ...errors import InvalidInput
from ...jobs import Job, Trouble, Work
from ...store import Store, checked_name
from ..requests import VERBS, Verb
from ..requests.asking import own, writable
from ..tracking import VARIABLE
from .root import LONGEST, WORDS, Root, TooMany

MAKING = frozenset({"init", "make", "import"})
"""The verbs that are about an environment which need not be there."""
PATIENCE = 10.0
"""Seconds that jobs have for cleaning up when the server ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What somebody wants done; `notebook` is the file of the one in front, None for none."""

    verb: str
    environment: str
    words: tuple[str, ...] = ()
    notebook: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Within:
    """What paths mean in what somebody wishes for an environment (`requests.Places`); `folder` is for what is made."""

    store: Store
    name: str
    root: Root
    folder: Path

    def file(self, said: str) -> Path:
        return own(self.store, self.name, self.root.file(said), said)

    def target(self, said: str) -> Path:
        return writable(self.store, self.file(said), said)

    def made(self, filename: str) -> Path:
        return self.folder / filename


@dataclass(slots=True, kw_only=True)
class Office:
    """Has at most `most` jobs at work at once."""

    store: Store
    root: Root
    most: int
    _children: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _guard: threading.RLock = field(default_factory=threading.RLock)

    def begin(self, wish: Wish) -> Job:
        """Begin it; returns at once. Raises VenvoyError for what cannot be meant, then nothing is begun."""
        verb, options = self._understood(wish)
        with self._guard:
            self.look()
            if len(self._children) >= self.most:
                raise TooMany(f"{self.most} jobs go on already", hint="wait for one of them, or cancel it")
            jobs = self.store.jobs
            job = jobs.begin(
                wish.verb,
                origin="sidebar",
                environment=wish.environment,
                notebook=str(wish.notebook or ""),
                command=without_secrets(_typed(_words(verb, wish, options, self._within(wish, Path())))),
                magic=without_secrets(shlex.join([f"%env-{wish.verb}", *wish.words])) if verb.answer else "",
                cancellable=True,
            )
            try:
                made = files.private(jobs.made(job.id))
                words = _words(verb, wish, options, self._within(wish, made))
                self._children[job.id] = process.detach(
                    # The folder of a notebook may have files that are called as modules are.
                    (sys.executable, "-P", "-m", "venvoy", *words),
                    variables={**os.environ, VARIABLE: job.id},
                    cwd=self._cwd(wish),
                    said=jobs.said(job.id),
                )
            except BaseException:
                jobs.forget(job.id)
                raise
            return job

    def look(self) -> None:
        """Forget the children that have ended; one that never took up its job has failed."""
        with self._guard:
            for job, child in tuple(self._children.items()):
                if child.poll() is not None:
                    del self._children[job]
                    found = self.store.jobs.job(job)
                    if found is not None and found.state == "queued":
                        self._failed(found, child.returncode)

    async def close(self) -> None:
        """The server ends: what it began is stopped, and has a while for leaving nothing half done."""
        with self._guard:
            children = dict(self._children)
        for job, child in children.items():
            try:
                self.store.jobs.cancel(job, "stopped with the Jupyter server that began it")
            except OSError:  # the disk is full
                child.terminate()
        await asyncio.to_thread(self._wait, tuple(children.values()))
        self.look()

    def _wait(self, children: Iterable[subprocess.Popen[bytes]]) -> None:
        deadline = time.monotonic() + PATIENCE
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(max(deadline - time.monotonic(), 0.01))

    def _understood(self, wish: Wish) -> tuple[Verb, Namespace]:
        verb = VERBS.get(wish.verb)
        if verb is None or verb.command is None:
            known = ", ".join(name for name, each in VERBS.items() if each.command)
            raise InvalidInput(f"{wish.verb!r:.80} is no job", hint=f"there is: {known}")
        checked_name(wish.environment)
        if wish.verb not in MAKING:
            self.store.environment(wish.environment)
        return verb, verb.parser.parse_args(list(wish.words))

    def _within(self, wish: Wish, made: Path) -> Within:
        return Within(store=self.store, name=wish.environment, root=self.root, folder=made)

    def _cwd(self, wish: Wish) -> Path:
        wanted = (wish.notebook.parent if wish.notebook else None, self.root.folder)
        return next((each for each in wanted if each and each.is_dir()), self.store.settings.user_home)

    def _failed(self, job: Job, code: int) -> None:
        words = self.store.jobs.said(job.id).read_text("utf-8", "replace").strip()
        with contextlib.suppress(OSError, TimeoutError), Work(self.store.jobs, job) as work:
            work.end(
                "failed", exit_code=code, error=Trouble(kind="Lost", message="it did not begin", hint=words[-4000:])
            )


def _words(verb: Verb, wish: Wish, options: Namespace, within: Within) -> Sequence[str]:
    assert verb.command is not None  # noqa: S101  # `_understood` has seen to it
    return verb.command(wish.environment, options, within)


def _typed(words: Sequence[str]) -> str:
    return shlex.join(["venvoy", *words])


def wish_from(said: object, root: Root) -> Wish:
    """The wish that a request's body is. Raises InvalidInput, NotPermitted."""
    if not isinstance(said, Mapping):
        raise InvalidInput("the body must be a JSON object")
    if unknown := sorted(said.keys() - {"verb", "environment", "words", "notebook"}):
        raise InvalidInput(f"unknown key {unknown[0]!r:.80}")
    verb, environment = said.get("verb"), said.get("environment")
    words, notebook = said.get("words", []), said.get("notebook")
    if not isinstance(verb, str) or not isinstance(environment, str):
        raise InvalidInput("verb and environment must be strings")
    if not isinstance(words, list) or not all(_is_word(each) for each in words) or len(words) > WORDS:
        raise InvalidInput(f"words must be at most {WORDS} strings of at most {LONGEST} characters")
    if notebook is not None and not _is_word(notebook):
        raise InvalidInput("notebook must be a path or null")
    file = root.file(notebook) if notebook and root.folder else None
    return Wish(verb=verb, environment=environment, words=tuple(words), notebook=file)


def _is_word(said: object) -> bool:
    """Whether it is a string that can be a word of a command line."""
    if not isinstance(said, str) or len(said) > LONGEST or "\0" in said:
        return False
    try:
        said.encode()
    except UnicodeEncodeError:
        return False
    return True
