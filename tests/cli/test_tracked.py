"""What others see of a command that takes long."""

import signal
import subprocess
import sys

import pytest
from waiting import eventually

from venvoy import files
from venvoy.actions.bases import interpreter
from venvoy.frontends.tracking import VARIABLE


def _jobs(user, verb):
    return [each for each in user.store.jobs.all() if each.verb == verb]


def _no_kernel_prepared(user):
    """As long as this goes on, whoever prepares a kernel for this Python waits."""
    base = interpreter(user.store, sys.executable)
    return files.locked(
        user.store.payloads / f"{base.abi}-{base.platform}-{base.libc.partition('-')[0]}" / ".lock", timeout=60
    )


def test_a_command_that_takes_long_is_a_job_with_log_and_answer(bob, shelf):
    bob.done("install", "demo", "kappa")
    job = _jobs(bob, "install")[0]

    assert (job.state, job.exit_code, job.environment, job.origin) == ("succeeded", 0, "demo", "command")
    assert job.command == "venvoy install demo kappa"
    assert job.cancellable
    assert "Installing into 'demo'" in bob.store.jobs.log(job.id, offset=0, limit=1000)[0]
    assert bob.store.jobs.result(job.id)["environment"] == "demo"


def test_one_that_fails_says_why_and_how_to_mend_it(bob):
    ran = bob("install", "demo", "no-such-package-there-is")
    job = _jobs(bob, "install")[0]

    assert ran.code == 7
    assert (job.state, job.exit_code, job.error.kind) == ("failed", 7, "CommandFailed")
    assert "no-such-package-there-is" in job.error.hint


def test_what_is_answered_at_once_is_no_job(bob):
    before = bob.store.jobs.ids()

    bob.done("status", "demo")
    bob.done("export", "demo")
    bob("export", "nobody")

    assert bob.store.jobs.ids() == before


def test_a_job_is_cancelled_from_elsewhere_and_leaves_nothing_half_done(user):
    jobs = user.store.jobs
    with _no_kernel_prepared(user), user.start("init", "demo", "--python", sys.executable) as child:
        job = eventually(lambda: next(iter(_jobs(user, "init")), None))
        eventually(lambda: "Preparing the kernel" in jobs.job(job.id).message)
        jobs.cancel(job.id)
        _, err = child.communicate(timeout=60)

    assert child.returncode == 143
    assert "venvoy: cancelled from JupyterLab; nothing is left half done" in err
    assert "Traceback" not in err
    assert jobs.job(job.id).state == "cancelled"
    assert not user.store.exists("demo")


def test_what_is_done_when_it_is_cancelled_stays_done(user):
    jobs = user.store.jobs
    user.done("init", "demo", "--python", sys.executable)
    user.done("freeze", "demo")
    with user.start("restore", user.store.project("demo") / "pylock.toml", "--name", "copy") as child:
        with _no_kernel_prepared(user):
            job = eventually(lambda: next(iter(_jobs(user, "restore")), None))
            eventually(lambda: "Preparing the kernel" in jobs.job(job.id).message)
            jobs.cancel(job.id)
            eventually(lambda: jobs.job(job.id).state == "cancelling")
        out, err = child.communicate(timeout=60)

    assert (child.returncode, jobs.job(job.id).state) == (0, "succeeded"), out + err
    assert [each.event for each in user.store.history("copy").entries()] == ["change"]
    assert jobs.result(job.id)["environment"]["name"] == "copy"


WAITS_WHEN_THE_LOCK_IS_WRITTEN = """
import os, sys, time

def heard(event, said):
    if event == "os.rename" and str(said[1]).endswith("pylock.toml"):
        open("here", "w").close()
        while os.path.exists("here"):
            time.sleep(0.01)

sys.addaudithook(heard)
"""


@pytest.mark.parametrize(("words", "state", "code"), [((), "succeeded", 0), (("--vendor",), "cancelled", 143)])
def test_a_lock_that_is_being_written_is_no_longer_cancelled_but_what_follows_is(bob, words, state, code):
    jobs, here = bob.store.jobs, bob.work / "here"
    bob.write("site/sitecustomize.py", WAITS_WHEN_THE_LOCK_IS_WRITTEN)

    with bob.start("freeze", "demo", *words, PYTHONPATH=str(bob.work / "site")) as child:
        eventually(here.exists)
        job = _jobs(bob, "freeze")[0]
        jobs.cancel(job.id)
        eventually(lambda: jobs.job(job.id).state == "cancelling")
        here.unlink()
        out, err = child.communicate(timeout=60)

    assert (child.returncode, jobs.job(job.id).state) == (code, state), out + err
    assert bob.store.history("demo").entries()[-1].event == "freeze"
    assert not bob.store.folder("demo").joinpath("vendor").exists()


ENDS_WHERE_ERRORS_ARE_DROPPED = """
import os, sys

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {signum})

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "venvoy.frontends.cli.health":
            Finalized()

sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_end_that_comes_where_python_drops_errors_is_heard_all_the_same(bob, signum):
    bob.write("site/sitecustomize.py", ENDS_WHERE_ERRORS_ARE_DROPPED.format(signum=int(signum)))

    with bob.start("repair", "demo", PYTHONPATH=str(bob.work / "site")) as child, bob.store.held("demo"):
        _, err = child.communicate(timeout=60)

    assert child.returncode == 128 + signum
    assert "ignored" not in err


ENDS_IN_THE_MIDST = """
import os, sys, time
from venvoy import cancelling
from venvoy.frontends.cli.ending import orderly_end
from venvoy.frontends.cli.output import Invocation

with orderly_end(Invocation(words=())):
    with cancelling.whole():
        os.kill(os.getpid(), int(sys.argv[1]))
        time.sleep(0.1)
        print("whole", flush=True)
    print("and more", flush=True)
"""


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_end_waits_for_what_is_done_whole(signum, code):
    argv = [sys.executable, "-c", ENDS_IN_THE_MIDST, str(int(signum))]

    ran = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)

    assert (ran.stdout, ran.returncode) == ("whole\n", code)


def test_a_job_of_the_sidebar_is_done_in_its_name(user):
    jobs, words = user.store.jobs, "venvoy init demo"
    begun = jobs.begin("init", origin="sidebar", environment="demo", notebook="/w/a.ipynb", command=words)

    ran = user("init", "demo", **{VARIABLE: begun.id})
    actor = user.store.history("demo").entries()[-1].actor

    assert ran.code == 0, ran
    assert jobs.job(begun.id).state == "succeeded"
    assert (actor.kind, actor.notebook, actor.command) == ("sidebar", "/w/a.ipynb", words)


def test_where_no_job_can_be_written_the_command_does_its_work(user):
    user.store.jobs.folder.parent.mkdir(parents=True, exist_ok=True)
    user.store.jobs.folder.write_text("in the way")

    assert user.json("init", "demo")["environment"]["name"] == "demo"


def test_secrets_are_in_no_log(bob):
    bob("install", "demo", "kappa @ https://ada:hunter2@localhost:1/kappa-1.0-py3-none-any.whl")
    job = _jobs(bob, "install")[0]
    place = bob.store.jobs.place(job.id)

    assert all("hunter2" not in each.read_text() for each in place.iterdir() if each.is_file())
