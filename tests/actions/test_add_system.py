"""Packages of an image's system: put into a new image by its own apt, taken out, and gone back from.

The repository lies in the image itself, made of packages of a few files, so no mirror is asked.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from venvoy.actions.add_system import add_system, remove_system
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import Found, usable
from venvoy.actions.go_back import go_back
from venvoy.actions.install import install
from venvoy.actions.observe import observe
from venvoy.actions.plan import plan
from venvoy.actions.points import point
from venvoy.actions.undo import undo
from venvoy.errors import CommandFailed, InvalidInput, KernelUnusable
from venvoy.frontends.views.containers import extended_view
from venvoy.model import Command, Job
from venvoy.process import run
from venvoy.runtimes import get
from venvoy.settings import Policy

BREAKS = "#!/bin/sh\nrm -f /usr/bin/python3 /usr/bin/python\n"


def deb(folder: Path, name: str, version: str, *, needs: str = "", after: str = "") -> None:
    tree = folder / "tree"
    said = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: t <t@example.org>\nDescription: x\n"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(said + (f"Depends: {needs}\n" if needs else ""))
    if after:
        (tree / "DEBIAN/postinst").write_text(after)
        (tree / "DEBIAN/postinst").chmod(0o755)
    (tree / "opt").mkdir()
    (tree / f"opt/{name}").write_text(f"{name} {version}\n")
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, folder], check=True, capture_output=True)
    shutil.rmtree(tree)


@pytest.fixture(params=("docker", "podman", "apptainer"))
def engine(request, detected) -> Found:
    """Each that builds in a way of its own, in turn."""
    return usable(detected.named(request.param))


@pytest.fixture(scope="session")
def repository(tmp_path_factory) -> Path:
    """hello 1.0 and 2.0, which need hello-data; and one that takes Python away."""
    folder = tmp_path_factory.mktemp("apt") / "repo"
    folder.mkdir()
    for version in ("1.0", "2.0"):
        deb(folder, "hello", version, needs="hello-data")
    deb(folder, "hello-data", "1.5")
    deb(folder, "farewell", "3.0")
    deb(folder, "breaker", "1.0", after=BREAKS)
    listed = subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=folder, check=True, capture_output=True).stdout
    (folder / "Packages").write_bytes(listed)
    return folder


@pytest.fixture(scope="session")
def with_apt(repository, image, tmp_path_factory):
    """What `--image` takes for an image whose apt knows that repository, in each runtime."""
    ready: dict[str, str] = {}

    def made(engine) -> str:
        if engine.engine in ready:
            return ready[engine.engine]
        base, source = image(engine, "python:3.11"), "deb [trusted=yes] file:/opt/repo ./"
        settle = f"echo '{source}' >/etc/apt/sources.list; rm -f /etc/apt/sources.list.d/*"
        folder = repository.parent
        if engine.engine in ("docker", "podman"):
            (folder / "Dockerfile").write_text(f"FROM {base}\nCOPY repo /opt/repo\nRUN {settle}\n")
            name = f"venvoy-test/apt-{os.getpid()}:3.11"  # each worker removes its own
            argv = [engine.name, "build", "--tag", name, folder]
        else:
            box, name = tmp_path_factory.mktemp("sif") / "box", str(tmp_path_factory.mktemp("sif") / "apt.sif")
            start = re.search(r"\|(\d+)-\d+ *\|FS", run(Command(argv=(engine.name, "sif", "list", base))))[1]
            subprocess.run(["unsquashfs", "-no-xattrs", "-o", start, "-d", box, base], check=True, capture_output=True)
            shutil.copytree(repository, box / "opt/repo")
            (box / "etc/apt/sources.list").write_text(f"{source}\n")
            argv = [engine.name, "build", "--mksquashfs-args", "-comp zstd -Xcompression-level 3", name, box]
        subprocess.run(argv, check=True, capture_output=True)
        ready[engine.engine] = name
        return name

    yield made
    for engine in ready.keys() - {"apptainer"}:
        gone(engine, ready[engine])


def gone(engine: str, image: str) -> None:
    subprocess.run([engine, "rmi", "--force", image], check=False, capture_output=True)


@pytest.fixture
def env(engine, with_apt, store, actor, light):
    """`demo` in each runtime, with marker 1.0 from the wheelhouse, which is seen inside."""
    wanted = Wanted(runtime=engine.name, image=with_apt(engine), mounts=())
    kind, container = contain(store, wanted, Policy())
    made = create(store, Plan(name="demo", runtime=kind, container=container), actor=actor)
    config = store.settings.user_home / ".config/uv/uv.toml"
    config.parent.mkdir(parents=True)
    shelf = store.settings.user_home / "wheels"
    shutil.copytree(light.folder, shelf)
    config.write_text(f'[pip]\nno-index = true\nfind-links = ["{shelf}"]\n')
    yield made
    if engine.name != "apptainer":
        for each in store.image_notes("demo"):
            if each.digest != container.image.digest:
                gone(engine.name, each.digest.removeprefix("sha256:"))


def inside(env, *argv: str) -> str:
    return run(get(env.runtime).command(env, Job(argv=argv, cwd=Path("/"))))


def said(store) -> str:
    return (store.folder("demo") / "config.yaml").read_text()


def test_they_are_in_a_new_image_that_is_on_record_and_can_be_left_again(env, store, actor):
    install(store, env, ("marker==1.0",), actor=actor)
    first = observe(store, env)

    done = add_system(store, env, ("hello=1.0",), actor=actor)

    now = store.environment("demo")
    assert now == done.environment
    assert now.container.image.digest != env.container.image.digest
    assert now.container.image.origin == env.container.image.digest
    assert (now.prefix, now.generation) == (env.prefix, env.generation)
    assert now.container.image.system_packages == ("hello=1.0",)
    assert "system_packages:\n  - hello=1.0\n" in said(store)
    assert [(each.name, each.version) for each in done.changes.added] == [("hello", "1.0"), ("hello-data", "1.5")]
    assert inside(now, "cat", "/opt/hello") == "hello 1.0\n"
    assert inside(now, "python", "-c", "import marker; print(marker.__version__)") == "1.0\n"
    assert extended_view("demo", done).head == "demo: 2 packages of its image changed."
    entry = store.history("demo").last()
    assert (entry.event, entry.actor, entry.asked[0].tool, entry.asked[0].names) == ("change", actor, "apt", ("hello",))
    assert entry.stands_on.digest == now.container.image.digest

    returned = undo(store, now, actor=actor)

    assert not returned.built
    assert returned.environment.container.image == env.container.image
    assert store.environment("demo").container.image == env.container.image
    assert observe(store, returned.environment) == first
    assert inside(returned.environment, "sh", "-c", "test -e /opt/hello || echo none") == "none\n"
    assert store.history("demo").last().event == "undo"
    assert "system_packages" not in said(store)


def test_two_who_add_at_once_take_nothing_from_each_other(env, store, actor):
    """Each has read the environment before it waits for the other."""
    add_system(store, env, ("hello",), actor=actor)
    add_system(store, env, ("farewell",), actor=actor)

    assert store.environment("demo").container.image.system_packages == ("farewell", "hello")


def test_whoever_takes_back_after_waiting_takes_back_what_stands_by_then(env, store, actor):
    add_system(store, env, ("hello",), actor=actor)
    before = store.history("demo").entries()

    undo(store, env, actor=actor)

    assert store.environment("demo").container.image == env.container.image
    entries = store.history("demo").entries()
    assert entries[: len(before)] == before
    assert [each.event for each in entries[len(before) :]] == ["undo"]


def test_a_point_before_both_a_package_and_an_image_is_gone_back_to_and_forth(env, store, actor):
    history = store.history("demo")
    install(store, env, ("marker==1.0",), actor=actor)
    add_system(store, store.environment("demo"), ("farewell",), actor=actor)
    install(store, store.environment("demo"), ("marker==2.0",), actor=actor)
    there = store.environment("demo")

    def named(number: int):
        return point(history, str(number), look=lambda: observe(store, store.environment("demo")))

    assert plan(store, there, named(2)).changes.base
    back = go_back(store, there, named(2), actor=actor).environment
    assert back.container.image == env.container.image
    assert inside(back, "python", "-c", "import marker; print(marker.__version__)") == "1.0\n"

    forth = go_back(store, back, named(4), actor=actor).environment
    assert forth.container.image == there.container.image
    assert inside(forth, "cat", "/opt/farewell") == "farewell 3.0\n"
    assert inside(forth, "python", "-c", "import marker; print(marker.__version__)") == "2.0\n"


def test_those_that_were_added_are_taken_out_again_and_no_others(env, store, actor):
    add_system(store, env, ("hello", "farewell"), actor=actor)

    with pytest.raises(InvalidInput, match="dpkg was not added"):
        remove_system(store, store.environment("demo"), ("dpkg",), actor=actor)
    done = remove_system(store, store.environment("demo"), ("hello",), actor=actor)

    assert done.environment.container.image.system_packages == ("farewell",)
    assert done.environment.container.image.origin == env.container.image.digest
    assert [each.name for each in done.changes.removed] == ["hello", "hello-data"]
    assert inside(done.environment, "sh", "-c", "ls /opt") == "farewell\nrepo\n"
    last = remove_system(store, done.environment, ("farewell",), actor=actor)
    assert last.environment.container.image == env.container.image


@pytest.mark.parametrize(
    ("packages", "error", "words"),
    [
        (("nosuch",), CommandFailed, "Unable to locate package nosuch"),
        (("breaker",), KernelUnusable, "another Python"),
        (("--allow-unauthenticated",), InvalidInput, "no package of a system"),
        (("hello; rm -rf /",), InvalidInput, "no package of a system"),
        (("hello\nUSER root",), InvalidInput, "no package of a system"),
    ],
)
def test_what_fails_leaves_all_as_it_was(env, store, actor, packages, error, words):
    before = (said(store), store.history("demo").entries(), store.image_notes("demo"))

    with pytest.raises(error) as refused:
        add_system(store, env, packages, actor=actor)

    assert words in str(refused.value)
    assert (said(store), store.history("demo").entries(), store.image_notes("demo")) == before
    assert observe(store, store.environment("demo")) == observe(store, env)


def test_what_is_there_already_changes_nothing_but_the_list(env, store, actor):
    add_system(store, env, ("farewell",), actor=actor)
    done = add_system(store, store.environment("demo"), ("farewell",), actor=actor)

    assert done.changes is None
    assert store.environment("demo").container.image.system_packages == ("farewell",)


def test_an_environment_in_no_container_is_refused(init, store, actor):
    made = init()

    with pytest.raises(InvalidInput, match="in no container"):
        add_system(store, made, ("hello",), actor=actor)
    with pytest.raises(InvalidInput, match="in no container"):
        remove_system(store, made, ("hello",), actor=actor)


def test_the_recipes_have_all_of_them_with_their_versions(env, store, actor):
    add_system(store, env, ("hello=1.0",), actor=actor)

    for name in ("Dockerfile", "compose.yaml", "apptainer.def"):
        text = (store.folder("demo") / name).read_text()
        assert "hello-data=1.5 \\\n" in text, name
        assert "hello=1.0 \\\n" in text, name
    undo(store, store.environment("demo"), actor=actor)
    assert "hello" not in (store.folder("demo") / "Dockerfile").read_text()


def test_a_step_of_the_system_is_run_by_root_and_the_image_keeps_its_user(with_apt, detected, store, actor, tmp_path):
    docker = usable(detected.named("docker"))
    (tmp_path / "Dockerfile").write_text(f"FROM {with_apt(docker)}\nUSER 1234\n")
    kind, container = contain(store, Wanted(runtime="docker", image=str(tmp_path / "Dockerfile")), Policy())
    env = create(store, Plan(name="demo", runtime=kind, container=container), actor=actor)

    done = add_system(store, env, ("farewell",), actor=actor)

    digest = done.environment.container.image.digest
    asked = ["docker", "image", "inspect", "--format", "{{.Config.User}}", digest]
    assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == "1234\n"
