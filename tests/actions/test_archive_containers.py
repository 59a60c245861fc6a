"""Archives of container environments: packed in one runtime, made again in another, in none, and verified without network."""

import errno
import json
import os
import re
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import inventory, process, runtimes
from venvoy.actions import image_uses
from venvoy.actions.archive import archive
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.import_archive import import_archive
from venvoy.actions.lay_out import lay_out
from venvoy.actions.observe import observe
from venvoy.actions.unpacking import unpack
from venvoy.actions.verify import verify_archive, verify_environment
from venvoy.errors import RuntimeUnavailable
from venvoy.frontends.views.archives import laid_out_view
from venvoy.inventory import recorded
from venvoy.model import Job, Mount, Resources
from venvoy.runtimes.oci import OciRuntime
from venvoy.settings import Policy
from venvoy.store import Store

DOCS = Path(__file__).parents[2] / "docs"
OFF = Resources(network="none")
"""What is imported has no network, neither while it is made nor when it is asked."""


@pytest.fixture
def index(wheelhouse, mirror_index, settings):
    """An index that the uv in a container finds, through the home folder and the machine's network."""
    wheelhouse.add("alpha", requires=("beta",), files={"alpha/data.txt": "data\n"}, scripts={"alpha": "alpha:main"})
    wheelhouse.add("beta", files={"beta/__init__.py": "def said(): return 'beta'\n"})
    said = settings.user_home / ".config/uv/uv.toml"
    said.parent.mkdir(parents=True)
    said.write_text(f'[[index]]\nurl = "{mirror_index.url}"\ndefault = true\n')
    return mirror_index


@pytest.fixture
def make(store, actor, index, image, runtime, tmp_path):
    """Make a real environment in a container: `make("docker")`."""
    listed = tmp_path / "listed.txt"
    listed.write_text("alpha\n")

    def made(engine: str, name: str = "demo"):
        found = runtime(engine)
        wanted = Wanted(runtime=engine, image=image(found, "python:3.11"), resources=Resources(network="host"))
        kind, container = contain(store, wanted, Policy())
        return create(store, Plan(name=name, runtime=kind, container=container, requirements=listed), actor=actor)

    return made


@pytest.fixture
def packed(store, make, actor, tmp_path):
    def made(engine: str, name: str = "demo", **given):
        env = store.environment(name) if store.exists(name) else make(engine, name)
        return archive(
            store, env, tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}.venvoy.tar.zst", actor=actor, **given
        )

    return made


@pytest.fixture
def elsewhere(settings, tmp_path, wheelhouse, index, monkeypatch) -> Store:
    """Another machine, with an index that has nothing."""

    def moved() -> Store:
        for wheel in wheelhouse.folder.iterdir():
            wheel.unlink()
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "no-cache"))
        return Store(replace(settings, home=tmp_path / "elsewhere", projects=tmp_path / "their-projects"))

    return moved


def versions(store: Store, name: str = "demo") -> dict[str, str]:
    return {each.name: each.version for each in observe(store, store.environment(name)).packages}


def says(env, *argv: str) -> str:
    return process.run(runtimes.get(env.runtime).command(env, Job(argv=argv, cwd=Path("/"))), timeout=120).strip()


def imports(store: Store) -> list[Path]:
    folder = store.settings.home / "scratch"
    return list(folder.iterdir()) if folder.exists() else []


@pytest.mark.parametrize(
    ("source", "target"),
    [("docker", "podman"), ("docker", "apptainer"), ("podman", "docker")],
)
def test_what_was_packed_in_one_runtime_is_made_in_any(source, target, packed, runtime, elsewhere, store, actor):
    runtime(target)
    result = packed(source)
    before = versions(store)
    there = elsewhere()

    made = import_archive(there, result.packed.path, actor=actor, wanted=Wanted(runtime=target, resources=OFF))

    env = made.environment
    assert result.tier == "image"
    assert (env.runtime, versions(there)) == (target, before)
    assert made.remarks == ()
    image = env.container.image
    assert result.image in (image.digest, image.made_of)
    assert there.environment("demo").container == env.container
    assert env.container.home is not None
    assert says(env, "python", "-c", "import alpha, beta; print(beta.said())") == "beta"
    assert imports(there) == []
    report = verify_environment(there, env)
    assert (report.reached, report.deviations) == ("L3", ())
    assert "with no network" in report.checked["L3"]
    assert any(each.startswith("base: ") and result.image in each for each in report.notes)


@pytest.mark.parametrize(("source", "target"), [("apptainer", "docker"), ("apptainer", "singularity")])
def test_a_sif_is_carried_as_an_image_of_one_layer(source, target, packed, runtime, elsewhere, store, actor):
    runtime(target)
    result = packed(source)
    before, sif = versions(store), store.environment("demo").container.image.digest
    there = elsewhere()

    made = import_archive(there, result.packed.path, actor=actor, wanted=Wanted(runtime=target, resources=OFF))

    image = made.environment.container.image
    assert versions(there) == before
    assert made.manifest.said["image"]["sif"] == sif
    assert result.image in (image.digest, image.made_of)
    assert image.search.startswith("/usr/local/sbin") or image.file
    assert says(made.environment, "python", "-c", "import beta; print(beta.said())") == "beta"


def test_the_image_is_the_same_to_the_byte_whoever_packed_it(packed, store, tmp_path):
    sums = set()
    for source, name in (("docker", "one"), ("docker", "one"), ("podman", "two")):
        manifest = unpack(packed(source, name).packed.path, tmp_path / f"out-{len(list(tmp_path.iterdir()))}")
        sums.add((manifest.members["image.tar"].sha256, manifest.said["image"]["digest"]))
        with tarfile.open(next(tmp_path.glob("out-*")) / "image.tar") as image:
            assert {"index.json", "oci-layout", "manifest.json"} <= set(image.getnames())

    assert len(sums) == 1


def test_packed_twice_it_has_the_same_bytes(packed):
    assert packed("docker").packed.sha256 == packed("docker").packed.sha256


def test_the_same_sif_gives_the_same_image(packed):
    assert packed("apptainer").image == packed("apptainer").image


def test_as_a_plain_folder_it_has_the_files_of_the_image_and_of_the_packages(packed, store, tmp_path):
    file = packed("docker").packed.path
    prefix = store.environment("demo").prefix

    laid = lay_out(file, tmp_path / "laid")

    site = tmp_path / "laid/prefix/lib/python3.11/site-packages"
    assert (tmp_path / "laid/rootfs/etc/debian_version").exists()
    assert (tmp_path / "laid/prefix/bin/python").readlink() == Path("/usr/bin/python3")
    assert (site / "alpha/data.txt").read_text() == "data\n"
    assert (laid.packages, laid.devices) == (2, 8)
    assert laid.files > 4
    assert {each.name: each.version for each in inventory.packages(tmp_path / "laid/prefix")} == versions(store)
    assert trees(tmp_path / "laid/prefix") == trees(prefix)
    assert not (tmp_path / "laid/image.tar").exists()
    assert (tmp_path / "laid/prefix/bin/alpha").read_text().startswith("#!/venvoy/env/bin/python\n")
    shown = laid_out_view(laid).data
    [page] = re.findall(
        r"^```json import-archive-folder\n(.*?)^```", (DOCS / "json.md").read_text(), re.MULTILINE | re.DOTALL
    )
    assert shown.keys() == json.loads(page).keys()


def test_the_plain_folder_runs_by_whatever_takes_one(packed, runtime, tmp_path):
    runtime("apptainer")
    lay_out(packed("docker").packed.path, tmp_path / "laid")

    ran = subprocess.run(
        ["apptainer", "--quiet", "exec", "--bind", f"{tmp_path}/laid/prefix:/venvoy/env", tmp_path / "laid/rootfs",
         "/venvoy/env/bin/python", "-c", "import beta; print(beta.said())"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert (ran.stdout, ran.returncode) == ("beta\n", 0), ran.stderr


def trees(prefix: Path) -> dict[str, str]:
    return {each.name: recorded.tree(each) for each in inventory.distributions(prefix)}


def uses(target: str) -> set[str]:
    """What notes, in an engine's own store, that somebody's environment made for `verify` uses an image."""
    engine = runtimes.get(target)
    if not isinstance(engine, OciRuntime):
        return set()
    names = {name for each in image_uses.listed(engine) for name in each["RepoTags"] or ()}
    return {name for name in names if name.startswith(image_uses.USED) and name.endswith("-rebuilt")}


@pytest.mark.parametrize("target", ["docker", "apptainer"])
def test_an_archive_is_verified_in_any_runtime_and_leaves_nothing(packed, runtime, elsewhere, target):
    runtime(target)
    result = packed("podman")
    there, before = elsewhere(), uses(target)

    report = verify_archive(there, result.packed.path, wanted=Wanted(runtime=target, resources=OFF))

    assert (report.reached, report.deviations) == ("L3", ())
    assert f"uv in {target} with no network" in report.checked["L3"]
    assert "every layer of its image has its digest" in report.checked["L0"]
    assert any(each.startswith("base: ") and result.image in each for each in report.notes)
    assert there.names() == ()
    assert imports(there) == []
    assert not list((there.settings.home / "images").glob("*"))
    assert uses(target) <= before


def test_an_import_that_fails_late_leaves_the_environment_as_it_was_asked_for(
    packed, elsewhere, actor, tmp_path, monkeypatch
):
    file = packed("podman").packed.path
    there, data = elsewhere(), tmp_path / "data"
    data.mkdir()
    wanted = Wanted(runtime="podman", resources=Resources(network="host"), mounts=(Mount(source=data, target="/data"),))

    def full(*_words: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("venvoy.actions.import_archive._keep_files", full)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        import_archive(there, file, actor=actor, wanted=wanted)

    container = there.environment("demo").container
    assert (container.apart, container.resources.network) == (False, "host")
    assert [each.target for each in container.mounts if each.source == data] == ["/data"]


def test_on_this_machine_the_base_is_another_and_that_is_said(packed, elsewhere, actor, pythons):
    if "3.11" not in pythons:
        pytest.skip("not obtainable: no Python 3.11 on this machine")
    result = packed("docker")
    there = elsewhere()

    made = import_archive(there, result.packed.path, actor=actor, wanted=Wanted(runtime="venv"))
    report = verify_archive(there, result.packed.path, wanted=Wanted(runtime="venv"))

    assert made.environment.container is None
    assert "the base was not compared" in made.remarks[0]
    assert any("not the image that was packed" in each for each in report.notes)


def test_what_was_packed_on_this_machine_is_made_in_a_container(make_here, runtime, image, elsewhere, actor):
    found = runtime("podman")
    file = make_here()
    there = elsewhere()
    wanted = Wanted(runtime="podman", image=image(found, "python:3.11"), resources=OFF)

    made = import_archive(there, file, actor=actor, wanted=wanted)

    assert made.environment.runtime == "podman"
    assert "the base was not compared" in made.remarks[0]
    assert says(made.environment, "python", "-c", "import beta; print(beta.said())") == "beta"


def test_without_its_image_the_one_that_is_here_is_taken_by_its_digest(packed, runtime, image, store, actor, elsewhere):
    result = packed("podman", tier="packages")
    digest = store.environment("demo").container.image.digest
    there = elsewhere()

    made = import_archive(there, result.packed.path, actor=actor, wanted=Wanted(runtime="podman", resources=OFF))
    other = Wanted(runtime="podman", image=image(runtime("podman"), "python:3.9"), resources=OFF)

    assert (result.image, made.manifest.said["image"]["digest"]) == ("", digest)
    assert "image.tar" not in made.manifest.members
    assert made.environment.container.image.digest == digest
    with pytest.raises(RuntimeUnavailable, match=r"is for Python 3\.11, and its packages do not fit Python 3\.9"):
        import_archive(there, result.packed.path, actor=actor, name="old", wanted=other)
    assert there.names() == ("demo",)


@pytest.fixture
def make_here(store, actor, index, pythons, tmp_path):
    def made() -> Path:
        if "3.11" not in pythons:
            pytest.skip("not obtainable: no Python 3.11 on this machine")
        (tmp_path / "listed.txt").write_text("alpha\n")
        plan = Plan(name="demo", python=str(pythons["3.11"]), requirements=tmp_path / "listed.txt")
        env = create(store, plan, actor=actor)
        return archive(store, env, tmp_path / "here.venvoy.tar.zst", actor=actor).packed.path

    return made
