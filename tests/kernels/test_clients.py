"""One kernelspec, every client: those that start kernels as Jupyter does, and those that only run its argv."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import papermill
import psutil
import pytest

from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("clients")
Start = Callable[..., Any]
Make = Callable[..., Environment]
WHERE = "import sys; print(sys.prefix)"


def _notebook(env: Environment, *cells: str) -> nbformat.NotebookNode:
    spec = {"name": kernelspecs.spec_name(env.name), "display_name": env.name, "language": "python"}
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata={"kernelspec": spec}
    )


def _program(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


def _ran(program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_program(program), *words], input=stdin, capture_output=True, text=True, check=False, timeout=120
    )


# --- clients that know provisioners ----------------------------------------------------------------------------------


@pytest.mark.everywhere
def test_nbclient_runs_a_notebook_in_it(environment: Make, sessions: Start, inside: Start) -> None:
    env = environment()
    notebook = _notebook(env, WHERE, "6 * 7")

    nbclient.NotebookClient(notebook, timeout=60).execute()

    assert notebook.cells[0].outputs[0]["text"] == f"{inside(env)}\n"
    assert notebook.cells[1].outputs[0]["data"]["text/plain"] == "42"
    assert not sessions()


@pytest.mark.everywhere
def test_nbclient_says_why_a_cell_died(environment: Make, sessions: Start) -> None:
    with pytest.raises(nbclient.exceptions.DeadKernelError):
        nbclient.NotebookClient(_notebook(environment(), "import os; os._exit(1)"), timeout=60).execute()

    assert not sessions()


def test_papermill_runs_a_notebook_in_it(environment: Make, tmp_path: Path, sessions: Start) -> None:
    env = environment()
    nbformat.write(_notebook(env, WHERE), tmp_path / "in.ipynb")

    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", {"word": "x"}, progress_bar=False)

    done = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert done.cells[-1].outputs[0]["text"] == f"{env.prefix}\n"
    assert not sessions()


def test_jupyter_run_runs_a_script_in_it(environment: Make, tmp_path: Path, sessions: Start) -> None:
    env = environment()
    (tmp_path / "script.py").write_text(f"{WHERE}\n")

    said = _ran("jupyter-run", "--kernel", kernelspecs.spec_name(env.name), str(tmp_path / "script.py"))

    assert str(env.prefix) in said.stdout, said.stderr
    assert not sessions()


def test_jupyter_execute_runs_a_notebook_in_it(environment: Make, tmp_path: Path, sessions: Start) -> None:
    env = environment()
    nbformat.write(_notebook(env, WHERE), tmp_path / "in.ipynb")

    said = _ran("jupyter-execute", "--inplace", str(tmp_path / "in.ipynb"))

    assert said.returncode == 0, said.stderr
    done = nbformat.read(tmp_path / "in.ipynb", as_version=4)
    assert done.cells[0].outputs[0]["text"] == f"{env.prefix}\n"
    assert not sessions()


def test_jupyter_console_speaks_with_it(environment: Make, sessions: Start) -> None:
    env = environment()
    lines = f"{WHERE}\n%env-status\n%env-freeze\nexit\n"

    said = _ran("jupyter-console", "--simple-prompt", "--kernel", kernelspecs.spec_name(env.name), stdin=lines)

    assert str(env.prefix) in said.stdout, said.stderr
    assert f"{env.name}: Python 3.12" in said.stdout
    assert f"{env.name}: 1 package locked with url and hash" in said.stdout
    assert "without encryption" not in said.stderr
    assert not sessions()


def test_jupyter_kernel_holds_it_for_others(environment: Make, sessions: Start, eventually: Start) -> None:
    argv = [_program("jupyter-kernel"), f"--kernel={kernelspecs.spec_name(environment().name)}"]
    holder = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    eventually(sessions)
    eventually(lambda: list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*.json")))
    time.sleep(2)

    holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=30)

    eventually(lambda: not sessions())


# --- clients that only run its argv ----------------------------------------------------------------------------------


@pytest.mark.everywhere
def test_the_argv_alone_is_a_kernel(environment: Make, launch: Start, sessions: Start, inside: Start) -> None:
    env = environment()

    live, launcher = launch(env)

    assert live.run(WHERE).stdout == f"{inside(env)}\n"
    assert live.run("%env-status").shown[-1]["text/plain"].startswith(f"{env.name}: Python {env.python_version[:4]}")
    if not env.container:
        kernel = psutil.Process(live.pid)
        assert kernel.ppid() in {each.pid for each in psutil.Process(launcher.pid).children()}
    assert len(sessions()) == 1


@pytest.mark.everywhere
@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL], ids=lambda each: each.name)
def test_a_client_that_ends_the_argv_ends_the_kernel(
    environment: Make, launch: Start, sessions: Start, lives: Start, eventually: Start, end: signal.Signals
) -> None:
    live, launcher = launch(environment())
    sleeper = live.run("import subprocess; print(subprocess.Popen(['sleep', '600']).pid)")
    kernel, child = live.pid, live.outside(int(sleeper.stdout))

    launcher.send_signal(end)

    eventually(lambda: not lives(kernel) and not lives(child) and not sessions())


@pytest.mark.everywhere
def test_a_polite_shutdown_ends_the_argv_with_the_kernels_code(
    environment: Make, launch: Start, sessions: Start
) -> None:
    live, launcher = launch(environment())

    live.client.shutdown()

    assert launcher.wait(20) == 0
    assert not sessions()


@pytest.mark.everywhere
def test_a_kernel_that_ends_itself_gives_its_code_to_the_client(environment: Make, launch: Start) -> None:
    live, launcher = launch(environment())

    live.client.execute("import os; os._exit(7)")

    assert launcher.wait(20) == 7


@pytest.mark.everywhere
def test_what_is_installed_through_the_argv_is_recorded(
    environment: Make, launch: Start, store: Store, wheels: Any, eventually: Start
) -> None:
    env = environment("plainly")
    wheels.add("plain")
    history = store.history(env.name)
    live, launcher = launch(env)

    live.run(f"%uv pip install --no-index --find-links {wheels.folder} plain")
    launcher.terminate()
    launcher.wait(20)

    entry = history.entries()[-1]
    assert (entry.actor.kind, entry.asked[0].names) == ("cell", ("plain",))


_CLIENT = """
import json, os, subprocess, sys, time
from jupyter_client.connect import write_connection_file
spec = json.load(open(sys.argv[1]))
write_connection_file(sys.argv[2])
argv = [word.replace("{connection_file}", sys.argv[2]) for word in spec["argv"]]
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
print(subprocess.Popen([*sys.argv[3:], *argv], env={**os.environ, **spec["env"]}, **quiet).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize(("before", "stays"), [((), False), (("nohup",), True)], ids=["plainly", "nohup"])
def test_a_client_that_is_killed_takes_the_kernel_with_it_unless_it_was_to_stay(
    environment: Make,
    kernelspec: Start,
    sessions: Start,
    tmp_path: Path,
    lives: Start,
    eventually: Start,
    before: tuple[str, ...],
    stays: bool,
) -> None:
    argv = [sys.executable, "-c", _CLIENT, kernelspec(environment()), tmp_path / "c.json", *before]
    client = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    launcher = int(client.stdout.readline())
    eventually(
        lambda: any((Path(os.environ["XDG_RUNTIME_DIR"]) / "venvoy" / each / "ready").exists() for each in sessions())
    )

    client.kill()
    client.communicate()

    if stays:
        time.sleep(1.5)
        assert lives(launcher)
        os.kill(launcher, signal.SIGTERM)
    eventually(lambda: not lives(launcher) and not sessions())


def test_an_environment_that_is_gone_is_named_on_stderr(environment: Make, kernelspec: Start, tmp_path: Path) -> None:
    argv = json.loads(kernelspec(environment()).read_text())["argv"]
    words = [
        word.replace("shared-3.12", "nobodys").replace("{connection_file}", str(tmp_path / "c.json")) for word in argv
    ]

    said = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    assert said.returncode == 3
    assert said.stderr == (
        "venvoy: no environment is named 'nobodys'\nmake it: venvoy init nobodys\nsee them all: venvoy list\n"
    )


def test_a_connection_file_that_is_none_is_named(environment: Make, kernelspec: Start, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("{not json")
    argv = json.loads(kernelspec(environment()).read_text())["argv"]

    said = subprocess.run(
        [word.replace("{connection_file}", str(tmp_path / "c.json")) for word in argv],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert said.returncode == 5
    assert "c.json is no connection file" in said.stderr
