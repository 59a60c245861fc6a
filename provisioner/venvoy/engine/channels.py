"""How channels are reached: through the user's mirrors, proxies and certificates, or a folder that is served here."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO

from rattler import Client, Gateway, SourceConfig
from rattler.config import Config

from .request import OF_THE_SYSTEM, Source, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The way to the channels of one request."""

    source: Source
    client: Client
    gateway: Gateway


@contextmanager
def reach(source: Source) -> Iterator[Reach]:
    """Open it; what is served stays so until the block ends."""
    if not source.served:
        yield _opened(source, source.mirrors)
        return
    # Rattler would ask a proxy for this machine as well, and the process is ours alone.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1"
    with _serving(Path(source.served)) as address:
        yield _opened(source, {f"{each}/": (f"{address}/{place(each)}/",) for each in _all_channels(source)})


def _all_channels(source: Source) -> tuple[str, ...]:
    return tuple(each.rstrip("/") for each in source.channels)


def _opened(source: Source, mirrors: Mapping[str, tuple[str, ...]]) -> Reach:
    if isinstance(source.ssl, str) and source.ssl != OF_THE_SYSTEM:
        # The only way to have rattler trust a file: it reads this as OpenSSL does, and the process is ours alone.
        os.environ["SSL_CERT_DIR" if Path(source.ssl).is_dir() else "SSL_CERT_FILE"] = source.ssl
    config = Config.from_toml(_settings(source, mirrors))
    client = Client.from_config(config)
    action = "force-cache-only" if source.offline and not source.served else "cache-or-fetch"
    default = SourceConfig(cache_action="no-cache" if source.served else action)  # type: ignore[arg-type]
    gateway = Gateway(cache_dir=_indexes(mirrors), default_config=default, client=client)
    return Reach(source=source, client=client, gateway=gateway)


def caches() -> Path:
    """The folder of rattler's caches, which pixi has in the same place."""
    said = os.environ.get("RATTLER_CACHE_DIR")
    return Path(said) if said else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "rattler", "cache")


def _indexes(mirrors: Mapping[str, tuple[str, ...]]) -> Path:
    """Where the indexes of channels are kept, apart for each set of mirrors.

    They are kept under the channel's own address, and a mirror that is older than another would answer that nothing
    has changed since.
    """
    folder = caches() / "repodata"
    if not mirrors:
        return folder
    return folder / hashlib.sha256(json.dumps(sorted(mirrors.items())).encode()).hexdigest()[:16]


def _settings(source: Source, mirrors: Mapping[str, tuple[str, ...]]) -> str:
    """Rattler's configuration; JSON's strings and lists are TOML's as well."""
    lines = [f"tls-no-verify = {json.dumps(source.ssl is False)}", 'tls-root-certs = "native"']
    if source.proxies:
        lines.append("[proxy-config]")
        lines += [f"{key} = {json.dumps(value)}" for key, value in sorted(source.proxies.items())]
    if mirrors:
        lines.append("[mirrors]")
        lines += [f"{json.dumps(each)} = {json.dumps(list(places))}" for each, places in sorted(mirrors.items())]
    return "\n".join(lines) + "\n"


class _Private(http.server.SimpleHTTPRequestHandler):
    """Answers who knows the secret that paths begin with: the address is open to all users of the machine."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *given: Any, secret: str, **more: Any) -> None:
        self.secret = secret
        super().__init__(*given, **more)

    def send_head(self) -> io.BytesIO | BinaryIO | None:
        _, first, rest = self.path.split("/", 2) if self.path.count("/") > 1 else ("", "", "")
        if not secrets.compare_digest(first.encode("latin-1"), self.secret.encode()):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        self.path = f"/{rest}"
        return super().send_head()

    def log_message(self, *_words: object) -> None:
        pass


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that has hung up: rattler does so where it needs no answer any more."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve a folder to this machine alone: rattler checks hashes of what comes over http, not of files (`file://`)."""
    secret = secrets.token_urlsafe(16)
    answers = partial(_Private, directory=str(folder), secret=secret)
    with _Server(("127.0.0.1", 0), answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{secret}"
        server.shutdown()
