"""Jobs: begun, watched, cancelled, fetched from, whoever runs them."""

import asyncio
import json
import os
import shlex
import socket
import stat
import subprocess
import sys
import threading

import psutil
import pytest

from venvoy.frontends.server.watch import ENVIRONMENT, JOB
from venvoy.jobs import Work

HOLDS = """
import sys, time
from pathlib import Path
from venvoy.jobs import Jobs, Work
jobs = Jobs(Path(sys.argv[1]))
job = jobs.begin("restore", origin="command", environment="demo", command="venvoy restore --name demo --to 1")
with Work(jobs, job) as work:
    work.say("Building …")
    print(job.id, flush=True)
    time.sleep(600)
"""


async def test_an_install_is_a_job_that_every_browser_sees(server, demo, store, wheels, write):
    wheels.add("gamma")
    file = write("work/a.ipynb")
    first, second = await server.listen(), await server.listen()
    job = await server.begin("install", "demo", "gamma", notebook="work/a.ipynb")
    seen = await server.events(first, JOB, lambda said: said["ended"])
    other = await server.events(second, JOB, lambda said: said["ended"])
    ended = await server.get(f"jobs/{job['id']}")
    log = await server.get(f"jobs/{job['id']}/log")
    entry = store.history("demo").entries()[-1]

    assert ended["state"] == "succeeded", (ended, log)
    assert [each["seq"] for each in seen] == sorted({each["seq"] for each in seen})
    assert {each["id"] for each in seen} == {job["id"]}
    assert other[-1]["state"] == seen[-1]["state"]
    assert (job["origin"], job["notebook"], job["cancellable"]) == ("sidebar", "work/a.ipynb", True)
    assert job["command"] == "venvoy install --name=demo -- gamma"
    assert [each["name"] for each in ended["result"]["changes"]["added"]] == ["gamma"]
    assert "Installing into 'demo'" in log["text"]
    assert log["offset"] == log["size"]
    assert (entry.actor.kind, entry.actor.notebook) == ("sidebar", str(file))


async def test_what_a_job_changed_is_told_as_well(server, demo, wheels):
    wheels.add("gamma")
    listener = await server.listen()
    await server.get("environments/demo")
    await server.begin("install", "demo", "gamma")
    said = (await server.events(listener, ENVIRONMENT, lambda said: "record" in said["reasons"]))[-1]

    assert said["environment"] == "demo"


async def test_a_package_that_is_a_path_is_a_file_of_the_servers_folder(server, demo):
    words = ("/etc/x.whl[all]", "git+https://example.org/x@v1", "y>=2", "https://ada:secret@example.org/z.whl")
    job = await server.begin("install", "demo", *words)
    await server.ended(job["id"])

    said = shlex.split(job["command"])
    assert said[:4] == ["venvoy", "install", "--name=demo", "--"]
    assert said[4:] == [f"{server.root}/etc/x.whl[all]", *words[1:3], "https://***@example.org/z.whl"]


async def test_browsers_are_told_also_after_a_moment_in_which_the_disk_did_not_answer(server, demo, store, monkeypatch):
    real = type(store.jobs).ids
    broken, seen = threading.Event(), threading.Event()

    def ids(self):
        if broken.is_set():
            seen.set()
            raise OSError(5, "Input/output error")
        return real(self)

    monkeypatch.setattr(type(store.jobs), "ids", ids)
    listener = await server.listen()
    broken.set()
    store.jobs.folder.mkdir(parents=True, exist_ok=True)
    (store.jobs.folder / "x").touch()
    assert await asyncio.to_thread(seen.wait, 60)
    broken.clear()
    begun = store.jobs.begin("freeze", origin="command", environment="demo")
    with Work(store.jobs, begun) as work:
        work.end("succeeded")

    assert (await server.events(listener, JOB, lambda said: said["ended"]))[-1]["id"] == begun.id


async def test_what_fails_says_why(server, demo):
    job = await server.begin("install", "demo", "no-such-package-there-is")
    ended = await server.ended(job["id"])

    assert (ended["state"], ended["error"]["kind"], ended["exit_code"]) == ("failed", "CommandFailed", 7)
    assert "no-such-package-there-is" in ended["error"]["hint"]


async def test_a_job_that_waits_for_another_process_is_cancelled_and_changes_nothing(server, demo, store, wheels):
    wheels.add("gamma")
    before = store.history("demo").count()
    with store.held("demo"):
        job = await server.begin("install", "demo", "gamma")
        await server.until(job["id"], "running")
        status, _ = await server.ask("DELETE", f"jobs/{job['id']}")
        ended = await server.ended(job["id"])

    assert status == 202
    assert (ended["state"], ended["exit_code"]) == ("cancelled", 143)
    assert store.history("demo").count() == before


async def test_a_job_in_the_middle_of_a_download_is_really_stopped(server, demo, store, hanging, files_of):
    before, entries = files_of(demo.prefix), store.history("demo").count()
    job = await server.begin("install", "demo", "slow-one")
    assert await asyncio.to_thread(hanging.asked.wait, 60), await server.get(f"jobs/{job['id']}/log")
    working = [each for each in psutil.process_iter() if "slow-one" in _argv(each)]
    await server.ask("DELETE", f"jobs/{job['id']}")
    ended = await server.ended(job["id"])
    _, left = await asyncio.to_thread(psutil.wait_procs, working, 10)

    assert ended["state"] == "cancelled"
    assert working
    assert left == []
    assert files_of(demo.prefix) == before
    assert store.history("demo").count() == entries
    assert not store.busy("demo")


def _argv(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []


async def test_a_job_that_somebody_else_runs_appears_and_is_lost_with_its_process(server, store):
    listener = await server.listen()
    child = subprocess.Popen(  # noqa: ASYNC220  # its start takes no time
        [sys.executable, "-c", HOLDS, store.jobs.folder], stdout=subprocess.PIPE
    )
    try:
        job = (await asyncio.to_thread(child.stdout.readline)).decode().strip()
        seen = await server.events(listener, JOB, lambda said: said["message"] == "Building …")
        listed = (await server.get("jobs"))["jobs"]
        child.kill()
        lost = await server.events(listener, JOB, lambda said: said["state"] == "lost")
    finally:
        child.kill()
        child.communicate()
    told = await server.get(f"jobs/{job}")

    assert seen[-1]["id"] == job
    assert (seen[-1]["origin"], seen[-1]["command"]) == ("command", "venvoy restore --name demo --to 1")
    assert [each["state"] for each in listed] == ["running"]
    assert lost[-1]["seq"] > seen[-1]["seq"]
    assert (told["state"], told["error"]["kind"]) == ("lost", "Lost")


async def test_what_goes_on_when_a_server_ends_is_stopped_with_it(server, demo, store, jp_serverapp, wheels):
    wheels.add("gamma")
    with store.held("demo"):
        job = await server.begin("install", "demo", "gamma")
        await server.until(job["id"], "running")
        await jp_serverapp.extension_manager.stop_all_extensions()

    assert store.jobs.job(job["id"]).state == "cancelled"


async def test_what_cannot_hear_of_it_is_not_cancelled(server, store):
    begun = store.jobs.begin("freeze", origin="cell", environment="demo", magic="%env-freeze")
    with Work(store.jobs, begun):
        status, said = await server.ask("DELETE", f"jobs/{begun.id}")

    assert status == 409
    assert "interrupt it there" in said["hint"]


async def test_one_that_has_ended_is_forgotten(server, store):
    begun = store.jobs.begin("freeze", origin="command", environment="demo")
    with Work(store.jobs, begun) as work:
        work.end("succeeded")
    first, _ = await server.ask("DELETE", f"jobs/{begun.id}")
    again, said = await server.ask("DELETE", f"jobs/{begun.id}")

    assert (first, again) == (204, 404)
    assert begun.id in said["message"]
    assert not store.jobs.place(begun.id).exists()


async def test_an_export_is_fetched_as_a_file(server, demo, store, jp_fetch):
    job = await server.begin("export", "demo", "yaml")
    ended = await server.ended(job["id"])
    answer = await jp_fetch("venvoy", "jobs", job["id"], "file")

    assert ended["state"] == "succeeded", ended
    assert ended["file"] == {"name": "environment.yml", "size": len(answer.body)}
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''environment.yml"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert b"alpha" in answer.body
    assert job["command"] == "venvoy export demo --format=yaml --output=environment.yml"
    assert stat.S_IMODE(store.jobs.made(job["id"]).stat().st_mode) == 0o700


async def test_an_export_into_the_servers_folder_lies_there(server, demo):
    job = await server.begin("export", "demo", "yaml", "-o", "out.yml")
    ended = await server.ended(job["id"])

    assert ended["state"] == "succeeded", ended
    assert "alpha" in (server.root / "out.yml").read_text()
    assert ended["file"] is None


async def test_an_environment_is_made_and_taken_back(server, demo, store, wheels):
    wheels.add("gamma")
    made = await server.begin("init", "other")
    await server.until(made["id"], "succeeded")
    added = await server.begin("install", "demo", "gamma")
    await server.until(added["id"], "succeeded")
    back = await server.begin("restore", "demo", "1")
    ended = await server.until(back["id"], "succeeded")

    assert store.exists("other")
    assert [each["name"] for each in ended["result"]["changes"]["removed"]] == ["gamma"]
    assert back["command"] == "venvoy restore --name=demo --to=1 --yes"
    assert back["magic"] == "%env-restore 1"


async def test_recording_is_switched_off_by_who_may_change(server, demo, store):
    job = await server.begin("configure", "demo", "--record", "off")
    ended = await server.ended(job["id"])
    seen = (await server.ask("GET", "environments/demo"))[1]

    assert ended["state"] == "succeeded", ended
    assert job["command"] == "venvoy configure demo --set=record=false"
    assert seen["environment"]["environment"]["record"] is False
    assert not store.environment("demo").record


async def test_no_more_jobs_go_on_than_may(server, demo, store, jp_serverapp):
    rooms = jp_serverapp.web_app.settings["venvoy"]
    with store.held("demo"):
        jobs = [await server.begin("repair", "demo") for _ in range(rooms.most)]
        status, said = await server.ask("POST", "jobs", {"verb": "repair", "environment": "demo"})
        for each in jobs:
            await server.ask("DELETE", f"jobs/{each['id']}")
        for each in jobs:
            await server.until(each["id"], "cancelled")

    assert (status, said["kind"]) == (429, "TooMany")


@pytest.mark.parametrize(
    ("wish", "status"),
    [
        ("", 400),
        ("{", 400),
        ("[" * 5000, 400),
        ([], 400),
        ({}, 400),
        ({"verb": "freeze"}, 400),
        ({"verb": "status", "environment": "demo"}, 400),
        ({"verb": "delete", "environment": "demo"}, 400),
        ({"verb": 3, "environment": "demo"}, 400),
        ({"verb": "freeze", "environment": "demo", "words": "--vendor"}, 400),
        ({"verb": "freeze", "environment": "demo", "words": [3]}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["x"] * 201}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["a\0b"]}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["\ud800"]}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["x" * 4097]}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["--name=other"]}, 400),
        ({"verb": "freeze", "environment": "demo", "words": ["--help"]}, 400),
        ({"verb": "freeze", "environment": "demo", "more": 1}, 400),
        ({"verb": "freeze", "environment": "../demo"}, 400),
        ({"verb": "freeze", "environment": "--help"}, 400),
        ({"verb": "freeze", "environment": "none"}, 404),
        ({"verb": "freeze", "environment": "demo", "notebook": "../a.ipynb"}, 403),
        ({"verb": "freeze", "environment": "demo", "notebook": 3}, 400),
        ({"verb": "install", "environment": "demo"}, 400),
        ({"verb": "install", "environment": "demo", "words": ["--", "-r", "/etc/passwd"]}, 400),
        ({"verb": "install", "environment": "demo", "words": ["--", "--index-url=http://evil"]}, 400),
        ({"verb": "install", "environment": "demo", "words": ["-r", "x"]}, 400),
        ({"verb": "install", "environment": "demo", "words": ["../x.whl"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["a/../../x.whl[all]"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["file:///etc/x.whl"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["x @ FILE:///etc/x.whl"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["x @ ../x.whl"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["local::/etc/x"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["x", "--channel", "../channel"]}, 403),
        ({"verb": "install", "environment": "demo", "words": ["x", "--channel", "FILE:///etc/channel"]}, 403),
        ({"verb": "init", "environment": "new", "words": ["--image", "../Dockerfile"]}, 403),
        ({"verb": "init", "environment": "new", "words": ["--image", "a/../../x.sif"]}, 403),
        ({"verb": "init", "environment": "new", "words": ["--python", "/usr/bin/python3"]}, 403),
        ({"verb": "make", "environment": "new", "words": ["x.lock", "--python", "~/python"]}, 403),
        ({"verb": "restore", "environment": "demo"}, 400),
        ({"verb": "restore", "environment": "demo", "words": ["../pylock.toml"]}, 403),
        ({"verb": "export", "environment": "demo", "words": ["nonsense"]}, 400),
        ({"verb": "export", "environment": "demo", "words": ["yaml", "-o", "../out.yml"]}, 403),
        ({"verb": "export", "environment": "demo", "words": ["yaml", "-o", "/tmp/../../out.yml"]}, 403),
        ({"verb": "export", "environment": "demo", "words": ["yaml", "-o", "no/such/folder.yml"]}, 400),
        ({"verb": "make", "environment": "new", "words": ["../../etc/passwd"]}, 403),
        ({"verb": "import", "environment": "new", "words": [".hidden"]}, 403),
        ({"verb": "init", "environment": "new", "words": ["--from", "../x"]}, 403),
        ({"verb": "archive", "environment": "demo", "words": ["--input", "../x"]}, 403),
    ],
)
async def test_a_wish_that_cannot_be_meant_begins_nothing(server, demo, store, wish, status):
    code, said = await server.ask("POST", "jobs", wish)

    assert (code, bool(said["message"])) == (status, True), said
    assert store.jobs.ids() == ()


async def test_a_point_that_looks_like_an_option_is_a_point(server, demo):
    job = await server.begin("restore", "demo", "--", "--yes")
    ended = await server.until(job["id"], "failed")

    assert ended["error"]["kind"] == "InvalidInput"


async def test_files_beside_a_notebook_are_no_modules_of_ours(server, demo, write):
    write("work/a.ipynb")
    for name in ("venvoy.py", "json.py", "click.py"):
        (server.root / "work" / name).write_text("raise SystemExit('taken for a module')")
    job = await server.begin("repair", "demo", notebook="work/a.ipynb")

    assert (await server.ended(job["id"]))["state"] == "succeeded"


async def test_a_command_that_cannot_begin_says_so(server, demo, monkeypatch, tmp_path):
    (tmp_path / "venvoy").mkdir()
    (tmp_path / "venvoy/__init__.py").touch()
    (tmp_path / "venvoy/__main__.py").write_text("raise SystemExit('nowhere')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    job = await server.begin("repair", "demo")
    ended = await server.until(job["id"], "failed", "lost")

    assert ended["error"]["message"] == "it did not begin"
    assert "nowhere" in ended["error"]["hint"]


def test_no_socket_is_left_to_a_job(tmp_path):
    """A job outlives the server: it must hold neither its port nor its files."""
    from venvoy import process

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        os.set_inheritable(listening.fileno(), True)
        child = process.detach(
            (sys.executable, "-c", "import os; print(sorted(os.listdir('/proc/self/fd')))"),
            variables=os.environ,
            cwd=tmp_path,
            said=tmp_path / "said",
        )
        assert child.wait(60) == 0

    assert len(json.loads((tmp_path / "said").read_text().replace("'", '"'))) == 4
