"""Images that mean harm, or are only broken: each harms nothing but its own kernel, and nothing of it is left."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import images
import pytest

from venvoy.actions.bases import image_base
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.errors import RuntimeUnavailable, VenvoyError
from venvoy.model import Actor, Container, Environment
from venvoy.runtimes.inside import NOWHERE
from venvoy.settings import Policy

Start = Callable[..., Any]
Make = Callable[..., Environment]
PYTHONS = {
    "says nothing that is meant": "echo garbage; echo '<&>' >&2",
    "says something else": 'echo \'{"path": 5, "abi": null}\'',
    "fails": "echo my own fault >&2; exit 3",
    "prints without end": "exec yes",
}
LOOKS = """
count=0
for each in /tmp/canary* /var/tmp/canary*; do [ ! -e $each ] || count=$((count + 1)); done
case $* in *distributions.py) echo '[]'; exit ;; esac
printf '{"path": "/usr/bin/python3", "version": "3.11.%s", "abi": "cp311", "platform": "linux-x86_64", "libc": "glibc-2.36", "digest": ""}' $count
echo
"""
NOW = datetime.fromtimestamp(0, UTC)
ENOUGH = 250 << 10
"""Kilobytes that this process may grow by, whatever an image says."""


def _tiny(folder: Path, python: str) -> Path:
    """A docker-archive of a shell, three programs and a python3 that is a script."""
    root = folder / "root"
    libraries = set()
    for program in ("/bin/sh", "/usr/bin/yes", "/bin/sleep", "/bin/cat"):
        asked = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        libraries |= {word for word in asked.split() if word.startswith("/")}
        place = root / program.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(program).resolve(), place)
    for library in libraries:
        place = root / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(Path(library).resolve(), place)
    for name in ("tmp", "etc", "dev", "proc", "sys", "var/tmp", "run", "root"):
        (root / name).mkdir(parents=True, exist_ok=True)
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "usr/bin/python3").write_text(f"#!/bin/sh\n{python}\n")
    (root / "usr/bin/python3").chmod(0o755)
    layer = folder / "layer.tar"
    with tarfile.open(layer, "w") as archive:
        archive.add(root, ".")
    file = folder / "image.tar"
    recipe = images.Recipe("none", (), ("/usr/bin/python3",))
    images.pack(file, f"venvoy-test/tiny-{folder.name}:1", recipe, layer)
    return file


@pytest.fixture
def unmade(store: Any, runtime: str, tmp_path: Path) -> Iterator[None]:
    """Nothing is left of an environment that could not be made: no files, no container, no process."""
    yield
    _forget(runtime, f"venvoy-test/tiny-{tmp_path.name}:1")
    assert "evil" not in store.names()
    if runtime in ("docker", "podman"):
        argv = [runtime, "ps", "--all", "--quiet", "--filter", "label=org.venvoy.environment=evil"]
        for _ in range(500):
            if not (listed := subprocess.run(argv, capture_output=True, text=True, check=True).stdout):
                break
            time.sleep(0.02)
        assert not listed


@pytest.fixture
def tiny(detected: Any, runtime: str, tmp_path: Path) -> Callable[[str], Path]:
    """An image whose python3 is that script, for a runtime that can be used."""
    if not detected.named(runtime).usable:
        pytest.skip(f"{runtime} cannot be used here: {detected.named(runtime).problem}")
    return partial(_tiny, tmp_path)


def _contained(store: Any, runtime: str, file: Path) -> tuple[str, Container]:
    return contain(store, Wanted(runtime=runtime, image=str(file), home=False), Policy())


def _memory(*, peak: bool) -> int:
    """What this process has in memory, or had at most since it was asked what it has, in KiB."""
    if not peak:
        Path("/proc/self/clear_refs").write_text("5")
    said = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{'VmHWM' if peak else 'VmRSS'}:\s+(\d+)", said, re.MULTILINE)[1])


@pytest.mark.contained("docker", "podman", "apptainer")
@pytest.mark.usefixtures("unmade")
@pytest.mark.parametrize("harm", PYTHONS)
def test_a_python_that_is_none_is_refused_in_one_sentence(
    store: Any, actor: Actor, runtime: str, tiny: Callable[[str], Path], harm: str
) -> None:
    file = tiny(PYTHONS[harm])

    def made() -> None:
        kind, container = _contained(store, runtime, file)
        create(store, Plan(name="evil", runtime=kind, container=container), actor=actor)

    before = _memory(peak=False)
    with pytest.raises(VenvoyError) as raised:
        made()

    assert raised.value.message.startswith(f"the image {file}")
    assert "\n" not in raised.value.message
    assert len(raised.value.hint) < 4000
    assert _memory(peak=True) - before < ENOUGH


@pytest.mark.contained("docker", "podman", "apptainer")
@pytest.mark.usefixtures("unmade")
def test_a_python_that_looks_around_finds_nothing_of_this_machine(
    store: Any, runtime: str, tiny: Callable[[str], Path]
) -> None:
    """Where users have no folder for what runs, the keys and sockets of their kernels lie in /tmp."""
    file = tiny(LOOKS)

    with tempfile.NamedTemporaryFile(dir="/tmp", prefix="canary"):
        kind, container = _contained(store, runtime, file)
        env = Environment(name="evil", prefix=NOWHERE, runtime=kind, created=NOW, container=container)
        base = image_base(store, env)

    assert base.version == "3.11.0"


_MAKES = """
import sys
from venvoy import settings
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.model import Actor
from venvoy.store import Store
store = Store(settings.current())
kind, container = contain(store, Wanted(runtime=sys.argv[1], image=sys.argv[2], home=False), settings.Policy())
print("ready", flush=True)
create(store, Plan(name="evil", runtime=kind, container=container), actor=Actor(kind="command", command="test"))
"""


@pytest.mark.contained("docker", "podman", "apptainer")
@pytest.mark.usefixtures("unmade")
def test_a_python_that_never_answers_is_left_alone_by_an_interrupt(
    runtime: str, tiny: Callable[[str], Path], eventually: Start
) -> None:
    file = tiny("trap '' TERM INT\nwhile :; do sleep 1; done")
    argv = [sys.executable, "-c", _MAKES, runtime, str(file)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        if runtime == "apptainer":
            eventually(lambda: "python3" in _children(child.pid), within=60)
        else:
            argv = [runtime, "ps", "--quiet", "--filter", "label=org.venvoy.environment=evil"]
            eventually(lambda: subprocess.run(argv, capture_output=True, check=True).stdout, within=60)
        child.send_signal(signal.SIGINT)
        assert child.wait(60)
    assert not _children(child.pid)


def _children(pid: int) -> str:
    """The command lines of what a process has started."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    family, lines = {str(pid)}, [line.split(None, 2) for line in listed.splitlines()[1:]]
    for _ in range(8):
        family |= {line[0] for line in lines if line[1] in family}
    return "\n".join(line[2] for line in lines if line[0] in family - {str(pid)})


# --- images whose Python is one --------------------------------------------------------------------------------------


def _forget(runtime: str, image: str) -> None:
    """Remove an image under all its names."""
    if runtime in ("docker", "podman"):
        argv = [runtime, "image", "inspect", "--format", "{{.Id}}", image]
        found = subprocess.run(argv, capture_output=True, text=True, check=False).stdout.split()
        subprocess.run([runtime, "rmi", "--force", *found], capture_output=True, check=False)


def _recipe(folder: Path, *lines: str) -> str:
    recipe = folder / "Dockerfile"
    recipe.write_text("\n".join(["FROM venvoy-test/python:3.11", f"LABEL only={folder.name}", *lines, ""]))
    return str(recipe)


@pytest.mark.contained("docker", "podman")
def test_an_entrypoint_of_the_image_is_nobodys_business(
    environment: Make, start: Start, left: Start, runtime: str, tmp_path: Path
) -> None:
    image = _recipe(tmp_path, 'ENTRYPOINT ["sleep", "1000"]', 'CMD ["1000"]', "STOPSIGNAL SIGCONT", "USER nobody")
    live = start(environment("entrypoint", image=image), shutdown_wait_time=3.0)

    assert live.run("6 * 7").result == "42"
    live.manager.shutdown_kernel()

    assert not left()
    _forget(runtime, environment("entrypoint").container.image.digest)


@pytest.mark.contained("docker", "podman")
def test_an_image_without_a_shell_is_refused_in_few_words(
    environment: Make, left: Start, sessions: Start, runtime: str, tmp_path: Path
) -> None:
    for name in ("dash", "bash"):
        (tmp_path / name).write_text("not for you")
    recipe = _recipe(tmp_path, "COPY dash /usr/bin/dash", "COPY bash /usr/bin/bash")

    with pytest.raises(RuntimeUnavailable, match="does not say what is in it") as raised:
        environment("shell-less", image=recipe)

    assert "permission denied" in raised.value.hint.lower()
    made = [runtime, "images", "--quiet", "--filter", f"label=only={tmp_path.name}"]
    for image in set(subprocess.run(made, capture_output=True, text=True, check=True).stdout.split()):
        _forget(runtime, image)
    assert not left()
    assert not sessions()


FLOOD = """
import os
print('on', flush=True)
while True: os.write(sys.stderr._original_stdstream_copy, b'x' * (1 << 20))
"""


@pytest.mark.contained
def test_a_flood_on_stderr_fills_neither_memory_nor_disk_and_ends_with_its_kernel(
    environment: Make, start: Start, left: Start, sessions: Start, runtime: str, lives: Start
) -> None:
    live = start(environment())
    kernel, shim = live.pid, live.shim
    live.run("import sys")

    live.begin(FLOOD, until="on")
    for _ in range(20):
        time.sleep(0.05)
        status = Path(f"/proc/{shim}/status").read_text()
    used = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
    if left():
        kept = subprocess.run(
            [runtime, "inspect", "--format", "{{.HostConfig.LogConfig.Type}}", *left()],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert kept == "none\n"
    live.manager.shutdown_kernel(now=True)

    assert used < 40 << 10
    assert not lives(kernel)
    assert not left()
    assert not sessions()


DEAF = """
import signal
for each in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}: signal.signal(each, signal.SIG_IGN)
print('on', flush=True)
while True: pass
"""


@pytest.mark.contained
def test_a_kernel_that_ignores_every_signal_is_ended_all_the_same(
    environment: Make, start: Start, left: Start, sessions: Start, lives: Start
) -> None:
    live = start(environment())
    kernel = live.pid

    live.begin(DEAF, until="on")
    live.manager.interrupt_kernel()
    live.manager.shutdown_kernel(now=True)

    assert not lives(kernel)
    assert not left()
    assert not sessions()


@pytest.fixture
def small_disk(store: Any, runtime: str) -> Iterator[None]:
    """The environment "full" lies on a disk of 64 MB."""
    if os.getuid():
        pytest.skip("not obtainable: only root can mount a small disk")
    folder = store.folder(f"full-{runtime}")
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder], check=True)
    yield
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.contained
@pytest.mark.usefixtures("small_disk")
def test_a_cell_that_fills_its_disk_harms_no_other_and_what_comes_when_there_is_room_is_recorded(
    environment: Make, start: Start, live: Any, inside: Start, store: Any, wheels: Any, eventually: Start
) -> None:
    env = environment("full")
    filling = f"{inside(env)}/filling"
    full = start(env)
    record = store.history(env.name).latest
    wheel = wheels.add("marker")

    assert "No space left" in full.run(f"open({filling!r}, 'wb').write(bytes(100 << 20))").error
    assert "No space left" in full.run(f"%pip install --no-index {wheel}").text
    assert live.run("6 * 7").result == "42"
    assert wheel.name not in record.read_text()

    assert full.run(f"__import__('os').remove({filling!r})").status == "ok"
    full.run(f"%pip install --no-index {wheel}")
    eventually(lambda: wheel.name in record.read_text())
