"""What a registry says of a tag, where a runtime's own program does not tell it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from requests import RequestException, Session
from requests.auth import HTTPBasicAuth

from .fetch import session

PATIENCE = (5, 10)
"""Seconds to wait for a connection, and for an answer."""
_ACCEPTED = ", ".join(
    f"application/vnd.{each}+json"
    for each in (
        "oci.image.index.v1",
        "oci.image.manifest.v1",
        "docker.distribution.manifest.list.v2",
        "docker.distribution.manifest.v2",
    )
)
_WORD = re.compile(r'(\w+)="([^"]*)"')
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_HOSTS = {"docker.io": "registry-1.docker.io"}


def digest(host: str, repository: str, tag: str, *, login: tuple[str, str] | None = None, tls: bool = True) -> str:
    """The digest of what is below that tag now ("sha256:…"), "" where the registry does not say or does not answer.

    `login` is a user and a password; they go to the registry, and to whom it names for that over TLS. Only a header is
    asked for, which registries do not count as a pull (distribution specification, "Checking if content exists").
    """
    url = f"{'https' if tls else 'http'}://{_HOSTS.get(host, host)}/v2/{repository}/manifests/{tag}"
    headers = {"Accept": _ACCEPTED}
    user = HTTPBasicAuth(*login) if login else None
    try:
        with session() as asking:
            said = asking.head(url, headers=headers, timeout=PATIENCE)
            if said.status_code == 401:
                wanted = said.headers.get("WWW-Authenticate", "")
                if wanted.lower().startswith("bearer "):
                    token = _token(asking, dict(_WORD.findall(wanted)), user)
                    said = asking.head(url, headers=headers | {"Authorization": f"Bearer {token}"}, timeout=PATIENCE)
                elif user:
                    said = asking.head(url, headers=headers, auth=user, timeout=PATIENCE)
            found = said.headers.get("Docker-Content-Digest", "") if said.ok else ""
    except (RequestException, KeyError, ValueError):
        return ""
    return found if _DIGEST.fullmatch(found) else ""


def _token(asking: Session, wanted: Mapping[str, str], user: HTTPBasicAuth | None) -> str:
    """Raises KeyError or ValueError for an answer without one."""
    asked = {name: wanted[name] for name in ("service", "scope") if name in wanted}
    trusted = user if urlsplit(wanted["realm"]).scheme == "https" else None
    said = asking.get(wanted["realm"], params=asked, auth=trusted, timeout=PATIENCE).json()
    return str(said.get("token") or said["access_token"])
