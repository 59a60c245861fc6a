"""A lock of what is installed: every file with url and hash, and by name what has none."""

import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import uv
from packaging import pylock
from packaging.utils import parse_wheel_filename

from venvoy import inventory
from venvoy.actions.freeze import PUBLIC, Frozen, freeze
from venvoy.actions.install import install as install_into
from venvoy.actions.observe import observe
from venvoy.actions.status import status
from venvoy.actions.verify import verify_environment
from venvoy.errors import CommandFailed
from venvoy.formats.snapshot_json import digest
from venvoy.history import History
from venvoy.inventory import recorded
from venvoy.model import Environment

SCIENCE = ("numpy", "pandas", "matplotlib", "scikit-learn", "requests", "jupyter-client", "nbformat", "rich", "docopt")


@pytest.fixture
def history(store) -> History:
    return store.history("demo")


@pytest.fixture
def frozen(store, actor) -> Callable[[Environment], Frozen]:
    return lambda env: freeze(store, env, actor=actor)


def install(env: Environment, *words: str | Path) -> None:
    argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, *words]
    subprocess.run(argv, check=True)


def lock_of(history: History) -> Mapping[str, Any]:
    return tomllib.loads((history.folder / "pylock.toml").read_text())


def reasons(frozen: Frozen) -> dict[str, str]:
    return {each.package.name: each.reason for each in frozen.unpinned}


def project(folder: Path, name: str) -> Path:
    """A project that builds without any index."""
    (folder / name).mkdir(parents=True)
    (folder / name / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1.0"\n[build-system]\nrequires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    )
    (folder / name / "build.py").write_text(
        "import zipfile, pathlib\n"
        f"NAME, INFO = '{name}', '{name}-1.0.dist-info'\n"
        "def build_wheel(folder, settings=None, metadata=None):\n"
        "    wheel = f'{NAME}-1.0-py3-none-any.whl'\n"
        "    with zipfile.ZipFile(pathlib.Path(folder, wheel), 'w') as archive:\n"
        "        archive.writestr(f'{NAME}.py', '')\n"
        "        archive.writestr(f'{INFO}/METADATA', f'Metadata-Version: 2.1\\nName: {NAME}\\nVersion: 1.0\\n')\n"
        "        archive.writestr(f'{INFO}/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')\n"
        "        archive.writestr(f'{INFO}/RECORD', f'{NAME}.py,,\\n{INFO}/METADATA,,\\n{INFO}/WHEEL,,\\n{INFO}/RECORD,,\\n')\n"
        "    return wheel\n"
        "build_editable = build_wheel\n"
    )
    return folder / name


# --- the lock --------------------------------------------------------------------------------------------------------


def test_what_a_mirror_has_is_pinned_to_the_public_address(make, wheelhouse, mirror_index, frozen, history):
    wheel = wheelhouse.add("alpha", "1.0", requires=("beta>=1",))
    wheelhouse.add("beta", "2.0")
    wheelhouse.add("beta", "1.0")
    env = make("demo", "alpha")

    result = frozen(env)

    said = {each["name"]: each for each in lock_of(history)["packages"]}
    assert set(said) == {"alpha", "beta", "pip"}
    assert said["beta"]["version"] == "2.0"
    assert said["alpha"]["wheels"][0]["url"] == f"{PUBLIC}{mirror_index.path(wheel).removeprefix('/packages/')}"
    assert (result.unpinned, result.path) == ((), history.folder / "pylock.toml")


def test_no_address_of_the_mirror_stands_in_the_lock(make, wheelhouse, mirror_index, frozen):
    wheelhouse.add("alpha")

    assert "127.0.0.1" not in frozen(make("demo", "alpha")).path.read_text()


def test_a_lock_of_the_same_state_is_the_same_to_the_byte(make, wheelhouse, mirror_index, frozen):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")

    assert frozen(env).path.read_bytes() == frozen(env).path.read_bytes()


def test_the_lock_tells_what_was_asked_for(make, wheelhouse, mirror_index, frozen, history):
    wheelhouse.add("alpha", requires=("beta",))
    wheelhouse.add("beta")
    wheelhouse.add("gamma")

    frozen(make("demo", "alpha", "gamma"))

    assert lock_of(history)["tool"]["venvoy"]["direct"] == ["alpha", "gamma"]


def test_the_wheel_that_was_installed_is_the_one_that_is_pinned(make, wheelhouse, mirror_index, frozen, history):
    wheelhouse.add("alpha", tag="py2.py3-none-any")
    env = make("demo", "alpha")
    wheelhouse.add("alpha", tag="cp312.cp311.cp310.cp39.cp313-none-any")

    frozen(env)

    (alpha,) = (each for each in lock_of(history)["packages"] if each["name"] == "alpha")
    assert [each["name"] for each in alpha["wheels"]] == ["alpha-1.0-py2.py3-none-any.whl"]


def test_a_freeze_is_written_into_the_record(make, wheelhouse, mirror_index, frozen, history):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")
    before = len(history.entries())

    frozen(env)

    assert len(history.entries()) == before + 1
    assert history.last().event == "freeze"
    assert history.snapshot(history.last().snapshot)


def test_a_change_that_nobody_recorded_is_recorded_before_it_is_frozen(make, wheelhouse, mirror_index, frozen, history):
    wheelhouse.add("alpha")
    env = make("demo")
    install(env, "alpha")

    frozen(env)

    assert [each.event for each in history.entries()] == ["change", "change", "freeze"]
    assert "alpha==1.0" in history.latest.read_text()


def test_freezing_is_told_as_it_goes(make, wheelhouse, mirror_index, store, actor):
    alpha = wheelhouse.add("alpha")
    env = make("demo", "alpha")
    alpha.unlink()
    heard = []

    freeze(store, env, actor=actor, on_line=heard.append)

    assert heard == ["alpha 1.0 is not on the index"]


def test_settings_of_a_project_around_us_do_not_change_the_lock(
    make, wheelhouse, mirror_index, frozen, tmp_path, monkeypatch
):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.uv]\noverride-dependencies = ["alpha==9"]\nexclude-newer = "2001-01-01"\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UV_EXCLUDE_NEWER", "2001-01-01")

    assert frozen(env).unpinned == ()


# --- what cannot be pinned -------------------------------------------------------------------------------------------


def test_what_cannot_be_pinned_is_listed_by_name_and_never_dropped(
    make, wheelhouse, mirror_index, frozen, history, tmp_path
):
    wheelhouse.add("alpha")
    cuda = wheelhouse.add("torch", "1.0+cu118")
    env = make("demo", "alpha", "torch")
    cuda.unlink()
    local = shutil.copy(wheelhouse.add("local-wheel"), tmp_path)
    install(env, local, "-e", project(tmp_path, "editable"), project(tmp_path, "folder"))
    ancient = inventory.site_folders(env.prefix)[0] / "ancient-2004d.egg-info"
    ancient.write_text("Metadata-Version: 1.0\nName: ancient\nVersion: 2004d\n")

    result = frozen(env)

    assert reasons(result) == {
        "ancient": "not on the public index",
        "editable": "an editable install: its source is a folder of this machine",
        "folder": "installed from a file or folder of this machine",
        "local-wheel": "installed from a file or folder of this machine",
        "torch": "not on the public index",
    }
    said = lock_of(history)
    assert {each["name"] for each in said["packages"]} == {"alpha", "pip"}
    assert [each["name"] for each in said["tool"]["venvoy"]["unpinned"]] == sorted(reasons(result))
    assert not {"file:", str(tmp_path), "127.0.0.1"} & {
        each for each in ("file:", str(tmp_path), "127.0.0.1") if each in result.path.read_text()
    }


def test_what_a_private_index_has_is_listed_with_its_hash(make, wheelhouse, private_index, frozen, history):
    wheelhouse.add("alpha")

    result = frozen(make("demo", "alpha"))

    assert reasons(result) == {"alpha": "from a private index", "pip": "from a private index"}
    assert all(len(each["sha256"]) == 64 for each in lock_of(history)["tool"]["venvoy"]["unpinned"])
    assert "127.0.0.1" not in result.path.read_text()


def test_several_that_are_gone_from_the_index_are_all_listed(make, wheelhouse, mirror_index, frozen):
    gone = [wheelhouse.add(name) for name in ("py", "py-test", "pytest", "zope.interface", "not", "version")]
    kept = [wheelhouse.add(f"kept-{number}") for number in range(9)]
    wheelhouse.add("pytest", "0.9")
    env = make("demo", *(each.name.partition("-")[0].replace("_", "-") + "==1.0" for each in (*gone, *kept)))
    for each in gone:
        each.unlink()

    result = frozen(env)

    assert set(reasons(result)) == {"py", "py-test", "pytest", "zope-interface", "not", "version"}
    assert set(reasons(result).values()) == {"not on the public index"}


@pytest.mark.parametrize("answer", ["nobody", "error", "unauthorised", "empty"])
def test_an_index_that_does_not_answer_is_not_taken_for_one_without_packages(
    make, wheelhouse, mirror_index, frozen, history, monkeypatch, answer
):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")
    if answer == "empty":
        for each in wheelhouse.folder.iterdir():
            each.unlink()
    address = {"nobody": "http://127.0.0.1:9/simple", "empty": mirror_index.url}.get(answer)
    with _refusing({"error": 500, "unauthorised": 401}.get(answer, 404)) as refusing:
        monkeypatch.setenv("UV_DEFAULT_INDEX", address or refusing)
        monkeypatch.setenv("UV_CACHE_DIR", str(wheelhouse.folder / "cache"))

        with pytest.raises(CommandFailed, match="the package index did not answer as it should") as failed:
            frozen(env)

    assert failed.value.hint
    assert not (history.folder / "pylock.toml").exists()
    assert history.last().event == "change"


def _refusing(status: int):
    import threading
    from contextlib import contextmanager
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

        def log_message(self, *_words: object) -> None:
            pass

    @contextmanager
    def serving():
        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
            server.shutdown()
            thread.join()

    return serving()


# --- direct addresses ------------------------------------------------------------------------------------------------


def test_a_direct_url_is_pinned_with_the_hash_that_uv_did_not_note(make, wheelhouse, mirror_index, frozen, history):
    wheel = wheelhouse.add("alpha")
    env = make("demo")
    install(env, f"alpha @ {mirror_index.address}{mirror_index.path(wheel)}")

    frozen(env)

    (alpha,) = (each for each in lock_of(history)["packages"] if each["name"] == "alpha")
    assert alpha["archive"] == {
        "url": f"{mirror_index.address}{mirror_index.path(wheel)}",
        "hashes": {"sha256": _sha256(wheel)},
    }


def test_a_direct_url_that_is_gone_is_listed(make, wheelhouse, mirror_index, frozen, monkeypatch):
    wheel = wheelhouse.add("alpha")
    env = make("demo")
    install(env, f"alpha @ {mirror_index.address}{mirror_index.path(wheel)}")
    wheel.unlink()
    monkeypatch.setenv("UV_CACHE_DIR", str(wheelhouse.folder / "cache"))

    assert reasons(frozen(env)) == {"alpha": "installed from a URL that gives no such file any more"}


def test_a_repository_on_this_machine_is_listed(make, mirror_index, frozen, tmp_path, monkeypatch):
    env = make("demo")
    place = project(tmp_path, "gitty")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.email=a@b", "-c", "user.name=a", "commit", "-qm", "a"]):
        subprocess.run(["git", *words], cwd=place, check=True)
    install(env, f"gitty @ git+file://{place}")

    assert reasons(frozen(env)) == {"gitty": "installed from a repository that only this machine can reach"}


def test_a_repository_elsewhere_is_pinned_to_its_commit(make, mirror_index, frozen, history):
    env = make("demo")
    info = inventory.site_folders(env.prefix)[0] / "gitty-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: gitty\nVersion: 1.0\n")
    said = {"url": "https://token@h.org/p", "vcs_info": {"vcs": "git", "commit_id": "c" * 40}, "subdirectory": "src"}
    (info / "direct_url.json").write_text(json.dumps(said))

    assert frozen(env).unpinned == ()
    (gitty,) = (each for each in lock_of(history)["packages"] if each["name"] == "gitty")
    assert gitty["vcs"] == {"type": "git", "url": "https://h.org/p", "commit-id": "c" * 40, "subdirectory": "src"}


def _sha256(file: Path) -> str:
    import hashlib

    return hashlib.sha256(file.read_bytes()).hexdigest()


# --- the real index --------------------------------------------------------------------------------------------------


@pytest.fixture
def science(store, actor, tmp_path, pythons) -> Environment:
    from venvoy.actions.create import Plan, create

    listed = tmp_path / "requirements.txt"
    listed.write_text("\n".join(SCIENCE))
    python = next(version for version in ("3.12", "3.11", "3.13") if version in pythons)
    return create(store, Plan(name="demo", python=str(pythons[python]), requirements=listed), actor=actor)


@pytest.mark.network
def test_an_environment_of_a_scientist_is_pinned_completely_and_installable_anywhere(
    science, frozen, store, tmp_path, pythons
):
    """One environment for all, because it takes its time: tags, hashes, and what uv and pip make of the lock."""
    result = frozen(science)
    lock = pylock.Pylock.from_dict(tomllib.loads(result.path.read_text()))
    tags = {each.name: set(each.tags) for each in inventory.distributions(science.prefix)}

    assert result.unpinned == ()
    assert len(lock.packages) == len(tags) > 40
    assert "docopt" in {each.name for each in lock.packages if each.sdist}  # that one has no wheel
    for package in lock.packages:
        files = [*(package.wheels or ()), *([package.sdist] if package.sdist else [])]
        assert [each.url.startswith(PUBLIC) for each in files] == [True]
        assert len(files[0].hashes["sha256"]) == 64
        if package.wheels:
            assert {str(tag) for tag in parse_wheel_filename(package.wheels[0].filename)[3]} == tags[package.name]

    said = [(each.name, each.version) for each in inventory.packages(science.prefix)]
    by_uv = _fresh(tmp_path / "uv", science)
    subprocess.run(
        [uv.find_uv_bin(), "pip", "sync", "--quiet", "--python", by_uv / "bin/python", result.path], check=True
    )
    assert [(each.name, each.version) for each in inventory.packages(by_uv)] == said


@pytest.mark.network
def test_pip_installs_the_lock_too(store, actor, frozen, tmp_path, pythons):
    from venvoy.actions.create import Plan, create

    listed = tmp_path / "requirements.txt"
    listed.write_text("requests\nmarkupsafe\n")
    env = create(store, Plan(name="demo", requirements=listed), actor=actor)
    result = frozen(env)
    prefix = _fresh(tmp_path / "pip", env)
    subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", prefix / "bin/python", "pip>=26.1"], check=True
    )

    argv = [prefix / "bin/python", "-m", "pip", "install", "--quiet", "-r", result.path]
    subprocess.run(argv, check=True, env={**os.environ, "PIP_NO_WARN_SCRIPT_LOCATION": "1"})

    assert inventory.packages(prefix) == inventory.packages(env.prefix)


def _fresh(prefix: Path, env: Environment) -> Path:
    argv = [uv.find_uv_bin(), "venv", "--quiet", "--no-project", "--python", env.base, prefix]
    subprocess.run(argv, check=True)
    return prefix


# --- what is there for development alone


@pytest.fixture
def developed(make, wheelhouse, mirror_index, store, actor) -> Environment:
    """alpha needs shared; the development requirement checker needs shared and tool."""
    wheelhouse.add("alpha", requires=("shared",))
    wheelhouse.add("checker", requires=("shared", "tool"))
    for name in ("shared", "tool", "both"):
        wheelhouse.add(name)
    env = make("demo", "alpha", "both")
    install_into(store, env, ("checker", "both"), actor=actor, dev=True)
    return store.environment("demo")


def test_what_only_development_asks_for_is_left_out_and_named(developed, frozen, history):
    result = frozen(developed)

    assert {each["name"] for each in lock_of(history)["packages"]} == {"alpha", "both", "pip", "shared"}
    assert [each.name for each in result.left_out] == ["checker", "tool"]


def test_with_include_dev_it_is_in_the_lock(developed, store, actor, history):
    result = freeze(store, developed, actor=actor, include_dev=True)

    assert {each["name"] for each in lock_of(history)["packages"]} >= {"checker", "tool"}
    assert result.left_out == ()


def test_a_freeze_without_it_is_still_one_of_the_whole_state(developed, frozen, store, history):
    frozen(developed)

    assert status(history, observe(store, developed)).state == "frozen"
    assert verify_environment(store, developed, rebuild=False).deviations == ()


def test_the_lock_names_the_state_and_the_files_of_every_package(
    make, wheelhouse, mirror_index, frozen, history, store
):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")

    frozen(env)

    said = lock_of(history)
    trees = {each["name"]: each["tool"]["venvoy"]["tree"] for each in said["packages"]}
    assert said["tool"]["venvoy"]["snapshot"] == digest(observe(store, env))
    assert trees["alpha"] == recorded.tree(
        next(each for each in inventory.distributions(env.prefix) if each.name == "alpha")
    )
