"""Attends one running kernel from outside: answers its guest, and writes down what changes in its environment.

It works in threads of its own, so it answers also while the client blocks (nbclient, papermill, `jupyter console`).
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .. import inventory
from ..actions.asked import asked_in
from ..actions.asked_of_r import asked_of_r
from ..actions.check_conda import shadow_sentences
from ..actions.loaded import Module, Restart, stale
from ..actions.note import note
from ..errors import VenvoyError
from ..model import Actor, Asked, Environment
from ..session import Line, Message, Say, Session, listed
from ..settings import policy
from ..store import Store
from .requests import Context, answer, completed
from .views.running import restart_sentence

SETTLED = 1.0
"""Seconds without a change after which an installer is taken to be done."""
IN_A_CELL = 10.0
"""The same while a cell runs that does not say what it does: between two packages an installer changes nothing."""
LOOKS = 1.0
"""Seconds between two looks at the stamps; a note from the guest wakes us at once."""
SOON = 0.25
"""Seconds after a start before the first look, which should not keep the kernel waiting."""
AGAIN = 10.0
"""Seconds after which something is tried again that went wrong: a disk was full, or a file server did not answer."""
AGAIN_AT_MOST = 300.0
"""The same when it has gone wrong many times; each time it is twice as long."""
PATIENCE = 60.0
"""Seconds that writing the final state may take before its kernel is given up without (a file server that is dead)."""


def again_after(failed: int) -> float:
    """Seconds until the next try of what has failed so often before: each time twice as long, up to some minutes."""
    return float(min(AGAIN_AT_MOST, AGAIN * 2 ** min(failed, 10)))


@dataclass
class _Pending:
    """What waits to be written: since when the stamps are still, and who is known to have asked for what.

    `of_others` says that it may be the doing of another kernel's cell.
    """

    since: float
    actor: Actor = field(default_factory=lambda: Actor(kind="terminal"))
    asked: tuple[Asked, ...] = ()
    of_others: bool = False


@dataclass
class Attendant:
    """From `listen` to `stop` the guest of `session` is heard, and from `watch` on its environment is recorded.

    With `recording` it is while its config.yaml says so: that counts at once, also for a kernel that runs.
    """

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
        self._installing = False
        self._in_a_cell = False
        self._stamp: inventory.Stamp = ()
        self._pending: _Pending | None = None
        self._line: Line | None = None
        self._thread: threading.Thread | None = None
        self._used = ""
        self._first = self.notebook
        self._trouble: Hashable = None
        self._failed = 0
        self._modules: tuple[Module, ...] = ()
        self._began = self._stands()
        self._shadowed = frozenset(dict(shadow_sentences(self.env.prefix)))

    def listen(self) -> None:
        """Be there for the guest."""
        self.session.note(self.env.name, self.notebook)
        self._line = Line(self.session, self._hear)

    def starts(self, env: Environment, notebook: str) -> None:
        """A kernel starts, the first or another one: from now on `env` is what it stands on.

        With every restart `notebook` is said as it was called at the first start.
        """
        with self._lock:
            if notebook != self._first:
                self._first = self.notebook = notebook
            self.env = env
            self._began, self._used, self._modules = self._stands(), "", ()
            self._pending = self._pending or _Pending(since=time.monotonic() - SETTLED + SOON)
        self.session.note(env.name, self.notebook)
        self._awake.set()

    def called(self, notebook: str) -> None:
        """The notebook has that path by now: whoever knows says so."""
        with self._lock:
            if notebook == self.notebook:
                return
            self.notebook = notebook
        with contextlib.suppress(OSError):  # what is here is right; what is read from outside comes with the next start
            self.session.note(self.env.name, notebook)

    def used(self) -> str:
        """The digest of the state that the kernel last ran in, as the record has it, or "" where it has none.

        What its cells did is written first. A kernel whose environment was replaced since it started has not run in
        the new one.
        """
        if self.recording and not self._installing:
            self._write_what_is_whole()
        if not self._used:
            self._remember()
        return self._used

    @property
    def modules(self) -> tuple[Module, ...]:
        """What the kernel has loaded of its environment, as its guest last said."""
        return self._modules

    @property
    def began(self) -> str:
        """What the environment was when the kernel started: another word where another was put in its place."""
        return self._began

    def restart(self) -> Restart:
        """Why the kernel must be restarted, for somebody who asks from outside. Raises VenvoyError, OSError."""
        return self._restart(self._now(), self._modules)

    def _now(self) -> Environment:
        """The environment as it is now, in the kernel's language."""
        now = self.store.environment(self.env.name)
        return now.speaking(self.env.language) if now.speaks(self.env.language) else now

    def _remember(self) -> None:
        if self._began == self._stands() and self.store.environment(self.env.name).record:
            last = self.store.history(self.env.name).last()
            self._used = last.snapshot if last else ""

    def watch(self) -> None:
        """Begin to look, once; what changed while no kernel ran is recorded first."""
        if not self.recording or self._thread is not None:
            return
        self._thread = threading.Thread(target=self._watch, name=f"venvoy-record-{self.env.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Record the final state and stop; returns when that is written, or cannot be in time."""
        self._stopped.set()
        self._awake.set()
        if self._line is not None:
            self._line.close()
        if self._thread is not None:
            self._thread.join(PATIENCE)

    def ended(self) -> None:
        """The kernel is gone: what it was installing is over; one that only its engine has lost is to end."""
        self.session.idle()
        with self._lock:
            self._installing = False
        if self._line is not None:
            self._line.drop()

    def _hear(self, message: Message, say: Say) -> None:
        if "modules" in message:
            self._modules = _modules(message)
        if "verb" in message:
            self._answer(message, say)
        elif "complete" in message:
            self._complete(message, say)
        elif message.get("note") == "moved":
            self._compare(message, say)
        elif message.get("note") == "installing":
            self._install(begins=bool(message.get("yes")), say=say)
        elif message.get("note") == "cell":
            if self.recording:
                self._note(message)
            say({"answer": None})

    def _install(self, *, begins: bool, say: Say) -> None:
        """Write nothing while an installer is at work, and what was there before it first: that is not its doing.

        The guest may be interrupted while it waits for us, and say at once that it is over.
        """
        with self._lock:
            self._installing = begins
            self._in_a_cell = self._in_a_cell or self.session.busy()
            self.session.installs(now=begins)
            if self._pending is not None:
                self._pending.since = time.monotonic()  # the cell is still to tell what was asked for
        if begins:
            self._write()
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
        words = [str(each) for each in listed(message, "words")]
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
            restart = self._restart(self._now(), _modules(message))
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
            language=self.env.language,
            actor=self._actor(message),
            notebook=self.notebook,
            folder=self._folder(message),
            modules=modules,
            restart=lambda: self._restart(self._now(), modules),
        )

    def _folder(self, message: Message) -> Path:
        """The notebook's folder: where its client does not say, the one that the kernel was started in."""
        notebook = Path(self.notebook)
        if notebook.is_absolute() and notebook.parent.is_dir():
            return notebook.parent
        return Path(str(message.get("cwd") or Path.cwd()))

    def _note(self, message: Message) -> None:
        asked = asked_in(map(str, listed(message, "commands"))) + self._asked_of_r(message)
        with self._lock:
            if self._pending is None:
                self._pending = _Pending(since=time.monotonic())
            self._pending.actor = self._actor(message)
            self._pending.asked += asked
        self._awake.set()

    def _asked_of_r(self, message: Message) -> tuple[Asked, ...]:
        """What R's installers were asked for, as far as it came to be: they only warn of what they cannot do."""
        there = {each.name for each in inventory.r_packages(self.env.prefix)}
        return asked_of_r(message.get("called"), there)

    def _actor(self, message: Mapping[str, Any]) -> Actor:
        count = message.get("count")
        return Actor(
            kind="cell",
            notebook=self.notebook,
            cell=str(message.get("cell") or ""),
            count=count if isinstance(count, int) else None,
        )

    def _watch(self) -> None:
        with self._told_of_trouble(), self._lock:
            self._pending = self._pending or _Pending(since=time.monotonic() - SETTLED + SOON)
            self._stamp = inventory.stamp(self.env.prefix)
        while not self._stopped.is_set():
            nap = AGAIN
            with self._told_of_trouble():
                self._look()
                nap = self._nap()
            self._awake.wait(nap)
            self._awake.clear()
        self._write(final=True)

    @contextlib.contextmanager
    def _told_of_trouble(self) -> Iterator[None]:
        """Go on after what may pass: nothing would be recorded any more. What goes on failing is told once."""
        try:
            yield
        except (VenvoyError, OSError) as error:
            # The names of files that are written aside are others each time.
            trouble = (type(error), error.errno) if isinstance(error, OSError) else str(error)
            if self._trouble != trouble:
                self._trouble = trouble
                self.log.warning("venvoy: the environment %s could not be recorded: %s", self.env.name, error)

    def _nap(self) -> float:
        with self._lock:
            if self._pending is None or self._installing:
                return LOOKS
            return min(LOOKS, max(0.05, self._pending.since + self._patience() - time.monotonic()))

    def _patience(self) -> float:
        """Seconds that the stamps must be still; for ever while R builds something in a cell.

        What another kernel's cell may be doing is for that one to write, as its doing; it is given the time.
        """
        if not self.session.busy():
            return IN_A_CELL if self._of_others() else SETTLED
        return math.inf if inventory.building(self.env.prefix) else IN_A_CELL

    def _of_others(self) -> bool:
        pending = self._pending
        if pending is None or pending.actor.kind != "terminal":
            return False
        pending.of_others = pending.of_others or self.session.others_install(self.env.name)
        return pending.of_others

    def _look(self) -> None:
        stamp = inventory.stamp(self.env.prefix)
        with self._lock:
            if self._in_a_cell and not self.session.busy():
                # The cell is over, and so is its installer, though it may not have said so.
                self._in_a_cell = self._installing = False
                self.session.installs(now=False)
            if stamp != self._stamp:
                self._stamp = stamp
                self._pending = self._pending or _Pending(since=0)
                self._pending.since = time.monotonic()
            due = self._still() and not self._installing
        if due and not inventory.unsettled(self.env.prefix, now=time.time_ns()):
            self._write()

    def _still(self) -> bool:
        return self._pending is not None and time.monotonic() - self._pending.since >= self._patience()

    def _write_what_is_whole(self) -> None:
        """Write now what a cell has told; what nobody has may be half done, and is left until it stands still."""
        with self._lock:
            told, still = self._pending is not None and self._pending.actor.kind == "cell", self._still()
        if told or (still and not inventory.unsettled(self.env.prefix, now=time.time_ns())):
            self._write()

    def _write(self, *, final: bool = False) -> None:
        with self._writing:
            with self._lock:
                pending, self._pending = self._pending, None
            if pending is None and final:
                pending = _Pending(since=0)
            if pending is not None:
                with self._told_of_trouble():
                    self._record(pending, patience=5 if final else 0)
                    self._remember()
                    self._trouble, self._failed = None, 0

    def _record(self, pending: _Pending, *, patience: float) -> None:
        try:
            with self.store.held(self.env.name, timeout=patience):
                # Another process may have given it another image since the kernel started.
                env = self.store.environment(self.env.name)
                if not (env.record or policy().record):
                    self._used = ""
                    return
                note(self.store, env, actor=pending.actor, asked=pending.asked)
        except TimeoutError:
            # A `venvoy` command is at work in this environment; it records by itself, and we look again after it.
            self._later(pending, since=time.monotonic())
        except (VenvoyError, OSError):
            self._later(pending, since=time.monotonic() + again_after(self._failed))
            self._failed += 1
            raise

    def _later(self, pending: _Pending, *, since: float) -> None:
        """It waits again, with who asked for it."""
        with self._lock:
            later, self._pending = self._pending, pending
            pending.since = since
            if later is not None:
                pending.asked += later.asked
                if later.actor.kind == "cell":
                    pending.actor = later.actor


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
