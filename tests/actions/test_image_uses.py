"""Who uses an image is noted where it lies: others are seen, none of theirs goes, and what nobody uses does."""

import json
import os
import re
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from registry import layer

from venvoy.actions import image_uses
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.delete import delete
from venvoy.actions.images import image_for
from venvoy.errors import InvalidInput
from venvoy.frontends.views.images import images_view, pruned_images_view
from venvoy.model import Environment
from venvoy.settings import Policy
from venvoy.store import Store, generation_folder, new_generation

root = pytest.mark.skipif(os.geteuid() != 0, reason="not obtainable: root, who alone may start a Docker daemon")


@pytest.fixture(scope="session")
def _own_docker(tmp_path_factory):
    """A Docker daemon with a store of its own: what is pruned there is nobody's."""
    folder = tmp_path_factory.mktemp("dockerd")
    socket = f"unix://{folder}/sock"
    words = ("--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            # In a network of its own: a daemon without a bridge removes docker0.
            ["unshare", "--net", "dockerd", "--host", socket, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"),
             "--pidfile", str(folder / "pid"), *words], stdout=log, stderr=log)  # fmt: skip
    try:
        for _ in range(600):
            said = subprocess.run(["docker", "--host", socket, "version"], capture_output=True, check=False)
            if not said.returncode:
                break
            assert child.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.1)
        yield socket
    finally:
        child.terminate()
        child.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def alone(engine, request, monkeypatch, tmp_path_factory):
    """The runtime with a store in which nothing else is."""
    monkeypatch.setenv("PATH", _only(engine, tmp_path_factory))
    if engine.engine == "docker":
        monkeypatch.setenv("DOCKER_HOST", request.getfixturevalue("_own_docker"))
        yield engine
        listed = subprocess.run(["docker", "image", "ls", "-q"], capture_output=True, text=True, check=True).stdout
        if listed:
            subprocess.run(["docker", "rmi", "--force", *set(listed.split())], capture_output=True, check=False)
        return
    folder = tmp_path_factory.mktemp("storage")
    if engine.engine == "podman":
        conf = folder / "storage.conf"
        conf.write_text(f'[storage]\ndriver = "overlay"\nrunroot = "{folder}/run"\ngraphroot = "{folder}/graph"\n')
        monkeypatch.setenv("CONTAINERS_STORAGE_CONF", str(conf))
    yield engine
    subprocess.run(["umount", str(folder / "graph/overlay")], capture_output=True, check=False)
    shutil.rmtree(folder, ignore_errors=True)


def _only(engine, tmp_path_factory):
    """PATH with this runtime alone among all: the stores of the others are everybody's."""
    folder = tmp_path_factory.mktemp("bin")
    others = {"docker", "podman", "apptainer", "singularity"} - {engine.name}
    for place in reversed(os.environ["PATH"].split(os.pathsep)):
        if not Path(place).is_dir():
            continue
        for each in os.scandir(place):
            link = folder / each.name
            if each.name not in others:
                link.unlink(missing_ok=True)
                link.symlink_to(each.path)
    return str(folder)


@pytest.fixture
def someone(settings, tmp_path):
    """Another VENVOY_HOME that shares the runtime."""
    return Store(replace(settings, home=tmp_path / "other", projects=tmp_path / "other-projects"))


def made(store, engine, name, image, actor):
    kind, container = contain(store, Wanted(runtime=engine.name, image=str(image)), Policy())
    return create(store, Plan(name=name, runtime=kind, container=container), actor=actor)


def laid(store, engine, name, image, *, keep=False):
    """The same without packages and without asking the image, which need not be able to run then."""
    kind, container = contain(store, Wanted(runtime=engine.name, image=str(image)), Policy())
    env = Environment(
        name=name, prefix=store.folder(name) / "prefix", runtime=kind, python_version="3.11.2", generation=new_generation(),
        created=datetime.now(UTC).replace(microsecond=0), system="Linux", architecture="x86_64", container=container,
    )  # fmt: skip
    before = image_uses.environments(store, name)
    image_uses.keep(store, env)
    generation_folder(env.prefix, env.generation).mkdir(parents=True)
    store.commit(env, {}, keep=keep)
    image_uses.let_go(store, name, before)
    return env


@pytest.fixture
def small(tmp_path):
    """Images of a few bytes: `small(1)`, `small(2)`."""

    def written(seed):
        file = tmp_path / f"small{seed}.tar"
        file.write_bytes(layer(seed))
        return file

    return written


def oci(engine):
    return engine.engine in ("docker", "podman")


def here(engine, digest):
    said = subprocess.run([engine.name, "image", "inspect", digest], capture_output=True, check=False)
    return said.returncode == 0


def seen(store):
    return {each.digest: each for each in image_uses.held(store)}


def documented(name):
    text = (Path(__file__).parents[2] / "docs/json.md").read_text()
    return json.loads(re.search(rf"^```json {name}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)[1])


def shape(data):
    """The keys, in all that is nested."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items()}
    return [shape(each) for each in data[:1] if isinstance(each, dict)] if isinstance(data, list) else ()


@root
def test_an_image_is_listed_with_those_who_use_it_and_stays_until_nobody_does(
    store, someone, alone, image_file, actor, monkeypatch
):
    archive = image_file("python:3.11")
    first = made(store, alone, "first", archive, actor)
    second = laid(store, alone, "second", archive)
    digest = first.container.image.digest
    theirs = laid(someone, alone, "theirs", archive) if oci(alone) else None

    (listed,) = image_uses.held(store)
    assert (listed.digest, listed.reference, listed.runtime) == (digest, str(archive), alone.name)
    assert listed.environments == ("first", "second")
    assert listed.size > 10_000_000
    assert [each.environment for each in listed.others] == (["theirs"] if oci(alone) else [])
    assert image_uses.prunable(store) == ()
    for name, view in (
        ("list-images", images_view((listed,))),
        ("prune-images", pruned_images_view(image_uses.Pruned(gone=(listed,), kept=(listed,)), done=True)),
    ):
        if oci(alone):  # for a SIF there are no others
            assert shape(view.data) == shape(documented(name))

    delete(store, first)
    assert seen(store)[digest].environments == ("second",)
    delete(store, second)
    if theirs:
        assert image_uses.prune(store).gone == ()
        assert here(alone, digest)
        delete(someone, theirs)

    assert seen(store)[digest].prunable
    pruned = image_uses.prune(store)
    assert [each.digest for each in pruned.gone] == [digest]
    assert image_uses.held(store) == ()
    if oci(alone):
        assert not here(alone, digest)
    else:
        assert not first.container.image.file.exists()


@root
def test_names_that_somebody_else_gave_an_image_keep_it(store, alone, small):
    if not oci(alone):
        return
    env = laid(store, alone, "first", small(1))
    digest = env.container.image.digest
    subprocess.run([alone.name, "tag", digest, "localhost/somebody/theirs:1"], check=True)
    delete(store, env)

    image_uses.prune(store)

    assert here(alone, "localhost/somebody/theirs:1")
    assert image_uses.held(store) == ()


@root
def test_a_container_of_anybodys_keeps_its_image(store, alone, small):
    if not oci(alone):
        return
    env = laid(store, alone, "first", small(1))
    digest = env.container.image.digest
    subprocess.run(
        [alone.name, "create", "--name", "theirs", "--network", "none", digest, "true"], check=True, capture_output=True
    )
    delete(store, env)

    pruned = image_uses.prune(store)

    assert pruned.gone == ()
    assert [each.digest for each in pruned.kept] == [digest]
    assert here(alone, digest)
    subprocess.run([alone.name, "rm", "theirs"], check=True, capture_output=True)
    assert [each.digest for each in image_uses.prune(store).gone] == [digest]


@root
def test_what_is_about_to_be_used_is_not_pruned(store, someone, alone, small):
    image = image_for(store, alone, str(small(1)))

    other = someone if oci(alone) else store
    assert image_uses.prune(other).gone == ()
    assert (found := seen(other)[image.digest]).busy
    assert not found.prunable


@root
def test_what_was_announced_and_never_made_is_pruned_after_an_hour(store, alone, small, monkeypatch):
    image = image_for(store, alone, str(small(1)))
    assert image_uses.prune(store).gone == ()
    monkeypatch.setattr(image_uses, "HOUR", -1)

    assert [each.digest for each in image_uses.prune(store).gone] == [image.digest]
    assert image_uses.held(store) == ()
    assert not here(alone, image.digest) if oci(alone) else not image.file.exists()


@root
def test_nothing_is_pruned_where_an_environment_cannot_be_read(store, alone, small):
    env = laid(store, alone, "first", small(1))
    config = store.folder("first") / "config.yaml"
    config.write_text(config.read_text() + "nonsense: [\n")

    with pytest.raises(InvalidInput, match=r"config\.yaml"):
        image_uses.prune(store)

    assert here(alone, env.container.image.digest) if oci(alone) else env.container.image.file.exists()


@root
def test_notes_of_an_environment_that_is_gone_are_swept(store, alone, small):
    env = laid(store, alone, "first", small(1))
    store.remove("first")  # as a hand does that knows nothing of images

    assert [each.digest for each in image_uses.prune(store).gone] == [env.container.image.digest]


@root
def test_the_image_of_what_can_be_taken_back_stays(store, alone, small):
    old = laid(store, alone, "first", small(1))
    new = laid(store, alone, "first", small(2), keep=True)

    assert image_uses.prune(store).gone == ()
    assert set(seen(store)) == {old.container.image.digest, new.container.image.digest}

    for kept in store.kept("first"):
        store.let_go(kept)
    assert [each.digest for each in image_uses.prune(store).gone] == [old.container.image.digest]


@root
def test_a_runtime_that_is_gone_keeps_nobody_from_deleting(store, alone, small, monkeypatch):
    env = laid(store, alone, "first", small(1))
    with monkeypatch.context() as away:
        away.setenv("PATH", "/nonexistent")
        delete(store, env)

    assert store.names() == ()
