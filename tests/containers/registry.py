"""A real registry (Debian's docker-registry) on this machine, with or without a password, and as slow as a test needs."""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin

import requests

LARGE = 12_000
"""Bytes of an answer from which on it is slow: small layers come at once."""
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_IMAGE = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


@dataclass
class Registry:
    """`host` is how images in it begin; `login` is who may, None for everybody; `sent` are the layers it was asked for."""

    host: str
    folder: Path
    login: tuple[str, str] | None = None
    sent: list[str] = field(default_factory=list)

    def push(self, name: str, *layers: bytes, tag: str = "1", config: Mapping[str, object] | None = None) -> str:
        """Put an image there whose layers are these tars; returns the digest of its manifest."""
        blobs = [self._blob(name, each) for each in layers]
        said = {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Env": ["PATH=/usr/local/bin:/usr/bin:/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [each["digest"] for each in blobs]},
            **(config or {}),
        }
        configured = self._blob(name, json.dumps(said).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {"mediaType": _IMAGE, **configured},
            "layers": [{"mediaType": _LAYER, **each} for each in blobs],
        }
        url = f"http://{self.host}/v2/{name}/manifests/{tag}"
        put = requests.put(url, json.dumps(manifest), headers={"Content-Type": MANIFEST}, auth=self.login, timeout=30)
        put.raise_for_status()
        return put.headers["Docker-Content-Digest"]

    def push_file(self, name: str, archive: Path, *, tag: str = "1") -> str:
        """Put the image of a docker-archive there."""
        with tarfile.open(archive) as opened:
            (said,) = json.load(opened.extractfile("manifest.json"))
            config = json.load(opened.extractfile(said["Config"]))
            layers = [opened.extractfile(each).read() for each in said["Layers"]]
        return self.push(name, *layers, tag=tag, config=config)

    def _blob(self, name: str, content: bytes) -> dict[str, object]:
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        begun = requests.post(f"http://{self.host}/v2/{name}/blobs/uploads/", auth=self.login, timeout=30)
        begun.raise_for_status()
        place = urljoin(begun.url, begun.headers["Location"])
        place += f"{'&' if '?' in place else '?'}digest={digest}"
        requests.put(place, content, auth=self.login, timeout=120).raise_for_status()
        return {"digest": digest, "size": len(content)}


def layer(seed: int, size: int = 1000) -> bytes:
    """A layer with one file in it that does not compress."""
    content = random.Random(seed).randbytes(size)  # noqa: S311  # the same bytes each time
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(f"file{seed}")
        entry.size = size
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


@contextmanager
def served(folder: Path, *, login: tuple[str, str] | None = None) -> Iterator[Registry]:
    """Run one on a port of its own; `login` is the name and password that it wants."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is missing: sh tests/containers/install.sh"
    port = _free_port()
    said: dict[str, object] = {
        "version": "0.1",
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{port}", "relativeurls": True},
    }
    if login:
        made = subprocess.run(["htpasswd", "-Bbn", *login], capture_output=True, text=True, check=True).stdout
        (folder / "htpasswd").write_text(made)
        said["auth"] = {"htpasswd": {"realm": "tests", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(said))
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen([program, "serve", str(folder / "config.yml")], stdout=log, stderr=log)
    try:
        _wait_for(port, child)
        yield Registry(host=f"127.0.0.1:{port}", folder=folder, login=login)
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


@contextmanager
def slowed(registry: Registry, *, rate: int) -> Iterator[Registry]:
    """The same registry under another port, where large answers have `rate` bytes a second; 0 stops them half way.

    The rate can be changed by `slow.rate = …` while it runs; `sent` lists the layers that were asked for.
    """
    slow = Slow(host="", folder=registry.folder, login=registry.login)
    slow.rate, slow.behind = rate, registry.host
    with socket.create_server(("127.0.0.1", 0)) as server:
        slow.host = f"127.0.0.1:{server.getsockname()[1]}"
        threading.Thread(target=slow.serve, args=(server,), daemon=True).start()
        yield slow
        slow.closed = True


class Slow(Registry):
    """See `slowed`."""

    rate = 0
    behind = ""
    closed = False

    def serve(self, server: socket.socket) -> None:
        while not self.closed:
            try:
                client, _ = server.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        host, port = self.behind.split(":")
        with client, socket.create_connection((host, int(port))) as upstream:
            threading.Thread(target=self._asked, args=(client, upstream), daemon=True).start()
            try:
                while (block := upstream.recv(1 << 14)) and not self.closed:
                    client.sendall(block)
                    while len(block) > LARGE and not self.rate and not self.closed:
                        time.sleep(0.02)
                    if len(block) > LARGE:
                        time.sleep(len(block) / self.rate)
            except OSError:
                return

    def _asked(self, client: socket.socket, upstream: socket.socket) -> None:
        try:
            while block := client.recv(1 << 14):
                for line in block.split(b"\r\n"):
                    if line.startswith(b"GET ") and b"/blobs/sha256:" in line:
                        self.sent.append(line.split()[1].decode().rpartition("/")[2])
                upstream.sendall(block)
        except OSError:
            return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert child.poll() is None, f"the registry ended with {child.returncode} ({os.strerror(0)})"
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the registry does not answer")
