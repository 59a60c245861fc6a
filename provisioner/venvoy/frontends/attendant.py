"""Attends one running kernel from outside: answers its guest, and writes down what changes in its environment.

It works in threads of its own, so it answers also while the client blocks (nbclient, papermill, `jupyter console`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import inventory
from ..actions.asked import asked_in
from ..actions.check_conda import shadow_sentences
from ..actions.loaded import Module, Restart, stale
from ..actions.observe import observe
from ..actions.record import record
from ..errors import VenvoyError
from ..model import Actor, Asked, Environment
from ..session import Line, Message, Say, Session
from ..store import Store
from .requests import Context, answer, completed
from .views.running import restart_sentence

SETTLED = 1.0
"""Seconds without a change after which an installer is taken to be done."""
LOOKS = 1.0
"""Seconds between two looks at the stamps; a note from the guest wakes us at once."""
SOON = 0.25
"""Seconds after a start before the first look, which should not keep the kernel waiting."""


@dataclass
class _Pending:
    """What waits to be written: since when the stamps are still, and who is known to have asked for what."""

    since: float
    actor: Actor = field(default_factory=lambda: Actor(kind="terminal"))
    asked: tuple[Asked, ...] = ()


@dataclass
class Attendant:
    """From `listen` to `stop` the guest of `session` is heard, and from `watch` on its environment is recorded."""

    store: Store
    env: Environment
    session: Session
    notebook: str = ""
    recording: bool = True
    log: logging.Logger | logging.LoggerAdapter[Any] = field(default_factory=lambda: logging.getLogger(__name__))

    def __post_init__(self) -> None:
        self._awake = threading.Event()
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._installing = 0
        self._stamp: inventory.Stamp = ()
        self._pending: _Pending | None = None
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._used = ""
        self._began = self._stands()
        self._shadowed = frozenset(dict(shadow_sentences(self.env.prefix)))

    def listen(self) -> None:
        """Be there for the guest."""
        self._line = Line(self.session, self._hear)
        self.session.note(self.env.name, self.notebook)

    def starts(self, env: Environment, notebook: str) -> None:
        """A kernel starts, the first or another one: from now on `env` is what it stands on."""
        self.session.note(env.name, notebook)
        with self._lock:
            self.env, self.notebook = env, notebook
            self._began, self._used = self._stands(), ""
            self._pending = self._pending or _Pending(since=time.monotonic() - SETTLED + SOON)
        self._awake.set()

    def used(self) -> str:
        """The digest of the state that the kernel last ran in, as the record has it, or "" where it has none.

        What its cells did is written first. A kernel whose environment was replaced since it started has not run in
        the new one.
        """
        if self.recording and not self._installing:
            self._write()
        if not self._used:
            self._remember()
        return self._used

    def _remember(self) -> None:
        if self._began == self._stands():
            last = self.store.history(self.env.name).last()
            self._used = last.snapshot if last else ""

    def watch(self) -> None:
        """Begin to look, once; what changed while no kernel ran is recorded first."""
        if not self.recording or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._watch, name=f"venvoy-record-{self.env.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Record the final state and stop; returns when that is written."""
        self._stopped.set()
        self._awake.set()
        if self._line is not None:
            self._line.close()
        if self._thread is not None:
            self._thread.join()

    def ended(self) -> None:
        """The kernel is gone: what it was installing is over."""
        with self._lock:
            self._installing = 0

    def _hear(self, message: Message, say: Say) -> None:
        if "verb" in message:
            self._answer(message, say)
        elif "complete" in message:
            self._complete(message, say)
        elif message.get("note") == "moved":
            self._compare(message, say)
        elif message.get("note") == "installing":
            self._install(begins=bool(message["yes"]), say=say)
        elif message.get("note") == "cell" and self.recording:
            self._note(message)

    def _install(self, *, begins: bool, say: Say) -> None:
        """Write nothing while an installer is at work, and what was there before it first: that is not its doing."""
        if begins:
            self._write()
        with self._lock:
            self._installing = max(0, self._installing + (1 if begins else -1))
            if self._pending is not None:
                self._pending.since = time.monotonic()  # the cell is still to tell what was asked for
        say({"answer": None})

    def _answer(self, message: Message, say: Say) -> None:
        # What cells did before is written first, so that it is known as theirs and seen in the answer.
        if self.recording and not self._installing:
            self._write()
        try:
            answer(self._context(message), message, say)
        except VenvoyError as error:
            say({"error": error.message, "hint": error.hint})
        except TimeoutError:
            say({"error": f"another process is at work in {self.env.name!r}", "hint": "try again when it is done"})
        except OSError as error:
            say({"error": f"{error.filename or self.env.name}: {error.strerror or error}"})

    def _complete(self, message: Message, say: Say) -> None:
        words = [str(each) for each in message.get("words", ())]
        try:
            found = completed(self._context(message), str(message["complete"]), words, str(message.get("text", "")))
        except (VenvoyError, OSError):
            found = ()  # whoever presses the tab key has asked for no error
        say({"answer": list(found)})

    def _compare(self, message: Message, say: Say) -> None:
        """Something moved, perhaps by another's hand: say what of it the kernel does not have. None is "ask again"."""
        if inventory.unsettled(self.env.prefix, now=time.time_ns()) or self.store.busy(self.env.name):
            say({"answer": None})
            return
        try:
            restart = self._restart(self.store.environment(self.env.name), _modules(message))
        except (VenvoyError, OSError) as error:
            self.log.debug("venvoy: %s cannot be compared with its kernel: %s", self.env.name, error)
            restart = Restart()
        sentences = (restart_sentence(restart), *self._shadows())
        say({"answer": "\n".join(filter(None, sentences))})

    def _shadows(self) -> tuple[str, ...]:
        """What pip has put in the place of conda's since it was last told."""
        found = dict(shadow_sentences(self.env.prefix))
        new = tuple(sentence for name, sentence in found.items() if name not in self._shadowed)
        self._shadowed = frozenset(found)
        cure = f"conda's comes back with: venvoy repair {self.env.name}"
        return (*new, cure) if new else ()

    def _restart(self, env: Environment, modules: tuple[Module, ...]) -> Restart:
        replaced = self._began != self._stands()
        python = (self.env.python_version, env.python_version)
        return Restart(
            stale=stale(env, modules, self.store.history(env.name)),
            replaced=replaced,
            python=python if replaced and python[0] != python[1] else None,
        )

    def _stands(self) -> str:
        """Which generation of the prefix is swapped in, or "" for a prefix that is never swapped."""
        prefix = self.env.prefix
        return os.readlink(prefix) if prefix.is_symlink() else ""

    def _context(self, message: Message) -> Context:
        """What a request is about. Another process may have changed the environment since the kernel started."""
        env, modules = self.store.environment(self.env.name), _modules(message)
        return Context(
            store=self.store,
            env=env,
            actor=self._actor(message),
            notebook=self.notebook,
            folder=self._folder(message),
            modules=modules,
            restart=lambda: self._restart(self.store.environment(env.name), modules),
        )

    def _folder(self, message: Message) -> Path:
        """The notebook's folder: where its client does not say, the one that the kernel was started in."""
        notebook = Path(self.notebook)
        if notebook.is_absolute() and notebook.parent.is_dir():
            return notebook.parent
        return Path(str(message.get("cwd") or Path.cwd()))

    def _note(self, message: Message) -> None:
        asked = asked_in(map(str, message.get("commands", ())))
        with self._lock:
            if self._pending is None:
                self._pending = _Pending(since=time.monotonic())
            self._pending.actor = self._actor(message)
            self._pending.asked += asked
        self._awake.set()

    def _actor(self, message: Mapping[str, Any]) -> Actor:
        count = message.get("count")
        return Actor(
            kind="cell",
            notebook=self.notebook,
            cell=str(message.get("cell") or ""),
            count=count if isinstance(count, int) else None,
        )

    def _watch(self) -> None:
        with self._lock:
            self._stamp = inventory.stamp(self.env.prefix)
            self._pending = self._pending or _Pending(since=time.monotonic() - SETTLED + SOON)
        while not self._stopped.is_set():
            self._look()
            self._awake.wait(self._nap())
            self._awake.clear()
        self._write(final=True)

    def _nap(self) -> float:
        with self._lock:
            if self._pending is None or self._installing:
                return LOOKS
            return min(LOOKS, max(0.05, self._pending.since + SETTLED - time.monotonic()))

    def _look(self) -> None:
        stamp = inventory.stamp(self.env.prefix)
        with self._lock:
            if stamp != self._stamp:
                self._stamp = stamp
                self._pending = self._pending or _Pending(since=0)
                self._pending.since = time.monotonic()
            due = (
                self._pending is not None and not self._installing and time.monotonic() - self._pending.since >= SETTLED
            )
        if due and not inventory.unsettled(self.env.prefix, now=time.time_ns()):
            self._write()

    def _write(self, *, final: bool = False) -> None:
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, None
            if pending is None and final:
                pending = _Pending(since=0)
            if pending is not None:
                self._record(pending, patience=5 if final else 0)
                self._remember()

    def _record(self, pending: _Pending, *, patience: float) -> None:
        try:
            with self.store.held(self.env.name, timeout=patience):
                record(
                    self.store.history(self.env.name),
                    lambda: observe(self.store, self.env),
                    actor=pending.actor,
                    asked=pending.asked,
                )
        except TimeoutError:
            # A `venvoy` command is at work in this environment; it records by itself, and we look again after it.
            with self._lock:
                later, self._pending = self._pending, pending
                pending.since = time.monotonic()
                if later is not None:
                    pending.actor, pending.asked = later.actor, pending.asked + later.asked
        except (VenvoyError, OSError) as error:
            self.log.warning("venvoy: the environment %s could not be recorded: %s", self.env.name, error)


def _modules(message: Message) -> tuple[Module, ...]:
    """What the guest says of the modules that its kernel has loaded; what it says otherwise than we do is left out."""
    said = message.get("modules")
    found = []
    for name, each in said.items() if isinstance(said, dict) else ():
        with contextlib.suppress(KeyError, TypeError, ValueError):
            version = each["version"]
            found.append(
                Module(
                    name=str(name),
                    version=None if version is None else str(version),
                    file=str(each["file"]),
                    lent=bool(each["lent"]),
                    after=float(each["after"]),
                    by=float(each["by"]),
                )
            )
    return tuple(found)
