"""Recipes of images for R environments: built for real, by whoever has no venvoy, and by `build`."""

import json
import os
import subprocess

import pytest

from venvoy.actions.build import Wished, build
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import usable
from venvoy.actions.export import Order, export
from venvoy.actions.freeze import freeze
from venvoy.actions.observe import observe
from venvoy.model import Resources
from venvoy.settings import Policy

LOOK = "there <- installed.packages('/opt/library'); cat(paste(there[, 'Package'], there[, 'Version'], there[, 'LibPath']), sep = '\\n')"


@pytest.fixture(params=("docker", "podman"))
def engine(request, detected):
    return usable(detected.named(request.param))


@pytest.fixture
def online(engine, image, store, actor, served_repository):
    """`demo` in each runtime, with packages of a repository on the web."""
    wanted = Wanted(
        runtime=engine.name, image=image(engine, "r:4.2"), language="r", resources=Resources(network="host")
    )
    kind, container = contain(store, wanted, Policy())
    plan = Plan(name="demo", language="r", runtime=kind, container=container, specs=("tinya==1.0", "tinyb"))
    create(store, plan, actor=actor)
    env = store.environment("demo")
    freeze(store, env, actor=actor)
    return env


def ran(*argv, **said):
    done = subprocess.run(argv, capture_output=True, text=True, check=False, **said)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def seen(engine, tag):
    lines = ran(engine.name, "run", "--rm", tag, "Rscript", "-e", LOOK).splitlines()
    return {line.split()[0]: line.split()[1] for line in lines if line.endswith(" /opt/library")}


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


def test_what_export_writes_is_built_by_the_engine_itself(online, engine, store, actor, tmp_path):
    done = export(store, "demo", Order(form="dockerfile", target=tmp_path / "Dockerfile"), actor=actor)
    tag = f"venvoy-test/r-built-{os.getpid()}"

    ran(engine.name, "build", "--network", "host", "--tag", tag, "--file", tmp_path / "Dockerfile", ".", cwd=tmp_path)

    try:
        assert done.lacking == ()
        assert seen(engine, tag) == installed(store, online) == {"tinya": "1.0", "tinyb": "0.2-1"}
        assert ran(engine.name, "run", "--rm", tag, "Rscript", "-e", "cat(tinyb::hello())") == "hello from 1.0"
        assert ran(engine.name, "run", "--rm", tag, "id", "-u") == "1000\n"
        config = json.loads(ran(engine.name, "image", "inspect", tag))[0]["Config"]
        assert "R_LIBS=/opt/library" in config["Env"]
    finally:
        ran(engine.name, "rmi", "--force", tag)


@pytest.mark.parametrize("engine", ["docker"], indirect=True)
def test_another_source_than_the_locks_is_not_installed(online, engine, store, actor, tmp_path):
    text = export(store, "demo", Order(form="dockerfile"), actor=actor).text
    tinya = next(each for each in freeze(store, online, actor=actor).snapshot.packages if each.name == "tinya")
    (tmp_path / "Dockerfile").write_text(text.replace(tinya.sha256, "0" * 64))

    argv = [engine.name, "build", "--force-rm", "--network", "host", "--file", tmp_path / "Dockerfile", tmp_path]
    refused = subprocess.run(argv, capture_output=True, text=True, check=False)

    assert refused.returncode != 0
    assert "is another file than the one that is locked" in refused.stdout + refused.stderr


@pytest.mark.parametrize("engine", ["podman"], indirect=True)
def test_a_repository_of_ones_own_is_asked_first_and_the_hashes_stay(
    online, engine, store, actor, tmp_path, served_repository
):
    text = export(store, "demo", Order(form="dockerfile"), actor=actor).text
    (tmp_path / "Dockerfile").write_text(text.replace(served_repository, "http://nowhere.invalid"))
    tag = f"venvoy-test/r-own-{os.getpid()}"
    own = ("--build-arg", f"VENVOY_REPOSITORY={served_repository}")

    ran(engine.name, "build", "--network", "host", *own, "--tag", tag, "--file", tmp_path / "Dockerfile", tmp_path)

    try:
        assert seen(engine, tag) == {"tinya": "1.0", "tinyb": "0.2-1"}
    finally:
        ran(engine.name, "rmi", "--force", tag)


@pytest.mark.parametrize("engine", ["podman"], indirect=True)
def test_build_gives_an_image_with_the_same_packages_and_the_files_in_the_folder_say_the_same(
    online, engine, store, actor
):
    done = build(store, online, Wished(tag=f"venvoy-test/r-build-{os.getpid()}:1"), actor=actor)

    try:
        assert seen(engine, done.tag) == installed(store, online)
    finally:
        ran(engine.name, "rmi", "--force", done.tag)
    for form, name in (
        ("dockerfile", "Dockerfile"),
        ("docker-compose", "compose.yaml"),
        ("apptainer", "apptainer.def"),
    ):
        assert (store.folder("demo") / name).read_text() == export(store, "demo", Order(form=form), actor=actor).text


def test_on_this_machines_r_it_begins_from_the_fields_own_image(store, make_r, served_repository, actor):
    env = make_r("demo", "tinya")

    text = export(store, "demo", Order(form="apptainer"), actor=actor).text

    assert f"From: docker.io/rocker/r-ver:{env.r_version}\n" in text
    assert "export R_LIBS=/opt/library" in text
    assert "tinya_1.1.tar.gz" in text
