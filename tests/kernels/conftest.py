"""Real kernels in real environments: one home for all tests of a worker, and clients to speak to the kernels with."""

import asyncio
import contextlib
import json
import os
import queue
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.connect import write_connection_file
from jupyter_client.ioloop import AsyncIOLoopKernelManager
from jupyter_client.manager import KernelManager
from traitlets.config import Config
from waiting import eventually

from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import Detected, Found
from venvoy.actions.launch import kernel_of
from venvoy.containers import ENGINES
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Container, Environment, Mount
from venvoy.runtimes.inside import PREFIX
from venvoy.settings import Policy, Settings
from venvoy.store import Store

USUAL = "3.12"
CONTAINED = "3.11"
PATIENCE = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents and item.path.name != "test_r.py":
            item.add_marker(pytest.mark.network)  # the kernel that is lent comes from the index


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked `everywhere` in each container runtime, too: one after the other, each in one worker."""
    if "runtime" not in metafunc.fixturenames:
        return
    contained, everywhere = map(metafunc.definition.get_closest_marker, ("contained", "everywhere"))
    wanted = (contained.args or ENGINES) if contained else ("venv", *ENGINES) if everywhere else ()
    if wanted:
        given = [pytest.param(each, marks=() if each == "venv" else pytest.mark.xdist_group(each)) for each in wanted]
        metafunc.parametrize("runtime", given, indirect=True, scope="session")


# --- a home for all tests of a worker --------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _home(new_home: Callable[[str], AbstractContextManager[Mapping[str, str]]]) -> Iterator[Mapping[str, str]]:
    with new_home("kernels") as variables:
        yield {**variables, "PYDEVD_DISABLE_FILE_VALIDATION": "1"}


@pytest.fixture(autouse=True)
def settings(moved: Callable[[Mapping[str, str]], Settings], _home: Mapping[str, str]) -> Settings:
    return moved(_home)


@pytest.fixture(scope="session")
def _made() -> dict[str, Environment]:
    return {}


@pytest.fixture(scope="session")
def runtime(request: pytest.FixtureRequest) -> str:
    """Where the environments of this test are: "venv", or each container runtime for what is marked `everywhere`."""
    return str(getattr(request, "param", "venv"))


@pytest.fixture
def environment(environment_in: Callable[..., Environment], runtime: str) -> Callable[..., Environment]:
    """`environment_in` where the test is."""
    return partial(environment_in, runtime)


@pytest.fixture
def environment_in(
    store: Store,
    actor: Actor,
    pythons: Mapping[str, Path],
    contained: Callable[..., tuple[str, Container]],
    _made: dict[str, Environment],
) -> Callable[..., Environment]:
    """An environment with its kernelspec: `environment()` is one for all tests, `environment("own")` made for this one.

    `python` is a minor version; `adjust` may do something to a new one before the kernelspec is written, `wanted` says
    more of its container.
    """

    def found(
        runtime: str,
        name: str = "",
        *,
        python: str = "",
        adjust: Callable[[Environment], object] = lambda _: None,
        **wanted: Any,
    ) -> Environment:
        python = python or (USUAL if runtime == "venv" else CONTAINED)
        name = (name or f"shared-{python}") + ("" if runtime == "venv" else f"-{runtime}")
        if name not in _made:
            if runtime != "venv":
                kind, container = contained(runtime, python, **wanted)
                plan = Plan(name=name, runtime=kind, container=container)
            elif python in pythons:
                plan = Plan(name=name, python=str(pythons[python]))
            else:
                pytest.skip(f"not obtainable: no Python {python} on this machine")
            env = create(store, plan, actor=actor)
            adjust(env)
            kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
            _made[name] = env
        return _made[name]

    return found


@pytest.fixture
def inside() -> Callable[[Environment], str]:
    """The prefix of an environment as its own kernels see it."""
    return lambda env: PREFIX if env.container else str(env.prefix)


@pytest.fixture
def contained(
    store: Store, detected: Detected, image: Callable[[Found, str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[str, Container]]:
    """How a Python of the images is run by a runtime; `image` may name another, the rest is `Wanted`'s.

    It sees the folders of the tests under their own names.
    """
    folders = tmp_path_factory.getbasetemp()

    def found(name: str, python: str = CONTAINED, **wanted: Any) -> tuple[str, Container]:
        engine = detected.named(name)
        if not engine.usable:
            pytest.skip(f"{engine.name} cannot be used here: {engine.problem}")
        wanted.setdefault("mounts", (Mount(source=folders, target=str(folders)),))
        if "image" not in wanted:
            wanted["image"] = image(engine, f"python:{python}")
        return contain(store, Wanted(runtime=engine.name, **wanted), Policy())

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
def r_in(store, actor, repository, rscript, detected, image, _made) -> Callable[..., Environment]:
    """The R environment of a place with its kernelspec, one for all tests that do not name their own."""

    def found(place: str, name: str = "") -> Environment:
        name = name or f"r-{place}"
        if name not in _made:
            kind, container = "venv", None
            if place != "host":
                runtime = detected.named(place)
                if not runtime.usable:
                    pytest.skip(f"{place} cannot be used here: {runtime.problem}")
                wanted = Wanted(runtime=place, image=image(runtime, "r:4.5"), language="r")
                kind, container = contain(store, wanted, Policy())
            env = create(store, Plan(name=name, language="r", runtime=kind, container=container), actor=actor)
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
        # What is sent right after an error would be aborted with it.
        sent = self.client.execute(code, stop_on_error=False)
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
        """The kernel's number on this machine."""
        return self.outside(int(self.run("import os; os.getpid()").result))

    def outside(self, pid: int) -> int:
        """The number on this machine of a process that has that one where the kernel is."""
        return outside(pid, self.run("import os; print(os.readlink('/proc/self/ns/pid'))").stdout.strip())

    @property
    def shim(self) -> int:
        return psutil.Process(self.manager.provisioner.pid).ppid()


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
def _one() -> Iterator[dict[str, Live]]:
    one: dict[str, Live] = {}
    yield one
    for live in one.values():
        stop(live)


@pytest.fixture
def live(_one: dict[str, Live], runtime: str, environment: Callable[..., Environment]) -> Live:
    """One kernel for all tests of a file that leave it as it is, in each runtime."""
    if runtime not in _one:
        manager = KernelManager(kernel_name=kernelspecs.spec_name(environment().name))
        manager.start_kernel(env=_servers())
        client = manager.client()
        client.start_channels()
        _one[runtime] = Live(client=client, manager=manager)
        client.wait_for_ready(timeout=PATIENCE)
    return _one[runtime]


def stop(live: Live) -> None:
    live.client.stop_channels()
    if live.manager is not None:
        if live.manager.has_kernel:
            live.manager.shutdown_kernel(now=True)
        live.manager.context.destroy()


# --- kernels that are restarted when they die ------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def watched(env: Environment) -> Any:
    """A kernel that is restarted when it dies, as Jupyter Server does."""
    manager = AsyncIOLoopKernelManager(
        kernel_name=kernelspecs.spec_name(env.name), config=Config({"KernelRestarter": {"time_to_dead": 0.2}})
    )
    await manager.start_kernel()
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=60)
    try:
        yield manager, client
    finally:
        client.stop_channels()
        await manager.shutdown_kernel(now=True)
        manager.context.destroy()


async def until(holds: Callable[[], object]) -> None:
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def ran(client: Any, code: str) -> str:
    """What a cell printed on stderr and stdout."""
    said: list[str] = []
    await client.execute_interactive(
        code, timeout=60, output_hook=lambda message: said.append(message["content"].get("text", ""))
    )
    return "".join(said)


def crashed(env: Environment, crash: Callable[[Any, Any], object]) -> tuple[str, str]:
    """What the first two cells say after a crash and the restart that follows."""

    async def story() -> tuple[str, str]:
        async with watched(env) as (manager, client):
            await ran(client, "kept = 1")
            before = manager.provisioner.pid
            crash(manager, client)
            await until(lambda: manager.provisioner.pid != before)
            await client.wait_for_ready(timeout=60)
            return await ran(client, "print('kept' in globals())"), await ran(client, "print('again')")

    return asyncio.run(story())


@pytest.fixture(name="watched")
def _watched() -> Callable[..., Any]:
    return watched


@pytest.fixture(name="crashed")
def _crashed() -> Callable[..., tuple[str, str]]:
    return crashed


@pytest.fixture(name="until")
def _until() -> Callable[..., Any]:
    return until


# --- processes and time ----------------------------------------------------------------------------------------------


def outside(pid: int, namespace: str) -> int:
    """The number on this machine of a process in that namespace of processes (as /proc/PID/ns/pid names it)."""
    if namespace == os.readlink("/proc/self/ns/pid"):
        return pid
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, StopIteration):
            said = (each / "status").read_text().splitlines()
            numbers = next(line for line in said if line.startswith("NSpid:")).split()[1:]
            if int(numbers[-1]) == pid and os.readlink(each / "ns/pid") == namespace:
                return int(each.name)
    return 0


def lives(pid: int) -> bool:
    if not pid:
        return False  # it was gone before anybody looked
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(name="eventually")
def _eventually() -> Callable[..., Any]:
    return eventually


@pytest.fixture(name="outside")
def _outside() -> Callable[[int, str], int]:
    return outside


@pytest.fixture(name="lives")
def _lives() -> Callable[[int], bool]:
    return lives


@pytest.fixture
def left(settings: Settings, runtime: str) -> Callable[[], list[str]]:
    """The names of the containers that came in this test and are still there, in whatever state."""

    def there() -> list[str]:
        if runtime not in ("docker", "podman"):
            return []
        form = (
            '{{.Names}} {{.Label "org.venvoy.session"}}'
            if runtime == "docker"
            else '{{.Names}} {{index .Labels "org.venvoy.session"}}'
        )
        argv = [runtime, "ps", "--all", "--filter", "label=org.venvoy.session", "--format", form]
        listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
        return [line.split()[0] for line in listed if line.split()[1].startswith(str(settings.runtime))]

    before = there()
    return lambda: [each for each in there() if each not in before]


@pytest.fixture
def sessions(settings: Settings) -> Callable[[], list[str]]:
    """The names of the session folders that came in this test and are still there."""

    def there() -> set[str]:
        return set(os.listdir(settings.runtime)) if settings.runtime.exists() else set()

    before = there()
    return lambda: sorted(there() - before)
