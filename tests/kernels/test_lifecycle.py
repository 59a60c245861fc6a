"""Kernels start, are interrupted, restart, crash and end; whatever happens, nobody is left waiting and nothing is left."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache
from jupyter_client.ioloop import AsyncIOLoopKernelManager
from traitlets import TraitError
from traitlets.config import Config

from venvoy.errors import EnvironmentNotFound, InvalidInput, KernelUnusable
from venvoy.frontends import kernelspecs
from venvoy.model import Environment

pytestmark = pytest.mark.xdist_group("lifecycle")
Start = Callable[..., Any]
Make = Callable[..., Environment]
BUSY = {
    "asleep": "import time; print('on', flush=True); time.sleep(60)",
    "in a tight loop": "print('on', flush=True)\nwhile True: pass",
}
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print('on', flush=True)
while True: pass
"""
FLOOD = """
import os, sys, time
print('on', flush=True)
os.write(sys.stderr._original_stdstream_copy, b'x' * 1000)
time.sleep(0.2)
os.write(sys.stderr._original_stdstream_copy, b'x' * 9_000_000)
"""
CHILD = "import subprocess; print(subprocess.Popen(['sleep', '600']).pid)"


# --- interrupts ------------------------------------------------------------------------------------------------------


def _interrupted(live: Any, send: Callable[[], object], code: str, count: int = 25) -> list[list[str]]:
    """Interrupt a cell so many times; returns the errors that each came back with."""
    came = []
    for _ in range(count):
        sent = live.begin(code, until="on")
        # Python loses the wake-up of a signal that comes just before it falls asleep (1 of 600 in any ipykernel here).
        time.sleep(0.05)
        send()
        ran = live.finish(sent)
        came.append([each["content"]["ename"] for _, each in ran.messages if each["msg_type"] == "error"])
    return came


@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
def test_every_interrupt_arrives_exactly_once(live: Any, code: str) -> None:
    came = _interrupted(live, live.manager.interrupt_kernel, code)

    assert came == [["KeyboardInterrupt"]] * 25
    assert live.run("6 * 7").result == "42"


@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the process", "to its group"])
def test_every_interrupt_arrives_exactly_once_by_the_plain_launcher(
    environment: Make, launch: Start, code: str, send: Callable[[int, int], None]
) -> None:
    live, launcher = launch(environment())

    came = _interrupted(live, lambda: send(launcher.pid, signal.SIGINT), code)

    assert came == [["KeyboardInterrupt"]] * 25
    assert live.run("6 * 7").result == "42"


def test_an_interrupt_reaches_what_the_cell_runs(live: Any, lives: Callable[[int], bool], eventually: Start) -> None:
    sent = live.begin(
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('on', flush=True)\nchild.wait()",
        until="on",
    )
    live.manager.interrupt_kernel()
    live.finish(sent)

    child = int(live.run("child.pid").result)

    eventually(lambda: not lives(child))


# --- restarts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("now", [False, True], ids=["politely", "now"])
def test_a_restart_gives_a_fresh_namespace_on_the_same_channels(environment: Make, start: Start, now: bool) -> None:
    live = start(environment())
    live.run("kept = 1")
    before, connection = live.pid, Path(live.manager.connection_file).read_text()

    live.manager.restart_kernel(now=now)
    live.client.wait_for_ready(timeout=60)

    assert live.run("kept").error.startswith("NameError")
    assert live.pid != before
    assert Path(live.manager.connection_file).read_text() == connection
    assert not live.run("1").stderr
    assert live.run("%env-status").status == "ok"


def test_a_restart_that_fails_is_explained(environment: Make, start: Start, sessions: Start) -> None:
    env = environment("spoilt")
    live = start(env)
    _lay(env, "sitecustomize.py", "import os; os.write(2, b'no more\\n'); os._exit(4)")

    with pytest.raises(KernelUnusable, match="exited with 4 before it was ready:\nno more"):
        live.manager.restart_kernel()

    assert not sessions()


@contextlib.asynccontextmanager
async def _watched(env: Environment) -> Any:
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


async def _until(holds: Callable[[], object]) -> None:
    for _ in range(3000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came true")


async def _ran(client: Any, code: str) -> str:
    """What a cell printed on stderr and stdout."""
    said: list[str] = []
    await client.execute_interactive(
        code, timeout=60, output_hook=lambda message: said.append(message["content"].get("text", ""))
    )
    return "".join(said)


def _crashed(env: Environment, crash: Callable[[Any, Any], object]) -> tuple[str, str]:
    """What the first two cells say after a crash and the restart that follows."""

    async def story() -> tuple[str, str]:
        async with _watched(env) as (manager, client):
            await _ran(client, "kept = 1")
            before = manager.provisioner.pid
            crash(manager, client)
            await _until(lambda: manager.provisioner.pid != before)
            await client.wait_for_ready(timeout=60)
            return await _ran(client, "print('kept' in globals())"), await _ran(client, "print('again')")

    return asyncio.run(story())


def test_a_kernel_that_ends_itself_is_started_again_and_explained(environment: Make) -> None:
    first, second = _crashed(environment(), lambda _, client: client.execute("import os; os._exit(3)"))

    assert "the kernel before this one exited with 3" in first
    assert "False\n" in first
    assert second == "again\n"


def test_a_kernel_that_the_system_kills_is_started_again_and_explained(
    environment: Make, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = _crashed(environment(), lambda manager, _: os.kill(manager.provisioner.pid, signal.SIGKILL))

    assert "the kernel before this one was killed (SIGKILL), most often because the memory ran out" in first
    assert "False\n" in first
    assert second == "again\n"


def test_a_kernel_that_cannot_start_again_is_declared_dead(environment: Make, sessions: Start) -> None:
    env = environment("cannot-restart")

    async def story() -> list[str]:
        told: list[str] = []
        async with _watched(env) as (manager, client):
            manager.add_restart_callback(lambda: told.append("dead"), "dead")
            _lay(env, "sitecustomize.py", "import os; os.write(2, b'no more\\n'); os._exit(4)")
            client.execute("import os; os._exit(3)")
            await _until(lambda: told)
        return told

    told = asyncio.run(story())

    assert told == ["dead"]
    assert not sessions()


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["print('on', flush=True)", *BUSY.values(), DEAF], ids=["idle", *BUSY, "deaf"])
def test_a_shutdown_leaves_nothing(
    environment: Make, start: Start, sessions: Start, lives: Callable[[int], bool], eventually: Start, code: str
) -> None:
    live = start(environment(), shutdown_wait_time=2.0)
    shim, kernel, child = psutil.Process(live.pid).ppid(), live.pid, int(live.run(CHILD).stdout)
    connection = Path(live.manager.connection_file)
    live.begin(code, until="on")

    live.manager.shutdown_kernel()

    assert not [pid for pid in (shim, kernel) if lives(pid)]
    eventually(lambda: not lives(child))
    assert not sessions()
    assert not connection.exists()


_SERVER = """
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1])
def run(code):
    said = []
    client.execute_interactive(code, output_hook=lambda message: said.append(message["content"].get("text", "")))
    return "".join(said).strip()
print(manager.connection_file, manager.ip, run("import os; print(os.getpid())"), run(sys.argv[2]), flush=True)
client.execute(sys.argv[3])
while True:
    message = client.get_iopub_msg(timeout=60)
    if "on" in message["content"].get("text", ""):
        break
print("busy", flush=True)
time.sleep(600)
"""


@pytest.fixture
def server(environment: Make) -> Iterator[Start]:
    """A process that has started a kernel in which a cell runs, as a Jupyter server would."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, **options: Any) -> tuple[subprocess.Popen[str], list[str]]:
        argv = [sys.executable, "-c", _SERVER, kernelspecs.spec_name(environment().name), CHILD, code]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **options)
        started.append(process)
        words = process.stdout.readline().split()
        assert process.stdout.readline() == "busy\n"
        return process, words

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("code", ["print('on', flush=True)", *BUSY.values(), DEAF], ids=["idle", *BUSY, "deaf"])
def test_a_server_that_is_killed_takes_its_kernel_with_it(
    server: Start, lives: Callable[[int], bool], eventually: Start, code: str
) -> None:
    process, (connection, channels, kernel, child) = server(code)
    session, shim = Path(channels).parent, psutil.Process(int(kernel)).ppid()

    process.kill()

    took = eventually(
        lambda: (
            not any(map(lives, (int(kernel), int(child), shim)))
            and not session.exists()
            and not Path(connection).exists()
        )
    )
    print(f"all gone {took:.2f} s after the server")


def test_a_server_that_is_killed_while_a_fork_of_it_lives_takes_its_kernel_with_it(
    environment: Make, lives: Callable[[int], bool], eventually: Start
) -> None:
    forking = _SERVER.replace('print("busy", flush=True)', "import os\nprint(os.fork() or time.sleep(600), flush=True)")
    argv = [sys.executable, "-c", forking, kernelspecs.spec_name(environment().name), CHILD, "print('on', flush=True)"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    _, _, kernel, child = process.stdout.readline().split()
    fork = int(process.stdout.readline())

    process.kill()

    took = eventually(lambda: not any(map(lives, (int(kernel), int(child)))))
    print(f"all gone {took:.2f} s after the server")
    assert lives(fork)
    os.kill(fork, signal.SIGKILL)
    process.communicate()


def test_a_stderr_that_nobody_reads_holds_up_the_kernel_but_no_signal(
    environment: Make, start: Start, lives: Callable[[int], bool]
) -> None:
    unread, written = os.pipe()
    ours = os.dup(2)
    os.dup2(written, 2)
    try:
        live = start(environment())
    finally:
        os.dup2(ours, 2)
    kernel = live.pid

    sent = live.begin(FLOOD, until="on")
    time.sleep(1)
    live.manager.interrupt_kernel()
    ran = live.finish(sent)
    live.manager.shutdown_kernel(now=True)

    assert ran.error.startswith("KeyboardInterrupt")
    assert not lives(kernel)
    for each in (unread, written, ours):
        os.close(each)


def test_a_shim_that_is_killed_takes_the_kernel_with_it(
    environment: Make, start: Start, lives: Callable[[int], bool], eventually: Start
) -> None:
    live = start(environment())
    kernel, child = live.pid, int(live.run(CHILD).stdout)

    os.kill(psutil.Process(kernel).ppid(), signal.SIGKILL)

    took = eventually(lambda: not any(map(lives, (kernel, child))))
    print(f"all gone {took:.2f} s after the shim")
    eventually(lambda: not live.manager.is_alive())


# --- launches that fail ----------------------------------------------------------------------------------------------


def _site(env: Environment) -> Path:
    return next(env.prefix.glob("lib/python*/site-packages"))


def _lay(env: Environment, file: str, text: str) -> None:
    place = _site(env) / file
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


def _no_python(env: Environment) -> None:
    _lay(env, "ipykernel-7.4.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: ipykernel\nVersion: 7.4.0\n")
    (env.prefix / "bin/python").unlink()
    (env.prefix / "bin/python").write_text("neither a program nor a script")
    (env.prefix / "bin/python").chmod(0o755)


# ipykernel captures what is written to 2 by then, and a kernel that ends at once never passes it on.
LATE = "import os, sys; os.write(sys.stderr._original_stdstream_copy, b'too late\\n'); os._exit(5)"


def _late(env: Environment) -> None:
    """End in a start-up file of IPython, which runs when the channels are bound already."""
    _lay(env, "ipython/profile_default/startup/00.py", LATE)
    _lay(env, "sitecustomize.py", f"import os; os.environ['IPYTHONDIR'] = {str(_site(env) / 'ipython')!r}")


FAULTS: dict[str, tuple[Callable[[Environment], None], tuple[str, ...]]] = {
    "ends at once": (
        lambda env: _lay(env, "sitecustomize.py", "import os; os.write(2, b'100% my fault\\n'); os._exit(3)"),
        ("exited with 3 before it was ready", "100\uff05 my fault"),
    ),
    "lacks a module": (
        lambda env: _lay(env, "ipykernel/__init__.py", "import nothing_like_this"),
        ("exited with 1 before it was ready", "No module named 'nothing_like_this'"),
    ),
    "cannot be executed": (_no_python, ("exited with 127", "cannot start", "Exec format error")),
    "is killed": (
        lambda env: _lay(env, "sitecustomize.py", "import os; os.kill(os.getpid(), 9)"),
        ("was killed (SIGKILL), most often because the memory ran out before it was ready",),
    ),
    "ends after its channels are there": (
        _late,
        ("exited with 5 before it was ready", "too late"),
    ),
}


@pytest.fixture
def nothing_left(sessions: Start) -> Iterator[None]:
    """When the test is over, nothing is there that was not there before it."""

    def there() -> set[object]:
        files = Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*")
        return {*files, *psutil.Process().children(recursive=True)}

    LocalPortCache.clear_instance()
    before = there()
    yield
    assert not there() - before
    assert not sessions()
    assert not LocalPortCache.instance().currently_used_ports


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_kernel_that_dies_at_once_is_explained_and_leaves_nothing(
    environment: Make, start: Start, configure: Start, fault: str, transport: str
) -> None:
    spoil, words = FAULTS[fault]
    name = "-".join([*fault.split(), transport])
    env = environment(name)
    configure(env, transport=transport)
    spoil(env)

    with pytest.raises(KernelUnusable) as raised:
        start(env)

    assert f"the kernel of {name!r}" in raised.value.message
    for word in words:
        assert word in raised.value.message
    assert f"venvoy check {name}" in raised.value.hint
    assert f"venvoy repair {name}" in raised.value.hint


@pytest.mark.usefixtures("nothing_left")
def test_a_kernel_that_takes_too_long_is_given_up_and_leaves_nothing(
    environment: Make, start: Start, configure: Start
) -> None:
    env = environment("slow")
    _lay(env, "sitecustomize.py", "import time; time.sleep(60)")
    configure(env, launch_timeout=0.5)

    with pytest.raises(KernelUnusable, match=r"was not ready within 0\.5 seconds") as raised:
        start(env)

    assert "launch_timeout" in raised.value.hint


@pytest.mark.usefixtures("nothing_left")
def test_a_launch_that_is_cancelled_leaves_nothing(environment: Make, sessions: Start) -> None:
    async def story() -> None:
        manager = AsyncIOLoopKernelManager(kernel_name=kernelspecs.spec_name(environment().name))
        task = asyncio.ensure_future(manager.start_kernel())
        await _until(sessions)
        await asyncio.sleep(0.2)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        manager.context.destroy()

    asyncio.run(story())


@pytest.mark.usefixtures("nothing_left")
def test_an_environment_that_is_gone_is_named(environment: Make, start: Start, store: Any) -> None:
    env = environment("gone")
    store.remove(env.name)

    with pytest.raises(EnvironmentNotFound, match="venvoy init gone"):
        start(env)


@pytest.mark.usefixtures("nothing_left")
def test_a_folder_that_is_gone_is_named(environment: Make, start: Start) -> None:
    env = environment("moved-away")
    env.prefix.resolve().rename(env.prefix.parent / "elsewhere")

    with pytest.raises(KernelUnusable, match=r"has no folder .* any more\nmend it: venvoy repair moved-away"):
        start(env)


@pytest.mark.usefixtures("nothing_left")
def test_a_setting_that_does_not_exist_is_refused_by_name(environment: Make, start: Start, configure: Start) -> None:
    env = environment("colourful")
    configure(env, colour="red", transport="tcp")

    with pytest.raises(InvalidInput, match="the kernelspec's provisioner has no setting 'colour'") as raised:
        start(env)

    assert "environment, launch_timeout, record, transport" in raised.value.hint


@pytest.mark.usefixtures("nothing_left")
def test_a_setting_of_the_wrong_kind_is_refused_by_name(environment: Make, start: Start, configure: Start) -> None:
    env = environment("colourful")
    configure(env, launch_timeout="soon")

    with pytest.raises(TraitError, match="launch_timeout"):
        start(env)
