"""How the channels travel: sockets that only their owner can reach, or encrypted ports where somebody wants ports."""

import gc
import json
import os
import platform
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
import uv

from venvoy.frontends.relay import Relay
from venvoy.model import Environment
from venvoy.session import Session
from venvoy.settings import Settings

pytestmark = pytest.mark.xdist_group("shared")
Start = Callable[..., Any]
Make = Callable[..., Environment]


def _tree(pid: int) -> list[psutil.Process]:
    kernel = psutil.Process(pid)
    return [kernel.parent(), kernel, *kernel.children(recursive=True)]


def _ports(pid: int) -> list[int]:
    """The TCP ports on which a kernel or its shim listens."""
    return [each.laddr.port for one in _tree(pid) for each in one.net_connections("tcp") if each.status == "LISTEN"]


def _install(env: Environment, *words: str) -> None:
    subprocess.run([uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, *words], check=True)


@pytest.fixture
def old(environment: Make) -> Environment:
    """An environment with an ipykernel of its own that knows no encryption."""
    return environment("old-kernel", adjust=lambda env: _install(env, "ipykernel<7.3"))


@pytest.mark.everywhere
def test_the_channels_are_sockets_in_a_folder_that_only_its_owner_may_enter(live: Any, settings: Settings) -> None:
    folder = Path(live.manager.ip).parent

    assert live.manager.transport == "ipc"
    assert folder.parent == settings.runtime
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(settings.runtime.stat().st_mode) == 0o700
    assert all(Path(f"{live.manager.ip}-{number}").is_socket() for number in range(1, 6))
    assert all(len(str(each)) < 104 for each in folder.iterdir())


@pytest.mark.everywhere
def test_nothing_listens_on_a_port(live: Any) -> None:
    assert not _ports(live.pid)


@pytest.mark.everywhere
def test_no_warning_of_unencrypted_channels(environment: Make, start: Start, capfd: pytest.CaptureFixture[str]) -> None:
    live = start(environment())

    assert live.run("print('here')").stdout == "here\n"
    assert "without encryption" not in capfd.readouterr().err


def test_the_connection_file_is_the_owners_alone(live: Any) -> None:
    file = Path(live.manager.connection_file)

    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0
    assert json.loads(file.read_text())["transport"] == "ipc"


@pytest.mark.everywhere
def test_ports_where_kernel_json_asks_for_them(environment: Make, start: Start, configure: Callable[..., None]) -> None:
    env = environment()
    configure(env, transport="tcp")

    live = start(env)

    assert live.manager.transport == "tcp"
    # A container's kernel has its sockets all the same: its server passes on what comes over ports.
    assert len(_ports(os.getpid() if env.container else live.pid)) >= 5
    assert live.run("6 * 7").result == "42"
    configure(env)


@pytest.mark.everywhere
@pytest.mark.parametrize("transport", ["ipc", "tcp"])
@pytest.mark.parametrize("wanted", ["auto", "required"])
def test_encryption_where_the_kernel_understands_it(
    environment: Make, start: Start, configure: Callable[..., None], transport: str, wanted: str
) -> None:
    env = environment()
    configure(env, transport=transport)

    live = start(env, transport_encryption=wanted)

    assert live.manager.curve_publickey
    assert live.run("6 * 7").result == "42"
    live.manager.restart_kernel()
    live.client.wait_for_ready(timeout=60)
    assert live.run("6 * 7").result == "42"
    configure(env)


@pytest.mark.everywhere
def test_output_of_forked_processes_arrives_without_a_port(live: Any) -> None:
    ran = live.run(
        "import multiprocessing, time\n"
        "child = multiprocessing.get_context('fork').Process(target=print, args=('from the child',))\n"
        "child.start(); child.join(); time.sleep(0.3)"
    )

    assert ran.stdout == "from the child\n"


def test_an_older_kernel_is_spoken_to_without_encryption(old: Environment, start: Start) -> None:
    live = start(old, transport_encryption="auto")

    assert live.manager.curve_publickey is None
    assert live.run("6 * 7").result == "42"


def test_a_kernelspec_that_promises_too_much_leaves_nobody_hanging(
    old: Environment, start: Start, kernelspec: Callable[[Environment], Path]
) -> None:
    file = kernelspec(old)
    said = json.loads(file.read_text())
    file.write_text(json.dumps(said | {"metadata": said["metadata"] | {"supported_encryption": ["curve"]}}))

    live = start(old, transport_encryption="auto")

    assert live.run("6 * 7").result == "42"
    with pytest.raises(Exception, match=r"ipykernel 7\.[0-2]\S* in 'old-kernel' does not understand"):
        start(old, transport_encryption="required")
    file.write_text(json.dumps(said))


def test_a_kernelspec_promises_encryption_only_where_the_kernel_has_it(
    environment: Make, old: Environment, kernelspec: Callable[[Environment], Path]
) -> None:
    new = json.loads(kernelspec(environment()).read_text())["metadata"]
    older = json.loads(kernelspec(old).read_text())["metadata"]

    assert new["supported_encryption"] == ["curve"]
    assert "supported_encryption" not in older


def test_an_encrypted_connection_is_not_kept_by_a_kernel_that_cannot(environment: Make, start: Start) -> None:
    env = environment("falls-back")
    live = start(env, transport_encryption="required")
    assert live.run("6 * 7").result == "42"

    _install(env, "ipykernel<7.3")

    with pytest.raises(Exception, match="this connection is encrypted"):
        live.manager.restart_kernel()


@pytest.mark.parametrize("folder", ["", "/nonexistent/run", "{}/" + "long/" * 20])
def test_sessions_have_a_short_folder_of_their_own_where_the_system_gives_none(
    environment: Make, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder.format(tmp_path))
    if folder.startswith("{"):
        Path(folder.format(tmp_path)).mkdir(parents=True)

    live = start(environment())

    assert Path(live.manager.ip).parent.parent == Path(f"/tmp/venvoy-{os.getuid()}")
    assert live.run("6 * 7").result == "42"


def test_a_folder_that_somebody_else_laid_is_not_used(
    environment: Make, start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    short = Path("/tmp", f"vs{os.getpid()}")
    short.mkdir(mode=0o700)
    (tmp_path / "theirs").mkdir()
    (short / "venvoy").symlink_to(tmp_path / "theirs")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short))

    with pytest.raises(Exception, match="is not ours, so nothing private can lie there"):
        start(environment())

    assert not list((tmp_path / "theirs").iterdir())
    (short / "venvoy").unlink()
    short.rmdir()


@pytest.mark.parametrize("host", ["", platform.node(), "another-node"], ids=["nobody says where", "here", "elsewhere"])
def test_sessions_that_nobody_attends_any_more_are_swept_where_they_are(
    environment: Make, start: Start, settings: Settings, host: str
) -> None:
    """On a folder that nodes share the sockets of another refuse us, too."""
    other = start(environment())
    dead = settings.runtime / "0123456789ab"
    dead.mkdir()
    if host:
        (dead / "note.json").write_text(json.dumps({"environment": "x", "notebook": "", "host": host}))
    subprocess.run(
        ["python3", "-c", "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])", dead / "guest.sock"],
        check=True,
    )

    start(environment())

    assert dead.exists() == (host == "another-node")
    assert other.run("%env-status").status == "ok"
    shutil.rmtree(dead, ignore_errors=True)


@pytest.mark.parametrize("full", [False, True], ids=["nothing on its way", "nobody reads what is on its way"])
def test_a_relay_that_ends_gives_back_every_socket(settings: Settings, full: bool) -> None:
    settings.runtime.mkdir(parents=True, exist_ok=True)
    session = Session(settings.runtime)
    # what asyncio leaves open is a warning when it is collected, and every warning is an error here
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as kernel, socket.socket() as free:
            Path(f"{session.channels}-1").unlink(missing_ok=True)
            kernel.bind(f"{session.channels}-1")
            kernel.listen()
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            free.close()
            relay = Relay("127.0.0.1", [port], session)
            with ExitStack() as stack:
                for _number in range(3):
                    stack.enter_context(socket.create_connection(("127.0.0.1", port)))
                if full:
                    inside = stack.enter_context(kernel.accept()[0])
                    inside.settimeout(0.05)
                    with pytest.raises(TimeoutError):
                        inside.sendall(bytes(64 << 20))
                relay.close()
    gc.collect()
