"""The magics answer at once, are understood however they are written, and never get into a notebook's way."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import papermill
import pytest
import uv

from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("magics")
Start = Callable[..., Any]
Make = Callable[..., Environment]
VERBS = ("freeze", "status", "history")
HTML, TEXT = "text/html", "text/plain"


def _first(ran: Any) -> float:
    """Seconds until the first thing was seen."""
    shown = ("display_data", "execute_result", "stream")
    return next(after for after, message in ran.messages if message["msg_type"] in shown)


# --- how they answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("form", ["%env-{}", "%env_{}", "env-{}", "  %env-{}", "x = 1\n%env-{}", "env_{}"])
def test_every_form_of_a_magic_answers_with_a_table_for_notebooks_and_for_consoles(
    live: Any, verb: str, form: str
) -> None:
    ran = live.run(form.format(verb))

    assert ran.status == "ok", ran.text
    answer = ran.shown[-1]
    assert answer[TEXT].startswith("shared-3.12: ")
    assert answer[HTML].startswith("<div>shared-3.12: ")
    assert not ran.result
    print(f"{verb}: seen after {_first(ran):.3f} s, answered after {ran.messages[-1][0]:.3f} s")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    "form", ["%env-{} --help", "env-{} --help", "%env-{}?", "?%env-{}", "env-{}?", "%env_{}??", "?env_{}"]
)
def test_every_way_to_ask_for_help_helps(live: Any, verb: str, form: str) -> None:
    ran = live.run(form.format(verb))

    assert ran.status == "ok", ran.text
    assert f"usage: %env-{verb}" in ran.shown[-1][TEXT]
    assert live.run("import os; [each for each in os.environ if each.startswith('-')]").result == "[]"


def test_a_magic_gives_data_that_is_shown_again_where_it_is_looked_at(live: Any) -> None:
    asked = live.run("found = %env-status")
    again = live.run("found")
    data = live.run("import json; print(type(found).__mro__[1].__name__, json.dumps(found))")

    kind, _, text = data.stdout.partition(" ")
    assert kind == "dict"
    assert json.loads(text)["environment"] == "shared-3.12"
    assert [each["name"] for each in json.loads(text)["packages"]] == ["pip"]
    assert asked.shown == again.shown


def test_magics_run_from_code(live: Any) -> None:
    ran = live.run("get_ipython().run_line_magic('env-history', '--last 1')['entries'][-1]['event']")

    assert ran.result in ("'change'", "'freeze'")


def test_completion_offers_them(live: Any) -> None:
    sent = live.client.complete("%env-")
    reply = live.client.get_shell_msg(timeout=30)
    while reply["parent_header"]["msg_id"] != sent:
        reply = live.client.get_shell_msg(timeout=30)

    assert {f"%env-{verb}" for verb in VERBS} <= set(reply["content"]["matches"])


def test_a_freeze_shows_progress_and_then_the_lock(environment: Make, live: Any, store: Store) -> None:
    ran = live.run("%env-freeze")

    kinds = [message["msg_type"] for _, message in ran.messages]
    assert "Looking" in ran.shown[0][TEXT]
    assert "locked with url and hash" in ran.shown[-1][TEXT]
    assert kinds.index("update_display_data") < len(kinds) - 1 - kinds[::-1].index("display_data")
    assert 'name = "pip"' in (store.project("shared-3.12") / "pylock.toml").read_text()


# --- how they are understood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("env, freeze = 5, 3\nenv-freeze", "2"),
        ("env = 5\nfreeze = 2\nenv-freeze", "3"),
        ("env = 5\nfreeze = 1\nx = [\nenv-freeze\n]\nx", "[4]"),
        ("text = '''\nenv-status\n%env-status?\n'''\ntext", r"'\nenv-status\n%env-status?\n'"),
        ("f'''{1}\nenv-status\n'''", r"'1\nenv-status\n'"),
    ],
)
def test_a_subtraction_stays_one_and_a_text_stays_as_it_is(live: Any, code: str, result: str) -> None:
    live.run("%reset -f")

    ran = live.run(code)

    assert (ran.result, ran.shown) == (result, [])


def test_a_subtraction_of_earlier_names_stays_one(live: Any) -> None:
    live.run("env, freeze = 7, 3")

    assert live.run("env-freeze").result == "4"
    assert live.run("%env-status").shown
    live.run("%reset -f")


def test_the_text_of_another_language_stays_as_it_is(live: Any) -> None:
    ran = live.run("%%bash\ncat <<END\nenv-status\nEND")

    assert ran.stdout == "env-status\n"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("%env-status --bogus", "%env-status: unrecognized arguments: --bogus\nusage: %env-status"),
        ("%env-history --last soon", "invalid int value: 'soon'"),
        ("%env-status 'open", 'cannot read "\'open": No closing quotation'),
    ],
)
def test_errors_are_sentences_without_tracebacks(live: Any, line: str, said: str) -> None:
    ran = live.run(line)

    assert ran.status == "error"
    assert said in ran.stderr
    assert "Traceback" not in ran.text


# --- how they get out of the way -------------------------------------------------------------------------------------


@pytest.fixture
def slow_index(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A package index that accepts every question and answers none; the event is set when one came."""
    asked = threading.Event()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{listener.getsockname()[1]}/simple")
        monkeypatch.delenv("UV_CONFIG_FILE", raising=False)
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return
                asked.set()

        thread = threading.Thread(target=accept)
        thread.start()
        yield asked
        listener.shutdown(socket.SHUT_RDWR)
        for each in held:
            each.close()
    thread.join()


def test_an_interrupt_ends_the_wait_for_an_answer(
    environment: Make, start: Start, slow_index: threading.Event, capfd: pytest.CaptureFixture[str]
) -> None:
    live = start(environment())

    sent = live.client.execute("%env-freeze")
    assert slow_index.wait(30)
    live.manager.interrupt_kernel()
    ran = live.finish(sent)

    assert ran.error.startswith("KeyboardInterrupt")
    assert live.run("%env-status").status == "ok"
    assert "Exception in thread" not in capfd.readouterr().err


def test_whoever_asks_is_shown_something_although_the_answer_takes_its_time(
    environment: Make, start: Start, slow_index: threading.Event
) -> None:
    live = start(environment())

    sent = live.client.execute("%env-freeze")
    shown = next(
        message
        for message in iter(lambda: live.client.get_iopub_msg(timeout=30), None)
        if message["msg_type"] == "display_data" and message["parent_header"]["msg_id"] == sent
    )

    assert "Looking every installed package up" in shown["content"]["data"][TEXT]
    live.manager.interrupt_kernel()
    live.finish(sent)


def test_cells_run_on_when_nobody_attends_the_kernel_any_more(environment: Make, start: Start, wheels: Any) -> None:
    wheels.add("unattended")
    live = start(environment("lonely"))
    (Path(live.manager.ip).parent / "guest.sock").unlink()

    first = live.run(f"%uv pip install --no-index --find-links {wheels.folder} unattended")
    second = live.run("%uv pip uninstall unattended")
    third = live.run("6 * 7")
    asked = live.run("%env-status")

    assert (first.status, second.status) == ("ok", "ok")
    assert (first.stderr + second.stderr).count("venvoy: what is installed here is not being recorded") == 1
    assert (third.result, third.stderr) == ("42", "")
    assert "whoever records this environment cannot be reached" in asked.stderr
    assert "Traceback" not in asked.text


# --- where they run --------------------------------------------------------------------------------------------------


def _notebook(env: Environment, *cells: str) -> nbformat.NotebookNode:
    spec = {"name": kernelspecs.spec_name(env.name), "display_name": env.name, "language": "python"}
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(cell) for cell in cells],
        metadata={"kernelspec": spec, "language_info": {"name": "python"}},
    )


def _outputs(notebook: nbformat.NotebookNode, cell: int) -> list[str]:
    """The HTML, or else the text, of a cell's outputs."""
    return [each["data"].get(HTML) or each["data"][TEXT] for each in notebook.cells[cell].outputs if "data" in each]


def test_they_answer_under_nbclient(environment: Make) -> None:
    notebook = _notebook(environment(), "%env-status", "x = %env-history\nlen(x['entries']) > 0", "%env-freeze")

    nbclient.NotebookClient(notebook, timeout=60).execute()

    nbformat.validate(notebook)
    assert "<div>shared-3.12: Python 3.12" in _outputs(notebook, 0)[0]
    assert _outputs(notebook, 1)[-1] == "True"
    assert [each for each in _outputs(notebook, 2) if each][-1].startswith("<div>shared-3.12: 1 package locked")


def test_they_answer_under_papermill(environment: Make, tmp_path: Path) -> None:
    nbformat.write(_notebook(environment(), "%env-status", "%env-freeze"), tmp_path / "in.ipynb")

    papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)

    done = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    assert "<div>shared-3.12: Python 3.12" in _outputs(done, 0)[0]
    assert [each for each in _outputs(done, 1) if each][-1].startswith("<div>shared-3.12: 1 package locked")


def test_loading_the_extension_is_harmless_where_nothing_needs_loading(live: Any) -> None:
    ran = live.run("%load_ext venvoy")

    assert (ran.status, ran.text.strip()) == ("ok", "")
    assert live.run("%reload_ext venvoy").status == "ok"
    assert live.run("%env-status").status == "ok"


# --- in kernels that venvoy did not start ----------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A venv with ipykernel and venvoy in it, of which no venvoy knows."""
    prefix = tmp_path_factory.mktemp("foreign") / "research" / ".venv"
    project = Path(__file__).parents[2]
    python = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, prefix], check=True)
    install = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", prefix]
    subprocess.run([*install, "ipykernel", "pip", "-e", project], check=True)
    return prefix


@pytest.fixture
def foreign(_foreign: Path) -> Path:
    """The same, with a stock kernelspec."""
    folder = Path(os.environ["JUPYTER_DATA_DIR"], "kernels", "stock")
    folder.mkdir(parents=True, exist_ok=True)
    argv = [str(_foreign / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Stock", "language": "python"}))
    return _foreign


def test_the_extension_records_the_environment_of_any_other_kernel(
    foreign: Path, start: Start, store: Store, wheels: Any, eventually: Start, sessions: Start
) -> None:
    wheels.add("loaded")
    live = start("stock", env_vars={"JPY_SESSION_NAME": "/home/somebody/loaded.ipynb"})

    before = live.run("%env-status")
    loaded = live.run("%load_ext venvoy")
    live.run(f"%pip install --no-index --find-links {wheels.folder} loaded")
    eventually(lambda: store.history("research").entries()[-1].actor.kind == "cell")
    status = live.run("%env-status")
    live.manager.shutdown_kernel()

    assert before.status == "error"
    assert (loaded.status, loaded.stderr) == ("ok", ""), loaded.text
    assert status.shown[-1][TEXT].startswith("research: Python 3.")
    env = store.environment("research")
    assert (env.adopted, env.prefix) == (True, foreign)
    assert "loaded==1.0" in store.history("research").latest.read_text()
    entry = store.history("research").entries()[-1]
    assert (entry.actor.kind, entry.actor.notebook) == ("cell", "/home/somebody/loaded.ipynb")
    assert entry.asked[0].names == ("loaded",)
    assert not sessions()


def test_the_extension_knows_an_environment_again(foreign: Path, start: Start, store: Store) -> None:
    live = start("stock")

    live.run("%load_ext venvoy")
    live.run("%load_ext venvoy")
    ran = live.run("%env-status")

    assert ran.shown[-1][TEXT].startswith("research: ")
    assert [name for name in store.names() if name.startswith("research")] == ["research"]


def test_the_extension_says_what_to_do_where_there_is_no_environment(tmp_path: Path) -> None:
    code = """
from IPython.testing.globalipapp import start_ipython
import sys
sys.prefix = sys.base_prefix
shell = start_ipython()
shell.run_cell("%load_ext venvoy")
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)

    assert "no environment that could be recorded" in said.stdout + said.stderr
    assert "venvoy init NAME" in said.stdout + said.stderr
