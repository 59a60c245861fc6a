"""The magics answer at once, are understood however they are written, and never get into a notebook's way."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbclient
import nbformat
import papermill
import pytest
import uv

from venvoy.frontends import kernelspecs
from venvoy.frontends.views.view import View
from venvoy.model import Environment
from venvoy.store import Store

pytestmark = pytest.mark.xdist_group("magics")
Start = Callable[..., Any]
Make = Callable[..., Environment]
VERBS = ("freeze", "status", "history", "diff", "export", "restore", "undo", "archive", "info")
LOOKS = {"freeze": "", "status": "", "history": "", "diff": " now now", "restore": "", "info": ""}
"""Those that change nothing, with words of theirs."""
HTML, TEXT = "text/html", "text/plain"


def _first(ran: Any) -> float:
    """Seconds until the first thing was seen."""
    shown = ("display_data", "execute_result", "stream")
    return next(after for after, message in ran.messages if message["msg_type"] in shown)


# --- how they answer -------------------------------------------------------------------------------------------------


@pytest.mark.everywhere
@pytest.mark.parametrize("verb", LOOKS)
@pytest.mark.parametrize("form", ["%env-{}", "%env_{}", "env-{}", "  %env-{}", "x = 1\n%env-{}", "env_{}"])
def test_every_form_of_a_magic_answers_with_a_table_for_notebooks_and_for_consoles(
    live: Any, environment: Make, verb: str, form: str
) -> None:
    begins = "now → now: " if verb == "diff" else f"{environment().name}: "
    ran = live.run(form.format(verb + LOOKS[verb]))

    assert ran.status == "ok", ran.text
    answer = ran.shown[-1]
    assert answer[TEXT].startswith(begins)
    assert answer[HTML].startswith(f"<div>{begins}")
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


def test_a_table_is_plain_html_with_what_sanitizers_leave_and_its_words_are_escaped() -> None:
    view = View(data={}, head="a <b>\nc", columns=("x", "path"), rows=(("<script>", "/very/long" * 40),))

    tags = set(re.findall(r"<(\w+)", view.html))
    properties = {
        each.partition(":")[0] for style in re.findall(r'style="([^"]*)"', view.html) for each in style.split(";")
    }

    assert tags == {"div", "br", "table", "thead", "tbody", "tr", "th", "td"}
    assert properties == {"text-align", "vertical-align", "max-width", "overflow-wrap"}
    assert "a &lt;b&gt;<br>c" in view.html
    assert "&lt;script&gt;" in view.html


def test_a_magic_gives_data_that_is_shown_again_where_it_is_looked_at(live: Any) -> None:
    asked = live.run("found = %env-status")
    again = live.run("found")
    data = live.run("import json; print(type(found).__mro__[1].__name__, json.dumps(found))")

    kind, _, text = data.stdout.partition(" ")
    assert kind == "dict"
    assert json.loads(text)["environment"] == "shared-3.12"
    assert [each["name"] for each in json.loads(text)["packages"]] == ["pip"]
    assert asked.shown == again.shown


@pytest.mark.everywhere
def test_magics_run_from_code(live: Any) -> None:
    ran = live.run("get_ipython().run_line_magic('env-history', '--last 1')['entries'][-1]['event']")

    assert ran.result in ("'change'", "'freeze'")


def _complete(live: Any, code: str, at: int | None = None) -> list[str]:
    """What a front end is offered on the tab key, as the words that would then stand there."""
    sent = live.client.complete(code, at)
    reply = live.client.get_shell_msg(timeout=30)
    while reply["parent_header"]["msg_id"] != sent:
        reply = live.client.get_shell_msg(timeout=30)
    return list(reply["content"]["matches"])


def test_completion_offers_them(live: Any) -> None:
    assert {f"%env-{verb}" for verb in VERBS} <= set(_complete(live, "%env-"))


@pytest.mark.parametrize(
    ("code", "offered"),
    [
        ("%env-freeze --", ["--include-dev", "--vendor", "--help"]),
        ("%env-freeze --vendor --i", ["--include-dev"]),
        ("%env_freeze --v", ["--vendor"]),
        ("env-freeze --v", ["--vendor"]),
        ("found = %env-freeze --v", ["--vendor"]),
        ("x = 1\n%env-history --l", ["--last"]),
        ("%env-export req", ["requirements"]),
        ("%env-export pyl", ["pylock"]),
        ("%env-restore yes", ["yesterday"]),
        ("%env-restore now --y", ["--yes"]),
        ("%env-diff 1 no", ["now"]),
        ("%env-undo --d", ["--dry-run"]),
        ("%env-archive --o", ["--output"]),
    ],
)
def test_completion_offers_options_formats_and_points(live: Any, code: str, offered: list[str]) -> None:
    assert sorted(_complete(live, code)) == sorted(offered)


def test_completion_offers_what_the_record_has(live: Any, store: Store) -> None:
    entries = store.history("shared-3.12").entries()

    found = _complete(live, "%env-diff ")
    by_digest = _complete(live, f"%env-diff {entries[0].snapshot[:5]}")

    assert {"now", "yesterday", "1", str(len(entries))} <= set(found)
    assert entries[0].snapshot[:12] in by_digest


def test_completion_of_other_code_is_as_it_was(live: Any) -> None:
    live.run("frobnicate = 1")

    assert _complete(live, "frobni") == ["frobnicate"]
    assert "%env" in _complete(live, "%env")


@pytest.mark.everywhere
def test_a_freeze_shows_progress_and_then_the_lock(environment: Make, live: Any, store: Store) -> None:
    ran = live.run("%env-freeze")

    kinds = [message["msg_type"] for _, message in ran.messages]
    assert "Looking" in ran.shown[0][TEXT]
    assert "locked with url and hash" in ran.shown[-1][TEXT]
    assert kinds.index("update_display_data") < len(kinds) - 1 - kinds[::-1].index("display_data")
    assert 'lock-version = "1.0"' in (store.project(environment().name) / "pylock.toml").read_text()


@pytest.mark.parametrize("python", ["3.9", "3.12"])
def test_what_a_magic_does_is_recorded_with_the_number_that_its_cell_shows(
    environment: Make, start: Start, store: Store, python: str
) -> None:
    env = environment(python=python)
    client = start(env).client
    heard: list[Any] = []

    for kept in (True, False, True):
        client.execute_interactive("%env-freeze", store_history=kept, output_hook=heard.append, timeout=120)

    shown = [each["content"]["execution_count"] for each in heard if each["msg_type"] == "execute_input"]
    told = [each.actor.count for each in store.history(env.name).entries() if each.event == "freeze"]
    assert told[-3:] == shown == [1, 2, 2]


# --- how they are understood -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("env, freeze = 5, 3\nenv-freeze", "2"),
        ("env, diff = 5, 3\nenv-diff if True else 0", "2"),
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
        ("%env-history --last 0", "--last takes a number from 1 on, not 0"),
        ("%env-diff 1 2 3", "two states can be compared, not 3"),
        ("%env-diff once", "'once' means no state of this environment"),
        ("%env-restore --yes", "it is not said where to"),
        ("%env-export nonsense", "nonsense"),
        ("%env-export yaml -o /nowhere/at/all.yml", "there is no folder /nowhere/at"),
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


# --- a kernel and its environment that part -------------------------------------------------------------------------


@pytest.fixture
def parting(environment: Make, start: Start, wheelhouse: Any) -> tuple[Environment, Any, str]:
    """An environment with `loaded` 1.0 and `silent` 1.0 (which tells no version), both imported in its kernel."""
    name = f"parting-{os.urandom(3).hex()}"
    for version in ("1.0", "2.0"):
        wheelhouse.add("loaded", version)
        wheelhouse.add("silent", version, files={"silent/__init__.py": ""})
    wheelhouse.add("other")
    env = environment(name)
    live = start(env)
    assert live.run("%uv pip install loaded==1.0 silent==1.0").status == "ok"
    live.run("%env-status")
    live.run("import loaded, silent")
    return env, live, name


def _terminal(env: Environment, *words: str) -> None:
    subprocess.run([uv.find_uv_bin(), "pip", *words[:1], "--quiet", "--python", env.python, *words[1:]], check=True)


def test_a_change_from_outside_is_said_once_with_the_modules_that_differ(parting: tuple[Environment, Any, str]) -> None:
    env, live, _ = parting
    _terminal(env, "install", "loaded==2.0", "silent==2.0", "other")
    time.sleep(0.1)

    first, second = live.run("1"), live.run("2")
    status, info = live.run("%env-status"), live.run("%env-info")

    assert first.stderr == (
        "venvoy: Restart needed: loaded 1.0 is loaded, 2.0 is installed; silent 1.0 is loaded, 2.0 is installed.\n"
    )
    assert (first.result, second.result, second.stderr) == ("1", "2", "")
    for ran in (status, info):
        assert "Restart needed: loaded 1.0 is loaded, 2.0 is installed" in ran.shown[-1][TEXT]
    data = json.loads(live.run("found = %env-status\nimport json; print(json.dumps(found['restart']))").stdout)
    assert data["modules"][0] == {"module": "loaded", "package": "loaded", "loaded": "1.0", "installed": "2.0"}
    assert (data["needed"], data["replaced"]) == (True, False)


def test_what_is_loaded_and_gone_is_said(parting: tuple[Environment, Any, str]) -> None:
    env, live, _ = parting
    _terminal(env, "uninstall", "loaded")
    time.sleep(0.1)

    ran = live.run("1")

    assert ran.stderr == "venvoy: Restart needed: loaded 1.0 is loaded and is not installed any more.\n"


def test_what_a_restart_changes_nothing_of_is_not_mentioned(parting: tuple[Environment, Any, str]) -> None:
    env, live, _ = parting
    _terminal(env, "install", "other")
    _terminal(env, "install", "--reinstall", "loaded==1.0", "silent==1.0")
    time.sleep(0.1)

    ran, status = live.run("import other"), live.run("%env-status")

    assert ran.stderr == ""
    assert "Restart" not in status.shown[-1][TEXT]


def test_a_module_that_is_imported_after_its_package_came_is_up_to_date(parting: tuple[Environment, Any, str]) -> None:
    _, live, _ = parting
    live.run("%uv pip install --upgrade loaded silent")

    said = live.run("import importlib; importlib.reload(loaded); importlib.reload(silent)")
    status = live.run("%env-status")

    assert "Restart needed: loaded 1.0 is loaded" in said.stderr
    assert "Restart" not in status.shown[-1][TEXT]


def test_going_back_says_first_what_it_would_do_and_then_does_it(
    parting: tuple[Environment, Any, str], store: Store
) -> None:
    _, live, name = parting
    live.run("%uv pip install loaded==2.0")
    live.run("%env-status")
    live.manager.restart_kernel()
    live.client.wait_for_ready(timeout=60)
    live.run("import loaded")
    before = len(store.history(name).entries())

    choice = live.run("%env-restore")
    planned = live.run("plan = %env-restore 2")
    untouched = live.run("loaded.__version__, open(loaded.__file__).read()")
    done = live.run(live.run("plan['confirm']").result.strip("'"))
    entry = store.history(name).entries()[-1]

    assert "Go back to one of them: %env-restore NUMBER" in choice.shown[-1][TEXT]
    assert ["~", "loaded", "2.0", "1.0"] in [line.split() for line in planned.shown[-1][TEXT].splitlines()]
    assert "The kernel will need a restart: loaded 2.0 is loaded." in planned.shown[-1][TEXT]
    assert "To do it: %env-restore 2 --yes" in planned.shown[-1][TEXT]
    assert untouched.result.startswith("('2.0', \"__version__ = '2.0'")
    assert done.status == "ok", done.text
    assert "Restart needed: loaded 2.0 is loaded, 1.0 is installed." in done.shown[-1][TEXT]
    assert len(store.history(name).entries()) == before + 1
    assert (entry.event, entry.actor.kind) == ("change", "cell")

    live.manager.restart_kernel()
    live.client.wait_for_ready(timeout=60)
    assert live.run("import loaded; loaded.__version__").result == "'1.0'"
    assert "Restart" not in live.run("%env-status").shown[-1][TEXT]


def test_the_last_change_is_taken_back(parting: tuple[Environment, Any, str], store: Store) -> None:
    _, live, name = parting
    live.run("%uv pip install other")

    planned = live.run("%env-undo --dry-run")
    there = live.run("import importlib.metadata as m; m.version('other')")
    done = live.run("back = %env-undo")
    data = live.run("print(back['restart']['replaced'], [each['name'] for each in back['changes']['removed']])")

    assert "To do it: %env-undo" in planned.shown[-1][TEXT]
    assert there.result == "'1.0'"
    assert done.status == "ok", done.text
    assert "Restart needed: this environment was replaced since the kernel started." in done.shown[-1][TEXT]
    assert data.stdout == "True ['other']\n"
    assert store.history(name).entries()[-1].event == "undo"


def test_a_swap_by_another_process_is_said_with_the_next_cell(
    parting: tuple[Environment, Any, str], store: Store, actor: Any
) -> None:
    from venvoy.actions.undo import undo
    from venvoy.session import running

    env, live, name = parting
    (kernel,) = running(store.settings.runtime, name)
    undo(store, env, actor=actor)

    first, second = live.run("1"), live.run("2")

    assert kernel.environment == name
    assert "venvoy: Restart needed: loaded 1.0 is loaded and is not installed any more" in first.stderr
    assert second.stderr == ""


@pytest.mark.parametrize("form", ["%env-export yaml", "env-export yaml", "env_export yaml", "%env_export yaml"])
def test_an_export_is_shown_as_the_text_that_it_is(live: Any, store: Store, form: str) -> None:
    ran = live.run(form)

    assert ran.status == "ok", ran.text
    assert ran.shown[-1][TEXT].startswith("name: shared-3.12\n")
    assert ran.shown[-1][HTML].startswith("<pre>name: shared-3.12\n")
    assert live.run("get_ipython().run_line_magic('env-export', 'yaml')['text'] == _").status == "ok"


@pytest.mark.everywhere
def test_files_are_written_beside_the_notebook_wherever_the_kernel_has_gone(
    environment: Make, start: Start, tmp_path: Path
) -> None:
    env = environment()
    live = start(env, env_vars={"JPY_SESSION_NAME": str(tmp_path / "analysis.ipynb")})
    (tmp_path / "analysis.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    live.run("import os; os.chdir('/')")

    exported = live.run("%env-export pylock -o lock.toml")
    archived = live.run("there = %env-archive -o all.venvoy.tar.zst")
    wrapped = live.run("%env-export tarball")

    assert re.search(rf"{tmp_path}/lock.toml \(\d+ (bytes|kB)\)", exported.shown[-1][TEXT])
    assert 'lock-version = "1.0"' in (tmp_path / "lock.toml").read_text()
    assert archived.status == "ok", archived.text
    assert (tmp_path / "all.venvoy.tar.zst").stat().st_size == int(live.run("there['size']").result)
    assert "analysis.ipynb" in live.run("there['files']").result
    assert (wrapped.status, (tmp_path / f"{env.name}.tar.gz").exists()) == ("ok", True), wrapped.text


def test_an_answer_names_no_path_of_another_environment(parting: tuple[Environment, Any, str], store: Store) -> None:
    _, live, _ = parting
    theirs = store.project("shared-3.12") / "stolen.yml"

    wrote = live.run(f"%env-export yaml -o {theirs}")
    ours = live.run(f"%env-export yaml -o {store.settings.home}/config.yml")

    assert "belongs to another environment" in wrote.stderr
    assert "where venvoy keeps its own files" in ours.stderr
    assert not theirs.exists()


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


@pytest.mark.everywhere
def test_they_answer_under_nbclient(environment: Make) -> None:
    env = environment()
    notebook = _notebook(env, "%env-status", "x = %env-history\nlen(x['entries']) > 0", "%env-freeze")

    nbclient.NotebookClient(notebook, timeout=60).execute()

    nbformat.validate(notebook)
    # Where an answer takes longer a meter was shown before, which is empty now.
    first, second, third = ([each for each in _outputs(notebook, cell) if each][-1] for cell in range(3))
    assert f"<div>{env.name}: Python 3.1" in first
    assert second == "True"
    assert re.match(rf"<div>{re.escape(env.name)}: \d+ packages? locked", third)


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
