"""What the routes lead to, made when somebody comes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .root import Root
from .watch import Watch

if TYPE_CHECKING:  # all take long to import, and the server's start does not wait for that
    from ...store import Store
    from .desk import Desk
    from .office import Office


class Rooms:
    """One user's; at most `most` jobs go on at once, and `emit` tells every browser of what moves."""

    def __init__(self, root: Root, *, most: int, emit: Callable[[str, dict[str, Any]], None]) -> None:
        self.root, self.most = root, most
        self.watch = Watch(self, emit=emit)
        self._opened: tuple[Desk, Office] | None = None
        self._lock = threading.RLock()

    @cached_property
    def store(self) -> Store:
        """The user's folders."""
        with self._lock:
            from ... import settings
            from ...store import Store

            return Store(settings.current())

    @property
    def desk(self) -> Desk:
        """Where questions are answered."""
        return self.open()[0]

    @property
    def office(self) -> Office:
        """Where jobs are begun."""
        return self.open()[1]

    def open(self) -> tuple[Desk, Office]:
        """Be ready for whoever comes; it takes a second at its first time.

        One thread at a time: modules that two import at once can be found half loaded.
        """
        with self._lock:
            if self._opened is None:
                from .desk import Desk
                from .office import Office

                desk = Desk(store=self.store, root=self.root)
                self._opened = desk, Office(store=self.store, root=self.root, most=self.most)
            return self._opened

    def look(self) -> None:
        """See which of the jobs that were begun here have ended."""
        if self._opened is not None:
            self._opened[1].look()

    async def close(self) -> None:
        """Nothing of ours goes on."""
        await self.watch.stop()
        if self._opened is not None:
            await self._opened[1].close()
