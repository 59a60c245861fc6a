"""Environments that stand on an image, or speak R: the same jobs, and what is said when their base cannot be run."""

import asyncio
import shutil
import subprocess
import threading
from dataclasses import replace

import pytest

from venvoy.errors import CommandFailed
from venvoy.frontends.server import fitness
from venvoy.frontends.server.fitness import Fitness
from venvoy.frontends.server.watch import ENVIRONMENT, JOB
from venvoy.model import Container, Image
from venvoy.runtimes.oci import OWNER


@pytest.fixture
def engine(detected):
    """One program that runs images made of layers."""
    found = [each for each in map(detected.named, ("docker", "podman")) if each.usable]
    if not found:
        pytest.skip("neither Docker nor Podman can be used here")
    return found[0]


@pytest.fixture
def inside(contained, engine, image):
    """An environment in a container that reaches this machine's own addresses."""
    return contained(engine, image(engine, "python:3.11"), "boxed", near=True)


async def test_a_job_in_a_container_installs_and_another_is_really_stopped(
    server, inside, engine, store, wheels, hanging, files_of
):
    wheels.add("gamma")
    listener = await server.listen()
    job = await server.begin("install", "boxed", "gamma")
    await server.events(listener, JOB, lambda said: said["ended"])
    done = await server.get(f"jobs/{job['id']}")
    before, entries = files_of(inside.prefix), store.history("boxed").count()
    other = await server.begin("install", "boxed", "slow-one")
    assert await asyncio.to_thread(hanging.asked.wait, 60), await server.get(f"jobs/{other['id']}/log")
    seen = await server.events(listener, JOB, lambda said: said["id"] == other["id"] and said["message"])
    running = _containers(engine, inside)
    await server.ask("DELETE", f"jobs/{other['id']}")
    ended = await server.ended(other["id"])

    assert done["state"] == "succeeded", (done, await server.get(f"jobs/{job['id']}/log"))
    assert [each["name"] for each in done["result"]["changes"]["added"]] == ["gamma"]
    assert seen[-1]["state"] == "running"
    assert any("gamma-1.0.dist-info" in each for each in before)
    assert running
    assert ended["state"] == "cancelled"
    assert _containers(engine, inside) == []
    assert files_of(inside.prefix) == before
    assert store.history("boxed").count() == entries
    assert not store.busy("boxed")


def _containers(engine, env):
    """Those that run for an environment, which no other test calls so."""
    asked = [engine.name, "ps", "--quiet", "--filter", f"label={OWNER}.environment={env.name}"]
    return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split()


async def test_what_cannot_be_run_is_said_with_its_cure_and_told_when_that_changes(
    server, inside, engine, write, jp_serverapp, monkeypatch, tmp_path
):
    write("a.ipynb", {"venvoy": {"environment": "boxed"}})
    jp_serverapp.web_app.settings["venvoy"].desk.fitness.fresh = 0.1
    listener = await server.listen()
    well = await server.get("notebook", path="a.ipynb")
    (tmp_path / "bin").mkdir()
    for program in ("sh", "env", "uname"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program))

    with monkeypatch.context() as without:
        without.setenv("PATH", str(tmp_path / "bin"))
        await server.events(listener, ENVIRONMENT, lambda said: "runtime" in said["reasons"])
        ill = await server.get("notebook", path="a.ipynb")
        (listed,) = (await server.get("environments"))["environments"]
    await server.events(listener, ENVIRONMENT, lambda said: "runtime" in said["reasons"])
    again = await server.get("notebook", path="a.ipynb")

    assert (well["state"]["kind"], well["state"]["cure"]) == ("never-frozen", None)
    assert (ill["state"]["kind"], ill["state"]["tone"], ill["state"]["action"]) == ("broken", "error", None)
    assert ill["state"]["sentence"].startswith(f"{engine.name.capitalize()} cannot be used: not found; install it: ")
    assert ill["state"]["cure"].startswith("install it: ")
    assert ill["environment"]["image"]["digest"] == inside.container.image.digest
    assert listed["problem"] == f"{engine.name} cannot be used: not found; {ill['state']['cure']}"
    assert again["state"]["kind"] == "never-frozen"


def test_nobody_waits_for_a_daemon_that_does_not_answer(env, detected, monkeypatch):
    monkeypatch.setattr(fitness, "PATIENCE", 0.05)
    answers, looks = threading.Event(), []
    image = Image(reference="none", digest=f"sha256:{'0' * 64}")
    there = replace(env, runtime="docker", container=Container(engine="docker", image=image))

    def look():
        looks.append(threading.current_thread())
        assert answers.wait(60)
        raise CommandFailed("its daemon has gone away")

    asked = Fitness(look=look, fresh=60)

    assert asked.of([there, there]) == {}  # and here we are, while the daemon still does not answer
    assert asked.known(there) == ""
    answers.set()
    looks[0].join()
    assert asked.known(there) == "its daemon has gone away"
    assert len(looks) == 1


async def test_an_environment_of_r_is_added_to_and_frozen(server, make_r, store, settings, monkeypatch):
    monkeypatch.setenv("HOME", str(settings.user_home))  # R's own start-up file there names the repository
    make_r("demo", "tinya")
    added = await server.begin("install", "demo", "tinyc")
    installed = await server.ended(added["id"])
    frozen = await server.ended((await server.begin("freeze", "demo"))["id"])
    state = (await server.get("environments/demo"))["state"]

    assert installed["state"] == "succeeded", (installed, await server.get(f"jobs/{added['id']}/log"))
    assert "tinyc" in [each["name"] for each in installed["result"]["changes"]["added"]]
    assert frozen["state"] == "succeeded", frozen
    assert '"tinyc"' in (store.project("demo") / "renv.lock").read_text()
    assert state["kind"] == "matches"
