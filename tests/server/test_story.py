"""The whole story, as a browser sees it: a notebook is opened, works, installs, freezes, is restarted and closed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from waiting import eventually

from venvoy.formats.pylock import parse
from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.settings import Settings
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("server")
Make = Callable[[str], Environment]


def _site(env: Environment) -> Path:
    return next(env.prefix.glob("lib/python*/site-packages"))


def test_the_whole_story(environment: Make, lab: Any, store: Store, settings: Settings, wheels: Any) -> None:
    env = environment("research")
    wheels.add("tiny")
    project = store.project(env.name)
    before = (project / "environment.yml").read_text()

    status, session = lab.open(kernelspecs.spec_name(env.name))
    assert status == 201, session
    kernel = session["kernel"]["id"]
    notebook = lab.channels(kernel)
    pid = int(notebook.run("import os; print(os.getpid(), flush=True)").text)

    assert (
        "Successfully installed tiny-1.0"
        in notebook.run(f"%pip install --no-index --find-links {wheels.folder} tiny").text
    )
    eventually(lambda: store.history(env.name).entries()[-1].actor.kind == "cell")
    assert before != (project / "environment.yml").read_text()
    assert "tiny==1.0" in (project / "environment.yml").read_text()
    entry = store.history(env.name).entries()[-1]
    assert Path(entry.actor.notebook).name == "analysis.ipynb"
    assert entry.asked[0].names == ("tiny",)

    assert not notebook.run("%pip install --quiet six").error
    frozen = notebook.run("%env-freeze")
    lock = parse((project / "pylock.toml").read_text(), "pylock.toml")
    pinned = {str(each.name): each for each in lock.packages}
    assert "tiny" in frozen.text
    assert "not on the public index" in frozen.html
    assert pinned["six"].wheels[0].url.startswith("https://files.pythonhosted.org/")
    assert len(pinned["six"].wheels[0].hashes["sha256"]) == 64
    assert "Matches the freeze" in notebook.run("%env-status").html

    sent = notebook.send("import time; print('on'); time.sleep(60)")
    notebook.hear(sent, until="on")
    assert lab.ask("POST", f"kernels/{kernel}/interrupt")[0] == 204
    assert notebook.hear(sent).error == "KeyboardInterrupt: "

    notebook.run("kept = 1")
    assert lab.ask("POST", f"kernels/{kernel}/restart")[0] == 200
    notebook.reopen()
    assert notebook.run("kept").error.startswith("NameError")
    assert notebook.run("import six, tiny; tiny.__version__").text == "'1.0'"
    assert not psutil.pid_exists(pid)
    pid = int(notebook.run("import os; print(os.getpid(), flush=True)").text)

    assert lab.ask("DELETE", f"sessions/{session['id']}")[0] == 204
    notebook.socket.close()
    eventually(lambda: not psutil.pid_exists(pid))
    assert not list(settings.runtime.iterdir())
    assert not list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*"))
    assert lab.ask("GET", "kernels") == (200, [])
    assert "without encryption" not in lab.log.read_text()
    assert "Traceback" not in lab.log.read_text()


def test_the_kernel_is_in_the_servers_list_with_its_logo(environment: Make, lab: Any) -> None:
    env = environment("listed")

    _, listed = lab.ask("GET", "kernelspecs")

    spec = listed["kernelspecs"][kernelspecs.spec_name(env.name)]
    assert spec["spec"]["display_name"] == "listed (venvoy)"
    assert spec["spec"]["metadata"]["venvoy"] == {"environment": "listed"}
    assert spec["resources"]["logo-svg"].endswith(".svg")


def test_a_launch_that_fails_is_explained_in_the_answer(environment: Make, lab: Any, settings: Settings) -> None:
    env = environment("broken")
    (_site(env) / "sitecustomize.py").write_text("import os; os.write(2, b'all 100% my fault\\n'); os._exit(3)")

    status, answer = lab.open(kernelspecs.spec_name(env.name))

    assert status == 500
    assert "the kernel of 'broken' exited with 3 before it was ready" in answer["message"]
    assert "all 100\uff05 my fault" in answer["message"]
    assert "venvoy repair broken" in answer["message"]
    assert "%%" not in answer["message"]
    assert lab.ask("GET", "kernels") == (200, [])
    assert not list(settings.runtime.iterdir())
    assert not list(Path(os.environ["JUPYTER_RUNTIME_DIR"]).glob("kernel-*"))


def test_what_does_not_fit_the_kernel_is_explained_with_what_mends_it(environment: Make, lab: Any) -> None:
    env = environment("outdated")
    (_site(env) / "traitlets-4.3.3.dist-info").mkdir()
    (_site(env) / "traitlets-4.3.3.dist-info/METADATA").write_text("Name: traitlets\nVersion: 4.3.3\n")

    status, answer = lab.open(kernelspecs.spec_name(env.name))

    assert status == 500
    assert "traitlets 4.3.3 is installed, but the kernel's" in answer["message"]
    assert "venvoy run outdated -- pip install --upgrade traitlets" in answer["message"]


def test_a_crash_is_survived_and_explained_in_the_notebook(environment: Make, lab: Any) -> None:
    _, session = lab.open(kernelspecs.spec_name(environment("research").name))
    notebook = lab.channels(session["kernel"]["id"])
    notebook.run("kept = 1")

    notebook.send("import os; os.kill(os.getpid(), 9)")
    notebook.until("restarting")
    notebook.reopen()
    first = notebook.run("print('kept' in globals())")

    assert "the kernel before this one was killed (SIGKILL), most often because the memory ran out" in first.text
    assert "False" in first.text
    assert lab.ask("DELETE", f"sessions/{session['id']}")[0] == 204
    notebook.socket.close()


@pytest.mark.parametrize("how", ["crash", "restart"])
def test_a_kernel_that_cannot_start_again_is_dead_and_never_starting_for_ever(
    environment: Make, lab: Any, settings: Settings, how: str
) -> None:
    env = environment(f"spoilt-by-{how}")
    _, session = lab.open(kernelspecs.spec_name(env.name))
    kernel = session["kernel"]["id"]
    notebook = lab.channels(kernel)
    notebook.run("1")
    (_site(env) / "sitecustomize.py").write_text("import os; os.write(2, b'no more\\n'); os._exit(4)")

    if how == "crash":
        notebook.send("import os; os._exit(1)")
    else:
        assert lab.ask("POST", f"kernels/{kernel}/restart")[0] == 500
    notebook.until("dead")
    status, answer = lab.open(kernelspecs.spec_name(env.name), notebook="again.ipynb")

    assert lab.ask("GET", "kernels") == (200, [])
    assert (status, "no more" in answer["message"]) == (500, True)
    notebook.socket.close()
    eventually(lambda: not list(settings.runtime.iterdir()))
