"""An archive carries an environment away: what is in it, what is made of it, and how far that is verified."""

import errno
import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import inventory
from venvoy.actions.archive import archive
from venvoy.actions.check import check
from venvoy.actions.create import Plan, create
from venvoy.actions.freeze import freeze
from venvoy.actions.import_archive import import_archive
from venvoy.actions.install import install
from venvoy.actions.kept import folder_of, kept
from venvoy.actions.observe import observe
from venvoy.actions.status import status
from venvoy.actions.undo import undo
from venvoy.actions.unpacking import unpack
from venvoy.actions.vendor import vendor
from venvoy.actions.verify import verify_archive, verify_environment
from venvoy.errors import CommandFailed, EnvironmentExists, InvalidInput
from venvoy.history import History
from venvoy.store import Store


@pytest.fixture
def env(make, wheelhouse, mirror_index):
    wheelhouse.add("alpha", requires=("beta",), files={"alpha/data.txt": "data"}, scripts={"alpha": "alpha:main"})
    wheelhouse.add("beta")
    return make("demo", "alpha")


@pytest.fixture
def packed(store, env, actor, tmp_path):
    def made(name: str = "demo.venvoy.tar.zst", **given):
        return archive(store, store.environment("demo"), tmp_path / name, actor=actor, **given)

    return made


@pytest.fixture
def elsewhere(settings, tmp_path, wheelhouse, mirror_index, monkeypatch):
    """Another machine: nothing of ours, nothing cached, and an index that has nothing."""

    def moved() -> Store:
        for wheel in wheelhouse.folder.iterdir():
            wheel.unlink()
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "no-cache"))
        home = tmp_path / "elsewhere"
        (home / "payloads").mkdir(parents=True, exist_ok=True)
        return Store(replace(settings, home=home, projects=tmp_path / "their-projects"))

    return moved


def installed(store: Store, name: str = "demo") -> dict[str, str]:
    return {each.name: each.version for each in observe(store, store.environment(name)).packages}


def test_what_it_carries_is_what_the_page_says(packed, tmp_path):
    result = packed()
    manifest = unpack(result.packed.path, tmp_path / "out")

    assert {name.partition("/")[0] for name in manifest.members} == {
        "README.txt", "environment.yml", "facts.json", "history", "pylock.toml", "requirements.txt", "restore.py",
        "snapshot.json", "wheels",
    }  # fmt: skip
    assert list(manifest.members) == sorted(manifest.members)
    assert manifest.said["environment"] == "demo"
    assert manifest.digest == result.digest
    page = (Path(__file__).parents[2] / "docs" / "archive.md").read_text()
    assert [
        each for each in {*(n.partition("/")[0] for n in manifest.members), *manifest.said} if f"`{each}" not in page
    ] == []


def test_the_same_content_gives_the_same_bytes(packed, monkeypatch, tmp_path):
    first = packed("one.venvoy.tar.zst")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    monkeypatch.setenv("LC_ALL", "C")
    kept_mask = os.umask(0o077)
    try:
        second = packed("two.venvoy.tar.zst")
    finally:
        os.umask(kept_mask)

    assert first.packed.sha256 == second.packed.sha256


def test_it_is_frozen_first_unless_it_stands_so(packed, store):
    packed()
    packed()

    assert [each.event for each in store.history("demo").entries()] == ["change", "freeze"]


def test_files_are_carried_as_they_lie_to_each_other(packed, tmp_path, elsewhere, actor):
    for name in ("work/a/n.ipynb", "work/data/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    result = packed(notebooks=(tmp_path / "work/a/n.ipynb",), inputs=(tmp_path / "work/a/../data/x.csv",))

    imported = import_archive(elsewhere(), result.packed.path, actor=actor)

    assert (imported.files / "a/n.ipynb").read_text() == "work/a/n.ipynb"
    assert (imported.files / "data/x.csv").read_text() == "work/data/x.csv"


def test_secrets_and_what_is_not_there_are_refused(store, packed, tmp_path):
    (tmp_path / ".env").write_text("TOKEN=1")

    with pytest.raises(InvalidInput, match="secrets"):
        packed(inputs=(tmp_path / ".env",))
    named = tmp_path / "prod.variables"
    named.write_text("TOKEN=1")
    store.save(replace(store.environment("demo"), env_file=(named,)))
    with pytest.raises(InvalidInput, match="secrets"):
        packed(inputs=(named,))
    with pytest.raises(InvalidInput, match="is no file"):
        packed(inputs=(tmp_path / "nowhere",))
    assert not (tmp_path / "demo.venvoy.tar.zst").exists()


def test_elsewhere_the_environment_is_made_without_network_with_all_its_past(packed, store, elsewhere, actor):
    file = packed().packed.path
    before, entries = installed(store), store.history("demo").entries()
    there = elsewhere()

    imported = import_archive(there, file, actor=actor)

    history = there.history("demo")
    assert installed(there) == before
    assert (imported.record, imported.missing) == (True, ())
    assert history.entries()[: len(entries)] == entries
    assert history.last().event == "import"
    assert history.last().asked[0].command == imported.manifest.digest
    assert history.check() == ()
    assert history.latest.exists()
    assert status(history, observe(there, imported.environment)).state == "frozen"
    assert {each.name for each in kept(there, "demo")} == set(before)
    assert check(there, imported.environment) == ()


def test_from_there_it_can_be_carried_on_to_the_same_lock(packed, elsewhere, actor, tmp_path):
    first = packed()
    there = elsewhere()
    env = import_archive(there, first.packed.path, actor=actor).environment

    second = archive(there, env, tmp_path / "on.venvoy.tar.zst", actor=actor)

    one, other = (unpack(each.packed.path, tmp_path / each.digest).members for each in (first, second))
    assert {name for name in one if not name.startswith("history/")} == {
        name for name in other if not name.startswith("history/")
    }
    assert one["pylock.toml"] == other["pylock.toml"]
    assert one["facts.json"] == other["facts.json"]


def test_an_environment_that_is_there_is_replaced_only_when_that_is_meant(packed, store, env, actor, wheelhouse):
    file = packed().packed.path
    wheelhouse.add("gamma")
    install(store, env, ("gamma",), actor=actor)

    with pytest.raises(EnvironmentExists):
        import_archive(store, file, actor=actor)
    assert "gamma" in installed(store)
    imported = import_archive(store, file, actor=actor, force=True)

    assert "gamma" not in installed(store)
    assert not imported.record
    assert [each.event for each in store.history("demo").entries()][-3:] == ["change", "import", "freeze"]
    undo(store, store.environment("demo"), actor=actor)
    assert "gamma" in installed(store)


def test_files_that_are_there_already_are_left_alone(packed, store, tmp_path, actor):
    (tmp_path / "n.ipynb").write_text("theirs")
    file = packed(notebooks=(tmp_path / "n.ipynb",)).packed.path
    mine = store.project("other") / "files" / "n.ipynb"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    imported = import_archive(store, file, actor=actor, name="other")

    assert mine.read_text() == "mine"
    assert imported.files.name.startswith("files-")


def test_an_import_that_fails_leaves_nothing(packed, elsewhere, actor, tmp_path):
    file = packed().packed.path
    there = elsewhere()
    broken = tmp_path / "broken.venvoy.tar.zst"
    broken.write_bytes(file.read_bytes()[:-1000])

    with pytest.raises(InvalidInput, match="is refused"):
        import_archive(there, broken, actor=actor)
    with pytest.raises((CommandFailed, InvalidInput, Exception)):
        import_archive(there, file, actor=actor, python="/nonexistent/python")

    assert there.names() == ()
    assert not there.project("demo").exists() or not any(there.project("demo").iterdir())
    assert list((there.settings.home / "scratch").iterdir()) == []


def test_what_fails_when_the_environment_stands_takes_nothing_from_it(packed, elsewhere, actor, tmp_path, monkeypatch):
    (tmp_path / "n.ipynb").write_text("{}")
    file = packed(notebooks=(tmp_path / "n.ipynb",)).packed.path
    there = elsewhere()

    def full(*_words, **_said):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as then:
        then.setattr(shutil, "move", full)
        with pytest.raises(OSError, match="quota"):
            import_archive(there, file, actor=actor)

    assert installed(there) == {"alpha": "1.0", "beta": "1.0", "pip": installed(there)["pip"]}
    assert [each.event for each in there.history("demo").entries()][-1] == "import"
    assert there.history("demo").check() == ()
    assert not any(each.name.startswith((".files", "files")) for each in there.project("demo").iterdir())


def test_of_two_imports_of_one_name_the_second_harms_nothing_of_the_first(packed, elsewhere, actor, monkeypatch):
    file = packed().packed.path
    there = elsewhere()
    begun = []

    def another_comes_first(*_words):
        if not begun:
            begun.append(True)
            import_archive(there, file, actor=actor)

    with monkeypatch.context() as then:
        then.setattr("venvoy.actions.import_archive._generation", another_comes_first)
        with pytest.raises(EnvironmentExists):
            import_archive(there, file, actor=actor)

    assert there.history("demo").check() == ()
    assert [each.event for each in there.history("demo").entries()][-1] == "import"


@pytest.mark.parametrize("name", ["a\u200cb.csv", "ends in a dot.", "Data.csv"])
def test_a_name_that_no_archive_can_have_is_refused_before_it_is_packed(packed, tmp_path, name):
    for each in ("data.csv", name):
        (tmp_path / each).write_text("1")

    with pytest.raises(InvalidInput, match="no archive can have it"):
        packed(inputs=(tmp_path / "data.csv", tmp_path / name))

    assert not (tmp_path / "demo.venvoy.tar.zst").exists()


def test_a_record_that_no_import_would_take_is_not_packed(packed, store):
    packed("first.venvoy.tar.zst")
    log = store.history("demo").log
    log.write_text(log.read_text().replace("venvoy test", "venvoy best", 1))

    with pytest.raises(InvalidInput, match="the record is not as it was written") as refused:
        packed()

    assert "history demo --check" in refused.value.hint


def test_a_record_that_was_torn_is_mended_before_it_is_packed(packed, store, elsewhere, actor):
    packed("first.venvoy.tar.zst")
    log = store.history("demo").log
    whole = log.read_text()
    log.write_text(whole + whole[:40])

    imported = import_archive(elsewhere(), packed().packed.path, actor=actor)

    assert imported.record
    assert log.read_text() == whole


def test_a_damaged_record_is_laid_aside_by_the_command_that_is_said(packed, store, env, actor):
    packed("first.venvoy.tar.zst")
    log = store.history("demo").log
    log.write_text(log.read_text().replace("venvoy test", "venvoy best", 1))
    with pytest.raises(InvalidInput) as refused:
        packed()
    aside, _, then = refused.value.hint.partition("another: ")[2].partition(" && ")

    subprocess.run(["sh", "-c", aside], check=True)
    freeze(store, env, actor=actor)

    assert then == "venvoy freeze demo"
    assert packed().packed.path.exists()
    assert [each.event for each in store.history("demo").entries()] == ["change", "freeze"]


def test_the_script_inside_needs_only_python(packed, tmp_path, env, elsewhere):
    folder = tmp_path / "out"
    unpack(packed().packed.path, folder)
    elsewhere()
    base = str(env.base)

    subprocess.run([base, folder / "restore.py", tmp_path / "made"], check=True, capture_output=True, cwd="/")
    printed = subprocess.check_output(
        [tmp_path / "made/bin/python", "-c", "import alpha, beta; print(alpha.__version__)"]
    )
    wheel = next((folder / "wheels").glob("alpha*"))
    wheel.write_bytes(b"changed")
    refused = subprocess.run(
        [base, folder / "restore.py", tmp_path / "again"], check=False, capture_output=True, text=True
    )

    assert printed == b"1.0\n"
    assert refused.returncode
    assert "is not what manifest.json says" in refused.stderr
    assert not (tmp_path / "again").exists()


def test_an_interrupted_packing_leaves_no_file(store, env, actor, tmp_path):
    def stop(progress) -> None:
        if progress.phase == "Packing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        archive(store, env, tmp_path / "x.venvoy.tar.zst", actor=actor, on_progress=stop)

    assert not list(tmp_path.glob("*x.venvoy*"))


# --- verify


@pytest.fixture
def proven(store, env, actor):
    """Frozen, with its wheels kept."""
    vendor(store, env, freeze(store, env, actor=actor).snapshot)
    return store.environment("demo")


def site(env) -> Path:
    return inventory.site_folders(env.prefix)[0]


def rewrite(file: Path, text: str) -> None:
    """As an editor does: uv's cache may hold the same file."""
    file.unlink()
    file.write_text(text)


def test_what_is_as_it_was_reaches_every_level(store, proven):
    report = verify_environment(store, proven)

    assert report.deviations == ()
    assert report.reached == "L3"
    assert store.names() == ("demo",)
    assert list((store.settings.home / "scratch").iterdir()) == []


def bump(store, env) -> None:
    info = next(site(env).glob("beta-*.dist-info"))
    rewrite(info / "METADATA", (info / "METADATA").read_text().replace("Version: 1.0", "Version: 1.1"))


def tamper(store, env) -> None:
    """Change a file and its line in RECORD, so that the two agree."""
    import base64
    import hashlib

    info = next(site(env).glob("alpha-*.dist-info"))
    old = base64.urlsafe_b64encode(hashlib.sha256(b"data").digest()).rstrip(b"=").decode()
    new = base64.urlsafe_b64encode(hashlib.sha256(b"evil").digest()).rstrip(b"=").decode()
    rewrite(site(env) / "alpha/data.txt", "evil")
    rewrite(info / "RECORD", (info / "RECORD").read_text().replace(old, new))


def replace_wheel(store, env) -> None:
    wheel = next(folder_of(store, "demo").glob("beta*.whl"))
    rewrite(wheel, "another")


def edit_log(store, env) -> None:
    log = store.history("demo").log
    log.write_bytes(log.read_bytes().replace(b"venvoy test", b"nobody test", 1))


def edit_snapshot(store, env) -> None:
    snapshot = next((store.history("demo").log.parent / "snapshots").iterdir())
    snapshot.write_text(snapshot.read_text() + " ")


FAULTS = {
    "one byte in one file": (lambda _, env: rewrite(site(env) / "alpha/data.txt", "dada"), "L2", "data.txt was changed"),
    "one version bumped": (bump, "L1", "beta is another"),
    "one file missing": (lambda _, env: (site(env) / "alpha/__init__.py").unlink(), "L2", "__init__.py is missing"),
    "one file extra": (lambda _, env: (site(env) / "alpha/more.py").write_text(""), "L2", "more.py was put there"),
    "one wheel replaced": (replace_wheel, "L0", "the kept wheel of beta was replaced"),
    "one record rewritten": (tamper, "L2", "recorded are not those of the lock"),
    "one entry of the log": (edit_log, "L0", "line 1 was changed"),
    "one snapshot": (edit_snapshot, "L0", "was changed"),
    "one package gone": (lambda _, env: shutil.rmtree(next(site(env).glob("beta-*.dist-info"))), "L1", "beta is missing"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_seeded_fault_is_found_and_named_at_its_level(store, proven, fault):
    seed, level, said = FAULTS[fault]
    seed(store, proven)

    report = verify_environment(store, proven, rebuild=False)

    assert any(each.level == level and said in each.what for each in report.deviations), report.deviations
    assert not report.reaches(level)


def test_without_wheels_the_rebuild_is_not_checked_and_that_is_said(store, env, actor):
    freeze(store, env, actor=actor)

    report = verify_environment(store, env)

    assert report.reached == "L2"
    assert "venvoy freeze demo --vendor" in report.skipped["L3"]


def test_wheels_of_an_earlier_lock_are_no_broken_ones(store, proven, wheelhouse, actor):
    wheelhouse.add("beta", "2.0")
    install(store, proven, ("beta>=2",), actor=actor)
    freeze(store, proven, actor=actor)

    report = verify_environment(store, proven)

    assert (report.reached, report.deviations) == ("L2", ())
    assert "nothing is kept of beta" in report.skipped["L3"]


def test_a_lock_of_elsewhere_is_compared_too(store, proven, tmp_path):
    lock = tmp_path / "pylock.toml"
    lock.write_text(
        (store.project("demo") / "pylock.toml")
        .read_text()
        .replace('"beta"\nversion = "1.0"', '"beta"\nversion = "1.0.post1"')
        .replace("beta-1.0-", "beta-1.0.post1-")
    )

    report = verify_environment(store, proven, lock=lock)

    assert [each.level for each in report.deviations] == ["L1"]
    assert report.skipped["L3"] == "a lock alone keeps no wheels"


def test_what_was_never_frozen_cannot_be_verified(store, env):
    with pytest.raises(InvalidInput, match="never frozen"):
        verify_environment(store, env)


def test_an_archive_is_verified_by_making_it_anew(packed, elsewhere):
    file = packed().packed.path
    there = elsewhere()

    report = verify_archive(there, file)

    assert (report.reached, report.deviations) == ("L3", ())
    assert there.names() == ()


def test_nothing_of_a_venvs_packages_runs_while_their_archive_is_verified(
    make, wheelhouse, mirror_index, store, actor, tmp_path
):
    ran = tmp_path / "ran"
    wheelhouse.add("alpha", files={"alpha.pth": f"import os; open({str(ran)!r}, 'w').close()"})
    env = make("demo", "alpha")
    packed = archive(store, env, tmp_path / "x.venvoy.tar.zst", actor=actor)
    subprocess.run([env.python, "-c", ""], check=True)
    ours = ran.exists()
    ran.unlink(missing_ok=True)

    report = verify_archive(store, packed.packed.path)

    assert (ours, report.reached, ran.exists()) == (True, "L3", False)


def test_an_archive_that_is_not_whole_reaches_nothing(packed, store, tmp_path):
    file = packed().packed.path
    raw = bytearray(file.read_bytes())
    raw[len(raw) // 2] ^= 1
    file.write_bytes(raw)

    report = verify_archive(store, file)

    assert report.reached is None
    assert "is refused" in report.deviations[0].what


def test_an_archive_whose_record_was_changed_before_it_was_packed_reaches_nothing(
    packed, store, elsewhere, actor, monkeypatch
):
    packed("first.venvoy.tar.zst")
    log = store.history("demo").log
    log.write_text(log.read_text().replace("venvoy test", "venvoy best", 1))
    with monkeypatch.context() as deceived:
        deceived.setattr(History, "check", lambda _: ())
        file = packed().packed.path
    there = elsewhere()

    report = verify_archive(there, file)
    with pytest.raises(InvalidInput, match="the record in history is not as it was written"):
        import_archive(there, file, actor=actor)

    assert report.reached is None
    assert [(each.level, "names another line" in each.what) for each in report.deviations] == [("L0", True)]
    assert not there.project("demo").exists()


def test_what_an_archive_lacks_keeps_it_from_every_level_but_the_first(
    make, wheelhouse, mirror_index, store, actor, tmp_path
):
    wheelhouse.add("alpha")
    env = make("demo", "alpha")
    gone = tmp_path / "gone"
    gone.mkdir()
    (gone / "pyproject.toml").write_text('[project]\nname = "gone"\nversion = "1"\n')
    info = site(env) / "gone-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gone\nVersion: 1\n")
    (info / "direct_url.json").write_text(
        json.dumps({"url": f"file://{tmp_path}/nowhere", "dir_info": {"editable": True}})
    )

    packed = archive(store, env, tmp_path / "x.venvoy.tar.zst", actor=actor)
    report = verify_archive(store, packed.packed.path)

    assert [each.package.name for each in packed.vendored.missing] == ["gone"]
    assert [(each.level, each.what) for each in report.deviations] == [("L1", "gone is missing")]
    assert report.reached == "L0"


@pytest.mark.network
def test_a_specification_is_made_again_by_fetching_what_its_lock_names(store, settings, actor, tmp_path):
    listed = tmp_path / "requirements.txt"
    listed.write_text("six\n")
    env = create(store, Plan(name="demo", requirements=listed), actor=actor)
    packed = archive(store, env, tmp_path / "x.venvoy.tar.zst", actor=actor, tier="spec")
    there = Store(replace(settings, home=tmp_path / "elsewhere", projects=tmp_path / "their-projects"))

    imported = import_archive(there, packed.packed.path, actor=actor)

    assert (packed.tier, packed.vendored.kept) == ("spec", ())
    assert not any(name.startswith(("wheels/", "payload/")) for name in imported.manifest.members)
    assert installed(there) == installed(store)
    report = verify_environment(there, imported.environment)
    assert report.reached == "L2"
    assert verify_archive(there, packed.packed.path).skipped.keys() == {"L1", "L2", "L3"}


def test_a_venv_has_no_image_to_carry(packed):
    with pytest.raises(InvalidInput, match="stands on no image"):
        packed(tier="image")


def test_the_facts_of_the_machine_are_kept_with_the_record(store, env, packed):
    packed()

    facts = json.loads((store.history("demo").log.parent / "facts.json").read_text())

    assert facts["system"]["machine"] == os.uname().machine
    assert facts["python"].startswith(env.python_version)
    assert facts["processor"]["count"] == os.cpu_count()
