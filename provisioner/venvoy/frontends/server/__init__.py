"""Jupyter Server's extension: REST and events for the sidebar, and the environment's name in saved notebooks."""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from .app import VenvoyApp

    return [{"module": "venvoy.frontends.server", "app": VenvoyApp}]
