"""A new environment from a lock or an environment.yml: the same packages, or nothing."""

import hashlib
import os
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from venvoy import inventory
from venvoy.actions.bases import interpreter
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.freeze import PUBLIC, freeze
from venvoy.actions.record import wanted
from venvoy.actions.restore import How, Restored, described, from_bundle, restore
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput, RuntimeUnavailable
from venvoy.formats.environment_yml import EnvironmentYml
from venvoy.formats.pylock import PylockToml
from venvoy.model import Change, Diff, Environment, Image, Package, Resources
from venvoy.settings import Policy


@pytest.fixture
def restored(store, actor) -> Callable[..., Restored]:
    def made(source, name=None, *, force=False, **given):
        return restore(store, source, name=name, actor=actor, force=force, how=How(**given))

    return made


@pytest.fixture
def lock_of(wheelhouse, mirror_index, store, snapshot, pip_wheel, tmp_path) -> Callable[[str], Path]:
    """A lock of ours, made on that Python, whose files lie on this machine."""
    wheels = [wheelhouse.add("alpha", requires=("beta", "delta; python_version < '3'")), wheelhouse.add("beta")]

    def made(python: str) -> Path:
        packages = [
            Package(**_named(each), **_file(each, mirror_index), direct=each.name.startswith("alpha"))
            for each in (*wheels, pip_wheel)
        ]
        seen = replace(snapshot(*packages, python=python), platform=interpreter(store, None).platform)
        (tmp_path / "study").mkdir()
        return _written(tmp_path / "study/pylock.toml", PylockToml().dump(seen))

    return made


@pytest.fixture
def lock(lock_of, store) -> Path:
    return lock_of(interpreter(store, None).version)


def _named(wheel: Path) -> dict[str, str]:
    name, version, *_ = wheel.name.split("-")
    return {"name": name, "version": version}


def _file(wheel: Path, index) -> dict[str, str]:
    return {"url": f"{index.address}{index.path(wheel)}", "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest()}


def _locked(wheel: Path, index, **said: str) -> dict:
    """An entry of a lock for that wheel."""
    file = _file(wheel, index)
    listed = {"name": wheel.name, "url": file["url"], "hashes": {"sha256": file["sha256"]}}
    return {**_named(wheel), **said, "wheels": [listed]}


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def changed(lock: Path, change: Callable[[dict], object], *, name: str = "pylock.toml") -> Path:
    """The lock with something changed in it."""
    said = tomllib.loads(lock.read_text())
    change(said)
    return _written(lock.with_name(name), tomli_w.dumps(said))


def entry(said: dict, name: str) -> dict:
    return next(each for each in said["packages"] if each["name"] == name)


def versions(env: Environment) -> dict[str, str]:
    return {each.name: each.version for each in inventory.packages(env.prefix)}


def nothing_left(store, *names: str) -> bool:
    """Nothing but these environments is on the disk: no folder, no generation, no record."""
    folders = {each.parent.name for each in store.environments_folder.glob("*/*")}
    records = {each.parent.name for each in store.settings.projects.glob("*/*")}
    return folders == records == set(names) and all(store.leftovers(name) == () for name in names)


# --- a lock ----------------------------------------------------------------------------------------------------------


def test_a_lock_gives_its_packages_and_takes_its_folders_name(restored, lock, store):
    result = restored(lock)

    assert result.environment == store.environment("study")
    assert set(versions(result.environment)) == {"alpha", "beta", "pip"}
    assert (result.missing, result.other_python) == ((), None)
    assert {each.name for each in result.expected.packages} == {"alpha", "beta", "pip"}


def test_what_was_frozen_here_is_restored_here(restored, make, wheelhouse, mirror_index, store, actor, tmp_path):
    wheelhouse.add("alpha", requires=("beta",))
    wheelhouse.add("beta")
    original = make("original", "alpha")
    frozen = freeze(store, original, actor=actor).path.read_text()
    lock = _written(tmp_path / "pylock.toml", frozen.replace(PUBLIC, f"{mirror_index.address}/packages/"))

    copy = restored(lock, "copy").environment

    assert versions(copy) == versions(original)
    assert copy.python_version == original.python_version


def test_what_was_asked_for_is_carried_over(restored, lock, store):
    env = restored(lock, "copy").environment

    assert env == store.environment("copy")
    assert env.packages == ("alpha==1.0",)
    assert wanted(store.history("copy").entries()) == {"alpha"}


def test_the_record_of_the_new_environment_begins_with_what_was_restored(restored, lock, store):
    restored(lock, "copy")

    assert "alpha==1.0" in store.history("copy").latest.read_text()
    assert store.history("copy").entries()[0].event == "change"


def test_a_lock_may_have_any_name(restored, lock):
    assert "alpha" in versions(restored(lock.rename(lock.with_name("my-lock.toml")), "copy").environment)


def test_what_the_lock_could_not_pin_is_listed(restored, lock):
    listed = [{"name": "mine", "version": "1.0", "origin": "editable"}]
    source = changed(lock, lambda said: said["tool"]["venvoy"].update(unpinned=listed))

    result = restored(source, "copy")

    assert [(each.name, each.origin) for each in result.missing] == [("mine", "editable")]
    assert "mine" in {each.name for each in result.expected.packages}


def test_what_the_lock_does_not_name_is_not_there_not_even_pip(restored, lock):
    source = changed(lock, lambda said: said["packages"].remove(entry(said, "pip")))

    assert set(versions(restored(source, "copy").environment)) == {"alpha", "beta"}


def test_a_lock_of_nothing_gives_nothing(restored, lock):
    source = changed(lock, lambda said: said["packages"].clear())

    assert versions(restored(source, "copy").environment) == {}


def test_a_wrong_hash_is_refused_and_nothing_is_left(restored, lock, store, monkeypatch, tmp_path):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    source = changed(lock, lambda said: entry(said, "beta")["wheels"][0]["hashes"].update(sha256="0" * 64))

    with pytest.raises(CommandFailed, match="uv exited with") as failed:
        restored(source, "copy")

    assert "0" * 64 in failed.value.hint
    assert nothing_left(store)


def test_a_file_that_is_gone_is_refused_and_nothing_is_left(restored, lock, store, wheelhouse, monkeypatch, tmp_path):
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    next(wheelhouse.folder.glob("beta-*")).unlink()

    with pytest.raises(CommandFailed) as failed:
        restored(lock, "copy")

    assert "beta" in failed.value.hint
    assert nothing_left(store)


def test_a_wheel_that_lies_about_itself_is_found_and_nothing_is_left(restored, lock, store, wheelhouse, mirror_index):
    liar = wheelhouse.add("liar", "2.0").rename(wheelhouse.folder / "gamma-1.0-py3-none-any.whl")
    source = changed(lock, lambda said: said["packages"].append(_locked(liar, mirror_index)))

    with pytest.raises(CommandFailed):
        restored(source, "copy")

    assert nothing_left(store)


def test_a_version_written_otherwise_is_the_same_version(restored, lock, wheelhouse, mirror_index):
    odd = wheelhouse.add("odd", "2024.01.02")
    source = changed(lock, lambda said: said["packages"].append(_locked(odd, mirror_index, version="2024.1.2")))

    assert versions(restored(source, "copy").environment)["odd"] == "2024.01.02"


def test_a_lock_that_names_no_version_takes_what_the_file_says(restored, lock, wheelhouse, mirror_index):
    source = changed(lock, lambda said: entry(said, "alpha").pop("version"))

    assert versions(restored(source, "copy").environment)["alpha"] == "1.0"


def test_a_failed_restore_over_an_environment_leaves_the_old_one_whole(restored, lock, store, make, wheelhouse):
    wheelhouse.add("gamma")
    old = make("copy", "gamma")
    source = changed(
        lock, lambda said: entry(said, "beta")["wheels"][0].update(url="http://127.0.0.1:9/beta-1.0-py3-none-any.whl")
    )

    with pytest.raises(CommandFailed):
        restored(source, "copy", force=True)

    assert store.environment("copy") == old
    assert "gamma" in versions(old)
    assert nothing_left(store, "copy")


def test_a_name_that_is_taken_is_not_taken_over_unasked(restored, lock, store, make):
    make("copy")

    with pytest.raises(EnvironmentExists, match="'copy' exists already"):
        restored(lock, "copy")
    restored(lock, "copy", force=True)

    assert "alpha" in versions(store.environment("copy"))


# --- the interpreter -------------------------------------------------------------------------------------------------


def test_another_patch_of_the_same_python_will_do_and_is_said(restored, lock):
    source = changed(lock, lambda said: said["tool"]["venvoy"].update(python=_minor(said) + ".99"))

    result = restored(source, "copy")

    assert result.other_python == (_minor(tomllib.loads(source.read_text())) + ".99", result.environment.python_version)


def _minor(said: dict) -> str:
    return said["requires-python"].removeprefix("==").removesuffix(".*")


def test_without_that_python_nothing_is_made(restored, lock, store):
    source = changed(
        lock,
        lambda said: (said["tool"]["venvoy"].update(python="3.99.1"), said.update({"requires-python": "==3.99.*"})),
    )

    with pytest.raises(RuntimeUnavailable, match=r"there is no Python 3\.99 on this machine") as missing:
        restored(source, "copy")

    assert "there is:" in missing.value.hint
    assert nothing_left(store)


def test_a_lock_that_is_not_for_the_wanted_python_says_so_before_anything_is_made(restored, lock, store, pythons):
    other = next(version for version in pythons if version not in (_minor(tomllib.loads(lock.read_text())), "3.8"))

    with pytest.raises(RuntimeUnavailable, match=r"pylock\.toml is not for Python"):
        restored(lock, "copy", python=str(pythons[other]))

    assert nothing_left(store)


def test_a_lock_of_another_platform_says_so_before_anything_is_made(restored, lock, store):
    source = changed(lock, lambda said: said.update(environments=["sys_platform == 'win32'"]))

    with pytest.raises(RuntimeUnavailable, match="is not for Python"):
        restored(source, "copy")

    assert nothing_left(store)


def foreign(lock: Path, requires: str, *packages: dict) -> Path:
    said = {"lock-version": "1.0", "created-by": "uv", "requires-python": requires, "packages": list(packages)}
    return _written(lock.with_name("pylock.foreign.toml"), tomli_w.dumps(said))


def test_a_lock_of_somebody_else_gets_the_newest_python_that_it_has_files_for(
    restored, lock, wheelhouse, mirror_index, pythons
):
    newest, older = sorted((each for each in pythons if each != "3.8"), key=lambda each: int(each[2:]), reverse=True)[
        :2
    ]
    tags = (f"cp{older.replace('.', '')}-none-any", "cp36-none-any")
    listed = [wheel for tag in tags for wheel in _locked(wheelhouse.add("gamma", tag=tag), mirror_index)["wheels"]]
    windows = {"name": "winonly", "version": "1", "marker": "sys_platform == 'win32'", "wheels": [
        {"url": "https://h.org/winonly-1-py3-none-any.whl", "hashes": {"sha256": "0" * 64}}
    ]}  # fmt: skip

    result = restored(foreign(lock, ">=3.9", {"name": "gamma", "version": "1.0", "wheels": listed}, windows), "copy")

    assert newest != older
    assert result.environment.python_version.startswith(f"{older}.")
    assert versions(result.environment) == {"gamma": "1.0"}


def test_a_lock_of_somebody_else_that_fits_no_python_says_so(restored, lock, store):
    with pytest.raises(RuntimeUnavailable, match="is not for Python"):
        restored(foreign(lock, "<3.9"), "copy")

    assert nothing_left(store)


# --- environment.yml -------------------------------------------------------------------------------------------------


@pytest.fixture
def packages(wheelhouse):
    wheelhouse.add("alpha", requires=("beta",))
    wheelhouse.add("alpha", "2.0", requires=("beta",))
    wheelhouse.add("beta")
    return wheelhouse


def test_the_record_of_an_environment_gives_it_again(restored, packages, make, store):
    original = make("original", "alpha==1.0")

    result = restored(store.history("original").latest, "copy")

    assert versions(result.environment) == versions(original)
    assert result.environment.python_version == original.python_version
    assert (result.expected, result.missing, result.other_python) == (None, (), None)


def test_a_record_that_lists_everything_does_not_claim_that_all_was_asked_for(restored, packages, make, store):
    make("original", "alpha==1.0")

    env = restored(store.history("original").latest, "copy").environment

    assert env.packages == ()
    assert wanted(store.history("copy").entries()) == set()


def test_a_file_written_by_hand_is_followed_and_its_wishes_are_noted(restored, packages, tmp_path, store):
    source = _written(
        tmp_path / "environment.yml",
        "name: course\ndependencies:\n  - python>=3.9\n  - pip\n  - pip:\n    - alpha<2\n    - beta; python_version < '3'\n",
    )

    env = restored(source).environment

    assert env.name == "course"
    assert versions(env)["alpha"] == "1.0"
    assert env.packages == ("alpha<2", 'beta; python_version < "3"')
    assert {"alpha"} <= wanted(store.history("course").entries())


def test_paths_are_seen_from_the_file(restored, packages, tmp_path, monkeypatch):
    folder = tmp_path / "study"
    (folder / "lists").mkdir(parents=True)
    shutil.copy(packages.add("gamma"), folder)
    _written(folder / "lists/more.txt", "-r other.txt\n")
    _written(folder / "lists/other.txt", "alpha==2.0\n")
    source = _written(
        folder / "environment.yml",
        "dependencies: [pip: ['-r lists/more.txt', './gamma-1.0-py3-none-any.whl', '-c constraints.txt']]\n",
    )
    _written(folder / "constraints.txt", "beta<2\n")
    monkeypatch.chdir(tmp_path.parent)

    env = restored(source).environment

    assert env.name == "study"
    assert {"alpha": "2.0", "beta": "1.0", "gamma": "1.0"}.items() <= versions(env).items()


@pytest.mark.parametrize("text", ["name: bare\ndependencies: []\n", "name: bare\ndependencies: [python]\n"])
def test_a_file_that_asks_for_nothing_gives_an_empty_environment(restored, wheelhouse, tmp_path, text):
    env = restored(_written(tmp_path / "environment.yml", text)).environment

    assert (env.name, set(versions(env))) == ("bare", {"pip"})


def test_markers_are_evaluated_for_the_environments_python_and_not_for_ours(restored, packages, tmp_path, pythons):
    import sys

    ours = ".".join(map(str, sys.version_info[:2]))
    other = next(each for each in pythons if each not in (ours, "3.8"))
    source = _written(
        tmp_path / "environment.yml",
        f"dependencies: [python={other}, pip: [\"alpha==1.0; python_version == '{other}'\", \"alpha==2.0; python_version == '{ours}'\"]]\n",
    )

    env = restored(source, "copy").environment

    assert env.python_version.startswith(f"{other}.")
    assert versions(env)["alpha"] == "1.0"


def test_what_cannot_be_had_is_refused_and_nothing_is_left(restored, packages, tmp_path, store):
    source = _written(tmp_path / "environment.yml", "dependencies: [pip: [alpha, nowhere-to-be-found==1.0]]\n")

    with pytest.raises(CommandFailed) as failed:
        restored(source, "copy")

    assert "nowhere-to-be-found" in failed.value.hint
    assert nothing_left(store)


def test_a_range_that_no_python_meets_is_refused_with_what_there_is(restored, tmp_path, store):
    source = _written(tmp_path / "environment.yml", "dependencies: ['python>=3.99']\n")

    with pytest.raises(RuntimeUnavailable, match=r"there is no Python >=3\.99 on this machine"):
        restored(source, "copy")

    assert nothing_left(store)


def test_another_patch_than_the_files_is_said(restored, wheelhouse, tmp_path, pythons):
    minor = max(pythons, key=lambda each: int(each[2:]))
    source = _written(tmp_path / "environment.yml", f"dependencies: [python={minor}.99]\n")

    result = restored(source, "copy")

    assert result.other_python == (f"{minor}.99", result.environment.python_version)


def test_what_only_conda_has_is_refused_where_a_venv_is_wanted(restored, tmp_path, store):
    (tmp_path / "environment.yml").write_text("dependencies: [numpy=1.26]")

    with pytest.raises(InvalidInput, match=r"numpy=1\.26 can only come from conda") as refused:
        restored(tmp_path / "environment.yml", runtime="venv")

    assert "--runtime conda" in refused.value.hint
    assert nothing_left(store)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("environment.yml", b"\xff\xfe", "is not UTF-8"),
        ("environment.yml", b"name: ../../etc\ndependencies: []\n", "is no name for an environment"),
        ("pylock.toml", b"\xff", "is not UTF-8"),
        ("pylock.toml", b"a = 1", r"is not a pylock\.toml"),
        ("pyproject.toml", b"[project]\nname = 'x'\n", r"is not a pylock\.toml"),
    ],
)
def test_what_is_neither_is_refused_before_anything_is_made(restored, tmp_path, store, name, content, complaint):
    (tmp_path / name).write_bytes(content)

    with pytest.raises(InvalidInput, match=complaint):
        restored(tmp_path / name)

    assert nothing_left(store)


def test_a_file_that_is_not_there_is_named(restored, tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no file .*nowhere\.yml"):
        restored(tmp_path / "nowhere.yml")


def test_an_editable_and_a_local_install_of_the_record_are_restored_while_their_folders_are_there(
    restored, wheelhouse, make, tmp_path, store, actor, snapshot
):
    wheel = Path(shutil.copy(wheelhouse.add("gamma"), tmp_path))
    seen = snapshot(Package(name="gamma", version="1.0", origin="local", url=wheel.as_uri()), python="3.99.1")
    text = EnvironmentYml().dump(replace(seen, language_version=".".join(map(str, os.sys.version_info[:3]))))

    env = restored(_written(tmp_path / "environment.yml", text), "copy").environment

    assert versions(env)["gamma"] == "1.0"


# --- saying it -------------------------------------------------------------------------------------------------------


def test_a_difference_is_described_line_by_line():
    one, two = Package(name="a", version="1"), Package(name="a", version="2")
    git = Package(name="g", version="1", origin="vcs", url="git+https://h/g@abc")

    text = described(
        Diff(
            added=(git,),
            removed=(replace(one, name="r"),),
            changed=(
                Change(name="a", before=one, after=two),
                Change(name="g", before=git, after=replace(git, url="git+https://h/g@def")),
            ),
            interpreter=("3.11.1", "3.12.1"),
        )
    )

    assert text.splitlines() == [
        "+ g 1",
        "- r 1",
        "~ a 1 -> 2",
        "~ g 1 (git+https://h/g@abc) -> 1 (git+https://h/g@def)",
        "~ python 3.11.1 -> 3.12.1",
    ]


def test_a_restored_environment_can_be_built_anew_as_the_same(store, make, wheelhouse, actor, tmp_path):
    wheelhouse.add("alpha", "1.0", requires=("beta",))
    wheelhouse.add("beta", "1.0")
    make("demo", "alpha")
    record = store.history("demo").latest.read_text()
    (tmp_path / "environment.yml").write_text(record)
    wheelhouse.add("beta", "2.0")

    restore(store, tmp_path / "environment.yml", name="again", actor=actor)
    create(store, Plan(name="again", force=True), actor=actor)

    assert store.history("again").latest.read_text() == record.replace("name: demo", "name: again")


# --- in containers ---------------------------------------------------------------------------------------------------


def test_a_lock_is_made_in_a_container(store, actor, lock_of, engine, image):
    lock = lock_of("3.11.9")
    wanted = Wanted(runtime=engine.name, image=image(engine, "python:3.11"), resources=Resources(network="host"))

    made = restore(store, lock, name="there", actor=actor, wanted=wanted)

    env = made.environment
    assert (env.runtime, env.container.image.reference) == (engine.name, wanted.image)
    assert made.other_python == ("3.11.9", "3.11.2")
    assert [each.name for each in inventory.packages(env.prefix)] == ["alpha", "beta", "pip"]
    with pytest.raises(EnvironmentExists, match="'there' exists already"):
        restore(store, lock, name="there", actor=actor, wanted=wanted)


@pytest.mark.parametrize("engine", ["docker", "podman"], indirect=True)
def test_a_lock_that_names_its_image_is_made_in_that_one(store, actor, lock_of, engine, image):
    lock = lock_of("3.11.9")
    wanted = Wanted(runtime=engine.name, resources=Resources(network="host"))
    said, reference = PylockToml().load(lock.read_text(), source="lock"), image(engine, "python:3.11")
    here = contain(store, replace(wanted, image=reference), Policy())[1].image
    for digest, told in ((here.digest, 0), (f"sha256:{'1' * 64}", 1)):
        its = replace(said, stands_on=Image(reference=reference, digest=digest))
        lock.write_text(PylockToml().dump(its))

        made = restore(store, lock, name="there", actor=actor, wanted=wanted, force=True)

        assert made.environment.container.image.digest == here.digest
        assert [digest in each for each in made.remarks] == [True] * told


def test_a_container_has_the_python_of_its_image(store, actor, lock):
    with pytest.raises(InvalidInput, match="/usr/bin/python3 is no version of Python"):
        restore(store, lock, name="there", actor=actor, how=How(python="/usr/bin/python3"), wanted=Wanted())
    assert not store.exists("there")


@pytest.mark.parametrize("form", ["directory", "editable", "sdist", "archive"])
def test_a_bundle_of_anybodys_has_nothing_built(store, actor, tmp_path, form):
    """What is built runs what its maker wrote, and `verify` is for those who want to know whom they deal with."""
    evil, ran = tmp_path / "files/evil", tmp_path / "ran"
    evil.mkdir(parents=True)
    (evil / "pyproject.toml").write_text(
        '[project]\nname = "evil"\nversion = "1"\n'
        '[build-system]\nrequires = []\nbuild-backend = "b"\nbackend-path = ["."]\n'
    )
    (evil / "b.py").write_text(f"open({str(ran)!r}, 'w')\n")
    packed = {"path": "files/evil.tar.gz", "hashes": {"sha256": "0" * 64}}
    said = {
        "directory": {"version": "1", "directory": {"path": "files/evil"}},
        "editable": {"version": "1", "directory": {"path": "files/evil", "editable": True}},
        "sdist": {"version": "1", "sdist": {"name": "evil-1.tar.gz", **packed}},
        "archive": {"version": "1", "archive": packed},
    }[form]
    lock = {"lock-version": "1.0", "created-by": "evil", "packages": [{"name": "evil", **said}]}
    (tmp_path / "pylock.toml").write_text(tomli_w.dumps(lock))

    with pytest.raises(InvalidInput, match="has evil built from its source"):
        from_bundle(store, tmp_path, name="demo", actor=actor)

    assert not ran.exists()
    assert not store.exists("demo")
