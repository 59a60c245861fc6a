"""What the administrator's policy allows cannot be relaxed by an environment's own settings."""

import json
import os
import re
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest
import uv

from venvoy import runtimes
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import Here
from venvoy.actions.image_file import digest as image_digest
from venvoy.actions.image_uses import announced
from venvoy.actions.permission import bounded, possible, seen, within_policy, working_folder
from venvoy.actions.permitted_image import permitted_image
from venvoy.actions.start_of import start_of
from venvoy.containers import ENGINES
from venvoy.errors import InvalidInput, NotPermitted, RuntimeUnavailable
from venvoy.files import sha256
from venvoy.model import Container, Image, Job, Mount, Resources
from venvoy.settings import Allowed, Limits, Policy, policy

IMAGE = Image(reference="docker.io/library/python:3.12-slim", digest=f"sha256:{'a' * 64}")


def contained(**words):
    image = words.pop("image", IMAGE)
    more = {key: words.pop(key) for key in ("mounts", "home") if key in words}
    return Container(image=image, engine="docker", resources=Resources(**words), **more)


@pytest.mark.parametrize(
    ("said", "asked", "complaint", "allowed"),
    [({"images": ("registry.example.org/*",)}, {}, "the image docker.io/library/python:3.12-slim may not", "registry.example.org"),
     ({"networks": ("none",)}, {}, "the network bridge may not", "none"),
     ({"networks": ("none",)}, {"network": "host"}, "the network host may not", "none"),
     ({"resources": Limits(memory=4 << 30)}, {"memory": 5 << 30}, "5g of memory is too much", "4g"),
     ({"resources": Limits(cpus=2)}, {"cpus": 2.5}, "2.5 processors are too many", "2"),
     ({"resources": Limits(gpus=("0", "1"))}, {"gpus": "0,2"}, "gpus: 2 may not", "0,1"),
     ({"resources": Limits(gpus=("0",))}, {"gpus": "all"}, "gpus: all may not", "0"),
     ({"resources": Limits(gpus=())}, {"gpus": "0"}, "gpus: 0 may not", "none"),
     ({"resources": Limits(devices=("/dev/dri/*",))}, {"devices": ("/dev/fuse",)}, "the device /dev/fuse may not", "/dev/dri/"),
     ({"mounts": (Allowed(folder=Path("/scratch")),)}, {"home": Path("/home/ada")}, "/home/ada may not be seen", "/scratch")],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_what_is(said, asked, complaint, allowed):
    with pytest.raises(NotPermitted, match=re.escape(complaint)) as error:
        bounded(contained(**asked), Policy(**said))

    assert allowed in error.value.hint
    assert error.value.exit_code == 9


def test_what_is_allowed_stays_as_it_is():
    said = Policy(
        images=("docker.io/library/python:*",), networks=("none", "bridge"),
        resources=Limits(memory=4 << 30, cpus=2, gpus=("0", "1"), devices=("/dev/dri/*",)),
    )  # fmt: skip
    asked = contained(memory=1 << 30, cpus=1, gpus="1", devices=("/dev/dri/card0",), network="none")

    assert bounded(asked, said) == asked


def test_limits_that_nobody_asked_for_are_those_of_the_policy():
    found = bounded(contained(), Policy(resources=Limits(memory=4 << 30, cpus=2)))

    assert (found.resources.memory, found.resources.cpus) == (4 << 30, 2)


def test_the_network_is_that_which_the_runtime_takes_by_itself():
    said = Policy(networks=("none", "bridge"))

    assert bounded(contained(), said).resources.network == "bridge"
    assert bounded(contained(), Policy()).resources.network is None
    assert bounded(contained(network="none"), Policy(networks=("host",))).resources.network == "none"
    for engine in ("apptainer", "singularity"):
        with pytest.raises(NotPermitted, match="the network host may not"):
            bounded(replace(contained(), engine=engine), said)


def test_folders_are_seen_as_the_policy_has_them(tmp_path):
    data, scratch, outside = (tmp_path / each for each in ("data", "scratch", "outside"))
    for each in (data / "open", scratch, outside):
        each.mkdir(parents=True)
    (scratch / "link").symlink_to(outside)
    said = Policy(mounts=(Allowed(folder=data, read_only=True), Allowed(folder=data / "open"), Allowed(folder=scratch)))

    def of(source):
        return bounded(contained(mounts=(Mount(source=source, target="/x"),)), said).mounts[0].read_only

    assert of(data) is True
    assert of(data / "open") is False
    assert of(scratch) is False
    for odd in (outside, scratch / "link", scratch / ".." / "outside", Path("/")):
        with pytest.raises(NotPermitted, match="may not be seen"):
            of(odd)
        with pytest.raises(NotPermitted):
            seen((Mount(source=odd, target="/x"),), said)


def test_what_is_for_reading_alone_is_so_below_any_mount(tmp_path):
    scratch = tmp_path / "scratch"
    (scratch / "ref/open").mkdir(parents=True)
    folders = (Allowed(folder=scratch), Allowed(folder=scratch / "ref", read_only=True),
               Allowed(folder=scratch / "ref/open"), Allowed(folder=scratch / "gone", read_only=True))  # fmt: skip
    (tmp_path / "link").symlink_to(scratch)

    found = bounded(contained(mounts=(Mount(source=tmp_path / "link", target="/s"),)), Policy(mounts=folders)).mounts

    assert found == (
        Mount(source=scratch, target="/s"),
        Mount(source=scratch / "ref", target="/s/ref", read_only=True),
        Mount(source=scratch / "ref/open", target="/s/ref/open"),
    )
    assert seen((Mount(source=scratch, target="/s"),), Policy(mounts=folders)) == found
    assert bounded(contained(home=scratch), Policy(mounts=folders)).mounts[1].target == str(scratch / "ref")


def test_the_prefix_is_seen_as_any_other_folder(tmp_path, env):
    data, work, elsewhere = (tmp_path / each for each in ("data", "work", "elsewhere"))
    for each in (data, work, elsewhere):
        each.mkdir()
    said = Policy(mounts=(Allowed(folder=data, read_only=True), Allowed(folder=work)))

    def of(folder):
        env.prefix.unlink(missing_ok=True)
        env.prefix.symlink_to(folder)
        return within_policy(replace(env, runtime="docker", container=contained()), said).container.mounts

    assert of(work) == (Mount(source=work, target="/venvoy/env"),)
    assert of(data) == (Mount(source=data, target="/venvoy/env", read_only=True),)
    with pytest.raises(NotPermitted, match="prefix may not be seen") as refused:
        of(elsewhere)
    assert "--prefix" in refused.value.hint


def test_a_home_and_a_working_folder_for_reading_are_mounted_so(tmp_path, env):
    said = Policy(mounts=(Allowed(folder=tmp_path, read_only=True),))
    found = bounded(contained(home=tmp_path), said)
    mount = Mount(source=tmp_path, target=str(tmp_path), read_only=True)

    assert found.mounts == (mount,)
    assert working_folder(replace(env, container=found), tmp_path, said) == (mount,)
    assert working_folder(replace(env, container=found), tmp_path, Policy()) == ()
    with pytest.raises(NotPermitted):
        working_folder(replace(env, container=found), Path("/etc"), said)


# --- every start -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=ENGINES)
def contained_env(request, env, tmp_path):
    """An environment on paper, in a container that has no network."""
    file = tmp_path / "image.sif" if request.param in ("apptainer", "singularity") else None
    has = replace(contained(network="none", image=replace(IMAGE, file=file)), engine=request.param)
    return replace(env, runtime=request.param, container=has)


def test_a_start_is_within_the_policy(contained_env, tmp_path):
    (tmp_path / "work/ref").mkdir(parents=True)
    folders = (Allowed(folder=tmp_path), Allowed(folder=tmp_path / "work/ref", read_only=True))
    said = Policy(mounts=folders, resources=Limits(memory=4 << 30))

    argv = start_of(contained_env, Job(argv=("true",), cwd=tmp_path / "work"), said).argv

    assert argv[argv.index("--memory") + 1] == str(4 << 30)
    assert f"type=bind,src={tmp_path}/work/ref,dst={tmp_path}/work/ref,readonly" in argv
    with pytest.raises(NotPermitted):
        start_of(contained_env, Job(argv=("true",), cwd=Path("/etc")), said)


def test_who_needs_a_network_gets_one_that_is_allowed_or_none(contained_env):
    job = Job(argv=("true",), online=True)
    engine = contained_env.runtime

    argv = start_of(contained_env, job, Policy(networks=("none", "host"))).argv

    assert "none" not in argv
    assert ("host" in argv) == (engine in ("docker", "podman"))  # to the others it is the network that they have
    with pytest.raises(NotPermitted, match="needs a network"):
        start_of(contained_env, job, Policy(networks=("none",)))


def test_where_there_is_no_policy_a_start_asks_no_engine(contained_env, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    command = start_of(contained_env, Job(argv=("true",)), Policy())

    assert command == runtimes.get(contained_env.runtime).command(contained_env, Job(argv=("true",)))


# --- images ----------------------------------------------------------------------------------------------------------

BELOW = f"sha256:{'b' * 64}"


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """Programs in the place of Docker and Podman that know images by their digests, and of them what they are told."""

    def of(**known):
        for name in ("docker", "podman"):
            lines = [f"*{digest}) echo '{json.dumps([said])}' ;;" for digest, said in known.items()]
            text = "\n".join(('case "$*" in', *lines, '*) echo "Error: No such image: $*" >&2; exit 1 ;;', "esac"))
            (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
            (tmp_path / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    return of


@pytest.mark.parametrize("runtime", ["docker", "podman"])
def test_the_engine_says_where_an_image_is_from(asked, runtime):
    from_registry = f"python@sha256:{'c' * 64}"
    asked(**{"a" * 64: {"RepoDigests": [from_registry], "RepoTags": ["evil:1"], "RootFS": {"Layers": ["1", "2"]}},
             "b" * 64: {"RepoDigests": [], "RepoTags": ["python:3.12-slim"], "RootFS": {"Layers": ["1", "2", "3"]}}})  # fmt: skip
    forged = replace(IMAGE, digest=BELOW, registered=f"docker.io/library/{from_registry}")

    for patterns in (
        ("docker.io/library/*", "python:*", "python:3.12-slim"),
        (f"docker.io/library/{from_registry}",),
        (IMAGE.digest,),
    ):
        permitted_image(runtime, IMAGE, patterns)
    permitted_image(runtime, replace(forged, origin=IMAGE.digest), ("python:*",))
    permitted_image(
        runtime, replace(IMAGE, digest=f"sha256:{'d' * 64}"), ("python:*",)
    )  # it is gone, and starts nowhere
    for image, patterns in (
        (IMAGE, ("docker.io/library/ubuntu:*", f"docker.io/library/python@sha256:{'d' * 64}")),
        (forged, ("docker.io/library/*",)),
        (replace(IMAGE, origin=BELOW, digest=BELOW), ("python:*",)),
    ):
        with pytest.raises(NotPermitted, match=f"it is {image.digest}") as refused:
            permitted_image(runtime, image, patterns)
        assert patterns[0] in refused.value.hint


def test_a_file_is_an_image_only_as_long_as_it_has_it(asked, tmp_path, image_file):
    file, other = image_file("python:3.11"), image_file("python:3.13")
    digest = image_digest(file)
    asked(**{digest.partition(":")[2]: {"RepoDigests": []}})

    permitted_image("docker", Image(reference=str(file), digest=digest), (f"{file.parent}/*",))
    for odd in (other, file.parent / "gone.tar", Path(f"{file.parent}/../{file.parent.name}/{file.name}")):
        with pytest.raises(NotPermitted, match="may not be used"):
            permitted_image("docker", Image(reference=str(odd), digest=digest), (f"{file.parent}/*",))


def test_a_sif_is_what_its_path_says_or_what_it_was_made_of(tmp_path):
    file = tmp_path / "images/a.sif"
    file.parent.mkdir()
    file.write_bytes(b"SIF_MAGIC")
    announced(file, {"made_of": "docker.io/library/python:3.12-slim", "reference": "python:3.12-slim"})
    image = replace(IMAGE, digest=f"sha256:{sha256(file)}", file=file)

    permitted_image("apptainer", image, ("python:3.12-*",))
    permitted_image("apptainer", replace(image, digest=BELOW), (f"{file.parent}/*.sif",))
    for patterns in ("python:3.13-*",), ("/shared/*",):
        with pytest.raises(NotPermitted, match=r"images/a\.sif"):
            permitted_image("apptainer", image, patterns)
    for odd in (replace(image, file=tmp_path / "images/../images/a.sif"), replace(image, file=tmp_path / "gone.sif")):
        with pytest.raises(NotPermitted):
            permitted_image("apptainer", odd, (f"{file.parent}/*.sif",))
    file.write_bytes(b"SIF_MAGIC of somebody else")
    with pytest.raises(NotPermitted):
        permitted_image("apptainer", image, ("python:3.12-*",))


# --- what a runtime can give -----------------------------------------------------------------------------------------


def test_limits_that_would_not_hold_are_refused(tmp_path):
    rootless = replace(contained(memory=1 << 30), engine="podman", rootless=True)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    here = Here(uid=1000, user="ada", environ={}, root=tmp_path)

    with pytest.raises(RuntimeUnavailable, match="cgroup v2"):
        possible("podman", rootless, here=here)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("")
    possible("podman", rootless, here=here)


@pytest.mark.parametrize(
    ("runtime", "asked", "complaint"),
    [("apptainer", {"shm_size": 1 << 30}, "/dev/shm"), ("singularity", {"shm_size": 1 << 30}, "/dev/shm")],
)
def test_what_a_runtime_cannot_give_is_refused_before_anything_is_fetched(store, runtime, asked, complaint, detected):
    if not detected.named(runtime).usable:
        pytest.skip(f"{runtime} cannot be used here")
    wanted = Wanted(runtime=runtime, image="nowhere.invalid/image:1", resources=Resources(**asked))

    with pytest.raises(RuntimeUnavailable, match=complaint):
        contain(store, wanted, Policy())


# --- the file --------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("not obtainable: root, who alone may write a policy")

    def put(text):
        (tmp_path / "policy.yaml").write_text(text)
        return policy((tmp_path / "policy.yaml",))

    return put


def test_the_policy_of_containers_is_read(written):
    said = written(
        "images: [docker.io/library/*]\nnetworks: [none]\nmounts: [/home, '/data:ro']\n"
        "resources: {memory: 64g, cpus: 16, gpus: [0, GPU-1], devices: [/dev/dri/*]}\n"
    )

    assert said.mounts == (Allowed(folder=Path("/home")), Allowed(folder=Path("/data"), read_only=True))
    assert said.resources == Limits(memory=64 << 30, cpus=16, gpus=("0", "GPU-1"), devices=("/dev/dri/*",))
    assert written("resources: {gpus: all}\n").resources.gpus == ("all",)
    assert written("resources: {gpus: none}\n").resources.gpus == ()


@pytest.mark.parametrize(
    "text",
    ["networks: [lan]", "mounts: [data]", "mounts: /data", "resources: 4g", "resources: {memory: much}", "resources: {cpus: 0}",
     "resources: {cpus: true}", "resources: {cpus: many}", "resources: {gpus: some}", "resources: {gpus: [1.5]}",
     "resources: {devices: /dev/fuse}", "resources: {disk: 4g}"],
)  # fmt: skip
def test_a_policy_that_cannot_be_understood_is_not_taken_for_none(written, text):
    with pytest.raises(InvalidInput, match=r"policy\.yaml"):
        written(text)


# --- seen by the program ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def administered(tmp_path_factory):
    """A venv in which a policy can be laid, and which sees what we see."""
    prefix = tmp_path_factory.mktemp("administered") / "venv"
    python = getattr(sys, "_base_executable", sys.executable)
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", python, prefix], check=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    (site / "ours.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return prefix


@pytest.mark.skipif(os.geteuid() != 0, reason="not obtainable: root, who alone may write a policy")
def test_an_edited_config_cannot_relax_it(store, engine, image, actor, administered, tmp_path):
    wanted = Wanted(runtime=engine.name, image=image(engine, "python:3.11"))
    kind, container = contain(store, wanted, Policy())
    env = create(store, Plan(name="study", runtime=kind, container=container), actor=actor)
    file = administered / "etc/venvoy/policy.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"mounts": [str(store.settings.user_home)], "resources": {"gpus": "none"}}))

    def venvoy(*words, cwd=store.settings.user_home):
        return subprocess.run(
            [administered / "bin/python", "-m", "venvoy", *words], capture_output=True, text=True, check=False, cwd=cwd
        )

    def ran(*words, **more):
        return venvoy("run", "study", *words, "--command", "echo in", **more)

    assert (ran().returncode, ran().stdout) == (0, "in\n")
    assert ran(cwd="/etc").returncode == 9
    assert ran("--mount", "/etc:/x:ro").returncode == 9
    assert venvoy("configure", "study", "--set", "mounts=/etc:/x").returncode == 9
    assert venvoy("configure", "study", "--set", "gpus=all").returncode == 9
    assert store.environment("study") == env

    store.save(replace(env, container=replace(container, mounts=(Mount(source=Path("/etc"), target="/x"),))))
    refused = ran()

    assert refused.returncode == 9
    assert "/etc may not be seen in a container here" in refused.stderr
    assert str(store.settings.user_home) in refused.stderr
    with pytest.raises(NotPermitted):
        within_policy(store.environment("study"), policy((file,)))

    file.write_text(json.dumps({"images": ["docker.io/library/python:*"]}))
    store.save(replace(env, container=replace(container, image=replace(container.image, reference="python:3.13-slim"))))
    refused = ran()

    assert refused.returncode == 9
    assert "the image python:3.13-slim may not be used here: it is " in refused.stderr
    assert "may not be used here: it is " in venvoy("check", "study").stdout
    named = [env.container.image.reference, env.container.image.digest]
    file.write_text(json.dumps({"images": named}))
    store.save(env)
    assert (ran().returncode, ran().stdout) == (0, "in\n")
