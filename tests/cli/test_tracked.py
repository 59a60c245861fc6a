"""What others see of a command that takes long."""

import time

from venvoy.frontends.tracking import VARIABLE


def _eventually(holds):
    for _ in range(6000):
        if found := holds():
            return found
        time.sleep(0.005)
    raise AssertionError("it never came true")


def _jobs(user, verb):
    return [each for each in user.store.jobs.all() if each.verb == verb]


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
    with user.start("init", "demo") as child:
        job = _eventually(lambda: next(iter(_jobs(user, "init")), None))
        jobs.cancel(job.id)
        _, err = child.communicate(timeout=60)

    assert child.returncode == 143
    assert "venvoy: cancelled from JupyterLab; nothing is left half done" in err
    assert "Traceback" not in err
    assert jobs.job(job.id).state == "cancelled"
    assert not user.store.exists("demo")


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
