"""The server extension as Jupyter Server knows it: settings, routes, beginning and end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.services.contents.filemanager import FileContentsManager
from traitlets import Int

if TYPE_CHECKING:
    from .rooms import Rooms

WARM = 1.0
"""Seconds after the server's start when we make ourselves ready, in a thread of our own."""
SCHEMAS = ("job", "environment")


class VenvoyApp(ExtensionApp):
    """Answers the sidebar; what takes long is a job whose progress goes to every browser as events."""

    name = "venvoy"
    load_other_extensions = True
    rooms: Rooms | None = None
    most_jobs = Int(4, min=1, config=True, help="How many jobs the sidebar may have at work at once.")

    def initialize_settings(self) -> None:
        """Make what the routes lead to; the events are known before any browser listens for them."""
        # Kernels are started in one thread, questions answered in others: what loads its own modules comes first.
        from ... import inventory, runtimes  # noqa: F401
        from .rooms import Rooms
        from .root import Root

        events = self._server.event_logger
        for each in SCHEMAS:
            events.register_event_schema(Path(__file__).parent / "events" / f"{each}.yaml")
        contents = self._server.contents_manager
        # What keeps its notebooks elsewhere has a root_dir as well, which says nothing.
        folder = str(contents.root_dir) if isinstance(contents, FileContentsManager) else ""
        root = Root(folder=Path(folder) if folder else None, hidden=bool(getattr(contents, "allow_hidden", False)))
        self.rooms = Rooms(root, most=self.most_jobs, emit=self._emit)
        self.settings["venvoy"] = self.rooms
        self._server.io_loop.add_callback(self.rooms.watch.start)
        self._server.io_loop.call_later(WARM, lambda: asyncio.ensure_future(asyncio.to_thread(self.rooms.open)))

    def initialize_handlers(self) -> None:
        """Add the routes, and have every save go by us."""
        from .routes import ROUTES
        from .saving import stamp_saved_notebooks

        self.handlers.extend(ROUTES)
        stamp_saved_notebooks(self._server)

    async def stop_extension(self) -> None:
        """The server ends: nothing of ours goes on."""
        if self.rooms is not None:
            await self.rooms.close()

    @property
    def _server(self) -> Any:
        """The server that we are part of; there is one from the beginning on."""
        return self.serverapp

    def _emit(self, schema: str, data: dict[str, Any]) -> None:
        self._server.event_logger.emit(schema_id=schema, data=data)
