"""R environments carried away and proved: archives, imports without network, and what verify says of them."""

import json
import os
import subprocess
import tarfile
from dataclasses import asdict, replace

import pytest
import zstandard

from venvoy.actions.archive import archive
from venvoy.actions.create import Plan, create
from venvoy.actions.freeze import freeze
from venvoy.actions.import_archive import import_archive
from venvoy.actions.install import install
from venvoy.actions.kept import folder_of
from venvoy.actions.locks import locked
from venvoy.actions.observe import observe
from venvoy.actions.restore import How, restore
from venvoy.actions.tarball import tarball
from venvoy.actions.vendor import vendor
from venvoy.actions.verify import verify_archive, verify_environment
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput
from venvoy.inventory import description
from venvoy.model import Repository
from venvoy.store import Store


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


@pytest.fixture
def elsewhere(store, settings):
    """A store that has nothing, as on another machine of the same user."""
    home = settings.user_home / "elsewhere"
    return Store(replace(store.settings, home=home / "home", projects=home / "projects"))


@pytest.fixture
def frozen(store, actor):
    """The lock of an environment as it is now."""
    return lambda env: freeze(store, env, actor=actor).path


@pytest.fixture
def no_repository(repository):
    def gone():
        (repository / "src").rename(repository / "gone")

    return gone


@pytest.fixture
def packed(store, make_r, actor, tmp_path):
    def made(*packages, name="a", **words):
        env = store.environment("demo") if store.exists("demo") else make_r("demo", *packages)
        return archive(store, env, tmp_path / f"{name}.venvoy.tar.zst", actor=actor, **words)

    return made


def members(file):
    with (
        file.open("rb") as stream,
        zstandard.ZstdDecompressor().stream_reader(stream) as plain,
        tarfile.open(fileobj=plain, mode="r|") as tar,
    ):
        return {each.name: tar.extractfile(each).read() for each in tar}


def test_it_is_made_again_elsewhere_without_network_and_gives_the_same_bytes(
    store, elsewhere, packed, no_repository, in_r, actor, tmp_path
):
    first, again = packed("tinyb", "tinyc"), packed(name="b")
    no_repository()

    made = import_archive(elsewhere, first.packed.path, actor=actor)
    env = made.environment
    back = archive(elsewhere, env, tmp_path / "c.venvoy.tar.zst", actor=actor)

    assert first.packed.sha256 == again.packed.sha256
    assert (first.vendored.missing, made.missing) == ((), ())
    assert installed(elsewhere, env) == installed(store, store.environment("demo"))
    assert in_r(env, "cat(tinyb::hello(), tinyc::hello())") == "hello 2"
    assert made.record
    assert [each.event for each in elsewhere.history("demo").entries()][-1] == "import"
    assert back.vendored.new == 0
    assert set(members(back.packed.path)) == set(members(first.packed.path))


def test_what_is_in_it_is_what_the_page_says(packed):
    found = members(packed("tinyb").packed.path)

    said = json.loads(found["manifest.json"])
    assert (said["language"], said["python"], said["tier"]) == ("r", None, "packages")
    assert said["r"]
    assert {"README.txt", "renv.lock", "environment.yml", "snapshot.json", "cran/src/contrib/PACKAGES"} <= set(found)
    assert not {"restore.py", "pylock.toml", "requirements.txt"} & set(found)
    assert {(each["name"], each["built"]) for each in said["wheels"]} == {
        (name, built) for name in ("tinya", "tinyb") for built in ("", "library")
    }


def test_its_readme_says_how_r_alone_makes_it(packed, rscript, tmp_path):
    file = packed("tinyb", "tinyc").packed.path
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for name, data in members(file).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    readme = (folder / "README.txt").read_text()
    command = readme[readme.index("mkdir FOLDER") :].partition("\n\n")[0]

    subprocess.run(["sh", "-c", command], check=True, cwd=folder, capture_output=True)

    there = {each.name: each.version for each in description.read(folder / "FOLDER")}
    assert there == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}


def test_a_spec_is_made_by_fetching(store, elsewhere, packed, actor):
    found = packed("tinyb", tier="spec")

    made = import_archive(elsewhere, found.packed.path, actor=actor)

    assert not [each for each in members(found.packed.path) if each.startswith("cran/")]
    assert installed(elsewhere, made.environment) == {"tinya": "1.1", "tinyb": "0.2-1"}


def test_nothing_is_compiled_to_verify_what_nobody_trusts(store, packed, no_repository, monkeypatch):
    found = packed("tinyb")
    no_repository()
    monkeypatch.setattr("venvoy.actions.exactly_r.built_in", lambda *_: None)  # as where the builds are for another R

    looked = verify_archive(store, found.packed.path)
    trusted = verify_archive(store, found.packed.path, trust=True)

    assert (looked.reached, looked.deviations, trusted.reached) == ("L0", (), "L3")
    assert "would be compiled" in looked.skipped["L3"]


def test_an_archive_is_verified_to_the_last_level(store, packed, no_repository):
    found = packed("tinyb", "tinyc")
    no_repository()

    report = verify_archive(store, found.packed.path)

    assert report.deviations == ()
    assert report.reached == "L3"
    assert "R " in report.checked["L3"]
    assert list((store.settings.home / "scratch").iterdir()) == []


def test_an_environment_that_keeps_to_a_day_does_so_where_it_is_imported(
    store, elsewhere, served_repository, actor, in_r, tmp_path
):
    places = (Repository(name="CRAN", url=served_repository),)
    env = create(store, Plan(name="demo", language="r", specs=("tinya",), repositories=places), actor=actor)
    file = archive(store, env, tmp_path / "a.venvoy.tar.zst", actor=actor).packed.path
    odd = members(file)
    said = json.loads(odd["manifest.json"])
    day = Repository(name="day", url="https://packagemanager.posit.co/cran/2024-05-01")
    said["repositories"] += [
        asdict(day),
        {"name": "x\n", "url": "http://x"},
        {"name": "x", "url": "file:///etc"},
        {},
        3,
    ]
    odd["manifest.json"] = json.dumps(said).encode()

    file = _again(odd, tmp_path / "odd.venvoy.tar.zst")
    wary = import_archive(elsewhere, file, actor=actor)
    trusting = import_archive(elsewhere, file, actor=actor, force=True, trust_repositories=True)

    assert wary.environment.repositories == (day,)
    assert f"It takes packages from {day.url}, as the archive says." in wary.remarks
    assert any(f"It took packages from {served_repository}," in each for each in wary.remarks)
    assert trusting.environment.repositories == (*places, day)
    assert in_r(trusting.environment, "cat(getOption('repos')[['CRAN']])") == served_repository


@pytest.mark.parametrize("what", ["cran/src", "cran/built"])
def test_a_hostile_package_in_it_makes_nothing(store, elsewhere, packed, actor, tmp_path, what):
    found = members(packed("tinya").packed.path)
    [name] = [each for each in found if each.startswith(what) and each.endswith("tinya_1.1.tar.gz")]
    found[name] = _hostile()
    bad = _again(found, tmp_path / "bad.venvoy.tar.zst")

    with pytest.raises((InvalidInput, CommandFailed)):
        import_archive(elsewhere, bad, actor=actor)

    assert elsewhere.names() == ()
    assert not elsewhere.folder("demo").exists()
    assert not (tmp_path / "outside").exists()


def _hostile():
    import io

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, data in (
            ("tinya/../../outside", b"x"),
            ("tinya/DESCRIPTION", b"Package: tinya\nVersion: 1.1\nBuilt: R 4.2.2; ; 2026-01-01; unix\n"),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def _again(found, target):
    """The archive with other members, announced as they are: what anybody can make."""
    import hashlib
    import io

    said = json.loads(found["manifest.json"])
    for name, data in found.items():
        if name != "manifest.json":
            said["members"][name] = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    found = {"manifest.json": json.dumps(said).encode(), **{k: v for k, v in found.items() if k != "manifest.json"}}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in found.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    target.write_bytes(zstandard.ZstdCompressor().compress(out.getvalue()))
    return target


# --- restore ---------------------------------------------------------------------------------------------------------


def test_the_lock_gives_the_same_again(store, make_r, actor, frozen):
    env = make_r("demo", "tinya==1.0", "tinyb")
    lock = frozen(env)

    made = restore(store, lock, name="copy", actor=actor)

    assert installed(store, made.environment) == {"tinya": "1.0", "tinyb": "0.2-1"}
    assert made.environment.language == "r"
    assert verify_environment(store, made.environment, lock=lock).reached in ("L2", None)
    with pytest.raises(EnvironmentExists):
        restore(store, lock, name="copy", actor=actor)


def test_words_for_python_do_not_go_with_it(store, make_r, actor, frozen):
    lock = frozen(make_r("demo", "tinya"))

    for how in (How(python="3.12"), How(runtime="venv")):
        with pytest.raises(InvalidInput, match="locks an R environment"):
            restore(store, lock, name="copy", actor=actor, how=how)

    assert store.names() == ("demo",)


# --- verify ----------------------------------------------------------------------------------------------------------


def test_levels_fall_to_the_one_that_deviates(store, make_r, actor, frozen):
    env = make_r("demo", "tinyb", "tinyc")
    frozen(env)
    vendor(store, env, locked(store, env))
    assert verify_environment(store, env).reached == "L3"

    (env.library / "tinyc/libs/tinyc.so").write_bytes(b"other")
    found = verify_environment(store, env, rebuild=False)
    assert found.reached == "L1"
    assert [(each.package, each.file.rpartition("/")[2]) for each in found.deviations] == [("tinyc", "tinyc.so")]

    install(store, env, ("tinya==1.0",), actor=actor)
    assert verify_environment(store, store.environment("demo"), rebuild=False).reached == "L0"


def test_without_what_was_built_the_lock_tells_changed_code_and_the_report_what_it_did_not_look_at(
    store, make_r, frozen
):
    env = make_r("demo", "tinya", "tinyc")
    frozen(env)
    before = verify_environment(store, env)

    (env.library / "tinya/R/tinya.rdb").write_bytes(b"other")
    found = verify_environment(store, env)

    assert before.reached == "L2"
    assert any("compiled code" in each for each in before.excluded)
    assert [(each.level, each.what) for each in found.deviations] == [
        ("L2", "the files of tinya are not those of the lock")
    ]


def test_what_nobody_installed_is_found(store, make_r, frozen):
    env = make_r("demo", "tinya")
    frozen(env)
    (env.library / "stranger").write_text("")

    (found,) = verify_environment(store, env).deviations

    assert (found.level, found.file) == ("L2", str(env.library / "stranger"))


def test_a_kept_package_that_was_replaced_is_told(store, make_r, frozen):
    env = make_r("demo", "tinya")
    frozen(env)
    vendor(store, env, locked(store, env))
    for each in (folder_of(store, "demo") / "cran").rglob("tinya*.tar.gz"):
        each.write_bytes(b"other")

    found = verify_environment(store, env, rebuild=False)

    assert found.reached is None
    assert [each.what for each in found.deviations if each.level == "L0"] == [
        "the kept package of tinya was replaced"
    ] * 2


# --- for people without venvoy ---------------------------------------------------------------------------------------


def test_a_tarball_says_how_r_alone_installs_it(store, make_r, actor, rscript, tmp_path):
    env = make_r("demo", "tinyb", "tinyc")

    wrapped = tarball(store, env, tmp_path / "demo.tar.gz", actor=actor)

    with tarfile.open(wrapped.packed.path) as tar:
        tar.extractall(tmp_path, filter="data")
    readme = (tmp_path / "demo/README.txt").read_text()
    command = readme[readme.index("mkdir FOLDER") :].partition("\n\n")[0]
    subprocess.run(["sh", "-c", command], check=True, cwd=tmp_path / "demo", capture_output=True)
    there = {each.name: each.version for each in description.read(tmp_path / "demo/FOLDER")}
    assert there == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}


def test_renv_takes_what_is_kept_for_a_repository(store, make_r, frozen, rscript, renv, tmp_path):
    env = make_r("demo", "tinya==1.0", "tinyb")
    lock = frozen(env)
    kept = vendor(store, env, locked(store, env)).folder / "cran"
    said = json.loads(lock.read_text())
    said["R"]["Repositories"] = [{"Name": "CRAN", "URL": kept.as_uri()}]
    (tmp_path / "renv.lock").write_text(json.dumps(said))
    library = tmp_path / "library"
    library.mkdir()
    script = (
        f".libPaths('{renv}'); options(renv.config.sandbox.enabled = FALSE, renv.config.cache.enabled = FALSE); "
        f"renv::restore(project = '{tmp_path}', lockfile = '{tmp_path / 'renv.lock'}', library = '{library}', prompt = FALSE)"
    )

    ran = subprocess.run(
        [rscript, "--vanilla", "-e", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=_apart(tmp_path),
    )

    there = {each.name: each.version for each in description.read(library)}
    assert there == {"tinya": "1.0", "tinyb": "0.2-1"}, ran.stdout[-2000:] + ran.stderr[-2000:]


def _apart(folder):
    return {**os.environ, "RENV_PATHS_ROOT": str(folder / "renv"), "RENV_CONSENT": "TRUE", "HOME": str(folder)}
