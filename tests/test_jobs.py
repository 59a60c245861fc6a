import json
import stat
import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest
from waiting import eventually

from venvoy import files
from venvoy.errors import InvalidInput
from venvoy.jobs import KEPT, Jobs, Trouble, Work
from venvoy.model import Progress

HOLDS = """
import sys, time
from pathlib import Path
from venvoy.jobs import Jobs, Work
jobs = Jobs(Path(sys.argv[1]))
with Work(jobs, jobs.job(sys.argv[2])):
    print("holds", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return Jobs(tmp_path / "jobs")


def _begun(jobs: Jobs, verb: str = "freeze"):
    return jobs.begin(verb, origin="command", environment="demo", command="venvoy freeze demo")


def test_nobody_else_looks_into_a_job(jobs):
    job = _begun(jobs)
    with Work(jobs, job) as work:
        work.say("hello")
        work.result({"a": 1})
        work.end("succeeded")

    assert stat.S_IMODE(jobs.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(jobs.place(job.id).stat().st_mode) == 0o700


def test_whoever_runs_it_is_told_why_it_is_to_end(jobs):
    heard = threading.Event()
    with Work(jobs, _begun(jobs), on_cancel=heard.set) as work:
        before = work.cancelled
        jobs.cancel(work.job.id, "stopped with its server")
        assert heard.wait(10)

        assert (before, work.cancelled, work.job.state) == ("", "stopped with its server", "cancelling")


def test_what_somebody_else_has_made_is_no_job(jobs, monkeypatch):
    job = _begun(jobs)
    assert jobs.all()

    monkeypatch.setattr("os.getuid", lambda: 12345)

    assert (jobs.job(job.id), jobs.all()) == (None, ())


def test_looking_at_a_job_that_was_forgotten_brings_nothing_back(jobs):
    job = _begun(jobs)
    jobs.forget(job.id)

    assert not files.is_locked(jobs.place(job.id) / "lock")
    assert not jobs.place(job.id).exists()


def test_cancelling_a_job_that_was_forgotten_brings_nothing_back(jobs):
    job = _begun(jobs)
    jobs.forget(job.id)

    jobs.cancel(job.id)

    assert not jobs.place(job.id).exists()


def test_what_a_job_has_made_is_kept_for_a_day(jobs, monkeypatch):
    with Work(jobs, _begun(jobs)) as work:
        work.end("succeeded")
    made = files.private(jobs.made(work.job.id)) / "demo.venvoy.zip"
    made.write_text("large")
    _begun(jobs)
    assert jobs.file(work.job.id) == made

    monkeypatch.setattr("venvoy.jobs.FILES_KEPT", timedelta(0))
    _begun(jobs)

    assert jobs.file(work.job.id) is None
    assert jobs.job(work.job.id).state == "succeeded"


def test_a_job_is_queued_then_runs_then_has_ended(jobs):
    job = _begun(jobs)
    seen = [jobs.job(job.id)]
    with Work(jobs, job) as work:
        seen.append(jobs.job(job.id))
        work.say("Looking …")
        work.result({"answer": 42})
        work.end("succeeded", exit_code=0)
    seen.append(jobs.job(job.id))

    assert [each.state for each in seen] == ["queued", "running", "succeeded"]
    assert [each.seq for each in seen] == sorted({each.seq for each in seen})
    assert seen[-1].message == "Looking …"
    assert seen[-1].exit_code == 0
    assert seen[-1].ended >= seen[-1].started
    assert jobs.result(job.id) == {"answer": 42}


def test_the_log_is_read_from_where_one_was(jobs):
    job = _begun(jobs)
    with Work(jobs, job) as work:
        work.say("first ä")
        text, offset, _ = jobs.log(job.id, offset=0, limit=1000)
        work.say("second")
        more, end, size = jobs.log(job.id, offset=offset, limit=1000)

    assert (text, more) == ("first ä\n", "second\n")
    assert end == size


def test_a_log_is_cut_at_whole_lines(jobs):
    job = _begun(jobs)
    with Work(jobs, job) as work:
        work.say("a" * 10)
        work.say("b" * 10)

    assert jobs.log(job.id, offset=0, limit=15)[:2] == ("a" * 10 + "\n", 11)


def test_progress_is_told_also_when_nothing_follows_it(jobs):
    job = _begun(jobs)
    with Work(jobs, job) as work:
        for done in range(100):
            work.measure(Progress(phase="Fetching", done=done, total=100), 5.0, 2.0)
        eventually(lambda: (found := jobs.job(job.id)).progress and found.progress.done == 99)
        found = jobs.job(job.id)

    assert found.seq < 20
    assert (found.rate, found.remaining) == (5.0, 2.0)


def test_one_that_runs_is_asked_to_stop_once(jobs):
    heard = []
    job = _begun(jobs)
    with Work(jobs, job, on_cancel=lambda: heard.append(threading.current_thread())) as work:
        jobs.cancel(job.id)
        eventually(lambda: heard)
        state = jobs.job(job.id).state
        time.sleep(0.5)
        work.end("cancelled", exit_code=143)

    assert len(heard) == 1
    assert state == "cancelling"
    assert jobs.job(job.id).state == "cancelled"


def test_what_fails_because_it_was_stopped_was_cancelled(jobs):
    heard = threading.Event()
    job = _begun(jobs)
    with Work(jobs, job, on_cancel=heard.set) as work:
        jobs.cancel(job.id)
        assert heard.wait(10)
        work.end("failed", exit_code=7, error=Trouble(kind="CommandFailed", message="uv was ended"))

    assert jobs.job(job.id).state == "cancelled"


def test_a_job_whose_process_died_is_lost_and_tells_its_last_words(jobs):
    job = _begun(jobs)
    child = subprocess.Popen([sys.executable, "-c", HOLDS, jobs.folder, job.id], stdout=subprocess.PIPE)
    with child:
        assert child.stdout.readline() == b"holds\n"
        running = jobs.job(job.id)
        child.kill()
    jobs.said(job.id).write_text("Segmentation fault\n")
    lost = jobs.job(job.id)

    assert running.state == "running"
    assert lost.state == "lost"
    assert lost.seq > running.seq
    assert lost.ended is not None
    assert lost.error.hint == "Segmentation fault"


def test_of_one_job_two_cannot_be_at_work(jobs):
    job = _begun(jobs)

    with Work(jobs, job), pytest.raises(TimeoutError), Work(jobs, job):
        pass


def test_only_the_last_that_ended_stay_and_all_that_run(jobs):
    runs = _begun(jobs, "restore")
    with Work(jobs, runs):
        for _ in range(KEPT + 5):
            with Work(jobs, _begun(jobs)) as work:
                work.end("succeeded")
        _begun(jobs)
        verbs = [each.verb for each in jobs.all()]

    assert verbs.count("freeze") == KEPT + 1
    assert "restore" in verbs


@pytest.mark.parametrize("name", ["", "..", "../../etc", "0" * 15, "0" * 17, "g" * 16, "0" * 15 + "\n", "/etc"])
def test_what_is_no_id_is_no_path(jobs, name):
    with pytest.raises(InvalidInput):
        jobs.job(name)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"id": 3}', json.dumps({"id": "0" * 16, "state": "odd", "origin": "command"}), "\ud800"],
)
def test_what_is_no_job_is_passed_over(jobs, text):
    place = jobs.place("0" * 16)
    place.mkdir(parents=True)
    (place / "job.json").write_bytes(text.encode("utf-8", "surrogatepass"))

    assert jobs.job("0" * 16) is None
    assert jobs.all() == ()


def test_nothing_is_begun_where_nothing_can_be_written(jobs):
    jobs.folder.write_text("in the way")

    with pytest.raises(OSError, match="jobs"):
        _begun(jobs)
