"""A notebook that its client saves is told which environment it was run in; nobody else writes into it."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat
import pytest
from waiting import eventually

from venvoy.frontends import kernelspecs
from venvoy.frontends.binding import LIMIT, size
from venvoy.frontends.server import saving
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = [pytest.mark.xdist_group("stamping"), pytest.mark.usefixtures("_extended")]
Make = Callable[[str], Environment]
VENVOY = Path(sys.executable).with_name("venvoy")


def _notebook(source: str = "1 + 1") -> dict[str, Any]:
    cell = nbformat.v4.new_code_cell(source, id="one")
    return dict(nbformat.v4.new_notebook(cells=[cell], metadata={"authors": [{"name": "Ü"}]}))


def _save(lab: Any, path: str, content: Mapping[str, Any]) -> None:
    status, answer = lab.ask("PUT", f"contents/{path}", {"type": "notebook", "format": "json", "content": content})
    assert status in (200, 201), answer


def _saved(lab: Any, path: str) -> dict[str, Any]:
    return json.loads((lab.work / path).read_text("utf-8"))


def _stamp(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([VENVOY, "stamp", *words], capture_output=True, text=True, check=False)


def _install(notebook: Any, store: Store, wheels: Any, name: str) -> None:
    """Install what is called as the environment is, in a cell, and wait until that is on record."""
    notebook.run(f"%pip install --no-index --find-links {wheels.folder} {name}")
    eventually(lambda: store.history(name).last().actor.kind == "cell")
    notebook.socket.close()


def test_what_its_client_saves_says_environment_state_and_lock(
    environment: Make, lab: Any, store: Store, wheels: Any
) -> None:
    env = environment("research")
    wheels.add("tiny")
    _, session = lab.open(kernelspecs.spec_name(env.name))
    notebook = lab.channels(session["kernel"]["id"])
    notebook.run("1 + 1")

    _save(lab, "analysis.ipynb", _notebook())
    first = _saved(lab, "analysis.ipynb")
    notebook.run(f"%pip install --no-index --find-links {wheels.folder} tiny")
    _save(lab, "analysis.ipynb", first)
    second = _saved(lab, "analysis.ipynb")
    notebook.run("%env-freeze")
    _save(lab, "analysis.ipynb", second)
    third = _saved(lab, "analysis.ipynb")

    entries = store.history(env.name).entries()
    notebook.socket.close()
    assert first["metadata"]["venvoy"] == {"environment": "research", "snapshot": entries[0].snapshot}
    assert second["metadata"]["venvoy"]["snapshot"] == entries[-1].snapshot != entries[0].snapshot
    assert third["metadata"]["venvoy"] == {
        "environment": "research",
        "lock": "../venvoy-projects/research/pylock.toml",
        "snapshot": entries[-1].snapshot,
    }
    assert size(third["metadata"]["venvoy"]) < LIMIT
    assert first["metadata"]["authors"] == [{"name": "Ü"}]
    assert "Pre-save hook" not in lab.log.read_text()


def test_a_renamed_notebook_in_a_folder_is_still_known(environment: Make, lab: Any) -> None:
    (lab.work / "deep").mkdir(exist_ok=True)
    _, session = lab.open(kernelspecs.spec_name(environment("research").name), notebook="before.ipynb")
    lab.ask("PATCH", f"sessions/{session['id']}", {"path": "deep/after.ipynb", "name": "after.ipynb"})

    _save(lab, "deep/after.ipynb", _notebook())

    said = _saved(lab, "deep/after.ipynb")["metadata"]["venvoy"]
    assert said["environment"] == "research"
    assert said.get("lock", "../../venvoy-projects/research/pylock.toml").startswith("../../")


def test_another_notebook_that_is_called_as_a_renamed_one_was_is_another_one(
    environment: Make, lab: Any, store: Store, wheels: Any
) -> None:
    env = environment("renamed")
    wheels.add("renamed")
    _, session = lab.open(kernelspecs.spec_name(env.name), notebook="Untitled.ipynb")
    lab.ask("PATCH", f"sessions/{session['id']}", {"path": "study.ipynb", "name": "study.ipynb"})
    _, other = lab.open("python3", notebook="Untitled.ipynb")

    _, said = lab.venvoy("GET", f"notebook?path=Untitled.ipynb&kernel={other['kernel']['id']}")
    _, own = lab.venvoy("GET", f"notebook?path=study.ipynb&kernel={session['kernel']['id']}")
    lab.ask("POST", f"kernels/{session['kernel']['id']}/restart")
    notebook = lab.channels(session["kernel"]["id"])
    notebook.reopen()
    _install(notebook, store, wheels, "renamed")

    assert (said["source"], said["environment"], said["kernel"]["managed"]) == ("none", None, False)
    assert (own["source"], own["environment"]["environment"]["name"]) == ("kernel", "renamed")
    assert store.history(env.name).last().actor.notebook == str(lab.work / "study.ipynb")


def test_of_two_notebooks_in_one_kernel_what_is_done_stays_with_the_one_that_began_it(
    environment: Make, lab: Any, store: Store, wheels: Any
) -> None:
    env = environment("shared")
    wheels.add("shared")
    _, session = lab.open(kernelspecs.spec_name(env.name), notebook="first.ipynb")
    more = {
        "name": "second.ipynb",
        "path": "second.ipynb",
        "type": "notebook",
        "kernel": {"id": session["kernel"]["id"]},
    }
    assert lab.ask("POST", "sessions", more)[0] == 201

    _save(lab, "second.ipynb", _notebook())
    _, said = lab.venvoy("GET", f"notebook?path=second.ipynb&kernel={session['kernel']['id']}")
    notebook = lab.channels(session["kernel"]["id"])
    _install(notebook, store, wheels, "shared")

    assert said["environment"]["environment"]["name"] == "shared"
    assert _saved(lab, "second.ipynb")["metadata"]["venvoy"]["environment"] == "shared"
    assert store.history(env.name).last().actor.notebook == str(lab.work / "first.ipynb")


def test_other_kernels_and_other_files_are_saved_as_they_are(environment: Make, lab: Any) -> None:
    lab.open(kernelspecs.spec_name(environment("research").name), notebook="text.txt")
    lab.open("python3", notebook="other.ipynb")
    bound = _notebook() | {"metadata": {"venvoy": {"environment": "elsewhere"}}}

    lab.ask("PUT", "contents/text.txt", {"type": "file", "format": "text", "content": "as it is"})
    _save(lab, "other.ipynb", bound)
    _save(lab, "closed.ipynb", _notebook())

    assert (lab.work / "text.txt").read_text() == "as it is"
    assert _saved(lab, "other.ipynb")["metadata"]["venvoy"] == {"environment": "elsewhere"}
    assert "venvoy" not in _saved(lab, "closed.ipynb")["metadata"]


def test_a_kernel_whose_environment_was_replaced_has_not_run_in_the_new_one(
    environment: Make, lab: Any, store: Store, actor: Any, pythons: Mapping[str, Path]
) -> None:
    from venvoy.actions.create import Plan, create

    env = environment("replaced")
    _, session = lab.open(kernelspecs.spec_name(env.name))
    notebook = lab.channels(session["kernel"]["id"])
    notebook.run("1")
    notebook.socket.close()
    _save(lab, "analysis.ipynb", _notebook())
    before = _saved(lab, "analysis.ipynb")["metadata"]["venvoy"]["snapshot"]
    create(store, Plan(name=env.name, python=str(pythons["3.11"]), force=True), actor=actor)

    _save(lab, "analysis.ipynb", _notebook())
    still = _saved(lab, "analysis.ipynb")["metadata"]["venvoy"]["snapshot"]
    assert lab.ask("POST", f"kernels/{session['kernel']['id']}/restart")[0] == 200
    eventually(lambda: _again(lab) != before)

    assert still == before
    assert _again(lab) == store.history(env.name).last().snapshot


def _again(lab: Any) -> str:
    _save(lab, "analysis.ipynb", _notebook())
    return str(_saved(lab, "analysis.ipynb")["metadata"]["venvoy"]["snapshot"])


def test_nothing_is_stamped_behind_a_clients_back(environment: Make, lab: Any) -> None:
    env = environment("research")
    _save(lab, "open.ipynb", _notebook())
    written = (lab.work / "open.ipynb").read_bytes()
    _, session = lab.open("python3", notebook="open.ipynb")

    refused = _stamp(lab.work / "open.ipynb", "--name", env.name)
    lab.ask("DELETE", f"sessions/{session['id']}")
    done = _stamp(lab.work / "open.ipynb", "--name", env.name)

    assert refused.returncode == 9
    assert "open.ipynb is open in the Jupyter server at http://localhost:" in refused.stderr
    assert "save it there" in refused.stderr
    assert written != (lab.work / "open.ipynb").read_bytes()
    assert done.returncode == 0, done.stderr
    assert _saved(lab, "open.ipynb")["metadata"]["venvoy"]["environment"] == "research"


def test_a_server_that_says_nothing_is_no_permission(
    environment: Make, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = environment("research")
    _save(lab, "unsure.ipynb", _notebook())
    (file,) = Path(lab.log.parent, "jupyter/runtime").glob("jpserver-*.json")
    said = file.read_text()

    try:
        file.write_text(json.dumps(json.loads(said) | {"token": ""}))
        refused = _stamp(lab.work / "unsure.ipynb", "--name", env.name)
        forced = _stamp(lab.work / "unsure.ipynb", "--name", env.name, "--force")
    finally:
        file.write_text(said)

    assert refused.returncode == 9
    assert "does not say whether" in refused.stderr
    assert forced.returncode == 0, forced.stderr


def test_a_save_waits_for_no_record_that_does_not_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "PATIENCE", 0.05)
    written = threading.Event()

    with pytest.raises(TimeoutError):
        saving.soon(written.wait)
    written.set()

    assert saving.soon(lambda: "demo") == "demo"
    with pytest.raises(OSError, match="nothing there"):
        saving.soon(lambda: Path("/nothing there").stat())
