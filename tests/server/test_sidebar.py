"""The sidebar beside a notebook that really runs: whose environment, what is loaded, what the magics do."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from waiting import eventually

from venvoy.frontends import kernelspecs
from venvoy.managers import uv
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = [pytest.mark.xdist_group("sidebar"), pytest.mark.usefixtures("_extended")]
Make = Callable[[str], Environment]


@pytest.fixture
def story(lab: Any, environment: Make) -> Iterator[Any]:
    """A notebook that runs in the environment `sidebar`."""
    env = environment("sidebar")
    cells = [
        {
            "cell_type": "code",
            "id": "a",
            "source": "import tiny",
            "outputs": [],
            "metadata": {},
            "execution_count": None,
        }
    ]
    (lab.work / "story.ipynb").write_text(
        json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    )
    status, session = lab.open(kernelspecs.spec_name(env.name), "story.ipynb")
    assert status == 201, session
    kernel = session["kernel"]["id"]
    channels = lab.channels(kernel)
    yield env, kernel, channels
    channels.socket.close()


def test_the_story_of_a_notebook_beside_its_sidebar(story: Any, lab: Any, wheels: Any) -> None:
    env, kernel, notebook = story
    wheels.add("tiny", "1.0")
    wheels.add("tiny", "2.0")

    def front() -> Any:
        return lab.venvoy("GET", f"notebook?path=story.ipynb&kernel={kernel}")[1]

    begun = front()
    assert (begun["source"], begun["kernel"]["managed"]) == ("kernel", True)
    assert begun["state"]["kind"] == "never-frozen"
    assert begun["environment"]["environment"]["name"] == env.name
    assert begun["environment"]["notebooks"][0] | {"notebook": ""} == {
        "notebook": "",
        "path": "story.ipynb",
        "running": True,
    }
    assert lab.venvoy("GET", "notebook?path=story.ipynb")[1]["source"] == "kernel"

    assert not notebook.run(f"%pip install -q --no-index --find-links {wheels.folder} tiny==1.0").error
    assert notebook.run("import tiny; print(tiny.__version__)").text.strip() == "1.0"
    listed = eventually(
        lambda: lab.venvoy("GET", f"environments/{env.name}/packages?path=story.ipynb&kernel={kernel}")[1]["packages"],
        lambda found: found[0]["name"] == "tiny" and found[0]["asked"],
    )
    assert listed[0]["imported"]
    assert listed[0]["asked"]["actor"]["kind"] == "cell"

    subprocess.run(
        [
            uv.program(),
            "pip",
            "install",
            "-q",
            "--no-index",
            "--find-links",
            wheels.folder,
            "--python",
            env.python,
            "tiny==2.0",
        ],
        check=True,
    )
    stale = eventually(front, lambda said: said["state"]["kind"] == "restart")
    assert stale["state"]["sentence"] == "Restart needed: tiny 1.0 is loaded, 2.0 is installed."
    assert stale["state"]["standing"] == "never-frozen"
    assert stale["state"]["restart"]["modules"] == [
        {"module": "tiny", "package": "tiny", "loaded": "1.0", "installed": "2.0"}
    ]
    now = lab.venvoy("GET", f"environments/{env.name}/packages?kernel={kernel}")[1]["packages"]
    assert next(each for each in now if each["name"] == "tiny")["badges"] == ["stale"]

    assert not notebook.run("%env-freeze").error
    jobs = lab.venvoy("GET", "jobs")[1]["jobs"]
    frozen = next(each for each in jobs if each["verb"] == "freeze")
    assert (frozen["origin"], frozen["state"], frozen["magic"]) == ("cell", "succeeded", "%env-freeze")
    assert frozen["notebook"] == "story.ipynb"
    assert "Looking every installed package up" in lab.venvoy("GET", f"jobs/{frozen['id']}/log")[1]["text"]

    assert lab.ask("POST", f"kernels/{kernel}/restart")[0] == 200
    matches = eventually(front, lambda said: said["state"]["kind"] == "matches")
    assert matches["state"]["tone"] == "good"
    assert matches["environment"]["lock"] == str(Path(matches["environment"]["project"], "pylock.toml"))


def test_what_a_cell_has_begun_is_cancelled_from_the_sidebar(story: Any, lab: Any, store: Store) -> None:
    env, _, notebook = story
    history = store.history(env.name)
    lock = Path(store.project(env.name), "pylock.toml")
    notebook.run("kept = 1")
    before, locked = history.count(), lock.exists() and lock.read_bytes()

    with history.locked():
        cell = notebook.send("%env-freeze")
        jobs = eventually(
            lambda: [each for each in lab.venvoy("GET", "jobs")[1]["jobs"] if each["state"] == "running"], bool
        )
        status, _ = lab.venvoy("DELETE", f"jobs/{jobs[0]['id']}")
        said = notebook.hear(cell)
        ended = eventually(lambda: lab.venvoy("GET", f"jobs/{jobs[0]['id']}")[1], lambda job: job["ended"])

    assert jobs[0]["cancellable"]
    assert status == 202
    assert ended["state"] == "cancelled"
    assert "UsageError: %env-freeze was cancelled from JupyterLab\nnothing is left half done" in said.text
    assert (history.count(), lock.exists() and lock.read_bytes()) == (before, locked)
    assert notebook.run("kept").text == "1"
    assert not notebook.run("%env-freeze").error


def test_a_kernel_that_is_none_of_ours_has_no_environment(lab: Any, environment: Make) -> None:
    environment("sidebar")
    status, session = lab.open("python3", "other.ipynb")
    assert status == 201, session
    said = lab.venvoy("GET", f"notebook?path=other.ipynb&kernel={session['kernel']['id']}")[1]

    assert (said["source"], said["state"]["kind"]) == ("none", "unmanaged")
    assert said["kernel"] == {"id": session["kernel"]["id"], "name": "python3", "managed": False}
