"""What tests of the engine need: channels made for one test, a cache that nothing lies in, and the engine itself."""

import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from venvoy.actions import conda
from venvoy.engine.request import Pin, Request, Source
from venvoy.managers.conda import embedded

if not embedded():
    pytest.skip("not obtainable: no conda engine beside venvoy", allow_module_level=True)


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """tests/conda/channel.py, which makes packages."""
    file = Path(__file__).parents[1] / "conda/channel.py"
    spec = importlib.util.spec_from_file_location("venvoy_tests_channel", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


@dataclass(frozen=True)
class Local:
    """A channel on this machine; `asked` are the paths that somebody wanted of it."""

    folder: Path
    address: str
    build: ModuleType
    asked: list[str] = field(default_factory=list)

    def add(self, name: str, version: str = "1.0", *, files: dict[str, str] | None = None, **said: Any) -> Path:
        """Put a package into it that needs no Python."""
        recipe = self.build.Recipe(name=name, version=version, noarch="generic", **said)
        file: Path = self.build.made(self.folder, recipe, files)
        self.build.index(self.folder)
        return file

    def pin(self, file: Path, **said: str) -> Pin:
        """The pin of a file in it."""
        entry = self.build._entry(file)
        url = f"{self.address}/{file.parent.name}/{file.name}"
        found = {"name": entry["name"], "version": entry["version"], "build": entry["build"], "url": url}
        return Pin(**found, **(said or {"sha256": entry["sha256"], "md5": entry["md5"]}))

    def source(self, **said: Any) -> Source:
        return Source(channels=(self.address,), **said)

    def files_asked(self) -> list[str]:
        return [each for each in self.asked if each.endswith((".conda", ".tar.bz2"))]


@pytest.fixture
def make_channel(tmp_path: Path, build: ModuleType) -> Iterator[Callable[[str], Local]]:
    """Serve an empty channel: `make_channel("second")`."""
    servers = []

    def made(name: str) -> Local:
        asked: list[str] = []
        folder = tmp_path / "channels" / name
        (folder / "linux-64").mkdir(parents=True)
        build.index(folder)

        class Handler(SimpleHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def send_head(self) -> Any:
                del self.headers["If-Modified-Since"]  # an index may change twice within its one second
                return super().send_head()

            def log_message(self, *_words: object) -> None:
                asked.append(self.path)

        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Local(folder, f"http://127.0.0.1:{server.server_address[1]}", build, asked)

    yield made
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def near(make_channel: Callable[[str], Local], monkeypatch: pytest.MonkeyPatch, cache: Path) -> Local:
    """A channel with `plain` in two versions and `needing`, which needs it."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    found = make_channel("near")
    for version in ("1.0", "2.0"):
        found.add("plain", version)
    found.add("needing", depends=("plain >=1",))
    return found


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of unpacked packages, which is not there yet."""
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache/pkgs"


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    return tmp_path / "prefix"


@pytest.fixture
def engine(near: Local, prefix: Path) -> Callable[..., Any]:
    """Ask the engine in a process of its own: `engine("change", specs=("plain",))`, of `near` and the prefix."""

    def asked(verb: Any, **said: Any) -> Any:
        filled = {"source": near.source(), "prefix": "" if verb in ("solve", "cached") else str(prefix)}
        return conda.ask(Request(verb=verb, **{**filled, **said}), doing="cannot do it")

    return asked


@pytest.fixture
def there(prefix: Path) -> Callable[[], dict[str, str]]:
    """Name and version of what is installed, as the records say."""
    from venvoy.inventory import conda_meta

    return lambda: {each.name: each.version for each in conda_meta.records(prefix)}
