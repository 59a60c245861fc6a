"""`venvoy stamp`, and what a notebook tells `venvoy status` and `venvoy restore`."""

import json
import os

import nbformat
import pytest

from venvoy.errors import InvalidInput
from venvoy.frontends.binding import lock_of
from venvoy.frontends.cli.notebooks import status_of

DIGEST = "ab" * 32


def _write(user, name="analysis.ipynb", *, kernel="venvoy-demo", **metadata):
    """A notebook as JupyterLab writes it, with what a careless writer would lose."""
    cells = [
        nbformat.v4.new_markdown_cell("# Ü\n\nand more", id="a", metadata={"tags": ["x"]}),
        nbformat.v4.new_code_cell(
            "1 + 1", id="b", execution_count=3, outputs=[nbformat.v4.new_output("stream", text="2\n")]
        ),
    ]
    said = {"kernelspec": {"name": kernel, "display_name": "x", "language": "python"}, "custom": {"z": 1.0, "a": []}}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=said | metadata)
    return user.write(name, nbformat.writes(notebook) + "\n")


def _said(file):
    return json.loads(file.read_text())["metadata"].get("venvoy")


@pytest.fixture(scope="module")
def eve(new_user):
    """Somebody whose environment `demo` is frozen, and looked at and not changed."""
    eve = new_user("eve")
    eve.done("init", "demo", "--requirements", eve.write("requirements.txt", "alpha==1.0\nipykernel\n"))
    eve.done("freeze", "demo")
    return eve


def test_a_notebook_is_stamped_and_nothing_else_of_it_changes(eve):
    file = _write(eve, "kept.ipynb")
    file.chmod(0o640)
    before = json.loads(file.read_text())
    text = file.read_text()

    shown = eve.json("stamp", file)["notebooks"]

    last = eve.store.history("demo").last().snapshot
    after = json.loads(file.read_text())
    assert after["metadata"].pop("venvoy") == {
        "environment": "demo", "lock": "../venvoy-projects/demo/pylock.toml", "snapshot": last,
    }  # fmt: skip
    assert after == before
    assert next(line for line in file.read_text().splitlines() if line not in text.splitlines()) == '  "venvoy": {'
    assert file.stat().st_mode & 0o777 == 0o640
    assert shown == [{"notebook": str(file), "venvoy": _said(file), "changed": True}]


def test_stamping_twice_changes_nothing(eve):
    file = _write(eve, "twice.ipynb")
    eve.done("stamp", file)
    before = (file.read_bytes(), file.stat().st_mtime_ns)

    again = eve.done("stamp", file)

    assert "(as it was)" in again
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before


def test_the_environment_is_the_one_that_is_said_or_that_the_notebook_says(eve):
    stamped = _write(eve, "stamped.ipynb", kernel="python3", venvoy={"environment": "demo"})
    foreign = _write(eve, "foreign.ipynb", kernel="python3")

    refused = eve("stamp", foreign)

    assert eve("stamp", stamped).code == 0
    assert (refused.code, _said(foreign)) == (5, None)
    assert f"venvoy stamp {foreign} --name NAME" in refused.err
    assert eve("stamp", foreign, "--name", "demo").code == 0
    assert _said(foreign)["environment"] == "demo"


def test_either_all_are_stamped_or_none(eve):
    good, bad = _write(eve, "good.ipynb"), eve.write("bad.ipynb", "{}")

    assert eve("stamp", good, bad, "--name", "demo").code == 5
    assert _said(good) is None
    assert eve("stamp", good, "--name", "nobody").code == 3
    assert eve("stamp").code == 2


def test_an_old_notebook_stays_one(eve):
    old = {
        "metadata": {"name": "old"},
        "nbformat": 3,
        "nbformat_minor": 0,
        "worksheets": [{"cells": [], "metadata": {}}],
    }
    file = eve.write("old.ipynb", json.dumps(old))
    older = eve.write("older.ipynb", json.dumps({"metadata": {}, "nbformat": 2, "worksheets": []}))

    assert eve("stamp", file, "--name", "demo").code == 0
    assert json.loads(file.read_text())["nbformat"] == 3
    assert _said(file)["environment"] == "demo"
    assert "version 2" in eve("stamp", older, "--name", "demo").err


def test_a_link_stays_a_link(eve):
    file, link = _write(eve, "deep/real.ipynb"), eve.work / "link.ipynb"
    link.symlink_to(file)

    eve.done("stamp", link)

    assert link.is_symlink()
    assert _said(file)["lock"] == "../../venvoy-projects/demo/pylock.toml"
    assert lock_of(eve.store, link).samefile(eve.store.project("demo") / "pylock.toml")


def test_a_notebook_of_a_running_kernel_is_left_alone(eve):
    from venvoy.session import Line, create, running

    file = _write(eve, "busy.ipynb")
    session = create(eve.store.settings.runtime, "one-of-eve")
    session.note("demo", str(file))
    line = Line(session, lambda _message, _say: None)

    try:
        (seen,) = running(eve.store.settings.runtime, "demo")
        refused = eve("stamp", file)
    finally:
        line.close()
    session.remove()

    assert (seen.environment, seen.notebook) == ("demo", str(file))
    assert refused.code == 9
    assert "a kernel of venvoy runs for it" in refused.err
    assert _said(file) is None
    assert not running(eve.store.settings.runtime, "demo")


def test_a_server_that_is_gone_does_not_stand_in_the_way(eve):
    runtime = eve.home / "jupyter/runtime"
    runtime.mkdir(parents=True, exist_ok=True)
    said = {"url": "http://localhost:1/", "token": "x", "root_dir": str(eve.home), "pid": os.getpid()}
    (runtime / "jpserver-1.json").write_text(json.dumps(said))
    (runtime / "jpserver-2.json").write_text("{")
    (runtime / "jpserver-3.json").write_text(json.dumps(said | {"pid": 2**22 + 1}))

    ran = eve("stamp", _write(eve, "gone.ipynb"))

    assert ran.code == 0, ran


# --- what a notebook tells -------------------------------------------------------------------------------------------


def test_a_notebooks_status_is_told_against_its_last_run(own):
    own.done("freeze", "demo")
    file = _write(own)
    own.done("stamp", file)
    same, same_code = status_of(own.store, file)
    own.done("install", "demo", "gamma")

    changed, changed_code = status_of(own.store, file)
    again = own.done("stamp", file)

    assert "no lock of it yet: venvoy freeze demo" in again
    assert (same_code, changed_code) == (0, 1)
    assert "Nothing changed since." in same.head
    assert same.data["lock"] == str(own.store.project("demo") / "pylock.toml")
    assert "1 package changed since." in changed.head
    assert changed.rows == (("+", "gamma", "", "1.0"),)


def test_a_notebook_from_elsewhere_says_what_to_do(eve):
    file = _write(eve, "elsewhere.ipynb", venvoy={"environment": "theirs", "snapshot": DIGEST})

    view, code = status_of(eve.store, file)

    assert code == 1
    assert f"There is no such environment here; make it: venvoy restore {file}" in view.head
    assert view.data["lock"] is None


def test_a_state_that_is_not_in_the_record_is_not_compared(eve):
    file = _write(eve, "unknown.ipynb", venvoy={"environment": "demo", "snapshot": DIGEST})

    view, code = status_of(eve.store, file)

    assert code == 1
    assert "does not have that state" in view.head
    with pytest.raises(InvalidInput, match="in another state of 'demo'"):
        lock_of(eve.store, file)
