"""What is wrong with an environment in a container is found, named and mended; a fresh one has nothing wrong with it."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import inventory, process, runtimes
from venvoy.actions import image_uses, payload
from venvoy.actions.bases import base_in
from venvoy.actions.check import check
from venvoy.actions.check_container import hindrance
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.detect import detect
from venvoy.actions.install import install
from venvoy.actions.launch import kernel_of
from venvoy.actions.observe import observe
from venvoy.actions.repair import repair
from venvoy.actions.status import status
from venvoy.errors import CommandFailed, KernelUnusable, RuntimeUnavailable
from venvoy.model import Job, Mount
from venvoy.settings import Policy

OLDER = {
    "usr/lib/python3/dist-packages/only_here-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: only-here\nVersion: 1.0\n"
}


@pytest.fixture
def env(contained, engine, image):
    return contained(engine, image(engine, "python:3.11"))


@pytest.fixture(params=[("docker", "podman"), ("apptainer", "singularity")], ids=["layers", "sif"])
def either(request, detected):
    """One runtime of each kind: what it is called is told apart nowhere in this room."""
    found = [each for each in map(detected.named, request.param) if each.usable]
    if not found:
        pytest.skip(f"none of {request.param} can be used here")
    return found[-1]


@pytest.fixture
def one(either, contained, image):
    return contained(either, image(either, "python:3.11"))


@pytest.fixture
def on(store):
    """The environment in another container, as config.yaml would have it."""

    def moved(env, **said):
        changed = replace(env, container=replace(env.container, **said))
        store.save(changed)
        return changed

    return moved


def codes(found):
    return [each.code for each in found]


def test_nothing_is_wrong_with_a_fresh_environment(store, env):
    assert check(store, env) == ()
    assert hindrance(env) == ""


@pytest.mark.network
def test_nothing_is_wrong_with_one_that_has_packages_of_its_own_and_a_kernel_that_is_lent(store, env, actor):
    install(store, env, ("python-dateutil", "pip"), actor=actor)

    assert {"python-dateutil", "pip"} <= {each.name for each in observe(store, env).packages}
    assert kernel_of(store, env).payload is not None
    assert check(store, store.environment("demo")) == ()


def test_a_runtime_that_is_gone_is_named_and_what_was_remembered_is_still_told(store, env, monkeypatch, tmp_path):
    before = observe(store, env)
    for program in ("sh", "env", "uname"):
        (tmp_path / program).symlink_to(shutil.which(program))
    monkeypatch.setenv("PATH", str(tmp_path))

    assert codes(check(store, env)) == ["runtime-unusable"]
    assert env.runtime in hindrance(env)
    now = observe(store, env)
    assert replace(now, taken=before.taken) == before
    assert now.contents == before.contents
    assert status(store.history("demo"), now).state == "never frozen"


def test_a_prefix_that_is_gone_is_named_and_not_taken_for_an_empty_one(store, one):
    shutil.rmtree(one.prefix.resolve())

    (finding,) = check(store, one)
    assert (finding.code, finding.mend) == ("prefix-gone", "venvoy init demo --force")
    with pytest.raises(RuntimeUnavailable, match="is gone"):
        observe(store, one)


def test_an_engine_that_is_another_by_now_is_named_and_noted(store, either, one, on, actor):
    moved = on(one, rootless=not one.container.rootless)
    if either.name not in ("docker", "podman"):
        assert check(store, moved) == ()  # whoever starts it is who runs it
        return

    assert codes(check(store, moved)) == ["runtime-other"]
    mended = repair(store, moved, actor=actor)

    assert (len(mended.done), mended.left) == (1, ())
    assert store.environment("demo").container == one.container


def test_a_mount_that_is_gone_is_named(store, one, on):
    moved = on(one, mounts=(Mount(source=Path("/nonexistent/data"), target="/data"),))

    assert codes(check(store, moved)) == ["mount-gone"]


@pytest.mark.parametrize("harm", ["python", "pyvenv.cfg", "home", "link"])
def test_a_prefix_that_lost_its_python_is_mended(store, one, actor, harm):
    said = one.prefix / "pyvenv.cfg"
    if harm == "python":
        one.python.unlink()
    elif harm == "link":
        one.python.unlink()
        one.python.symlink_to("/opt/conda/bin/python")
    elif harm == "home":
        said.write_text(said.read_text().replace("/usr/bin", "/opt/python/bin"))
    else:
        said.unlink()
    code = {"python": "interpreter-gone", "pyvenv.cfg": "pyvenv-cfg-gone"}.get(harm, "image-other")
    assert codes(check(store, one)) == [code]

    mended = repair(store, one, actor=actor)

    assert mended.left == ()
    assert len(mended.done) == 1
    assert os.readlink(one.python) == "/usr/bin/python3"
    assert check(store, store.environment("demo")) == ()


def test_a_prefix_in_an_image_of_another_python_is_named_and_left(store, one, either, image, on, actor):
    _, other = contain(store, Wanted(runtime=either.name, image=image(either, "python:3.13")), Policy())
    moved = on(one, image=other.image)

    (finding,) = check(store, moved)
    assert finding.code == "interpreter-changed"
    assert "Python 3.13" in finding.message
    assert "python3.11" in finding.message
    assert codes(repair(store, moved, actor=actor).left) == ["interpreter-changed"]
    assert inventory.site_folders(moved.prefix)[0].parent.name == "python3.11"


def test_an_image_that_is_gone_is_got_again_and_is_the_same(store, contained, either, of_layers, actor, settings):
    file = of_layers(f"gone-{either.name}", OLDER, on="python:3.11")
    env = contained(either, file)
    before = observe(store, env)
    _lost(env)
    assert codes(check(store, env)) == ["image-gone"]
    assert "is not here any more" in hindrance(env)
    assert replace(observe(store, env), taken=before.taken) == before

    mended = repair(store, env, actor=actor)

    now = store.environment("demo")
    assert (len(mended.done), mended.left) == (1, ())
    assert "again" in mended.done[0]
    assert check(store, now) == ()
    if either.name in ("docker", "podman"):
        assert now.container == env.container
        digest = env.container.image.digest
        (noted,) = [each for each in image_uses.listed(runtimes.get(either.name)) if each["Id"].endswith(digest[-64:])]
        assert any(name.startswith(image_uses.USED) and name.endswith("-demo") for name in noted["RepoTags"])
    assert observe(store, now).base == before.base


def test_another_image_in_its_place_is_refused(store, contained, either, of_layers, actor, tmp_path):
    file = tmp_path / "image.tar"
    shutil.copy(of_layers(f"gone-{either.name}", OLDER, on="python:3.11"), file)
    env = contained(either, file)
    _lost(env)
    other = {**OLDER, "usr/lib/python3/dist-packages/more-2.0.dist-info/METADATA": b"Name: more\nVersion: 2.0\n"}
    shutil.copy(of_layers("another", other, on="python:3.11"), file)

    mended = repair(store, env, actor=actor)

    assert mended.done == ()
    (left,) = mended.left
    assert left.code == "image-gone"
    assert "is another image by now" in left.message
    assert store.environment("demo").container == env.container
    file.unlink()
    (left,) = repair(store, env, actor=actor).left
    assert "is not there any more" in left.message


def test_a_file_that_is_another_image_is_named(store, contained, detected, image, tmp_path):
    engine = next(
        (each for each in detected.runtimes if each.usable and each.engine in ("apptainer", "singularity")), None
    )
    if engine is None:
        pytest.skip("not obtainable: neither apptainer nor singularity")
    file = tmp_path / "image.sif"
    shutil.copy(image(engine, "python:3.11"), file)
    env = contained(engine, file)
    with file.open("ab") as stream:
        stream.write(b"\0")

    assert codes(check(store, env)) == ["image-changed"]


def test_a_sif_of_the_users_own_that_is_another_image_by_now_is_refused_and_left(
    store, contained, detected, image, actor, tmp_path
):
    engine = detected.named("apptainer")
    file = tmp_path / "study.sif"
    shutil.copy(image(engine, "python:3.11"), file)
    env = contained(engine, file)
    shutil.copy(image(engine, "python:3.13"), file)
    size = file.stat().st_size

    (left,) = repair(store, env, actor=actor).left

    assert "is another image by now" in left.message
    assert file.stat().st_size == size


def test_packages_of_the_image_count_for_what_is_needed(store, one):
    site = inventory.site_folders(one.prefix)[0]
    info = site / "asks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: asks\nVersion: 1.0\nRequires-Dist: pip>=20\nRequires-Dist: nowhere\n"
    )
    (info / "RECORD").write_text("asks-1.0.dist-info/METADATA,,\nasks-1.0.dist-info/RECORD,,\n")

    (finding,) = check(store, one)
    assert finding.code == "requirement-missing"
    assert "nowhere" in finding.message


# --- kernels


OLD_TRAITLETS = {
    "usr/lib/python3/dist-packages/traitlets/__init__.py": b"version_info = (4, 3, 3)\nclass TraitType: pass\n",
    "usr/lib/python3/dist-packages/traitlets-4.3.3.dist-info/METADATA": b"Metadata-Version: 2.1\nName: traitlets\nVersion: 4.3.3\n",
}


def _with_ipykernel(version: str) -> dict[str, bytes]:
    site = "usr/lib/python3/dist-packages"
    said = f"Metadata-Version: 2.1\nName: ipykernel\nVersion: {version}\n".encode()
    return {
        f"{site}/ipykernel/__init__.py": f"__version__ = {version!r}\n".encode(),
        f"{site}/ipykernel-{version}.dist-info/METADATA": said,
    }


@pytest.mark.network
def test_an_old_package_of_the_image_before_the_lent_kernel_is_named_with_the_cure_that_works(
    store, contained, either, of_layers, actor
):
    env = contained(either, of_layers("old-traitlets", OLD_TRAITLETS, on="python:3.11"))
    with pytest.raises(KernelUnusable) as refused:
        kernel_of(store, env)

    assert "traitlets 4.3.3 is in its image" in refused.value.message
    (finding,) = [each for each in check(store, env) if "ipykernel" in each.message]
    assert finding.code == "kernel-conflict"
    words = refused.value.hint.splitlines()[0]
    assert words.startswith("upgrade: venvoy install demo 'traitlets>=")
    assert not _runs_lent(store, env)

    needed = words.partition(" demo ")[2].replace("'", "").split()
    install(store, env, tuple(needed), actor=actor)

    assert kernel_of(store, env).payload is not None
    assert check(store, store.environment("demo")) == ()
    assert _runs_lent(store, env)


@pytest.mark.network
def test_an_image_with_a_kernel_of_its_own_uses_it_and_one_that_is_too_old_is_named(
    store, contained, either, of_layers
):
    own = contained(either, of_layers("with-kernel", _with_ipykernel("6.29.5"), on="python:3.11"), "own")
    old = contained(either, of_layers("with-old-kernel", _with_ipykernel("5.1.4"), on="python:3.11"), "old")

    assert (kernel_of(store, own).version, kernel_of(store, own).payload) == ("6.29.5", None)
    assert check(store, own) == ()
    with pytest.raises(KernelUnusable, match=r"ipykernel 5\.1\.4 is in its image.*needs ipykernel>=6"):
        kernel_of(store, old)
    assert codes(check(store, old)) == ["kernel-conflict"]


def _runs_lent(store, env) -> bool:
    """Whether the lent kernel can be imported behind what the environment has."""
    folder = payload.built(store, base_in(store, env)).folder
    program = f"import sys; sys.path.append({str(folder)!r}); import ipykernel.kernelapp"
    job = Job(argv=("python", "-c", program), mounts=(Mount(source=folder, target=str(folder), read_only=True),))
    try:
        process.run(runtimes.get(env.runtime).command(env, job))
    except CommandFailed:
        return False
    return True


def _lost(env) -> None:
    """Take the image away from the runtime, as a user who cleans up does."""
    if env.container.image.file:
        env.container.image.file.unlink()
        return
    digest = env.container.image.digest.removeprefix("sha256:")
    subprocess.run([env.runtime, "rmi", "--force", digest], check=True, capture_output=True)
    assert detect().named(env.runtime).usable
