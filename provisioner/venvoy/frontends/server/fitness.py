"""Whether the containers of environments can be run: looked at aside, so that nobody waits long for a daemon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field

from ...actions.check_container import obstacle
from ...actions.detect import Detected, detect
from ...errors import VenvoyError
from ...model import Environment, Finding
from ..views.sidebar import unfit_sentence

FRESH = 30.0
"""Seconds for which a look holds: whoever asks later is told what was seen, and has it looked at anew."""
PATIENCE = 2.0
"""Seconds that whoever asks first waits at most. What is seen later is told as an event."""
KEPT = 100
"""Of how many images something is remembered."""


@dataclass(slots=True)
class _Seen:
    """`at` is when the last look began; `done` is set when the first has ended."""

    at: float
    done: threading.Event = field(default_factory=threading.Event)
    looking: bool = True
    finding: Finding | None = None


@dataclass(slots=True)
class Fitness:
    """What stands in the way of whom. `look` says what there is on this machine."""

    look: Callable[[], Detected] = detect
    fresh: float = FRESH
    _seen: dict[Hashable, _Seen] = field(default_factory=dict)
    _detected: tuple[float, Detected] | None = None
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _detecting: threading.Lock = field(default_factory=threading.Lock)

    def of(self, envs: Iterable[Environment]) -> dict[str, Finding]:
        """What keeps each of them from being run, by their names; waits PATIENCE at most for all."""
        end = time.monotonic() + PATIENCE
        asked = [(each.name, self._asked(each)) for each in envs if each.container]
        for _, seen in asked:
            seen.done.wait(max(end - time.monotonic(), 0))
        return {name: seen.finding for name, seen in asked if seen.finding}

    def known(self, env: Environment) -> str:
        """The same of one, in one sentence, as far as it was seen yet; waits for nothing."""
        found = self._asked(env).finding if env.container else None
        return unfit_sentence(found) if found else ""

    def _asked(self, env: Environment) -> _Seen:
        key, now = (env.name, env.runtime, env.container and env.container.image), time.monotonic()
        with self._guard:
            seen = self._seen.get(key)
            if seen is not None and (seen.looking or now - seen.at < self.fresh):
                return seen
            if seen is None:
                seen = self._seen[key] = _Seen(at=now)
                while len(self._seen) > KEPT:
                    del self._seen[next(iter(self._seen))]
            seen.at, seen.looking = now, True
        threading.Thread(target=self._look, args=(env, seen), name="venvoy-fitness", daemon=True).start()
        return seen

    def _look(self, env: Environment, seen: _Seen) -> None:
        try:
            seen.finding = obstacle(env, look=self._machine)
        except (VenvoyError, OSError) as error:
            seen.finding = Finding(code="runtime-unusable", message=str(error), mend="")
        finally:
            seen.looking = False
            seen.done.set()

    def _machine(self) -> Detected:
        """What there is here, looked for once for all that are asked about at the same time."""
        with self._detecting:
            known = self._detected
            if known is None or time.monotonic() - known[0] >= min(self.fresh, PATIENCE):
                found = self.look()
                known = self._detected = (time.monotonic(), found)
            return known[1]
