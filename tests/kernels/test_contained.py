"""What is particular to kernels in containers: how they are lost, what they would lose, whose files they make."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from somebody import Somebody

from venvoy.actions.strays import remove, strays
from venvoy.errors import KernelUnusable
from venvoy.frontends import kernelspecs
from venvoy.model import Environment, Mount, Resources
from venvoy.runtimes import owner

Start = Callable[..., Any]
Make = Callable[..., Environment]
Left = Callable[[], list[str]]


def engine(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


# --- how they are lost -----------------------------------------------------------------------------------------------


@pytest.mark.contained
def test_memory_that_ran_out_is_named_with_its_limit(environment: Make, crashed: Start, runtime: str) -> None:
    env = environment("small", resources=Resources(memory=200 << 20))

    first, _ = crashed(env, lambda _, client: client.execute("x = bytearray(900 << 20)"))

    assert "the kernel before this one was killed (SIGKILL)" in first
    assert "the memory ran out (its limit is 200m)" in first
    assert ("most often" in first) == (runtime != "docker")


@pytest.mark.contained("docker", "podman")
def test_a_container_that_somebody_removed_is_told(environment: Make, crashed: Start, left: Left, runtime: str) -> None:
    def removed(_manager: Any, _client: Any) -> None:
        engine(runtime, "rm", "--force", *left())

    first, second = crashed(environment(), removed)

    assert "the kernel before this one was lost: somebody has removed its container" in first
    assert second == "again\n"


@pytest.mark.contained("docker", "podman")
def test_an_image_that_was_removed_is_named_with_what_brings_it_back(
    environment: Make, start: Start, runtime: str, tmp_path: Path, left: Left, sessions: Start
) -> None:
    recipe = tmp_path / "Dockerfile"
    recipe.write_text(f"FROM venvoy-test/python:3.11\nLABEL only={tmp_path.name}\n")
    env = environment("imageless", image=str(recipe))
    engine(runtime, "rmi", "--force", env.container.image.digest)

    with pytest.raises(KernelUnusable, match=r"the image of 'imageless-.*' is not here any more") as raised:
        start(env)

    assert f"mend it: venvoy repair {env.name}" in raised.value.hint
    assert not left()
    assert not sessions()


@pytest.mark.contained("apptainer", "singularity")
def test_an_image_file_that_is_gone_is_named_with_what_brings_it_back(
    environment: Make, start: Start, image: Start, detected: Any, runtime: str, tmp_path: Path, sessions: Start
) -> None:
    file = tmp_path / "own.sif"
    shutil.copy(image(detected.named(runtime), "python:3.11"), file)
    env = environment("imageless", image=str(file))
    file.unlink()

    with pytest.raises(KernelUnusable, match=r"the image of 'imageless-.*' is not here any more") as raised:
        start(env)

    assert f"mend it: venvoy repair {env.name}" in raised.value.hint
    assert not sessions()


@pytest.mark.contained
def test_a_mount_that_is_gone_is_named(environment: Make, start: Start, tmp_path: Path, sessions: Start) -> None:
    data = tmp_path / "data"
    data.mkdir()
    env = environment("mountless", mounts=(Mount(source=data, target="/workspace/data"),))
    data.rmdir()

    with pytest.raises(KernelUnusable, match=f"{data}, which is to be seen as /workspace/data, is not there"):
        start(env)

    assert not sessions()


@pytest.fixture
def own_daemon(
    environment: Make, monkeypatch: pytest.MonkeyPatch, image_file: Start
) -> Iterator[subprocess.Popen[bytes]]:
    """A Docker daemon beside the machine's, with the image, that may be killed."""
    environment()  # what is lent to it is there then: that daemon has no network
    if os.getuid() or not shutil.which("dockerd"):
        pytest.skip("not obtainable: only root can start another Docker daemon")
    folder = Path(tempfile.mkdtemp(prefix="vd", dir="/tmp"))
    # A daemon without a bridge removes docker0: in a network of its own that is nobody's.
    argv = ["unshare", "--net", "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    argv += ["--host", f"unix://{folder}/sock", "--pidfile", f"{folder}/pid"]
    argv += ["--bridge", "none", "--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(argv, cwd=folder, stdout=log, stderr=log)
    monkeypatch.setenv("DOCKER_HOST", f"unix://{folder}/sock")
    for _ in range(600):
        if daemon.poll() is not None:
            pytest.skip(f"not obtainable: a second daemon: {(folder / 'log').read_text()[-300:]}")
        if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode == 0:
            break
        time.sleep(0.1)
    engine("docker", "load", "--input", str(image_file("python:3.11")))
    yield daemon
    children = psutil.Process(daemon.pid).children(recursive=True) if daemon.poll() is None else []
    daemon.kill()
    daemon.wait()
    for each in [*children, *(each for each in psutil.process_iter() if _works_in(each, folder))]:
        if each.is_running():
            each.kill()
    psutil.wait_procs(children, 5)
    for mounted in reversed(Path("/proc/mounts").read_text().splitlines()):
        if mounted.split()[1].startswith(str(folder)):
            subprocess.run(["umount", "--lazy", mounted.split()[1]], check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return any(str(folder) in word for word in process.cmdline()) and process.pid != os.getpid()
    except psutil.Error:
        return False


@pytest.mark.contained("docker")
def test_a_daemon_that_is_killed_takes_no_notebook_with_it(
    own_daemon: subprocess.Popen[bytes], environment: Make, start: Start, sessions: Start, eventually: Start
) -> None:
    env = environment("daemonless", image="venvoy-test/python:3.11", resources=Resources(network="none"))
    live = start(env)
    kernel = live.pid

    own_daemon.kill()

    eventually(lambda: not live.manager.is_alive(), within=60)
    shim = live.manager.provisioner._shim
    assert shim is None or "its container cannot be reached" in shim.ending()
    live.manager.shutdown_kernel(now=True)
    eventually(lambda: not psutil.pid_exists(kernel))
    assert not sessions()
    with pytest.raises(KernelUnusable, match="docker cannot be used: "):
        start(env)


# --- strays ----------------------------------------------------------------------------------------------------------

_SERVER = """
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1])
print(manager.provisioner.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.usefixtures("strays_to_itself")
@pytest.mark.contained("docker", "podman")
def test_what_is_left_when_server_and_shim_are_killed_at_once_is_found_and_removed(
    environment: Make, left: Left, eventually: Start, runtime: str
) -> None:
    argv = [sys.executable, "-c", _SERVER, kernelspecs.spec_name(environment().name)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as server:
        client = int(server.stdout.readline())
        shim = psutil.Process(client).ppid()
        (name,) = left()
        assert name not in [each.name for each in strays()]

        os.kill(shim, signal.SIGSTOP)
        server.kill()
        for each in (shim, client):
            os.kill(each, signal.SIGKILL)

    eventually(lambda: "running" not in engine(runtime, "inspect", "--format", "{{.State.Status}}", name))
    (stray,) = [each for each in strays() if each.name == name]
    assert (stray.runtime, stray.environment) == (runtime, environment().name)
    remove(stray)
    assert not left()


@pytest.fixture
def made(environment: Make, runtime: str) -> Iterator[Callable[..., str]]:
    """Make a container of that owner that is never started; returns its name."""
    names: list[str] = []

    def container(owned: str, session: str = "") -> str:
        names.append(f"venvoy-test-{os.getpid()}-{len(names)}")
        labels = ["--label", f"org.venvoy.owner={owned}", "--label", "org.venvoy.environment=made"]
        labels += ["--label", f"org.venvoy.session={session}"] if session else []
        image = environment().container.image.digest
        engine(runtime, "create", "--pull", "never", "--name", names[-1], *labels, image, "true")
        return names[-1]

    yield container
    for name in names:  # Podman stops at the first that is gone
        subprocess.run([runtime, "rm", "--force", name], capture_output=True, check=False)


@pytest.mark.usefixtures("strays_to_itself")
@pytest.mark.contained("docker", "podman")
def test_only_what_is_ours_and_nobodys_any_more_is_a_stray(made: Start, tmp_path: Path) -> None:
    us = owner.ourselves()
    said = [sys.executable, "-c", "from venvoy.runtimes import owner; print(owner.ourselves())"]
    gone = engine(*said).strip()
    host, _, numbers, user, _, _ = gone.split("/")
    kept = [
        made(str(us)),
        made(str(us), str(tmp_path / "no-session")),
        made(gone.replace(host, "elsewhere", 1)),
        made(gone.replace(f"/{user}/", f"/{int(user) + 1}/")),
        made(gone.replace(numbers, "pid:[1]")),
        made("nonsense"),
    ]
    lost = [made(gone), made(f"{host}/another-boot/{numbers}/{user}/1/1")]

    found = [each.name for each in strays()]

    assert set(lost) <= set(found)
    assert not set(kept) & set(found)
    for each in strays():
        if each.name in lost:
            remove(each)
    assert not {each.name for each in strays()} & set(lost)


# --- what would be lost ----------------------------------------------------------------------------------------------


@pytest.mark.contained
def test_what_is_installed_into_the_image_is_said_to_be_lost(live: Any, environment: Make) -> None:
    ran = live.run("!apt-get install -y nothing-like-this")

    assert f"have it in the image: venvoy add {environment().name} --system PACKAGE" in ran.stderr
    assert "venvoy:" not in live.run("!apt-get install -y nothing-like-this").stderr


@pytest.mark.contained
def test_a_file_that_cannot_be_written_is_explained_once(live: Any) -> None:
    ran = live.run("open('/usr/share/mine', 'w')")

    assert ran.error.startswith(("OSError", "PermissionError"))
    assert "the image's own files cannot be changed from inside" in ran.stderr
    assert not live.run("open('/usr/share/mine', 'w')").stderr


@pytest.mark.contained
def test_home_folder_temporary_and_prefix_can_be_written(live: Any, tmp_path: Path) -> None:
    places = ["os.path.expanduser('~')", "'/tmp'", "'/var/tmp'", "sys.prefix", repr(str(tmp_path))]

    ran = live.run(f"import os, sys, tempfile\nfor each in [{', '.join(places)}]: tempfile.TemporaryFile(dir=each)")

    assert ran.status == "ok", ran.text


@pytest.mark.contained
def test_without_a_network_an_installation_says_where_there_is_one(
    environment: Make, start: Start, wheels: Any
) -> None:
    env = environment("offline", resources=Resources(network="none"))
    live = start(env)
    wheels.add("from-a-folder")

    refused = live.run("%pip install --disable-pip-version-check --retries 0 nothing-like-this-one")
    taken = live.run(f"%pip install --no-index --find-links {wheels.folder} from-a-folder")

    assert f"install from a terminal, which gives it one: venvoy install {env.name} PACKAGE" in refused.stderr
    assert taken.status == "ok", taken.text
    assert "no network" not in taken.stderr
    assert live.run("import from_a_folder; from_a_folder.__version__").result == "'1.0'"


@pytest.mark.contained
def test_the_image_and_the_user_are_seen_and_nothing_that_is_lent(live: Any) -> None:
    said = live.run("%pip list --format=json --disable-pip-version-check").stdout
    listed = json.loads(next(line for line in said.splitlines() if line.startswith("[")))
    frozen = live.run("%pip freeze --local").stdout

    assert "pip" in {each["name"] for each in listed}
    assert not {each["name"] for each in listed} & {"ipykernel", "ipython", "tornado", "traitlets", "jupyter-client"}
    assert "ipykernel" not in frozen


@pytest.mark.contained
def test_variables_are_those_that_a_container_should_have(
    environment: Make, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/somewhere")
    monkeypatch.setenv("JUPYTER_TOKEN", "swordfish")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "swordfish")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    live = start(environment())

    said = json.loads(live.run("import json, os; print(json.dumps(dict(os.environ)))").stdout)

    assert "swordfish" not in str(said)
    assert said.get("PYTHONPATH", "") != "/somewhere"
    assert "/somewhere" not in said.get("LD_LIBRARY_PATH", "")
    assert said["TZ"] == "Asia/Tokyo"
    assert said["SHELL"] in ("/bin/bash", "/bin/sh")
    assert said["HOME"] == os.environ["HOME"]
    runtime_folder = said.get("XDG_RUNTIME_DIR")
    assert runtime_folder is None or live.run(f"os.access({runtime_folder!r}, os.W_OK)").result == "True"


# --- as somebody who is not root -------------------------------------------------------------------------------------

UNPRIVILEGED = """
import json, os, sys, time
from pathlib import Path
from jupyter_client.manager import start_new_kernel
from venvoy import settings
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Mount
from venvoy.store import Store

runtime, image, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
store = Store(settings.current())
data = folder / "data"
data.mkdir()
wanted = Wanted(runtime=runtime, image=image, mounts=(Mount(source=data, target="/workspace/data"),))
kind, container = contain(store, wanted, settings.Policy())
env = create(store, Plan(name="mine", runtime=kind, container=container), actor=Actor(kind="command", command="test"))
kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
manager, client = start_new_kernel(kernel_name=kernelspecs.spec_name("mine"))

def run(code):
    said = []
    reply = client.execute_interactive(code, timeout=60, output_hook=lambda m: said.append(m["content"].get("text", "")))
    return "".join(said).strip(), reply["content"]["status"], reply["content"].get("ename")

print(json.dumps({
    "user": run("import os, getpass; print(os.getuid(), getpass.getuser(), os.path.expanduser('~'))")[0],
    "wrote": run("open('/workspace/data/table', 'w').write('1'); open(os.path.expanduser('~/notes'), 'w')")[1],
    "pip": run("%pip install --no-index --find-links " + str(folder / "wheels") + " marker")[1],
}), flush=True)
interrupted = []
for number in range(25):
    code = ("while True: pass", "import time; time.sleep(60)", "import subprocess; subprocess.run(['sleep', '60'])")
    # what is sent right after an error would be aborted with it; what is printed may come when the cell is behind it
    began = f"open('/workspace/data/{number}', 'w').close()\\n"
    sent = client.execute(began + code[number % 3], stop_on_error=False)
    until = time.monotonic() + 60
    while not (data / str(number)).exists():
        assert time.monotonic() < until, number
        time.sleep(0.05)
    manager.interrupt_kernel()
    while (reply := client.get_shell_msg(timeout=60))["parent_header"].get("msg_id") != sent:
        pass
    interrupted.append(reply["content"].get("ename"))
    print(number, interrupted[-1], flush=True)
sleeping = run("import glob; print([p for p in glob.glob('/proc/[0-9]*/cmdline') if open(p).read().startswith('sleep')])")
print(json.dumps({"interrupted": interrupted, "sleeping": sleeping[0]}), flush=True)
client.stop_channels()
manager.shutdown_kernel()
print(json.dumps({"sessions": os.listdir(store.settings.runtime)}), flush=True)
"""


@pytest.mark.contained("docker", "podman", "apptainer")
def test_somebody_who_is_not_root_has_kernels_and_owns_their_files(
    somebody: Somebody,
    environment: Make,
    image: Start,
    image_file: Start,
    detected: Any,
    runtime: str,
    store: Any,
    wheels: Any,
    pip_wheel: Path,
) -> None:
    env, folder = environment(), somebody.folder  # the payload is there now
    wheels.add("marker")
    shutil.copytree(wheels.folder, folder / "wheels")
    shutil.copy(pip_wheel, folder / "wheels")
    shutil.copytree(store.payloads, folder / "home/.venvoy/payloads", symlinks=True)
    (folder / "uv.toml").write_text(f'[pip]\nno-index = true\nfind-links = ["{folder}/wheels"]\n')
    somebody.own()
    given = image(detected.named(runtime), "python:3.11")
    if runtime == "podman":
        known = somebody.run("podman", "images", "--quiet", "--no-trunc", given)
        if env.container.image.digest not in known:
            somebody.run("podman", "load", "--quiet", "--input", image_file("python:3.11"))

    offline = {"UV_CONFIG_FILE": str(folder / "uv.toml")}
    printed = somebody.run(somebody.python, "-c", UNPRIVILEGED, runtime, given, folder, **offline)

    said = {
        key: value for line in printed.splitlines() if line.startswith("{") for key, value in json.loads(line).items()
    }
    assert said["user"] == f"{somebody.uid} {somebody.name} {folder / 'home'}"
    assert (said["wrote"], said["pip"]) == ("ok", "ok")
    assert said["interrupted"] == ["KeyboardInterrupt"] * 25
    assert said["sleeping"] == "[]"
    assert said["sessions"] == []
    made = [folder / "data/table", folder / "home/notes", *(folder / "home/.venvoy/environments/mine").rglob("*")]
    assert len(made) > 20
    assert {each.lstat().st_uid for each in made} == {somebody.uid}
    if runtime != "apptainer":
        assert somebody.run(runtime, "ps", "--all", "--quiet", "--filter", "label=org.venvoy.environment=mine") == ""
