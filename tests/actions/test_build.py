"""An environment in a container, written down and built by the real engines: the same packages are in what comes out."""

import json
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from venvoy.actions.build import Wished, build
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import Found, usable
from venvoy.actions.export import Order, export
from venvoy.actions.freeze import freeze
from venvoy.actions.install import install
from venvoy.actions.observe import observe
from venvoy.errors import CommandFailed, InvalidInput, RuntimeUnavailable
from venvoy.frontends.views.containers import built_view
from venvoy.model import Resources
from venvoy.settings import Policy

DOCS = Path(__file__).parents[2] / "docs/json.md"
IMAGES = ("dockerfile", "docker-compose", "apptainer")
LOOK = (
    "import importlib.metadata as m, json, sys; "
    "print(json.dumps(sorted([d.metadata['Name'], d.version] for d in m.distributions(path=[p for p in sys.path if 'venv' in p]))))"
)


@pytest.fixture(params=("docker", "podman", "apptainer"))
def engine(request, detected) -> Found:
    """Each that builds in a way of its own, in turn."""
    return usable(detected.named(request.param))


def tool(wheelhouse):
    says = {"tool/__init__.py": "def main(): print(1)\n"}
    wheelhouse.add("tool", requires=("marker>=1",), scripts={"tool-says": "tool:main"}, files=says)


@pytest.fixture
def online(engine, image, store, actor, light, mirror_index, monkeypatch):
    """`demo` in each runtime, with tool and marker from a mirror of the public index that this machine has."""
    tool(light)
    wanted = Wanted(runtime=engine.name, image=image(engine, "python:3.11"), resources=Resources(network="host"))
    kind, container = contain(store, wanted, Policy())
    config = store.settings.user_home / ".config/uv/uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text(f'[[index]]\nurl = "{mirror_index.url}"\ndefault = true\n')
    monkeypatch.setenv("PIP_INDEX_URL", mirror_index.url)
    monkeypatch.delenv("PIP_NO_INDEX")
    env = create(store, Plan(name="demo", runtime=kind, container=container), actor=actor)
    install(store, env, ("tool", "marker==1.0"), actor=actor)
    freeze(store, env, actor=actor)
    return store.environment("demo")


def ran(*argv: str | Path, cwd: Path | None = None, **said: Any) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False, **said)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


BUILD = """
import sys
from pathlib import Path
from venvoy import settings
from venvoy.actions.build import Wished, build
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.install import install
from venvoy.model import Actor
from venvoy.store import Store

store, actor = Store(settings.current()), Actor(kind="command", command="test")
kind, container = contain(store, Wanted(runtime="apptainer", image=sys.argv[1]), settings.Policy())
env = create(store, Plan(name="demo", runtime=kind, container=container), actor=actor)
install(store, env, ("tool", "marker==1.0"), actor=actor)
print(build(store, env, Wished(file=Path(sys.argv[2])), actor=actor).recipe.text)
"""


def seen(engine, what: str | Path) -> list[list[str]]:
    """The packages that are in an image beside its own, as its own Python sees them."""
    if engine.engine in ("docker", "podman"):
        return json.loads(ran(engine.name, "run", "--rm", what, "python", "-c", LOOK))
    return json.loads(ran(engine.name, "exec", "--cleanenv", what, "python", "-c", LOOK))


def installed(store, env) -> list[list[str]]:
    return sorted([each.name, each.version] for each in observe(store, env).packages)


@pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)
def test_what_export_writes_is_built_by_the_engine_itself(online, engine, store, actor, tmp_path, mirror_index):
    """As somebody without venvoy would do it."""
    done = export(store, "demo", Order(form="dockerfile", target=tmp_path / "Dockerfile"), actor=actor)
    tag = f"venvoy-test/built-{os.getpid()}"
    with_index = ("--network", "host", "--build-arg", f"PIP_INDEX_URL={mirror_index.url}")

    ran(engine.name, "build", *with_index, "--tag", tag, "--file", tmp_path / "Dockerfile", ".", cwd=tmp_path)

    try:
        assert mirror_index.address not in done.text
        assert done.lacking == ()
        assert seen(engine, tag) == installed(store, online) == [["marker", "1.0"], ["tool", "1.0"]]
        assert ran(engine.name, "run", "--rm", tag, "tool-says") == "1\n"
        assert ran(engine.name, "run", "--rm", tag, "id", "-u") == "1000\n"
        config = json.loads(ran(engine.name, "image", "inspect", tag))[0]["Config"]
        assert mirror_index.address not in json.dumps(config)
    finally:
        ran(engine.name, "rmi", "--force", tag)


def test_a_user_without_rights_builds_a_sif_from_the_sif_they_have(somebody, detected, image_file, light, mirror_index):
    """From a SIF of their own making: one that root made has device nodes, which users cannot unpack."""
    apptainer = usable(detected.named("apptainer"))
    tool(light)
    base, built = somebody.folder / "base.sif", somebody.folder / "built.sif"
    quick = ("--mksquashfs-args", "-comp zstd -Xcompression-level 3")
    caches = {"APPTAINER_CACHEDIR": str(somebody.folder / "cache"), "APPTAINER_TMPDIR": str(somebody.folder)}
    somebody.run("apptainer", "build", *quick, base, f"docker-archive:{image_file('python:3.11')}", **caches)

    index = {"UV_DEFAULT_INDEX": mirror_index.url, "PIP_INDEX_URL": mirror_index.url}
    definition = somebody.run(somebody.python, "-c", BUILD, base, built, **caches, **index)

    assert f"Bootstrap: localimage\nFrom: {base}\n" in definition
    assert mirror_index.address not in definition
    assert seen(apptainer, built) == [["marker", "1.0"], ["tool", "1.0"]]
    assert ran("apptainer", "exec", "--cleanenv", built, "tool-says") == "1\n"


@pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)
def test_build_gives_an_image_with_the_same_packages(online, engine, store, actor):
    done = build(store, online, Wished(tag=f"venvoy-test/build-{os.getpid()}:1"), actor=actor)

    try:
        assert seen(engine, done.tag) == installed(store, online)
        assert done.runtime == engine.name
        documented = re.search(r"^```json build\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
        assert built_view("demo", done).data.keys() == json.loads(documented[1]).keys()
        assert done.digest.startswith("sha256:")
    finally:
        ran(engine.name, "rmi", "--force", done.tag)


@pytest.mark.parametrize("engine", ["apptainer"], indirect=True)
def test_build_gives_a_sif_or_says_why_not_and_leaves_nothing(online, engine, store, actor, tmp_path):
    file = tmp_path / "demo.sif"
    with pytest.raises(InvalidInput, match="is no file that it loads"):
        build(store, online, Wished(runtime="docker"), actor=actor)
    if _lacks_capabilities():
        with pytest.raises(CommandFailed) as refused:
            build(store, online, Wished(file=file), actor=actor)
        assert re.search(r"uid and gids|capability|exit status 2", refused.value.hint)
        assert list(tmp_path.glob(".*")) == []
        assert not file.exists()
        return
    done = build(store, online, Wished(file=file), actor=actor)

    assert done.digest.startswith("sha256:")
    assert seen(engine, file) == installed(store, online)


def _lacks_capabilities() -> bool:
    """Whether we are a root to whom the system forbids something (CAP_SYS_RESOURCE), as in many containers."""
    said = re.search(r"CapEff:\s*([0-9a-f]+)", Path("/proc/self/status").read_text())
    return os.getuid() == 0 and not int(said[1], 16) >> 24 & 1


def test_the_three_files_in_the_folder_are_those_that_export_writes_once_it_is_frozen(online, store, actor):
    for form, name in zip(IMAGES, ("Dockerfile", "compose.yaml", "apptainer.def"), strict=True):
        kept = (store.folder("demo") / name).read_text()
        assert kept == export(store, "demo", Order(form=form), actor=actor).text
        assert "--hash=sha256:" in kept


def test_they_follow_what_is_installed_and_name_by_version_what_has_no_hash_yet(online, store, actor, light):
    light.add("later", "3.0")

    install(store, online, ("later",), actor=actor)

    text = (store.folder("demo") / "Dockerfile").read_text()
    assert "'later==3.0'" in text
    assert "'marker==1.0 --hash=sha256:" in text


def test_a_recipe_that_cannot_be_written_does_not_lose_the_record(online, store, actor, light):
    light.add("later", "3.0")
    for name in ("Dockerfile", "compose.yaml", "apptainer.def"):
        (store.folder("demo") / name).unlink()
        (store.folder("demo") / name / "in the way").mkdir(parents=True)

    entry = install(store, online, ("later",), actor=actor)

    assert entry.event == "change"


# --- other platforms -------------------------------------------------------------------------------------------------


def test_several_platforms_need_an_engine_that_can(online, engine, store, actor):
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    if engine.name == "apptainer":
        with pytest.raises(InvalidInput, match="one file, for this machine"):
            build(store, online, Wished(platforms=(own,)), actor=actor)
        return
    has_buildx = (
        engine.engine == "podman"
        or not subprocess.run([engine.name, "buildx", "version"], capture_output=True, check=False).returncode
    )
    if not has_buildx:
        with pytest.raises(RuntimeUnavailable, match="has no buildx"):
            build(store, online, Wished(platforms=(own,)), actor=actor)
        return
    tag = f"localhost/venvoy-test/several-{os.getpid()}:1"
    build(store, online, Wished(platforms=(own,), tag=tag), actor=actor)
    try:
        assert seen(engine, tag) == installed(store, online)
        install(store, online, ("marker==2.0",), actor=actor)
        build(store, online, Wished(platforms=(own,), tag=tag), actor=actor)
        assert ["marker", "2.0"] in installed(store, online)
        assert seen(engine, tag) == installed(store, online)
    finally:
        ran(engine.name, "manifest", "rm", tag)


@pytest.mark.parametrize("engine", ["podman"], indirect=True)
def test_several_platforms_take_their_name_from_an_image_and_nothing_else_and_only_when_they_are_built(
    online, engine, store, actor, monkeypatch
):
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}[platform.machine()]
    tag, other = (f"localhost/venvoy-test/{name}-{os.getpid()}:1" for name in ("taken", "kept"))
    ran(engine.name, "tag", online.container.image.reference, tag)
    ran(engine.name, "tag", tag, other)
    before = ran(engine.name, "image", "inspect", "--format", "{{.Id}}", tag)

    try:
        with monkeypatch.context() as broken:
            broken.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
            with pytest.raises(CommandFailed):
                build(store, online, Wished(platforms=(own,), tag=tag), actor=actor)
        stands = ran(engine.name, "image", "inspect", "--format", "{{.Id}}", tag)
        build(store, online, Wished(platforms=(own,), tag=tag), actor=actor)

        assert (stands, seen(engine, tag)) == (before, installed(store, online))
        assert ran(engine.name, "image", "inspect", "--format", "{{.Id}}", other) == before
        assert "venvoy-building" not in ran(engine.name, "images", "--all")
    finally:
        ran(engine.name, "manifest", "rm", tag)
        ran(engine.name, "untag", other, other)


@pytest.mark.parametrize("engine", ["docker"], indirect=True)
@pytest.mark.parametrize("said", ["linux", "arm64", "linux/ARM64", "linux/arm64;true", "windows/amd64", "--push"])
def test_what_is_no_platform_is_refused(said, engine, online, store, actor):
    with pytest.raises(InvalidInput, match="no platform of images"):
        build(store, online, Wished(platforms=(said,)), actor=actor)
