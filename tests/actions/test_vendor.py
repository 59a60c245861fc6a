"""Wheels kept beside an environment: the very files of the lock, or built here and marked so."""

import hashlib
import json
import re
import subprocess
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import uv

from venvoy.actions.archive import archive
from venvoy.actions.freeze import freeze
from venvoy.actions.kept import folder_of, kept
from venvoy.actions.tarball import tarball
from venvoy.actions.vendor import source_digest, vendor
from venvoy.model import Progress


@pytest.fixture
def vendored(store, actor):
    def filled(env, **given):
        locked = freeze(store, env, actor=actor).snapshot
        return vendor(store, store.environment(env.name), locked, **given)

    return filled


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def install(env, *words: str | Path) -> None:
    argv = [uv.find_uv_bin(), "pip", "install", "--quiet", "--python", env.python, *words]
    subprocess.run(argv, check=True)


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


@pytest.mark.parametrize("index", ["mirror_index", "private_index"])
def test_the_very_files_of_the_lock_are_kept(make, wheelhouse, request, index, vendored, store):
    served = request.getfixturevalue(index)
    wheels = [wheelhouse.add("alpha", requires=("beta",)), wheelhouse.add("beta")]
    told: list[Progress] = []

    result = vendored(make("demo", "alpha"), on_progress=told.append)

    assert {each.name: each.sha256 for each in result.kept if each.name != "pip"} == {
        wheel.name.partition("-")[0]: sha256(wheel) for wheel in wheels
    }
    assert (result.missing, result.new, {each.built for each in result.kept}) == ((), 3, {""})
    assert kept(store, "demo") == result.kept
    assert told[-1].unit == "wheels"
    assert any(path.endswith("alpha-1.0-py3-none-any.whl") for path in served.asked)


def test_what_is_there_is_not_fetched_again_and_what_nobody_needs_goes(make, wheelhouse, mirror_index, vendored, store):
    wheelhouse.add("alpha")
    wheelhouse.add("beta")
    env = make("demo", "alpha", "beta")
    vendored(env)
    mirror_index.asked.clear()
    subprocess.run([uv.find_uv_bin(), "pip", "uninstall", "--quiet", "--python", env.python, "beta"], check=True)

    result = vendored(env)

    assert result.new == 0
    assert not [path for path in mirror_index.asked if path.endswith(".whl")]
    assert sorted(each.name.partition("-")[0] for each in folder_of(store, "demo").iterdir()) == [
        "alpha",
        "manifest.json",
        "pip",
    ]


def test_a_kept_wheel_that_was_changed_is_fetched_again(make, wheelhouse, mirror_index, vendored, store):
    wheel = wheelhouse.add("alpha")
    env = make("demo", "alpha")
    vendored(env)
    (folder_of(store, "demo") / wheel.name).write_bytes(b"broken")

    assert vendored(env).new == 1
    assert sha256(folder_of(store, "demo") / wheel.name) == sha256(wheel)


def test_editable_and_local_projects_are_built_and_keep_the_digest_of_their_source(
    make, wheelhouse, mirror_index, vendored, tmp_path
):
    env = make("demo")
    here, there = project(tmp_path, "here"), project(tmp_path, "there")
    install(env, "--editable", here)
    install(env, there)

    first = {each.name: each for each in vendored(env).kept}
    again = vendored(env)
    (here / "more.py").write_text("x = 1\n")
    changed = vendored(env)

    assert (first["here"].built, first["there"].built) == ("editable", "local")
    assert first["there"].source_sha256 == source_digest(there)
    assert (again.new, changed.new) == (0, 1)


def test_a_source_that_is_gone_is_told_and_the_rest_is_kept(make, wheelhouse, mirror_index, vendored, tmp_path):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")
    here = project(tmp_path, "here")
    install(env, "--editable", here)
    (here / "pyproject.toml").rename(tmp_path / "away")
    here.rename(tmp_path / "moved")

    result = vendored(env)

    assert [(each.package.name, "is gone" in each.reason) for each in result.missing] == [("here", True)]
    assert {each.name for each in result.kept} == {"alpha", "pip"}


def test_the_digest_of_a_source_is_of_names_and_contents_alone(tmp_path):
    one, other = project(tmp_path / "a", "p"), project(tmp_path / "b", "p")
    before = source_digest(one)
    (one / ".git").mkdir()
    (one / ".git" / "x").write_text("x")
    (one / "__pycache__").mkdir()

    assert source_digest(one) == before == source_digest(other)
    (one / "build.py").write_text("other")
    assert source_digest(one) != before


# --- the tarball


@pytest.fixture
def unpacked(make, wheelhouse, mirror_index, store, actor, tmp_path, pythons) -> Path:
    wheelhouse.add("alpha", requires=("beta",))
    wheelhouse.add("beta")
    env = make("demo", "alpha", python="3.12")
    first = tarball(store, env, tmp_path / "one.tar.gz", actor=actor)
    second = tarball(store, env, tmp_path / "two.tar.gz", actor=actor)
    assert first.packed.sha256 == second.packed.sha256
    with tarfile.open(first.packed.path) as tar:
        tar.extractall(tmp_path, filter="data")
    for wheel in wheelhouse.folder.iterdir():
        wheel.unlink()
    return tmp_path / "demo"


def test_a_tarball_is_restored_by_plain_pip_and_by_uv_without_network(unpacked, pythons, monkeypatch):
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("UV_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    subprocess.run([pythons["3.12"], "-m", "venv", unpacked / "by-pip"], check=True)
    subprocess.run(
        [unpacked / "by-pip/bin/pip", "install", "--quiet", "--no-deps", "--require-hashes", "-r", "requirements.txt"],
        cwd=unpacked, check=True,
    )  # fmt: skip
    uv_ = uv.find_uv_bin()
    subprocess.run([uv_, "venv", "--quiet", "--python", pythons["3.12"], unpacked / "by-uv"], check=True)
    subprocess.run(
        [uv_, "pip", "sync", "--quiet", "--offline", "--no-cache", "--python", unpacked / "by-uv", "--preview-features", "pylock", "pylock.toml"],
        cwd=unpacked, check=True,
    )  # fmt: skip

    for made in ("by-pip", "by-uv"):
        printed = subprocess.check_output(
            [unpacked / made / "bin/python", "-c", "import alpha, beta; print(alpha.__version__)"]
        )
        assert printed == b"1.0\n"


def test_a_changed_wheel_of_a_tarball_is_refused_by_both(unpacked, pythons):
    wheel = unpacked / "wheels" / "alpha-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("alpha/evil.py", "")
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--python", pythons["3.12"], unpacked / "venv"], check=True)
    by_uv = [
        uv.find_uv_bin(),
        "pip",
        "sync",
        "--offline",
        "--no-cache",
        "--python",
        unpacked / "venv",
        "--preview-features",
        "pylock",
        "pylock.toml",
    ]
    subprocess.run([pythons["3.12"], "-m", "venv", unpacked / "other"], check=True)
    by_pip = [unpacked / "other/bin/pip", "install", "--no-deps", "--require-hashes", "-r", "requirements.txt"]

    for argv in (by_uv, by_pip):
        ran = subprocess.run(argv, cwd=unpacked, check=False, capture_output=True, text=True)
        assert ran.returncode
        assert re.search("hash|size", ran.stderr, re.IGNORECASE)


def test_a_tarball_says_how_to_use_it(unpacked):
    said = (unpacked / "README.txt").read_text()

    assert "pip install --no-deps --require-hashes -r requirements.txt" in said
    assert {each.name for each in unpacked.iterdir()} == {
        "README.txt",
        "environment.yml",
        "pylock.toml",
        "requirements.txt",
        "wheels",
    }


@pytest.mark.network
def test_real_packages_are_kept_and_what_has_no_wheel_is_built(store, actor, tmp_path, vendored):
    from venvoy.actions.create import Plan, create

    listed = tmp_path / "requirements.txt"
    listed.write_text("docopt==0.6.2\nmarkupsafe\n")
    env = create(store, Plan(name="real", requirements=listed), actor=actor)

    result = {each.name: each for each in vendored(env).kept}

    assert result["docopt"].built == "sdist"
    assert result["docopt"].source_sha256 == "49b3a825280bd66b3aa83585ef59c4a8c82f2c8a522dbe754a8bc8d08c85c491"
    assert result["markupsafe"].built == ""
    assert json.loads((folder_of(store, "real") / "manifest.json").read_text())["format"] == "venvoy-vendor-1"


def test_what_was_built_of_a_folder_here_is_carried_again_from_the_lock(make, wheelhouse, store, actor, tmp_path):
    """A lock names no place of this machine."""
    here = project(tmp_path, "mine")
    env = make("demo")
    install(env, here)
    first = archive(store, env, tmp_path / "a.venvoy.tar.zst", actor=actor)

    again = archive(store, env, tmp_path / "b.venvoy.tar.zst", actor=actor)

    assert "mine" in {each.name for each in again.vendored.kept}
    assert (first.vendored.missing, again.vendored.missing, again.vendored.new) == ((), (), 0)
    assert first.packed.sha256 == again.packed.sha256


def test_the_wheel_of_another_commit_is_not_taken_for_it(vendored, make, wheelhouse, tmp_path):
    """Most projects change their code more often than their version."""
    repository = project(tmp_path / "git", "lab")

    def commit(text: str) -> str:
        build = repository / "build.py"
        build.write_text(build.read_text().replace("f'{NAME}.py', '", f"f'{{NAME}}.py', '{text}"))
        me = ("-c", "user.name=a", "-c", "user.email=a@b")
        steps = (
            ["init", "--quiet"],
            ["add", "."],
            [*me, "commit", "-qm", text],
            ["update-server-info"],
            ["rev-parse", "HEAD"],
        )
        for words in steps:
            ran = subprocess.run(["git", *words], cwd=repository, check=True, capture_output=True, text=True)
        return ran.stdout.strip()

    handler = partial(SimpleHTTPRequestHandler, directory=str(repository.parent))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"git+http://127.0.0.1:{server.server_address[1]}/lab/.git"
        env = make("demo")
        first = commit("# one ")
        install(env, f"lab @ {address}@{first}")
        (before,) = [each for each in vendored(env).kept if each.name == "lab"]
        again = vendored(env)
        second = commit("# two ")
        install(env, "--reinstall", f"lab @ {address}@{second}")

        (now,) = [each for each in vendored(env).kept if each.name == "lab"]
        server.shutdown()

    assert again.new == 0
    assert now.sha256 != before.sha256
    with zipfile.ZipFile(now.file) as wheel:
        assert wheel.read("lab.py").startswith(b"# two")
