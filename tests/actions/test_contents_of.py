"""What is in an image is asked of the image itself, once, and is the same in every runtime."""

import secrets
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from venvoy.actions.bases import image_base
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.contents_of import contents_of, remembered
from venvoy.actions.diff import diff
from venvoy.actions.observe import observe
from venvoy.errors import RuntimeUnavailable
from venvoy.formats import base_json
from venvoy.formats.snapshot_json import SnapshotJson
from venvoy.model import Environment, Mount
from venvoy.settings import Policy

LOUD = b"""#!/bin/dash
case $1 in *image.sh) while :; do echo eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee; done ;; esac
exec /bin/dash "$@"
"""
LYING = b"""#!/bin/sh
case $* in *distributions.py) echo '[]'; exit ;; esac
printf '{"path": "/usr/bin/python3\\\\u001b[2J", "version": "3.11.2", "abi": "cp311", "platform": "linux-x86_64", "libc": "", "digest": ""}\\n'
"""


@pytest.fixture(autouse=True)
def not_shared(settings):
    """Other tests ask the same images, and here it counts who asks first."""
    bases = settings.home / "bases"
    bases.unlink()
    bases.mkdir()


@pytest.fixture
def on(store):
    """An environment on paper, in a real image."""

    def contained(engine, image) -> Environment:
        name = f"asked-{secrets.token_hex(6)}"
        kind, container = contain(store, Wanted(runtime=engine.name, image=str(image)), Policy())
        prefix = store.folder(name) / "prefix"
        return Environment(name=name, prefix=prefix, runtime=kind, container=container, created=datetime.now(UTC))

    return contained


def containers(engine, env) -> list[str]:
    """Those of its that asked an image and are still there."""
    if engine.name not in ("docker", "podman"):
        return []
    argv = [
        engine.name,
        "ps",
        "--all",
        "--format",
        "{{.Names}}",
        "--filter",
        f"label=org.venvoy.environment={env.name}",
    ]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def test_an_image_says_its_system_its_interpreters_and_its_packages(store, engine, image, on):
    said = contents_of(store, on(engine, image(engine, "python:3.11")))

    assert said.system == "Debian GNU/Linux 12 (bookworm)"
    assert (said.libc, said.machine) == ("glibc-2.36", "x86_64")
    assert said.python is not None
    assert (str(said.python.path), said.python.minor, said.python.libc) == ("/usr/bin/python3", "3.11", "glibc-2.36")
    assert {"pip", "setuptools", "wheel"} <= {each.name for each in said.of("pypi")}
    named = {each.name: each for each in said.of("deb")}
    assert named["libc6"].version.startswith("2.36-")
    assert (named["libc6"].build, len(named) > 100) == ("amd64", True)


def test_an_image_with_r_says_so(store, engine, image, on):
    env = on(engine, image(engine, "r:4.2"))

    said = contents_of(store, env)

    assert (said.rscript, said.r_version[:3], said.python) == ("/usr/bin/Rscript", "4.2", None)
    assert {"base", "stats", "utils"} <= {each.name for each in said.of("cran")}
    with pytest.raises(RuntimeUnavailable, match="has no Python that runs"):
        image_base(store, env)


def test_every_runtime_says_the_same_of_the_same_image_and_so_are_its_snapshots(
    store, detected, image, contained, settings
):
    seen = {}
    for engine in (each for each in detected.runtimes if each.usable):
        env = contained(engine, image(engine, "python:3.11"), engine.name)
        seen[engine.name] = observe(store, env)
        for each in (settings.home / "bases").iterdir():
            each.unlink()  # so that the next asks for itself

    assert set(seen) >= {"docker", "podman", "apptainer"}
    assert len({SnapshotJson().dump(each) for each in seen.values()}) == 1
    assert len({each.base for each in seen.values()}) == 1
    assert len({each.stands_on.digest for each in seen.values()}) == 2  # a SIF has the digest of its file
    assert not diff(seen["docker"], seen["apptainer"])


def test_an_image_is_asked_once_and_leaves_no_container(store, engine, image, on):
    env = on(engine, image(engine, "python:3.11"))
    first = contents_of(store, env)
    gone = replace(
        env,
        runtime=env.runtime,
        container=replace(env.container, image=replace(env.container.image, file=Path("/gone"))),
    )

    assert remembered(store, env) == first
    assert contents_of(store, gone) == first
    assert containers(engine, env) == []


def test_what_the_environment_has_of_this_machine_is_not_needed_to_ask(store, engine, image, on):
    env = on(engine, image(engine, "python:3.11"))
    container = replace(env.container, mounts=(Mount(source=Path("/nonexistent/data"), target="/data"),))

    assert contents_of(store, replace(env, container=container)).python


def test_what_is_known_is_read_from_the_record_where_the_machine_has_forgotten_it(
    store, engine, image, contained, settings
):
    env = contained(engine, image(engine, "python:3.11"))
    known = remembered(store, env)
    for each in (settings.home / "bases").iterdir():
        each.unlink()

    assert known is not None
    assert remembered(store, env) == known


def test_what_is_remembered_and_was_damaged_is_asked_again(store, engine, image, on, settings):
    env = on(engine, image(engine, "python:3.11"))
    first = contents_of(store, env)
    (kept,) = (settings.home / "bases").iterdir()
    kept.write_text('{"format":"venvoy-base-1"')

    assert contents_of(store, env) == first
    assert kept.read_text() == base_json.dump(first)


def test_an_image_without_a_shell_is_named(store, engine, on, of_layers):
    env = on(engine, of_layers("empty", {"etc/nothing": b""}))

    with pytest.raises(RuntimeUnavailable, match="does not say what is in it"):
        contents_of(store, env)


@pytest.mark.parametrize(
    ("name", "files", "why"),
    [
        ("loud", {"usr/bin/sh": LOUD}, "printed without end"),
        ("mute", {"usr/bin/sh": b"#!/bin/dash\n"}, "did not say all"),
        ("lying", {"usr/bin/python3.11": LYING}, "not what is in an image"),
    ],
)
def test_an_image_that_says_something_else_is_named_and_nothing_of_it_stays(
    store, detected, on, of_layers, settings, name, files, why
):
    engine = max(
        (each for each in detected.runtimes if each.usable), key=lambda each: each.name in ("docker", "podman")
    )
    env = on(engine, of_layers(name, files, on="python:3.11"))

    with pytest.raises(RuntimeUnavailable, match=why):
        contents_of(store, env)

    assert list((settings.home / "bases").iterdir()) == []
    assert containers(engine, env) == []
