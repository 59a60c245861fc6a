"""Kernels start, are interrupted, restart, crash and end; whatever happens, nobody is left waiting and nothing is left."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
from jupyter_client.connect import LocalPortCache
from jupyter_client.ioloop import AsyncIOLoopKernelManager
from traitlets import TraitError

from venvoy.errors import EnvironmentNotFound, InvalidInput, KernelUnusable
from venvoy.frontends import kernelspecs
from venvoy.model import Environment

pytestmark = pytest.mark.xdist_group("lifecycle")
Start = Callable[..., Any]
Make = Callable[..., Environment]
Left = Callable[[], list[str]]
Lives = Callable[[int], bool]
# What is not flushed is sent by another thread a fifth of a second later: by then the cell is where it shall be. An
# interrupt of the flush would be ipykernel's affair, and Python loses the wake-up of one just before it falls asleep.
BUSY = {
    "asleep": "import time; print('on'); time.sleep(60)",
    "in a tight loop": "print('on')\nwhile True: pass",
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
        send()
        ran = live.finish(sent)
        came.append([each["content"]["ename"] for _, each in ran.messages if each["msg_type"] == "error"])
    return came


@pytest.mark.everywhere
@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
def test_every_interrupt_arrives_exactly_once(live: Any, code: str) -> None:
    came = _interrupted(live, live.manager.interrupt_kernel, code)

    assert came == [["KeyboardInterrupt"]] * 25
    assert live.run("6 * 7").result == "42"


@pytest.mark.everywhere
@pytest.mark.parametrize("code", BUSY.values(), ids=BUSY)
@pytest.mark.parametrize("send", [os.kill, os.killpg], ids=["to the process", "to its group"])
def test_every_interrupt_arrives_exactly_once_by_the_plain_launcher(
    environment: Make, launch: Start, code: str, send: Callable[[int, int], None]
) -> None:
    live, launcher = launch(environment())

    came = _interrupted(live, lambda: send(launcher.pid, signal.SIGINT), code)

    assert came == [["KeyboardInterrupt"]] * 25
    assert live.run("6 * 7").result == "42"


@pytest.mark.everywhere
def test_an_interrupt_reaches_what_the_cell_runs(live: Any, lives: Lives, eventually: Start) -> None:
    sent = live.begin(
        "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\nprint('on', flush=True)\nchild.wait()",
        until="on",
    )
    live.manager.interrupt_kernel()
    live.finish(sent)

    child = live.outside(int(live.run("child.pid").result))

    eventually(lambda: not lives(child))


# --- restarts --------------------------------------------------------------------------------------------------------


@pytest.mark.everywhere
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


@pytest.mark.everywhere
def test_a_restart_that_fails_is_explained(environment: Make, start: Start, sessions: Start) -> None:
    env = environment("spoilt")
    live = start(env)
    _lay(env, "spoilt.pth", "import os; os.write(2, b'no more\\n'); os._exit(4)")

    with pytest.raises(KernelUnusable, match="exited with 4 before it was ready:\nno more"):
        live.manager.restart_kernel()

    assert not sessions()


@pytest.mark.everywhere
def test_a_kernel_that_ends_itself_is_started_again_and_explained(environment: Make, crashed: Start) -> None:
    first, second = crashed(environment(), lambda _, client: client.execute("import os; os._exit(3)"))

    assert "the kernel before this one exited with 3" in first
    assert "False\n" in first
    assert second == "again\n"


@pytest.mark.everywhere
def test_a_kernel_that_the_system_kills_is_started_again_and_explained(environment: Make, crashed: Start) -> None:
    first, second = crashed(environment(), lambda _, client: client.execute("import os; os.kill(os.getpid(), 9)"))

    assert "the kernel before this one was killed (SIGKILL), most often because the memory ran out" in first
    assert "False\n" in first
    assert second == "again\n"


@pytest.mark.everywhere
def test_a_kernel_that_cannot_start_again_is_declared_dead(
    environment: Make, sessions: Start, watched: Start, until: Start
) -> None:
    env = environment("cannot-restart")

    async def story() -> list[str]:
        told: list[str] = []
        async with watched(env) as (manager, client):
            manager.add_restart_callback(lambda: told.append("dead"), "dead")
            _lay(env, "spoilt.pth", "import os; os.write(2, b'no more\\n'); os._exit(4)")
            client.execute("import os; os._exit(3)")
            await until(lambda: told)
        return told

    told = asyncio.run(story())

    assert told == ["dead"]
    assert not sessions()


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.everywhere
def test_a_kernel_that_jupyter_has_given_up_is_ended_by_its_shim(
    environment: Make, start: Start, left: Left, lives: Lives, eventually: Start
) -> None:
    """After five seconds that a SIGKILL did not end it Jupyter waits no more, and cleans up."""
    live = start(environment())
    shim, kernel = live.shim, live.pid

    asyncio.run(live.manager.provisioner.cleanup(restart=False))

    eventually(lambda: not [pid for pid in (shim, kernel) if lives(pid)])
    eventually(lambda: not left())


@pytest.mark.everywhere
@pytest.mark.parametrize("code", ["print('on', flush=True)", *BUSY.values(), DEAF], ids=["idle", *BUSY, "deaf"])
def test_a_shutdown_leaves_nothing(
    environment: Make, start: Start, sessions: Start, left: Left, lives: Lives, eventually: Start, code: str
) -> None:
    live = start(environment(), shutdown_wait_time=2.0)
    shim, kernel, child = live.shim, live.pid, live.outside(int(live.run(CHILD).stdout))
    connection = Path(live.manager.connection_file)
    live.begin(code, until="on")

    live.manager.shutdown_kernel()

    assert not [pid for pid in (shim, kernel) if lives(pid)]
    eventually(lambda: not lives(child))
    assert not sessions()
    assert not left()
    assert not connection.exists()


_SERVER = """
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1])
def run(code):
    said = []
    client.execute_interactive(code, output_hook=lambda message: said.append(message["content"].get("text", "")))
    return "".join(said).strip()
where = run("import os; print(os.getpid(), os.readlink('/proc/self/ns/pid'))").split()
print(manager.connection_file, manager.ip, manager.provisioner.pid, *where, run(sys.argv[2]), flush=True)
client.execute(sys.argv[3])
while True:
    message = client.get_iopub_msg(timeout=60)
    if "on" in message["content"].get("text", ""):
        break
print("busy", flush=True)
time.sleep(600)
"""


@dataclass(frozen=True, kw_only=True)
class Served:
    """What a server has started: `pids` are the kernel and its child on this machine, `last` what it said last."""

    connection: Path
    session: Path
    shim: int
    pids: list[int]
    last: str
    lives: Callable[[int], bool]

    def gone(self) -> bool:
        paths = (self.session, self.connection)
        return not any(map(self.lives, (*self.pids, self.shim))) and not any(each.exists() for each in paths)


@pytest.fixture
def server(environment: Make, lives: Lives, outside: Callable[[int, str], int]) -> Iterator[Start]:
    """A process that has started a kernel in which a cell runs, as a Jupyter server would."""
    started: list[subprocess.Popen[str]] = []

    def run(code: str, program: str = _SERVER) -> tuple[subprocess.Popen[str], Served]:
        argv = [sys.executable, "-c", program, kernelspecs.spec_name(environment().name), CHILD, code]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        started.append(process)
        connection, channels, started_as, kernel, namespace, child = process.stdout.readline().split()
        return process, Served(
            connection=Path(connection),
            session=Path(channels).parent,
            shim=psutil.Process(int(started_as)).ppid(),
            pids=[outside(int(each), namespace) for each in (kernel, child)],
            last=process.stdout.readline().strip(),
            lives=lives,
        )

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.everywhere
@pytest.mark.parametrize("code", ["print('on', flush=True)", *BUSY.values(), DEAF], ids=["idle", *BUSY, "deaf"])
def test_a_server_that_is_killed_takes_its_kernel_with_it(
    server: Start, left: Left, eventually: Start, code: str
) -> None:
    process, served = server(code)

    process.kill()

    eventually(served.gone)
    assert not left()


@pytest.mark.everywhere
def test_a_server_that_is_killed_while_a_fork_of_it_lives_takes_its_kernel_with_it(
    server: Start, left: Left, lives: Lives, eventually: Start
) -> None:
    forking = _SERVER.replace('print("busy", flush=True)', "import os\nprint(os.fork() or time.sleep(600), flush=True)")
    process, served = server("print('on', flush=True)", forking)
    fork = int(served.last)

    process.kill()

    eventually(served.gone)
    assert not left()
    assert lives(fork)
    os.kill(fork, signal.SIGKILL)


@pytest.mark.everywhere
def test_a_stderr_that_nobody_reads_holds_up_the_kernel_but_no_signal(
    environment: Make, start: Start, lives: Lives
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


@pytest.mark.everywhere
def test_a_shim_that_is_killed_takes_the_kernel_with_it(
    environment: Make, start: Start, left: Left, lives: Lives, eventually: Start
) -> None:
    live = start(environment())
    kernel, child = live.pid, live.outside(int(live.run(CHILD).stdout))

    os.kill(live.shim, signal.SIGKILL)

    eventually(lambda: not any(map(lives, (kernel, child))))
    eventually(lambda: not live.manager.is_alive())
    eventually(lambda: not left())


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
def nothing_left(sessions: Start, left: Left) -> Iterator[None]:
    """When the test is over, nothing is there that was not there before it."""

    def there() -> set[object]:
        files = Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*")
        return {*files, *psutil.Process().children(recursive=True)}

    LocalPortCache.clear_instance()
    before = there()
    yield
    assert not there() - before
    assert not sessions()
    assert not left()
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
@pytest.mark.everywhere
def test_a_launch_that_is_cancelled_leaves_nothing(environment: Make, sessions: Start, until: Start) -> None:
    async def story() -> None:
        manager = AsyncIOLoopKernelManager(kernel_name=kernelspecs.spec_name(environment().name))
        task = asyncio.ensure_future(manager.start_kernel())
        await until(sessions)
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
