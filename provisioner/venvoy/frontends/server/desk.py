"""What the sidebar asks for and is told at once. All of it waits for the disk: it runs in threads."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Container, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ... import inventory
from ...actions.loaded import Restart
from ...errors import InvalidInput, VenvoyError
from ...model import Actor, Environment
from ...session import running as sessions
from ...store import Store
from .. import binding, kernelspecs
from ..glances import glance
from ..requests import VERBS, Context
from ..requests.asking import Progress
from ..views import sidebar
from ..views.environments import Glance
from ..views.record import entry_data
from ..views.sidebar import Identity, Recorded, Used
from ..views.view import Data, moment
from .fitness import Fitness
from .kernels import Kernel
from .root import Root
from .sight import Sight, moves

LARGEST = 100 << 20
"""Bytes of a notebook that is not read for what it says of itself."""
REMEMBERED = 200
"""Of how many notebooks, and of how many kernels, something is remembered."""


@dataclass(slots=True, kw_only=True)
class Desk:
    """Answers for one user's environments."""

    store: Store
    root: Root
    sight: Sight = field(init=False)
    fitness: Fitness = field(default_factory=Fitness)
    _restarts: dict[str, tuple[Hashable, Restart]] = field(default_factory=dict)
    _read: dict[Path, tuple[tuple[int, int], Mapping[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sight = Sight(self.store)

    def notebook(self, path: str, kernel: Kernel | None, ours: Container[Path] = ()) -> Data:
        """The environment of the notebook in front; "" for no path. `ours` are the sessions of all kernels here."""
        file = self.root.file(path) if path and self.root.folder else None
        if kernel and kernel.attendant and kernel.of_session and file:
            kernel.attendant.called(str(file))
        metadata = self._metadata(file)
        recorded = self._recorded(metadata, file)
        attended = self._attended(file, ours) if kernel and not kernel.attendant and file else None
        source, name = self._named(kernel, attended, metadata, recorded)
        state, identity = self._standing(name, source, kernel, recorded)
        if identity is not None and recorded is not None and recorded.present:
            recorded = self._since(recorded)
            if source != "kernel" and recorded.said.snapshot and not recorded.known:
                state = sidebar.elsewhere_state(recorded)
        if kernel and source == "recorded" and state["kind"] != "elsewhere":
            # Another kernel runs it now: how that environment stands is no word on this notebook.
            source, state, identity = "none", sidebar.unmanaged_state(), None
        return {
            "path": path or None,
            "kernel": {"id": kernel.id, "name": kernel.name, "managed": source == "kernel"} if kernel else None,
            "source": source,
            "recorded": sidebar.recorded_data(recorded) if recorded else None,
            "state": state,
            "environment": identity,
        }

    def environments(self) -> Data:
        """All of them, for choosing one."""
        used = self._used()
        glances = [glance(self.store, name, self.sight.seen) for name in self.store.names()]
        unfit = self.fitness.of(each.environment for each in glances if each.environment and not each.problem)
        told = [
            replace(each, problem=sidebar.unfit_sentence(unfit[each.name])) if each.name in unfit else each
            for each in glances
        ]
        return {"environments": [self._choice(each, used) for each in told]}

    def environment(self, name: str) -> Data:
        """One of them."""
        self.store.environment(name)
        state, identity = self._standing(name, "named", None, None)
        return {"state": state, "environment": identity}

    def packages(self, name: str, path: str, kernel: Kernel | None) -> Data:
        """What is installed, what the notebook imports first."""
        from ...actions.imports import imported
        from ...actions.listing import listing

        env = self.store.environment(name)
        file = self.root.file(path) if path and self.root.folder else None
        attendant = kernel.attendant if kernel else None
        modules = attendant.modules if attendant and attendant.env.name == name else ()
        status, _ = self.sight.status(env)
        half = env.speaking(attendant.env.language) if attendant and env.speaks(attendant.env.language) else env
        listed = listing(self.store, env, status, imported=imported(half, self._cells(file), modules))
        return sidebar.packages_data(name, listed, status=status, stale=self._restart(name, kernel).stale)

    def history(self, name: str, *, last: int, before: int | None) -> Data:
        """What happened to it; also to one that was deleted."""
        from ...actions.changes import page

        history = self.store.history(name)
        if not history.log.exists():
            self.store.environment(name)
        entries = [entry_data(*each) for each in page(history, last=last, before=before)]
        return {"environment": name, "total": history.count(), "entries": entries}

    def diff(self, name: str, one: str, other: str) -> Data:
        """What makes one state out of another."""
        return self._asked("diff", name, None, one, other)

    def plan(self, name: str, to: str, kernel: Kernel | None) -> Data:
        """What going back would change and take."""
        data = self._asked("restore", name, kernel, to)
        return {key: value for key, value in data.items() if key != "confirm"}

    def size(self, name: str) -> Data:
        """What its packages take on the disk."""
        return {"environment": name, "size": inventory.size(self.store.environment(name).prefix)}

    def _asked(self, verb: str, name: str, kernel: Kernel | None, *words: str) -> Data:
        """What a notebook would be told of the same verb."""
        from ...actions.points import is_path

        for each in words:
            if is_path(each):
                self.root.file(each)
        attendant = kernel.attendant if kernel else None
        context = Context(
            store=self.store,
            env=self.store.environment(name),
            actor=Actor(kind="sidebar"),
            folder=self.root.folder or self.store.project(name),
            within=self.root.folder,
            language=attendant.env.language if attendant else "python",
            modules=attendant.modules if attendant and attendant.env.name == name else (),
        )
        asked = VERBS[verb]
        assert asked.answer is not None  # noqa: S101  # those that are asked here are magics
        return asked.answer(context, asked.parser.parse_args(["--", *words]), Progress(say=lambda _line: None)).data

    def _named(
        self, kernel: Kernel | None, attended: str | None, metadata: Mapping[str, Any], recorded: Recorded | None
    ) -> tuple[str, str | None]:
        """Where the environment is known from, and its name."""
        if kernel and kernel.attendant:
            return "kernel", kernel.attendant.env.name
        if attended:
            return "kernel", attended
        asked = {"kernelspec": {"name": kernel.name}} if kernel else metadata
        named = binding.named_by_kernel(asked, self.store)
        if kernel and named:  # one that has just begun
            return "kernelspec", named
        if recorded:
            return "recorded", recorded.said.environment
        return ("kernelspec", named) if named else ("none", None)

    def _attended(self, file: Path, ours: Container[Path]) -> str | None:
        """The environment whose kernel runs for a notebook and is attended by somebody else (`%load_ext venvoy`)."""
        found = (each for each in sessions(self.store.settings.runtime) if each.notebook == str(file))
        return next((each.environment for each in found if each.session.folder not in ours), None)

    def _standing(
        self, name: str | None, source: str, kernel: Kernel | None, recorded: Recorded | None
    ) -> tuple[Data, Data | None]:
        """How the environment stands, and what it is; None where it is not here."""
        if name is None:
            return sidebar.unmanaged_state(), None
        if not self.store.exists(name):
            if recorded is not None and source == "recorded":
                return sidebar.elsewhere_state(recorded), None
            gone = f"there is no environment {name!r} any more"
            return sidebar.unreadable_state(gone, f"choose another, or make it: venvoy init {name}"), None
        try:
            env = self.store.environment(name)
            status, problem = self.sight.status(env)
        except VenvoyError as error:
            return sidebar.unreadable_state(error.message, error.hint), None
        state = sidebar.broken_state(problem) if problem else None
        if state is None and (unfit := self.fitness.of([env])):
            state = sidebar.unfit_state(unfit[name])
        identity = self._identity(env, version=status.snapshot.versions, packages=len(status.snapshot.packages))
        return state or sidebar.standing_state(status, self._restart(name, kernel)), sidebar.identity_data(identity)

    def _restart(self, name: str, kernel: Kernel | None) -> Restart:
        attendant = kernel.attendant if kernel else None
        if kernel is None or attendant is None or attendant.env.name != name:
            return Restart()
        moved = moves(self.store, name, attendant.env.prefix)
        key = (attendant.session.folder, attendant.began, attendant.modules, moved)
        known = self._restarts.get(kernel.id)
        if known and known[0] == key:
            return known[1]
        try:
            found = attendant.restart()
        except (VenvoyError, OSError):
            return Restart()  # somebody is changing it right now; whoever asks again is told
        if not inventory.unsettled(attendant.env.prefix, now=time.time_ns()):
            self._restarts[kernel.id] = (key, found)
            _forget_oldest(self._restarts)
        return found

    def _identity(self, env: Environment, *, version: str, packages: int) -> Identity:
        from ...actions.locks import lock_file

        lock = lock_file(self.store, env)
        return Identity(
            env=env,
            version=version or env.language_version,
            folder=self.store.folder(env.name),
            project=self.store.project(env.name),
            lock=lock if lock.exists() else None,
            kernel=kernelspecs.known(self.store, env),
            notebooks=self._notebooks(env.name, self._used()),
            packages=packages,
            entries=self.store.history(env.name).count(),
            busy=self.store.busy(env.name),
        )

    def _used(self) -> Mapping[str, frozenset[str]]:
        """The notebooks of the kernels that run, by environment."""
        found: dict[str, set[str]] = {}
        for each in sessions(self.store.settings.runtime):
            found.setdefault(each.environment, set()).update({each.notebook} if each.notebook else ())
        return {name: frozenset(notebooks) for name, notebooks in found.items()}

    def _notebooks(self, name: str, used: Mapping[str, frozenset[str]]) -> tuple[Used, ...]:
        """Those that run in it, and those that its record speaks of."""
        running = used.get(name, frozenset())
        try:
            told = {each.actor.notebook for each in self.store.history(name).entries() if each.actor.notebook}
        except InvalidInput:
            told = set()
        return tuple(
            Used(notebook=each, path=self.root.shown(each), running=each in running) for each in sorted(running | told)
        )

    def _choice(self, seen: Glance, used: Mapping[str, frozenset[str]]) -> Data:
        try:
            last = self.store.history(seen.name).last()
        except InvalidInput:
            last = None
        return sidebar.choice_data(
            seen, used=moment(last.at) if last else None, notebooks=self._notebooks(seen.name, used)
        )

    def _recorded(self, metadata: Mapping[str, Any], file: Path | None) -> Recorded | None:
        """What the notebook says, and whether that is here."""
        try:
            said = binding.bound_in(metadata)
        except InvalidInput:
            return None
        if said is None or file is None:
            return None
        try:
            lock = binding.lock_said(self.store, said, file)
        except (InvalidInput, OSError):
            lock = None
        return Recorded(said=said, lock=lock, present=self.store.exists(said.environment))

    def _since(self, recorded: Recorded) -> Recorded:
        """With what changed after the notebook's last run."""
        from ...actions.diff import diff
        from ...formats.snapshot_json import SnapshotJson

        said = recorded.said
        if not said.snapshot:
            return recorded
        try:
            env = self.store.environment(said.environment)
            then = SnapshotJson().load(self.store.history(env.name).snapshot(said.snapshot), environment=env.name)
            now, _ = self.sight.seen(env)
        except VenvoyError:
            return recorded
        return replace(recorded, known=True, since=diff(then, now))

    def _metadata(self, file: Path | None) -> Mapping[str, Any]:
        """What a notebook says of its kernel and its environment.

        Empty for one that is not there, is none, or is too large to be looked into.
        """
        if file is None:
            return {}
        try:
            found = file.stat()
        except OSError:
            return {}
        if found.st_size > LARGEST:
            return {}
        stamp, known = (found.st_mtime_ns, found.st_size), self._read.get(file)
        if known and known[0] == stamp:
            return known[1]
        try:
            whole = binding.metadata_of(file)  # widgets keep megabytes in it
            metadata = {key: whole[key] for key in (kernelspecs.KEY, "kernelspec") if key in whole}
        except (InvalidInput, UnicodeDecodeError):
            metadata = {}
        self._read[file] = (stamp, metadata)
        _forget_oldest(self._read)
        return metadata

    def _cells(self, file: Path | None) -> Iterable[str]:
        """The sources of a notebook's code cells; none of one that cannot be read."""
        try:
            if file is None or file.stat().st_size > LARGEST:
                return ()
            said = json.loads(file.read_text("utf-8"))
            cells = [each for each in said["cells"] if each.get("cell_type") == "code"]
            return ["".join(each["source"]) for each in cells]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ()


def _forget_oldest(remembered: dict[Any, Any]) -> None:
    """A server runs for months, and kernels and notebooks come and go."""
    while len(remembered) > REMEMBERED:
        with contextlib.suppress(KeyError, RuntimeError, StopIteration):  # other threads do the same
            del remembered[next(iter(remembered))]
