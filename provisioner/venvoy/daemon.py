"""The only room that speaks with Docker's daemon itself: `docker pull` tells only a terminal how far it has come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from .errors import CommandFailed

OnEvent = Callable[[Mapping[str, Any]], None]
PATIENCE = 300
"""Seconds within which the daemon must say something: it reports several times a second while it downloads."""


def pull(socket: str, image: str, on_event: OnEvent) -> bool:
    """Have the daemon at `socket` ("unix:///…") pull an image, as `docker pull` does, with the user's own logins.

    `image` is a full name with a tag or a digest. `on_event` hears of each step, in the form of the engine's API
    (`/images/create`); what it raises ends the pull, which the daemon then gives up. Returns False where the daemon or
    a login cannot be reached this way, and nothing was asked of it. Raises CommandFailed with the daemon's words.
    """
    try:
        import docker  # noqa: PLC0415  # takes a third of a second
        from docker.credentials.errors import StoreError  # noqa: PLC0415
        from requests import RequestException  # noqa: PLC0415
    except ImportError:
        return False
    name, at, rest = image.partition("@")
    name, tag = (name, rest) if at else name.rsplit(":", 1)
    try:
        client = docker.APIClient(base_url=socket, version="auto", timeout=PATIENCE)
    except (docker.errors.DockerException, RequestException):
        return False
    with closing(client):
        try:
            for event in client.pull(name, tag=tag, stream=True, decode=True):
                if said := event.get("error"):
                    raise CommandFailed("docker could not pull it", hint=str(said))
                on_event(event)
        except docker.errors.APIError as error:
            raise CommandFailed("docker could not pull it", hint=str(error.explanation or error)) from error
        except (docker.errors.DockerException, StoreError):
            return False
        except RequestException as error:
            raise CommandFailed("docker's daemon does not answer any more", hint=str(error)) from error
    return True
