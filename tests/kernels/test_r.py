"""R kernels on this machine and in each container runtime: the public suite, signals, ends, start-up files, installs."""

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from public_suite import Kernel, suite

from venvoy import process, runtimes
from venvoy.actions import r_prefix
from venvoy.actions.launch import kernel_of
from venvoy.actions.observe import observe
from venvoy.actions.record import recorded
from venvoy.containers import ENGINES
from venvoy.errors import KernelUnusable
from venvoy.frontends import kernelspecs
from venvoy.inventory import description
from venvoy.model import Environment, Job, Repository

PLACES = ("host", *ENGINES)
LOOP, ASLEEP = "cat('on\n')\nwhile (TRUE) {}", "cat('on\n')\nSys.sleep(60)"
DEAF = "cat('on\n')\nrepeat tryCatch(repeat Sys.sleep(0.01), interrupt = function(e) NULL)"
Start = Callable[..., Any]


@pytest.fixture(params=[pytest.param(each, marks=pytest.mark.xdist_group(f"r-{each}")) for each in PLACES])
def place(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def live(r_in, place, start) -> Any:
    return start(r_in(place))


def text(ran: Any) -> str:
    """What a value looks like to people."""
    return ran.shown[-1]["text/plain"]


def mentioning(word: str) -> list[psutil.Process]:
    """The processes of this machine, those in containers among them, whose words have it."""
    found = []
    for each in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess):
            if each.pid != os.getpid() and any(word in said for said in each.cmdline()):
                found.append(each)
    return found


# --- the public suite ------------------------------------------------------------------------------------------------


class R(Kernel):
    """What an R kernel should answer."""

    place: str
    language_name = "R"
    file_extension = ".r"
    code_hello_world = "cat('hello, world\n')"
    code_stderr = "message('test')"
    completion_samples = ({"text": "zi", "matches": {"zip"}}, {"text": "seq_le", "matches": {"seq_len"}})
    complete_code_samples = ("1", "print('hello, world')", "f <- function(x) {\n  x * 2\n}")
    incomplete_code_samples = ("print('hello", "f <- function(x) {\n  x * 2")
    invalid_code_samples = ("import = 7q", ")")
    code_page_something = "?zip"
    code_generate_error = "stop('oops')"
    # Its values are displays, and it keeps no history.
    test_execute_result = test_history = None
    code_display_data = (
        {"code": "plot(iris)", "mime": "image/png"},
        {"code": "1 + 2 + 3", "mime": "text/plain"},
        {"code": "head(iris)", "mime": "text/html"},
        {"code": "IRdisplay::display_html('<b>test</b>')", "mime": "text/html"},
    )
    code_inspect_sample = "print"
    code_clear_output = "IRdisplay::clear_output()"

    def environment(self, request: pytest.FixtureRequest) -> Environment:
        return request.getfixturevalue("r_in")(self.place)


TestOnThisMachine = suite(R, "r-host", place="host")
TestInDocker = suite(R, "r-docker", place="docker")
TestInPodman = suite(R, "r-podman", place="podman")
TestInApptainer = suite(R, "r-apptainer", place="apptainer")
TestInSingularity = suite(R, "r-singularity", place="singularity")


# --- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [LOOP, ASLEEP], ids=["in a tight loop", "asleep"])
def test_every_interrupt_arrives_exactly_once(live, code) -> None:
    came = []
    for _ in range(25):
        sent = live.begin(code, until="on")
        time.sleep(0.02)
        live.manager.interrupt_kernel()
        came.append((live.finish(sent).status, text(live.run("Sys.sleep(0.02); 6 * 7"))))

    assert came == [("abort", "[1] 42")] * 25


def test_an_interrupt_that_comes_while_nothing_runs_is_for_nobody(live) -> None:
    live.run("1")
    for _ in range(3):
        live.manager.interrupt_kernel()
        time.sleep(0.1)

    ran = live.run("Sys.sleep(0.3); 6 * 7")

    assert (ran.status, text(ran)) == ("ok", "[1] 42")


def test_every_interrupt_reaches_what_the_cell_runs(live, eventually) -> None:
    came = []
    for _ in range(10):
        odd = f"60.{secrets.randbelow(10**8)}"
        sent = live.begin(f"cat('on\n')\nsystem('sh -c \"sleep {odd}; true\"; sleep 1{odd}')", until="on")
        # R does not look for interrupts once it is about to start a program.
        eventually(lambda odd=odd: any(each.name() == "sleep" for each in mentioning(odd)))
        live.manager.interrupt_kernel()
        came.append((live.finish(sent).status, text(live.run("Sys.sleep(0.02); 6 * 7"))))
        eventually(lambda odd=odd: not mentioning(odd))

    # To R the program is over, and it goes on behind it, as at a terminal; or R itself had heard it.
    assert [after for _, after in came] == ["[1] 42"] * 10
    assert {status for status, _ in came} <= {"ok", "abort"}


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["cat('on\n')", LOOP, DEAF], ids=["idle", "busy", "deaf"])
def test_a_shutdown_leaves_nothing(r_in, place, start, sessions, eventually, code) -> None:
    live = start(r_in(place), shutdown_wait_time=2.0)
    odd = f"600.{secrets.randbelow(10**8)}"
    live.run(f"system('sleep {odd}', wait = FALSE)")
    (session,) = sessions()
    live.begin(code, until="on")

    live.manager.shutdown_kernel()

    eventually(lambda: not mentioning(odd) and not mentioning(f"/{session}"))
    assert not sessions()


@pytest.mark.parametrize("now", [False, True], ids=["politely", "now"])
def test_a_restart_gives_a_fresh_r_on_the_same_channels(live, now) -> None:
    live.run("x <- 1")

    live.manager.restart_kernel(now=now)
    live.client.wait_for_ready(timeout=60)

    assert text(live.run("exists('x')")) == "[1] FALSE"


def test_a_kernel_that_dies_is_explained_with_the_first_cell_of_the_next(live) -> None:
    live.client.execute("message('x'); tools::pskill(Sys.getpid(), 9)")
    for _ in range(200):
        if not live.manager.is_alive():
            break
        time.sleep(0.05)
    live.manager.restart_kernel(now=True)
    live.client.wait_for_ready(timeout=60)

    ran = live.run("6 * 7")

    assert "the kernel before this one" in ran.stderr
    assert text(ran) == "[1] 42"
    assert live.run("6 * 7").stderr == ""


_SERVER = """
import sys, time
from jupyter_client.manager import start_new_kernel
manager, client = start_new_kernel(kernel_name=sys.argv[1])
client.execute_interactive(sys.argv[2], output_hook=lambda message: None)
client.execute(sys.argv[3])
while "on" not in client.get_iopub_msg(timeout=60)["content"].get("text", ""):
    pass
print("busy", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("code", ["cat('on\n')", DEAF], ids=["idle", "deaf"])
def test_a_server_that_is_killed_takes_its_kernel_with_it(r_in, place, sessions, eventually, code) -> None:
    odd = f"600.{secrets.randbelow(10**8)}"
    name = kernelspecs.spec_name(r_in(place).name)
    argv = [sys.executable, "-c", _SERVER, name, f"system('sleep {odd}', wait = FALSE)", code]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "busy\n"
        (session,) = sessions()
        assert mentioning(f"/{session}")
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    # The command of the server itself had the odd number in it, and is gone by now.
    eventually(lambda: not mentioning(odd) and not mentioning(f"/{session}") and not sessions(), within=30)


# --- what a session has ----------------------------------------------------------------------------------------------


def test_nothing_of_the_lent_kernel_counts_as_installed(live, r_in, place, store) -> None:
    ran = live.run("cat(rownames(installed.packages()), '|', basename(.libPaths()))")
    names, _, libraries = ran.stdout.partition("|")

    assert "stats" in names.split()
    assert not {"IRkernel", "repr", "rlang", "jsonlite"} & set(names.split())
    assert libraries.split()[0] == "R"
    assert text(live.run("library(repr); library(IRdisplay); is.function(repr_text)")) == "[1] TRUE"
    assert not {"IRkernel", "repr"} & {each.name for each in observe(store, r_in(place)).packages}


def test_help_plots_and_input_work_as_in_any_r_kernel(live) -> None:
    helped = live.client.execute("?sum")
    reply = _reply(live, helped)
    drawn = live.run("hist(c(1, 2, 2, 3))")
    asked = live.client.execute("cat(toupper(readline('who? ')))", allow_stdin=True)
    question = live.client.get_stdin_msg(timeout=60)
    live.client.input("ada")

    assert "R Documentation" in reply["content"]["payload"][0]["data"]["text/plain"]
    assert "image/png" in drawn.shown[-1]
    assert question["content"]["prompt"] == "who? "
    assert live.finish(asked).stdout == "ADA"


def _reply(live: Any, sent: str) -> dict[str, Any]:
    while True:
        message = live.client.get_shell_msg(timeout=60)
        if message["parent_header"].get("msg_id") == sent:
            return message


def test_what_a_notebook_installs_is_recorded_and_survives_the_kernel(r_in, place, store, start, eventually) -> None:
    env = r_in(place, f"r-{place}-installs")
    history = store.history(env.name)
    live = start(env)

    ran = live.run("install.packages('tinyb', quiet = TRUE)", timeout=120)

    eventually(lambda: history.count() > 1)
    assert ran.status == "ok", ran.text
    packages = recorded(history, history.last()).packages
    assert [(each.ecosystem, each.name, each.version) for each in packages] == [
        ("cran", "tinya", "1.1"),
        ("cran", "tinyb", "0.2-1"),
    ]
    assert "r-tinyb=0.2_1" in history.latest.read_text()
    live.manager.restart_kernel(now=True)
    live.client.wait_for_ready(timeout=60)
    assert text(live.run("tinyb::hello()")) == '[1] "hello"'


# --- start-up files --------------------------------------------------------------------------------------------------


@pytest.fixture
def project(settings, tmp_path) -> Iterator[Callable[[str], Path]]:
    """A notebook's folder with a start-up file; it lies in the home, which containers see."""
    folder = settings.user_home / f"project-{tmp_path.name}"
    folder.mkdir()

    def written(profile: str) -> Path:
        (folder / ".Rprofile").write_text(profile)
        return folder

    yield written
    shutil.rmtree(folder)


@pytest.fixture
def start_at(start) -> Callable[[Environment, Path], Any]:
    def started(env: Environment, folder: Path, **env_vars: str) -> Any:
        kept = Path.cwd()
        os.chdir(folder)
        try:
            return start(env, env_vars=env_vars)
        finally:
            os.chdir(kept)

    return started


def test_the_projects_start_up_file_is_honoured(r_in, place, project, start_at) -> None:
    folder = project(".First <- function() options(first = 'run')\nmine <- function() 'mine'\noptions(digits = 3)")

    live = start_at(r_in(place), folder)

    assert text(live.run("paste(mine(), getOption('first'), getOption('digits'))")) == '[1] "mine run 3"'


def test_start_up_files_do_not_lead_away_from_the_day_of_cran(r_in, start, rscript, repository) -> None:
    env = r_in("host", "r-host-dated")
    day = "file:///cran/2024-05-01"
    r_prefix.enter(replace(env, repositories=(Repository(name="CRAN", url=day),)), rscript)
    live = start(env)

    ran = live.run("cat(getOption('repos'))")

    assert ran.stdout == day
    assert f"venvoy: this environment keeps to {day}, whatever start-up files say of repos" in ran.stderr
    assert live.run("options(repos = 'https://own'); cat(getOption('repos'))").stdout == "https://own"


def test_the_users_start_up_file_is_honoured_where_the_project_has_none(r_in, place, start, repository) -> None:
    live = start(r_in(place))

    assert repository.as_uri() in text(live.run("getOption('repos')"))


def test_an_error_in_a_start_up_file_is_shown_and_kills_no_kernel(r_in, place, project, start_at) -> None:
    live = start_at(r_in(place), project("half <- TRUE\nstop('what is this?')"))

    first, second = live.run("half"), live.run("6 * 7")

    assert "an error in" in first.stderr
    assert "what is this?" in first.stderr
    assert text(first) == "[1] TRUE"
    assert second.stderr == ""


def test_a_start_up_file_that_names_other_libraries_is_not_followed(r_in, project, start_at, tmp_path) -> None:
    live = start_at(r_in("host"), project(f".libPaths('{tmp_path}')"))

    ran = live.run("cat(.libPaths())")

    assert str(tmp_path) not in ran.stdout
    assert f"names other libraries ({tmp_path}" in ran.stderr


def test_a_start_up_file_of_the_variable_is_honoured_and_handed_on(r_in, project, start_at) -> None:
    folder = project("named <- 'project'")
    other = folder / "other.R"
    other.write_text("named <- 'variable'")

    live = start_at(r_in("host"), folder, R_PROFILE_USER=str(other))

    assert text(live.run("named")) == '[1] "variable"'
    assert live.run("cat(Sys.getenv('R_PROFILE_USER'))").stdout == str(other)


# --- the kernel that is lent -----------------------------------------------------------------------------------------


@pytest.fixture
def bare(store, settings, monkeypatch, tmp_path) -> Iterator[None]:
    """A machine whose R has no packages but its own, and where none was lent yet."""
    kept = os.readlink(store.payloads)
    renviron = settings.user_home / ".Renviron"
    renviron.write_text("R_LIBS_SITE=/nonexistent\nR_LIBS_USER=/nonexistent\n")
    store.payloads.unlink()
    store.payloads.mkdir()
    yield
    shutil.rmtree(store.payloads)
    store.payloads.symlink_to(kept)
    renviron.unlink()


@pytest.mark.xdist_group("r-host")
def test_where_no_irkernel_can_be_had_the_command_is_named(store, make_r, bare) -> None:
    env = make_r("r-without")

    with pytest.raises(KernelUnusable) as caught:
        kernel_of(store, env)

    assert f"no IRkernel for R {env.r_version}" in caught.value.message
    assert caught.value.hint.startswith("install it: sudo apt-get install r-cran-irkernel\n")
    assert list(store.payloads.glob("r*")) == []
    assert list(env.library.iterdir()) == []


@pytest.mark.xdist_group("r-host")
def test_where_an_own_package_does_not_fit_the_lent_kernel_it_is_named(
    store, make_r, tmp_path, rscript, start, actor
) -> None:
    repository = tmp_path / "cran"
    script = Path(__file__).parents[1] / "r" / "repository.R"
    subprocess.run([rscript, "--vanilla", script, repository, "rlang"], check=True, capture_output=True)
    env = make_r("r-unfit", "tinyb")
    source = next((repository / "src/contrib").glob("rlang_*.tar.gz"))
    job = Job(argv=("R", "CMD", "INSTALL", str(source)))
    process.run(runtimes.get(env.runtime).command(env, job))
    kernelspecs.write(kernelspecs.spec(store, env, encrypts=False))

    with pytest.raises(KernelUnusable) as caught:
        start(env)

    assert "packages that this environment has of its own" in caught.value.message
    assert "venvoy install r-unfit IRkernel" in caught.value.message


@pytest.mark.xdist_group("r-host")
def test_else_it_is_installed_from_cran_with_what_it_needs_and_lent(
    store, make_r, bare, tmp_path, rscript, settings
) -> None:
    env = make_r("r-from-cran")
    repository = tmp_path / "cran"
    script = Path(__file__).parents[1] / "r" / "repository.R"
    subprocess.run([rscript, "--vanilla", script, repository, "IRkernel"], check=True, capture_output=True)
    profile = settings.user_home / ".Rprofile"
    kept = profile.read_text()
    profile.write_text(f'options(repos = c(CRAN = "{repository.as_uri()}"))\n')

    kernel = kernel_of(store, env)
    profile.write_text(kept)

    lent = {each.name for each in description.read(kernel.payload.folder / "library")}
    assert lent == {"IRkernel", "tinyb", "tinya"}
    assert kernel.version == "1.3.2"
    assert list(env.library.iterdir()) == []
    assert kernel_of(store, env) == kernel
