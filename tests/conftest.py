"""What every test stands on: a home that is not the user's, wheels made by hand, and the interpreters of this machine."""

import base64
import contextlib
import functools
import hashlib
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from html import escape
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import debian_r
import images
import pytest
import somebody as somebodies
import uv
from filelock import FileLock

from venvoy import process, runtimes
from venvoy import settings as venvoy_settings
from venvoy.actions.detect import Detected, Found, detect
from venvoy.actions.image_uses import USED
from venvoy.model import Actor, Environment, Job, Package, Snapshot
from venvoy.settings import Settings
from venvoy.store import Store

MACHINE = dict(os.environ)
"""The variables of whoever runs the tests, before any test changes them."""
NOT_OBTAINABLE = "not obtainable:"
VERSIONS = ("3.9", "3.10", "3.11", "3.12", "3.13")
FOREIGN = (
    "CONDA_PREFIX", "JPY_API_TOKEN", "JPY_PARENT_PID", "JUPYTER_CONFIG_PATH", "JUPYTER_PATH", "JUPYTER_TOKEN",
    "PIP_PYTHON", "PYTHONHOME", "PYTHONPATH", "UV_PROJECT_ENVIRONMENT", "UV_PYTHON", "VENVOY_ENVIRONMENT",
    "R_LIBS", "R_LIBS_SITE", "R_LIBS_USER", "R_PROFILE", "R_PROFILE_USER", "VENVOY_SESSION", "VIRTUAL_ENV", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME",
)  # fmt: skip


# --- skips -----------------------------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--strict-skips",
        action="store_true",
        default=os.environ.get("CI") == "true",
        help=f"fail the run for every skip whose reason does not begin with {NOT_OBTAINABLE!r} (default where CI=true)",
    )


def pytest_configure(config: pytest.Config) -> None:
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell lets what it runs in the background ignore interrupts, and so would every kernel that a test starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Tidy(), "tidy")
    if config.getoption("--strict-skips"):
        config.pluginmanager.register(StrictSkips(), "strict-skips")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Names bytes by their argument and number: an archive made at collection differs from one worker to the next."""
    return argname if isinstance(val, bytes) else None


@dataclass(eq=False)
class StrictSkips:
    """A test that silently did not run is a failure, unless what it needs cannot be had on this machine."""

    unexcused: list[str] = field(default_factory=list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._judge(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._judge(report)

    def _judge(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        said = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = said.removeprefix("Skipped: ")
        if not reason.startswith(NOT_OBTAINABLE):
            self.unexcused.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.unexcused and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if self.unexcused:
            terminalreporter.section("skipped without an excuse", red=True)
            for line in self.unexcused:
                terminalreporter.line(line)


@dataclass(eq=False)
class Tidy:
    """What environments of tests have named in Docker and Podman goes with them: nobody else could take it away.

    What was there before stays, and so does what whoever runs the tests has made meanwhile.
    """

    before: dict[str, Mapping[str, str]] = field(default_factory=dict)

    def pytest_sessionstart(self) -> None:
        self.before = {engine: self._names(engine) for engine in ("docker", "podman")}

    def pytest_sessionfinish(self) -> None:
        own = self._own()
        for engine, before in self.before.items():
            new = {name: image for name, image in self._names(engine).items() if name not in before}
            uses = [name for name in new if name.startswith(f"{USED}:{os.getuid()}-") and own not in name.split("-")]
            self._asked(engine, "rmi", *uses)
            left = {image for name, image in self._names(engine).items() if name.startswith(USED)}
            self._asked(engine, "rmi", *(name for name, image in new.items() if name not in uses and image not in left))

    @staticmethod
    def _own() -> str:
        file = Path(MACHINE.get("VENVOY_HOME") or Path.home() / ".venvoy") / "identity"
        return file.read_text("utf-8").strip() if file.exists() else ""

    def _names(self, engine: str) -> Mapping[str, str]:
        """Those that venvoy gives, and of which images they are."""
        listed = self._asked(engine, "images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        found = dict(each.split(" ", 1) for each in listed.splitlines())
        return {name: image for name, image in found.items() if name.startswith(USED.rpartition("/")[0])}

    @staticmethod
    def _asked(engine: str, verb: str, *words: str) -> str:
        if not shutil.which(engine) or not (words or verb != "rmi"):
            return ""
        with contextlib.suppress(subprocess.TimeoutExpired):  # a daemon that is dead
            argv = [engine, verb, *words]
            return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300).stdout
        return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("network") and not _index_answers():
        pytest.skip("no package index answers")  # no excuse where CI=true: most of what runs in containers needs it


@functools.cache
def _index_answers() -> bool:
    asked = [uv.find_uv_bin(), "pip", "compile", "--no-deps", "--no-header", "--refresh", "--quiet", "-"]
    once = {"UV_HTTP_RETRIES": "0", "UV_HTTP_TIMEOUT": "10", "UV_SYSTEM_CERTS": "1"}
    argv, env = [*asked, "--python", sys.executable], {**MACHINE, **once}
    tries = (subprocess.run(argv, input=b"pip\n", env=env, capture_output=True, check=False) for _ in range(3))
    return any(found.returncode == 0 for found in tries)


# --- a home that is not the user's -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all workers of the run: payloads and what interpreters said, made once."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base) / "shared"


@pytest.fixture(scope="session")
def _machine() -> Mapping[str, str]:
    """What stays the user's although HOME moves: uv's cache and settings, pip's settings, pyenv's interpreters."""
    home = Path.home()
    config = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    cache = subprocess.run(
        [uv.find_uv_bin(), "cache", "dir"], capture_output=True, text=True, check=True
    ).stdout.strip()
    data = Path(os.environ.get("XDG_DATA_HOME") or home / ".local/share")
    kept = {
        "UV_CACHE_DIR": Path(cache),
        "UV_CONFIG_FILE": config / "uv/uv.toml",
        "PIP_CONFIG_FILE": config / "pip/pip.conf",
        "PYENV_ROOT": home / ".pyenv",
        "UV_PYTHON_INSTALL_DIR": data / "uv/python",
    }
    return {
        name: os.environ.get(name) or str(path) for name, path in kept.items() if name in os.environ or path.exists()
    }


@pytest.fixture(scope="session")
def new_home(
    tmp_path_factory: pytest.TempPathFactory, _shared: Path
) -> Callable[[str], AbstractContextManager[Mapping[str, str]]]:
    """A home folder of that name for as long as a block goes on, as the variables that lead there."""

    @contextmanager
    def made(name: str) -> Iterator[Mapping[str, str]]:
        home = tmp_path_factory.mktemp(name)
        # A Unix socket's path must be short, and pytest's folders are not.
        runtime = Path(tempfile.mkdtemp(prefix="vv", dir="/tmp"))
        for each in ("payloads", "bases"):
            (_shared / each).mkdir(parents=True, exist_ok=True)
            (home / ".venvoy").mkdir(exist_ok=True)
            (home / ".venvoy" / each).symlink_to(_shared / each)
        try:
            yield {
                "HOME": str(home),
                "VENVOY_HOME": str(home / ".venvoy"),
                "VENVOY_PROJECTS": str(home / "venvoy-projects"),
                "JUPYTER_DATA_DIR": str(home / "jupyter/data"),
                "JUPYTER_RUNTIME_DIR": str(home / "jupyter/runtime"),
                "JUPYTER_CONFIG_DIR": str(home / "jupyter/config"),
                "IPYTHONDIR": str(home / ".ipython"),
                "XDG_RUNTIME_DIR": str(runtime),
            }
        finally:
            for folder in (runtime, home):
                shutil.rmtree(folder, ignore_errors=True)

    return made


@pytest.fixture
def moved(monkeypatch: pytest.MonkeyPatch, _machine: Mapping[str, str]) -> Callable[[Mapping[str, str]], Settings]:
    """Lives in a home for the rest of the test: nothing but what is the machine's is the user's."""

    def moved(home: Mapping[str, str]) -> Settings:
        for name in os.environ.keys() & set(FOREIGN):
            monkeypatch.delenv(name)
        for name, value in (_machine | home).items():
            monkeypatch.setenv(name, value)
        return venvoy_settings.current()

    return moved


@pytest.fixture(autouse=True)
def settings(
    new_home: Callable[[str], AbstractContextManager[Mapping[str, str]]],
    moved: Callable[[Mapping[str, str]], Settings],
) -> Iterator[Settings]:
    """Where things lie in this test: nothing is the user's, and nothing is left."""
    with new_home("home") as home:
        yield moved(home)


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store(settings)


@pytest.fixture
def actor() -> Actor:
    return Actor(kind="command", command="venvoy test")


# --- interpreters ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def pythons(_machine: Mapping[str, str]) -> Mapping[str, Path]:
    """The interpreters of this machine by minor version ("3.12"), those too old for environments among them."""
    pyenv = Path(_machine.get("PYENV_ROOT", "/nonexistent"))
    found = {}
    for path in (*sorted(pyenv.glob("versions/3*/bin/python")), *_on_path()):
        asked = subprocess.run(
            [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"], capture_output=True, check=False
        )
        if not asked.returncode:
            found.setdefault(asked.stdout.decode().strip(), path)
    return found


def _on_path() -> Iterator[Path]:
    yield Path(getattr(sys, "_base_executable", sys.executable))
    for version in ("3.8", *VERSIONS):
        place = shutil.which(
            f"python{version}", path=os.pathsep.join(("/usr/local/bin", "/usr/bin", "/opt/homebrew/bin"))
        )
        if place:
            yield Path(place)


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest, pythons: Mapping[str, Path]) -> Path:
    """Each interpreter that environments may have, in turn."""
    if request.param not in pythons:
        pytest.skip(f"{NOT_OBTAINABLE} no Python {request.param} on this machine")
    return pythons[request.param]


# --- wheels and indexes ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Wheelhouse:
    """A folder of wheels made by hand, for `--find-links`."""

    folder: Path

    def add(
        self,
        name: str,
        version: str = "1.0",
        *,
        requires: tuple[str, ...] = (),
        files: Mapping[str, str] | None = None,
        tag: str = "py3-none-any",
        scripts: Mapping[str, str] | None = None,
    ) -> Path:
        """Write a wheel: `files` are its modules beside an empty package, `scripts` are console scripts."""
        module = re.sub(r"[-_.]+", "_", name).lower()
        stem = f"{module}-{version}"
        info = f"{stem}.dist-info"
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        entries = "".join(f"{script} = {target}\n" for script, target in (scripts or {}).items())
        content = {
            f"{module}/__init__.py": f"__version__ = {version!r}\n",
            **(files or {}),
            f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\nMade by hand.\n",
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
            **({f"{info}/entry_points.txt": f"[console_scripts]\n{entries}"} if entries else {}),
        }
        record = "".join(f"{path},sha256={_record_hash(text)},{len(text.encode())}\n" for path, text in content.items())
        wheel = self.folder / f"{stem}-{tag}.whl"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path, text in {**content, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
                archive.writestr(zipfile.ZipInfo(path), text)
        return wheel


def _record_hash(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


@pytest.fixture
def wheels(tmp_path: Path) -> Wheelhouse:
    """A wheelhouse that nobody is told of."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    return Wheelhouse(folder)


@pytest.fixture
def wheelhouse(
    wheels: Wheelhouse, pip_wheel: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Wheelhouse:
    """A wheelhouse that uv and pip take everything from: with it environments are made without any index."""
    shutil.copy(pip_wheel, wheels.folder)
    # uv has no variable for its option --no-index, only a setting.
    said = tmp_path_factory.mktemp("uv") / "uv.toml"
    said.write_text(f'[pip]\nno-index = true\nfind-links = ["{wheels.folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(said))
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels.folder))
    return wheels


@pytest.fixture(scope="session")
def pip_wheel(pythons: Mapping[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pip that an interpreter carries for ensurepip, or the index's."""
    for python in pythons.values():
        for wheel in python.resolve().parent.parent.glob("lib/python3.1[1-9]/ensurepip/_bundled/pip-*.whl"):
            return wheel
    folder = tmp_path_factory.mktemp("pip")
    argv = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), "pip"]
    if subprocess.run(argv, check=False, capture_output=True).returncode:
        pytest.skip(f"{NOT_OBTAINABLE} no pip wheel")
    return next(folder.glob("pip-*.whl"))


@dataclass(frozen=True)
class Index:
    """A package index (PEP 503) on this machine that serves a folder's wheels; `url` is for `--index-url`.

    A mirror's files lie where the public index has them, below the BLAKE2 digest of their content.
    """

    folder: Path
    address: str
    mirror: bool
    asked: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.address}/simple"

    def path(self, file: Path) -> str:
        if not self.mirror:
            return f"/files/{file.name}"
        digest = hashlib.blake2b(file.read_bytes(), digest_size=32).hexdigest()
        return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file.name}"

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """The content type and body for a path, or None where there is nothing."""
        path = path.removeprefix(urlsplit(self.address).path)
        self.asked.append(path)
        files = sorted(self.folder.iterdir())
        if not path.startswith("/simple/"):
            return next(
                (("application/octet-stream", each.read_bytes()) for each in files if self.path(each) == path), None
            )
        wanted = path.strip("/").removeprefix("simple/").replace("-", "_")
        start = urlsplit(self.address).path
        links = [
            f'<a href="{start}{self.path(each)}#sha256={hashlib.sha256(each.read_bytes()).hexdigest()}">{escape(each.name)}</a>'
            for each in files
            if each.name.lower().startswith(f"{wanted}-")
        ]
        return ("text/html", f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode()) if links else None


@contextmanager
def _served(folder: Path, *, mirror: bool) -> Iterator[Index]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._body()

        def do_GET(self) -> None:
            self.wfile.write(self._body())

        def _body(self) -> bytes:
            kind, body = index.answer(self.path.partition("?")[0]) or ("", b"")
            self.send_response(200 if kind else 404)
            self.send_header("Content-Type", kind or "text/plain")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            return body

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        # A port comes again, and what uv has cached of an address must not be another index's.
        index = Index(folder, f"http://127.0.0.1:{server.server_address[1]}/{secrets.token_hex(8)}", mirror)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield index
        server.shutdown()
        thread.join()


@pytest.fixture
def private_index(wheelhouse: Wheelhouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """A private index with the wheelhouse's files; uv asks it alone."""
    with _served(wheelhouse.folder, mirror=False) as index:
        _ask(index, monkeypatch)
        yield index


@pytest.fixture
def mirror_index(wheelhouse: Wheelhouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    """The same as a mirror of the public index would serve it."""
    with _served(wheelhouse.folder, mirror=True) as index:
        _ask(index, monkeypatch)
        yield index


def _ask(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(os.environ["UV_CONFIG_FILE"]).write_text("")
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")


# --- containers ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def detected() -> Detected:
    """The runtimes of this machine; one that is only slow, for the tests keep the machine busy, is asked again."""
    for _ in range(5):
        found = detect()
        if not any("does not answer" in each.problem for each in found.runtimes):
            break
    return found


@pytest.fixture(params=("docker", "podman", "apptainer"))
def engine(request: pytest.FixtureRequest, detected: Detected) -> Found:
    """Each program in turn; `sh tests/containers/install.sh` installs and starts them.

    Singularity is Apptainer here: kernels, runs and the contract of runtimes ask for it by that name.
    """
    found = detected.named(request.param)
    if not found.usable:
        pytest.skip(f"{found.name} cannot be used here: {found.problem}")
    return found


@pytest.fixture(scope="session")
def image_file() -> Callable[[str], Path]:
    """A docker-archive of "python:3.9", "python:3.11", "python:3.13", "r:4.2" or "r:4.5", made of Debian's packages."""

    def made(name: str) -> Path:
        with FileLock(_free(images.CACHE, ".lock")):
            return images.made(name).file

    return made


@pytest.fixture(scope="session")
def image(image_file: Callable[[str], Path]) -> Callable[[Found, str], str]:
    """What `--image` takes for one of those in that runtime, where it is already: a name, or a SIF."""
    ready: dict[tuple[str, str], str] = {}

    def found(runtime: Found, name: str) -> str:
        file = image_file(name)
        if (runtime.engine, name) not in ready:
            with FileLock(_free(images.CACHE, f".{runtime.engine}.lock")):
                ready[runtime.engine, name] = _loaded(runtime, name, file)
        return ready[runtime.engine, name]

    return found


@pytest.fixture
def strays_to_itself(_shared: Path) -> Iterator[None]:
    """No test that asks for this runs beside another: who removes what is left over removes it for all of the run."""
    _shared.mkdir(parents=True, exist_ok=True)
    with FileLock(_shared / "strays.lock"):
        yield


@pytest.fixture
def somebody() -> Iterator[somebodies.Somebody]:
    """A user of this machine who is not root."""
    try:
        with somebodies.somebody() as they:
            yield they
    except somebodies.NotHere as lacking:
        pytest.skip(f"{NOT_OBTAINABLE} {lacking}")


@pytest.fixture
def contained(store: Store, actor: Actor) -> Callable[..., Environment]:
    """Make an environment in a container: `contained(engine, "python:3.11" as --image takes it, "name")`.

    It has the machine's own network with `near`.
    """
    from venvoy.actions.contain import Wanted, contain
    from venvoy.actions.create import Plan, create
    from venvoy.model import Resources
    from venvoy.settings import Policy

    def made(
        engine: Found, image: str | Path, name: str = "demo", *, force: bool = False, near: bool = False
    ) -> Environment:
        resources = Resources(network="host") if near else Resources()
        kind, container = contain(store, Wanted(runtime=engine.name, image=str(image), resources=resources), Policy())
        return create(store, Plan(name=name, runtime=kind, container=container, force=force), actor=actor)

    return made


def _free(folder: Path, name: str) -> Path:
    """A lock that each user of the machine can take."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir(), f"venvoy-tests-{os.getuid()}{name}")
    return (
        folder / name
        if os.access(folder, os.W_OK)
        else Path(tempfile.gettempdir(), f"venvoy-tests-{os.getuid()}{name}")
    )


def _loaded(runtime: Found, name: str, file: Path) -> str:
    if runtime.engine in ("apptainer", "singularity"):
        sif = file.with_suffix(".sif")
        if not sif.exists() or sif.stat().st_mtime < file.stat().st_mtime:
            squash = ["--mksquashfs-args", "-comp zstd -Xcompression-level 3"]
            _ran(runtime.name, "build", "--force", *squash, str(sif), f"docker-archive:{file}")
        return str(sif)
    reference = f"venvoy-test/{name}"
    digest = json.loads(file.with_suffix(".json").read_text())["digest"].removeprefix("sha256:")
    here = subprocess.run(
        [runtime.name, "image", "inspect", "--format", "{{.Id}}", reference],
        capture_output=True,
        text=True,
        check=False,
    )
    if here.stdout.strip().removeprefix("sha256:") != digest:
        _ran(runtime.name, "load", "--input", str(file))
    return reference


def _ran(*argv: str) -> None:
    subprocess.run(argv, env=MACHINE, check=True, capture_output=True)


# --- conda channels --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Channel:
    """A real conda channel on this machine; `address` is where it is served, as a mirror of conda-forge.

    `real` says whether it has packages made of the index's wheels, an ipykernel for Python 3.12 among them.
    """

    folder: Path
    address: str
    condarc: Path
    real: bool


@pytest.fixture(scope="session")
def _channel_folder(_shared: Path, _machine: Mapping[str, str], pythons: Mapping[str, Path], pip_wheel: Path) -> Path:
    """The channel's files, made once for all workers of the run."""
    folder = _shared / "channel"
    repacked = [pythons[each] for each in ("3.12", "3.9") if each in pythons and _can_be_repacked(pythons[each])]
    if "3.12" not in pythons or not repacked or not sys.platform.startswith("linux"):
        pytest.skip(f"{NOT_OBTAINABLE} no Python 3.12 that can be repacked as a conda package (pyenv has such)")
    _shared.mkdir(parents=True, exist_ok=True)
    with FileLock(_shared / "channel.lock"):
        if not (folder / "made").exists():
            wheels = _shared / "channel-wheels"
            shutil.rmtree(wheels, ignore_errors=True)
            (wheels / "linux-64").mkdir(parents=True)
            shutil.copy(pip_wheel, wheels / "linux-64")
            real = _index_answers()
            if real:
                _script("wheels.py", wheels)
            words = [word for each in repacked for word in ("--python", each)]
            _script("channel.py", folder, *words, "--wheels", wheels)
            (folder / "made").write_text("with wheels" if real else "by hand")
    return folder


def _can_be_repacked(python: Path) -> bool:
    """Debian's looks for packages in folders of its own, and such an interpreter is no package for conda."""
    asked = [python, "-c", "import sys, sysconfig; print(sys.prefix, sysconfig.get_path('purelib'))"]
    prefix, site = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()
    return prefix != "/usr" and site.endswith("site-packages")


def _script(name: str, *words: object) -> None:
    argv = [sys.executable, Path(__file__).parent / "conda" / name, *words]
    path = os.pathsep.join((str(Path(sys.executable).parent), MACHINE["PATH"]))
    ran = subprocess.run(argv, check=False, capture_output=True, text=True, env={**MACHINE, "PATH": path})
    assert ran.returncode == 0, ran.stderr


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """The address of a server of a folder's files."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *words: Any) -> None:
            super().__init__(*words, directory=str(folder))

        def log_message(self, *_words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def _channel_server(_channel_folder: Path) -> Iterator[str]:
    with _serving(_channel_folder) as address:
        yield address


@pytest.fixture
def channel(
    settings: Settings, _shared: Path, _channel_folder: Path, _channel_server: str, monkeypatch: pytest.MonkeyPatch
) -> Channel:
    """The channel as the user's configuration has it: the mirror of conda-forge, and the only one."""
    for name in os.environ:
        if name.startswith(("CONDA", "MAMBA", "PIXI", "RATTLER", "_CE_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(_shared / "rattler"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    condarc = settings.user_home / ".condarc"
    said = {"channels": ["conda-forge"], "mirrored_channels": {"conda-forge": [_channel_server]}}
    condarc.write_text(json.dumps(said))
    return Channel(
        folder=_channel_folder,
        address=_channel_server,
        condarc=condarc,
        real=(_channel_folder / "made").read_text() == "with wheels",
    )


@pytest.fixture
def make_conda(store: Store, channel: Channel, wheelhouse: Wheelhouse, actor: Actor) -> Callable[..., Environment]:
    """Make a real conda environment from the channel: `make_conda("demo", "tool", python="3.12")`."""
    from venvoy.actions.create import Plan, create

    def made(name: str = "demo", *specs: str, python: str | None = "3.12", force: bool = False) -> Environment:
        plan = Plan(name=name, runtime="conda", python=python, specs=specs, force=force)
        return create(store, plan, actor=actor)

    return made


# --- R ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def rscript() -> Path:
    """The Rscript of this machine."""
    found = shutil.which("Rscript", path=MACHINE["PATH"])
    if found is None:
        pytest.skip("there is no R here")
    return Path(found)


@pytest.fixture(scope="session")
def _r_repository(_shared: Path, rscript: Path) -> Path:
    """The repository's files, made once for all workers of the run."""
    folder = _shared / "cran"
    _shared.mkdir(parents=True, exist_ok=True)
    with FileLock(_shared / "cran.lock"):
        if not folder.exists():
            partial = folder.with_name("cran.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _ran(str(rscript), "--vanilla", str(Path(__file__).parent / "r" / "repository.R"), str(partial))
            partial.rename(folder)
    return folder


@pytest.fixture
def repository(settings: Settings, _r_repository: Path) -> Path:
    """A CRAN in the user's home, which containers see as well; the user's own start-up file names it."""
    folder = settings.user_home / "cran"
    if not folder.exists():
        shutil.copytree(_r_repository, folder)
        (settings.user_home / ".Rprofile").write_text(f'options(repos = c(CRAN = "{folder.as_uri()}"))\n')
    return folder


@dataclass(frozen=True)
class Bioconductor:
    """A folder that BiocManager takes for a Bioconductor."""

    folder: Path
    release: str

    @property
    def options(self) -> str:
        """The expression that has R use it."""
        root = self.folder.as_uri()
        return f"options(BioC_mirror = '{root}', BIOCONDUCTOR_CONFIG_FILE = '{root}/config.yaml')"


@pytest.fixture
def bioconductor(settings: Settings, repository: Path, rscript: Path) -> Bioconductor:
    """A Bioconductor beside the user's CRAN, of the release that fits BiocManager's R here."""
    folder = settings.user_home / "bioconductor"
    made = Bioconductor(folder, "3.16")
    if not folder.exists():
        _ran(str(rscript), "--vanilla", str(Path(__file__).parent / "r" / "bioconductor.R"), str(folder), made.release)
        with (settings.user_home / ".Rprofile").open("a") as profile:
            profile.write(made.options + "\n")
    return made


@pytest.fixture
def served_repository(settings: Settings, repository: Path) -> Iterator[str]:
    """The address of the user's CRAN, which is now on the web, so to say."""
    profile = settings.user_home / ".Rprofile"
    kept = profile.read_text()
    with _serving(repository) as address:
        profile.write_text(f'options(repos = c(CRAN = "{address}"))\n')
        yield address
    profile.write_text(kept)


@pytest.fixture(scope="session")
def renv(_shared: Path, rscript: Path) -> Path:
    """A library with the real renv."""
    with FileLock(_shared / "renv.lock"):
        found = debian_r.renv(rscript, images.CACHE)
    if found is None:
        pytest.skip("not obtainable: renv is neither installed nor to be had from Debian")
    return found


@pytest.fixture
def of_cran(_shared: Path, repository: Path, rscript: Path) -> Path:
    """The user's CRAN, with glue and R6 in it as CRAN has them."""
    with FileLock(_shared / "r-sources.lock"):
        found = debian_r.sources(images.CACHE, "glue", "R6")
    if len(found) != 2:
        pytest.skip("not obtainable: the sources of R packages cannot be had from Debian")
    for each in found:
        shutil.copy(each, repository / "src/contrib")
    _ran(str(rscript), "--vanilla", "-e", f"tools::write_PACKAGES('{repository / 'src/contrib'}', type = 'source')")
    return repository


@pytest.fixture
def make_r(store: Store, repository: Path, actor: Actor) -> Callable[..., Environment]:
    """Make a real R environment on this machine's R: `make_r("demo", "tinya", "tinyc")`."""
    from venvoy.actions.create import Plan, create

    def made(name: str = "demo", *packages: str, **words: Any) -> Environment:
        return create(store, Plan(name=name, language="r", specs=packages, **words), actor=actor)

    return made


@pytest.fixture
def in_r(store: Store) -> Callable[[Environment, str], str]:
    """What an expression prints in an environment's R: `in_r(env, "tinya::hello()")`."""

    def printed(env: Environment, expression: str) -> str:
        job = Job(argv=("Rscript", "-e", expression), cwd=Path("/"))
        return process.run(runtimes.get(env.runtime).command(env, job))

    return printed


# --- environments and snapshots --------------------------------------------------------------------------------------


@pytest.fixture
def environment(store: Store, actor: Actor, pythons: Mapping[str, Path]) -> Callable[[str], Environment]:
    """An environment of that name with its kernelspec, on Python 3.12."""
    from venvoy.actions.create import Plan, create
    from venvoy.actions.launch import kernel_of
    from venvoy.frontends import kernelspecs

    def made(name: str) -> Environment:
        if store.exists(name):
            return store.environment(name)
        if "3.12" not in pythons:
            pytest.skip("not obtainable: no Python 3.12 on this machine")
        env = create(store, Plan(name=name, python=str(pythons["3.12"])), actor=actor)
        kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
        return env

    return made


@pytest.fixture
def env(tmp_path: Path) -> Environment:
    """An environment on paper: its prefix is not there."""
    return Environment(
        name="demo",
        prefix=tmp_path / "prefix",
        python_version="3.12.1",
        created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    )


@pytest.fixture
def make(store: Store, wheelhouse: Wheelhouse, actor: Actor, tmp_path: Path) -> Callable[..., Environment]:
    """Make a real environment from the wheelhouse: `make("demo", "six==1.0", python="3.12")`."""
    from venvoy.actions.create import Plan, create

    def made(name: str = "demo", *requirements: str, python: str | None = None, force: bool = False) -> Environment:
        listed = tmp_path / f"{name}-requirements.txt"
        listed.write_text("".join(f"{each}\n" for each in requirements))
        return create(store, Plan(name=name, python=python, requirements=listed, force=force), actor=actor)

    return made


@pytest.fixture
def snapshot() -> Callable[..., Snapshot]:
    """Write a snapshot down: `snapshot("six==1.0", Package(...), python="3.12.1")`."""

    def written(*packages: str | Package, python: str = "3.12.1", name: str = "demo") -> Snapshot:
        return Snapshot(
            environment=name,
            taken=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            base="b" * 64,
            language_version=python,
            platform="linux-x86_64",
            packages=tuple(sorted(each if isinstance(each, Package) else _package(each) for each in packages)),
        )

    return written


@pytest.fixture
def in_image(snapshot: Callable[..., Snapshot]) -> Callable[..., Snapshot]:
    """Write down a snapshot taken in an image: `in_image("six==1.0", own=("deb libssl3 3.0.9",), digest="sha256:…")`."""
    from venvoy.formats import base_json
    from venvoy.model import Contents, Image

    def written(
        *packages: str | Package,
        own: tuple[str, ...] = ("deb libssl3 3.0.9", "pypi pip 23.0"),
        system: str = "Debian GNU/Linux 12 (bookworm)",
        digest: str = f"sha256:{'1' * 64}",
        **said: str,
    ) -> Snapshot:
        words = (each.split() for each in own)
        listed = tuple(sorted(Package(ecosystem=first, name=name, version=version) for first, name, version in words))
        contents = Contents(machine="x86_64", system=system, libc="glibc-2.36", packages=listed)
        image = Image(reference="docker.io/library/python:3.12-slim", digest=digest)
        return replace(snapshot(*packages, **said), base=base_json.name(contents), contents=contents, stands_on=image)

    return written


def _package(pin: str) -> Package:
    name, _, version = pin.partition("==")
    return Package(name=name, version=version)


@pytest.fixture
def distribution(tmp_path: Path) -> Callable[..., Path]:
    """Lay an installed distribution into a prefix's site-packages; returns its dist-info."""

    def laid(prefix: Path, name: str, version: str = "1.0", *, requires: tuple[str, ...] = (), **files: str) -> Path:
        info = prefix / "lib/python3.12/site-packages" / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}\nText.\n")
        for file, text in files.items():
            (info / file.replace("_json", ".json")).write_text(text if isinstance(text, str) else json.dumps(text))
        return info

    return laid
