"""What R notebooks install is known as their doing, and the verbs are functions there, on this machine and in images."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from venvoy.actions.observe import observe
from venvoy.actions.record import recorded
from venvoy.model import Environment

PLACES = ("host", "docker", "podman", "apptainer")
IN_PLACES = [pytest.param(each, marks=pytest.mark.xdist_group(f"r-{each}")) for each in PLACES]
pytestmark = pytest.mark.xdist_group("r-host")


@pytest.fixture
def notebook(r_in, start, store) -> Callable[..., tuple[Any, Environment, Any]]:
    """A kernel in an environment of its own, and the record of that."""

    def started(name: str, place: str = "host") -> tuple[Any, Environment, Any]:
        env = r_in(place, f"r-{place}-{name}")
        live = start(env)
        return live, env, store.history(env.name)

    return started


@pytest.fixture
def lend(rscript: Path, store, eventually) -> Callable[[Environment, str], None]:
    """Give an environment a package as this machine's R has it; returns when that is on record, as nobody's doing."""

    def lent(env: Environment, name: str) -> None:
        asked = [rscript, "--vanilla", "-e", f"cat(find.package('{name}', quiet = TRUE))"]
        found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
        if not found:
            pytest.skip(f"this machine's R has no {name}")
        shutil.copytree(found, env.library / name)
        eventually(lambda: name in names(store.history(env.name)))

    return lent


def text(ran: Any) -> str:
    return ran.shown[-1]["text/plain"]


def changes(history: Any) -> list[Any]:
    """What came after the environment was made."""
    return history.entries()[1:]


def names(history: Any) -> set[str]:
    return {each.name for each in recorded(history, history.last()).packages}


# --- who asked for what ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", IN_PLACES)
def test_the_cell_the_call_and_what_was_asked_for_are_recorded(notebook, eventually, place) -> None:
    live, _, history = notebook("asks", place)
    live.run("6 * 7")

    ran = live.run("wanted <- 'tinyb'\ninstall.packages(wanted, quiet = TRUE)", timeout=120)

    eventually(lambda: changes(history))
    (entry,) = changes(history)
    (asked,) = entry.asked
    assert ran.error == ""
    assert (entry.actor.kind, entry.actor.count) == ("cell", 2)
    assert (asked.tool, asked.verb, asked.names) == ("install.packages", "install", ("tinyb",))
    assert asked.command == "install.packages(wanted, quiet = TRUE)"
    assert names(history) == {"tinya", "tinyb"}


def test_however_it_is_called_it_is_the_cells_doing(notebook, lend, eventually, repository) -> None:
    live, env, history = notebook("ways")
    source = repository / "src/contrib/tinyc_0.1.tar.gz"
    lend(env, "remotes")
    said = [
        ("utils::install.packages('tinya', quiet = TRUE)", "install.packages", "install", ("tinya",)),
        ("remove.packages(c('tinya'))", "remove.packages", "remove", ("tinya",)),
        (f"install.packages('{source}', repos = NULL, quiet = TRUE)", "install.packages", "install", ("tinyc",)),
        ("do.call(remove.packages, list('tinyc'))", "remove.packages", "remove", ("tinyc",)),
        ("library(remotes); install_version('tinya', '1.1', quiet = TRUE)", "remotes::install_version", "install", ("tinya",)),
        ("remotes::install_cran('tinyb', quiet = TRUE)", "remotes::install_cran", "install", ("tinyb",)),
        (f"remotes::install_local('{source}', quiet = TRUE)", "remotes::install_local", "install", ("tinyc",)),
    ]  # fmt: skip

    for number, (code, tool, verb, packages) in enumerate(said):
        before = len(changes(history))
        ran = live.run(code, timeout=120)
        assert ran.error == "", ran.text
        eventually(lambda before=before: len(changes(history)) > before)
        last = history.last()
        assert last.actor.count == number + 1, code
        assert [(each.tool, each.verb, each.names) for each in last.asked] == [(tool, verb, packages)]


def test_the_real_renv_is_heard(notebook, eventually, renv, tmp_path) -> None:
    live, env, history = notebook("renv")
    shutil.copytree(renv / "renv", env.library / "renv")
    record = '{"Package": "tinyc", "Version": "0.1", "Source": "Repository", "Repository": "CRAN"}'
    lock = tmp_path / "renv.lock"
    lock.write_text(f'{{"R": {{"Version": "4.2.2", "Repositories": []}}, "Packages": {{"tinyc": {record}}}}}')
    own, away = f"library = '{env.library}', prompt = FALSE", tmp_path / "away"
    away.mkdir()
    live.run(
        "options(renv.consent = TRUE, renv.config.cache.enabled = FALSE, renv.config.sandbox.enabled = FALSE); library(renv)"
    )
    eventually(lambda: changes(history))
    said = [
        ("renv::install(c('tinya', 'tinyb'), prompt = FALSE)", "install", "install", ("tinya", "tinyb")),
        (f"renv::restore(lockfile = '{lock}', clean = FALSE, {own})", "restore", "install", ()),
        (f"renv::install('Tiny.Cased', library = '{away}', prompt = FALSE)", None, None, None),
        ("renv::remove('tinyc')", "remove", "remove", ("tinyc",)),
    ]

    for number, (code, tool, verb, packages) in enumerate(said):
        before = len(changes(history))
        ran = live.run(code, timeout=120)
        assert ran.error == "", ran.text
        if tool is None:
            assert len(changes(history)) == before
            continue
        eventually(lambda before=before: len(changes(history)) > before)
        last = history.last()
        assert last.actor.count == number + 2, code
        asked = (f"renv::{tool}", verb, packages, code.replace("'", '"'))
        # a restore names no package: it is the cell's doing, and nobody's wish
        assert [(each.tool, each.verb, each.names, each.command) for each in last.asked] == [asked][: len(packages)]


def test_what_a_program_of_the_cell_installs_is_the_cells_doing_too(notebook, eventually, repository) -> None:
    live, _, history = notebook("program")
    source = repository / "src/contrib/tinya_1.1.tar.gz"

    live.run(f"system2('R', c('CMD', 'INSTALL', '{source}'))", timeout=120)

    eventually(lambda: changes(history))
    assert history.last().actor.kind == "cell"
    assert names(history) == {"tinya"}


def test_what_a_terminal_installs_meanwhile_is_not_the_cells(notebook, eventually, repository, in_r) -> None:
    live, env, history = notebook("terminal")
    live.run("6 * 7")

    in_r(env, "install.packages('tinya', quiet = TRUE)")

    eventually(lambda: changes(history))
    assert history.last().actor.kind == "terminal"


def test_a_cell_that_goes_on_after_it_has_installed_is_named_all_the_same(notebook, eventually) -> None:
    live, _, history = notebook("goes-on")
    sent = live.begin("install.packages('tinyb', quiet = TRUE)\ncat('on\n')\nSys.sleep(120)", until="on")

    eventually(lambda: changes(history), within=40)
    live.manager.interrupt_kernel()
    live.finish(sent)

    (entry,) = changes(history)
    assert (entry.actor.kind, entry.actor.count) == ("cell", 1)
    assert [each.names for each in entry.asked] == [("tinyb",)]


def test_what_could_not_be_installed_was_not_asked_for(notebook, eventually) -> None:
    live, _, history = notebook("nosuch")

    ran = live.run("install.packages(c('nosuch', 'tinya'), quiet = TRUE)", timeout=120)

    eventually(lambda: changes(history))
    assert "nosuch" in ran.stderr
    assert [each.names for each in history.last().asked] == [("tinya",)]


def test_what_goes_to_another_library_is_nobodys_change(notebook, tmp_path) -> None:
    live, _, history = notebook("elsewhere")

    ran = live.run(f"install.packages('tinya', lib = '{tmp_path}', quiet = TRUE)", timeout=120)
    live.run("env_status()")

    assert ran.error == ""
    assert (tmp_path / "tinya").is_dir()
    assert changes(history) == ()


def test_bioconductors_own_installer_is_heard(notebook, lend, eventually, bioconductor) -> None:
    live, env, history = notebook("bioc")
    lend(env, "BiocManager")

    ran = live.run("BiocManager::install('tinybioc', update = FALSE, ask = FALSE, quiet = TRUE)", timeout=180)

    eventually(lambda: len(changes(history)) > 1)
    assert ran.error == "", ran.text
    assert [(each.tool, each.names) for each in history.last().asked] == [("BiocManager::install", ("tinybioc",))]
    packages = {each.name: each.ecosystem for each in recorded(history, history.last()).packages}
    assert packages | {"tinybioc": "bioconductor", "tinyd": "bioconductor", "tinya": "cran"} == packages
    assert "bioconductor-tinybioc=2.0.1" in history.latest.read_text()


# --- what is loaded, and lies there otherwise ------------------------------------------------------------------------


def test_a_loaded_package_that_lies_there_in_another_version_is_told_once(notebook, eventually, repository) -> None:
    live, _, history = notebook("loaded")
    live.run("install.packages('tinya', quiet = TRUE); loadNamespace('tinya')", timeout=120)
    source = repository / "src/contrib/Archive/tinya/tinya_1.0.tar.gz"
    live.run(f"install.packages('{source}', repos = NULL, quiet = TRUE)", timeout=120)
    eventually(lambda: len(changes(history)) == 2)

    first, second, asked = live.run("6 * 7"), live.run("6 * 7"), live.run("env_status()")
    live.manager.restart_kernel(now=True)
    live.client.wait_for_ready(timeout=60)
    fresh = live.run("loadNamespace('tinya')\nenv_status()")

    sentence = "Restart needed: tinya 1.1 is loaded, 1.0 is installed."
    assert sentence in first.stderr
    assert second.stderr == ""
    assert sentence in text(asked)
    assert "Restart" not in fresh.text


def test_what_the_lent_kernel_has_loaded_needs_a_restart_where_another_version_comes(
    notebook, eventually, tmp_path
) -> None:
    live, _, history = notebook("lent")
    lent = live.run("cat(intersect(c('crayon', 'digest', 'uuid'), loadedNamespaces())[[1L]])").stdout
    source = tmp_path / lent
    source.mkdir()
    said = "Version: 99.0\nTitle: A\nDescription: A.\nAuthor: A\nMaintainer: A <a@example.org>\nLicense: GPL-2\n"
    (source / "DESCRIPTION").write_text(f"Package: {lent}\n{said}")
    (source / "NAMESPACE").write_text("")

    before = live.run("env_status()")
    live.run(f"install.packages('{source}', repos = NULL, type = 'source', quiet = TRUE)", timeout=120)
    eventually(lambda: changes(history))
    after = live.run("env_status()")

    assert "Restart" not in before.text
    assert f"Restart needed: {lent} " in text(after)
    assert "is loaded, 99.0 is installed." in text(after)


# --- nothing is broken by it -----------------------------------------------------------------------------------------


def test_installers_take_return_and_refuse_what_they_always_did(notebook, rscript) -> None:
    live, _, _ = notebook("unbroken")
    told = "cat(deparse(args(utils::install.packages)), sep = '')"
    stock = subprocess.run([rscript, "--vanilla", "-e", told], check=True, capture_output=True, text=True).stdout

    declared = live.run(told)
    ran = live.run(
        """cat(withVisible(install.packages('tinya', quiet = TRUE))$visible, "")
        cat(tryCatch(remove.packages(stop("mine")), error = function(e) conditionMessage(e)), "")
        cat(bindingIsLocked("install.packages", asNamespace("utils")), "")
        later <- function(...) install.packages(...)
        later("tinyb", quiet = TRUE)
        cat(tinyb::hello(), "")
        cat(tryCatch(install.packages(), error = function(e) "refused"))""",
        timeout=120,
    )

    assert declared.stdout == stock
    assert ran.error == ""
    assert ran.stdout.split() == ["FALSE", "mine", "TRUE", "hello", "refused"]


def test_an_installer_that_is_interrupted_leaves_the_next_one_heard(notebook, eventually) -> None:
    live, _, history = notebook("interrupted")
    sent = live.begin("cat('on\n')\ninstall.packages({Sys.sleep(30); 'tinya'}, quiet = TRUE)", until="on")
    time.sleep(0.3)
    live.manager.interrupt_kernel()
    stopped = live.finish(sent).status

    longer_than_a_pipe = "c('tinya', strrep('x', 300 + 1:400))"
    live.run(f"suppressWarnings(install.packages({longer_than_a_pipe}, quiet = TRUE))", timeout=120)

    eventually(lambda: changes(history))
    assert stopped == "abort"
    assert [each.names for each in history.last().asked] == [("tinya",)]


def test_where_nobody_attends_all_is_installed_and_one_line_says_so(notebook, sessions, settings) -> None:
    live, env, _ = notebook("alone")
    (session,) = sessions()
    (settings.runtime / session / "guest.fifo").unlink()

    first = live.run("install.packages('tinya', quiet = TRUE)", timeout=120)
    second = live.run("install.packages('tinyb', quiet = TRUE)", timeout=120)

    assert first.stderr.count("venvoy: what is installed here is not being recorded") == 1
    assert "venvoy:" not in second.stderr
    assert {each.name for each in env.library.iterdir()} >= {"tinya", "tinyb"}


# --- the verbs -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", IN_PLACES)
def test_every_verb_is_a_function_that_shows_its_answer(notebook, eventually, place) -> None:
    live, env, history = notebook("verbs", place)
    live.run("install.packages('tinya', quiet = TRUE)", timeout=120)
    eventually(lambda: changes(history))

    status, told, yaml = live.run("env_status()"), live.run("env_history()"), live.run("env_export('yaml')")
    between, asked = live.run("env_diff(1)"), live.run("env_info()")

    assert env.name in text(status)
    assert "<div>" in status.shown[-1]["text/html"]
    assert "install tinya" in text(told)
    assert "cell [1]" in text(told)
    assert "r-tinya=1.1" in text(yaml)
    assert "tinya" in text(between)
    assert "IRkernel" in text(asked)


def test_answers_are_data_too(notebook) -> None:
    live, _, _ = notebook("data")

    ran = live.run("said <- env_status()\nas.character(said$environment)\nenv_history()$changes$number")
    silent = live.run("said <- env_status()")
    printed = live.run("print(said)\ninvisible(said)")

    assert '[1] "r-host-data"' in ran.text
    assert ran.error == ""
    assert silent.shown == []
    assert "r-host-data" in printed.stdout


def test_a_notebook_goes_back_and_forth_in_rs_own_words(notebook, store, eventually) -> None:
    live, env, history = notebook("back")
    live.run("install.packages('tinya', quiet = TRUE)", timeout=120)
    eventually(lambda: changes(history))

    planned = live.run("env_restore(1)")
    done = live.run("env_restore(1, yes = TRUE)", timeout=120)
    gone = observe(store, env).packages
    undone = live.run("env_undo()", timeout=120)

    assert "To do it: env_restore(1, yes = TRUE)" in text(planned)
    assert done.error == ""
    assert gone == ()
    assert undone.error == ""
    assert [each.name for each in observe(store, env).packages] == ["tinya"]


def test_what_cannot_be_done_is_said_as_an_error_of_r(notebook) -> None:
    live, _, _ = notebook("errors")

    wrong, helped = live.run("env_export('nosuch')"), live.run("env_history(help = TRUE)")
    caught = live.run("tryCatch(env_restore(99), error = function(e) cat('told'))")

    assert "there is no format 'nosuch'" in wrong.error
    assert "env_history(last = NULL)" in text(helped)
    assert caught.stdout == "told"


def test_names_of_the_user_come_first_and_the_verbs_are_in_no_library(notebook) -> None:
    live, _, _ = notebook("names")

    ran = live.run(
        "cat('venvoy' %in% rownames(installed.packages()), ls(), '\n')\nenv_status <- 'mine'\ncat(env_status)"
    )

    assert ran.stdout.split() == ["FALSE", "mine"]
