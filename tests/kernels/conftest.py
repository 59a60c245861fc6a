"""Real kernels in real environments: one home for all tests of a worker, and clients to speak to the kernels with."""

import contextlib
import json
import os
import queue
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.manager import KernelManager

from venvoy import settings as venvoy_settings
from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Environment
from venvoy.settings import Settings
from venvoy.store import Store

USUAL = "3.12"
PATIENCE = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.network)  # the kernel that is lent comes from the index


# --- a home for all tests of a worker --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _home(tmp_path_factory: pytest.TempPathFactory, _shared: Path) -> Iterator[Mapping[str, str]]:
    home = tmp_path_factory.mktemp("kernels")
    # A Unix socket's path must be short, and pytest's folders are not.
    runtime = Path(tempfile.mkdtemp(prefix="vk", dir="/tmp"))
    for name in ("payloads", "bases"):
        (_shared / name).mkdir(parents=True, exist_ok=True)
        (home / ".venvoy").mkdir(exist_ok=True)
        (home / ".venvoy" / name).symlink_to(_shared / name)
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
    for folder in (runtime, home):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def settings(
    settings: Settings, _home: Mapping[str, str], _machine: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> Settings:
    for name, value in (_machine | _home).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    return venvoy_settings.current()


@pytest.fixture(scope="session")
def _made() -> dict[str, Environment]:
    return {}


@pytest.fixture
def environment(
    store: Store, actor: Actor, pythons: Mapping[str, Path], _made: dict[str, Environment]
) -> Callable[..., Environment]:
    """An environment with its kernelspec: `environment()` is one for all tests, `environment("own")` made for this one.

    `python` is a minor version; `adjust` may do something to a new one before the kernelspec is written.
    """

    def found(
        name: str = "", *, python: str = USUAL, adjust: Callable[[Environment], object] = lambda _: None
    ) -> Environment:
        name = name or f"shared-{python}"
        if name not in _made:
            if python not in pythons:
                pytest.skip(f"not obtainable: no Python {python} on this machine")
            env = create(store, Plan(name=name, python=str(pythons[python])), actor=actor)
            adjust(env)
            kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
            _made[name] = env
        return _made[name]

    return found


@pytest.fixture
def prefix(store: Store, actor: Actor, channel: Any, _made: dict[str, Environment]) -> Callable[..., Environment]:
    """A conda environment with its kernelspec; made once for all tests that name it the same."""

    def found(name: str, *specs: str, python: str = "3.12") -> Environment:
        if name not in _made:
            env = create(store, Plan(name=name, runtime="conda", python=python, specs=specs), actor=actor)
            kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
            _made[name] = env
        return _made[name]

    return found


@pytest.fixture
def kernelspec() -> Callable[[Environment], Path]:
    """Where an environment's kernel.json lies."""
    return lambda env: Path(os.environ["JUPYTER_DATA_DIR"], "kernels", kernelspecs.spec_name(env.name), "kernel.json")


@pytest.fixture
def configure(kernelspec: Callable[[Environment], Path]) -> Callable[..., None]:
    """Write settings of the provisioner into an environment's kernel.json, or take them out again."""

    def written(env: Environment, **config: object) -> None:
        file = kernelspec(env)
        said = json.loads(file.read_text())
        said["metadata"]["kernel_provisioner"]["config"] = config
        file.write_text(json.dumps(said))

    return written


# --- clients ---------------------------------------------------------------------------------------------------------


@dataclass
class Ran:
    """What came of one cell: its status, what it printed, its displays, and all messages with when they came."""

    status: str = ""
    stdout: str = ""
    stderr: str = ""
    shown: list[dict[str, Any]] = field(default_factory=list)
    result: str = ""
    error: str = ""
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All that a person would read."""
        return "\n".join(
            [self.stdout, self.stderr, *(each["text/plain"] for each in self.shown), self.result, self.error]
        )

    def hear(self, message: dict[str, Any], after: float) -> None:
        self.messages.append((after, message))
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            setattr(self, content["name"], getattr(self, content["name"]) + content["text"])
        elif kind == "display_data":
            self.shown.append(content["data"])
        elif kind == "execute_result":
            self.result = content["data"]["text/plain"]
        elif kind == "error":
            self.error = f"{content['ename']}: {content['evalue']}"


@dataclass
class Live:
    """A kernel that runs, and a client of it."""

    client: BlockingKernelClient
    manager: KernelManager | None = None

    def run(self, code: str, *, timeout: float = PATIENCE) -> Ran:
        ran, began = Ran(), time.perf_counter()
        reply = self.client.execute_interactive(
            code, timeout=timeout, output_hook=lambda message: ran.hear(message, time.perf_counter() - began)
        )
        ran.status = reply["content"]["status"]
        return ran

    def begin(self, code: str, *, until: str = "") -> str:
        """Send a cell and return its id as soon as it is busy or has printed `until`."""
        sent = self.client.execute(code)
        while True:
            message = self.client.get_iopub_msg(timeout=PATIENCE)
            if message["parent_header"].get("msg_id") != sent:
                continue
            content = message["content"]
            if until in content.get("text", "") if until else content.get("execution_state") == "busy":
                return sent

    def finish(self, sent: str) -> Ran:
        """What came of a cell that was begun."""
        ran, began, replied, idle = Ran(), time.perf_counter(), False, False
        while not (replied and idle):
            if not idle:
                message = self.client.get_iopub_msg(timeout=PATIENCE)
                if message["parent_header"].get("msg_id") == sent:
                    ran.hear(message, time.perf_counter() - began)
                    idle = message["content"].get("execution_state") == "idle"
            else:
                reply = self.client.get_shell_msg(timeout=PATIENCE)
                if reply["parent_header"].get("msg_id") == sent:
                    ran.status, replied = reply["content"]["status"], True
        return ran

    @property
    def pid(self) -> int:
        return int(self.run("import os; os.getpid()").result)


def _servers() -> dict[str, str]:
    """The variables of a server; ipykernel captures less where it sees pytest's."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


@pytest.fixture
def start(settings: Settings) -> Iterator[Callable[..., Live]]:
    """Start an environment's kernel through its kernelspec, as any Jupyter client does."""
    running: list[Live] = []

    def started(env: Environment | str, *, env_vars: Mapping[str, str] | None = None, **traits: Any) -> Live:
        name = env if isinstance(env, str) else kernelspecs.spec_name(env.name)
        manager = KernelManager(kernel_name=name, **traits)
        try:
            manager.start_kernel(env=_servers() | (env_vars or {}))
        except BaseException:
            manager.context.destroy()
            raise
        client = manager.client()
        client.start_channels()
        running.append(Live(client=client, manager=manager))
        client.wait_for_ready(timeout=PATIENCE)
        return running[-1]

    yield started
    for live in running:
        stop(live)


@pytest.fixture
def launch(
    settings: Settings, tmp_path: Path, kernelspec: Callable[[Environment], Path]
) -> Iterator[Callable[..., tuple[Live, subprocess.Popen[bytes]]]]:
    """Start a kernel as clients do that ignore provisioners: by the kernelspec's argv, on a connection file of theirs."""
    running: list[tuple[Live, subprocess.Popen[bytes]]] = []

    def launched(env: Environment, **options: Any) -> tuple[Live, subprocess.Popen[bytes]]:
        said = json.loads(kernelspec(env).read_text())
        connection = tmp_path / f"connection-{len(running)}.json"
        write_connection_file(str(connection), kernel_name="python")
        argv = [word.replace("{connection_file}", str(connection)) for word in said["argv"]]
        process = subprocess.Popen(argv, env=_servers() | said["env"], start_new_session=True, **options)
        client = BlockingKernelClient(connection_file=str(connection))
        client.load_connection_file()
        client.start_channels()
        running.append((Live(client=client), process))
        _answered(client)
        return running[-1]

    yield launched
    for live, process in running:
        stop(live)
        process.terminate()
        process.wait(10)


def _answered(client: BlockingKernelClient) -> None:
    """Wait for a kernel that nobody manages; `wait_for_ready` takes one that has not begun to beat yet for dead."""
    for _ in range(PATIENCE):
        client.kernel_info()
        with contextlib.suppress(queue.Empty):
            client.get_shell_msg(timeout=1)
            client.get_iopub_msg(timeout=1)
            return
    pytest.fail("the kernel never answered")


@pytest.fixture(scope="module")
def _one() -> Iterator[list[Live]]:
    one: list[Live] = []
    yield one
    for live in one:
        stop(live)


@pytest.fixture
def live(_one: list[Live], environment: Callable[..., Environment]) -> Live:
    """One kernel for all tests of a file that leave it as it is."""
    if not _one:
        manager = KernelManager(kernel_name=kernelspecs.spec_name(environment().name))
        manager.start_kernel(env=_servers())
        client = manager.client()
        client.start_channels()
        _one.append(Live(client=client, manager=manager))
        client.wait_for_ready(timeout=PATIENCE)
    return _one[0]


def stop(live: Live) -> None:
    live.client.stop_channels()
    if live.manager is not None:
        if live.manager.has_kernel:
            live.manager.shutdown_kernel(now=True)
        live.manager.context.destroy()


# --- processes and time ----------------------------------------------------------------------------------------------


def eventually(holds: Callable[[], object], *, within: float = 20) -> float:
    """Wait until something holds; returns after how many seconds it did. Fails when it never does."""
    began = time.perf_counter()
    while not holds():
        assert time.perf_counter() - began < within, "it never came true"
        time.sleep(0.01)
    return time.perf_counter() - began


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., float]:
    return eventually


@pytest.fixture(name="lives")
def _lives() -> Callable[[int], bool]:
    return lives


@pytest.fixture
def sessions(settings: Settings) -> Callable[[], list[str]]:
    """The names of the session folders that came in this test and are still there."""

    def there() -> set[str]:
        return set(os.listdir(settings.runtime)) if settings.runtime.exists() else set()

    before = there()
    return lambda: sorted(there() - before)
