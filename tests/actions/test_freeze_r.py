"""The lock of an R environment: its renv.lock, with the source of every package and its hash."""

import hashlib
import json
import subprocess
import tarfile
from dataclasses import replace

import pytest

from venvoy.actions.export import Order, export
from venvoy.actions.freeze import freeze
from venvoy.actions.install import install, remove
from venvoy.actions.locks import locked
from venvoy.actions.observe import observe
from venvoy.actions.points import point
from venvoy.actions.restore import restore
from venvoy.actions.status import status
from venvoy.errors import InvalidInput
from venvoy.formats.renv import RenvLock, is_pinned
from venvoy.model import Repository


def sha256(file):
    return hashlib.sha256(file.read_bytes()).hexdigest()


def reason(frozen):
    return {each.package.name: each.reason for each in frozen.unpinned}


def test_every_package_has_its_source_its_hash_and_what_it_needs(store, make_r, actor, repository, served_repository):
    env = make_r("demo", "tinyb", "tinya==1.0", "tinyc")

    frozen = freeze(store, env, actor=actor)

    contrib = repository / "src/contrib"
    assert frozen.path == store.project("demo") / "renv.lock"
    assert [(each.name, each.version, each.url, each.sha256) for each in frozen.snapshot.packages] == [
        (
            "tinya",
            "1.0",
            f"{served_repository}/src/contrib/Archive/tinya/tinya_1.0.tar.gz",
            sha256(contrib / "Archive/tinya/tinya_1.0.tar.gz"),
        ),
        (
            "tinyb",
            "0.2-1",
            f"{served_repository}/src/contrib/tinyb_0.2-1.tar.gz",
            sha256(contrib / "tinyb_0.2-1.tar.gz"),
        ),
        ("tinyc", "0.1", f"{served_repository}/src/contrib/tinyc_0.1.tar.gz", sha256(contrib / "tinyc_0.1.tar.gz")),
    ]
    assert {each.name: each.depends for each in frozen.snapshot.packages}["tinyb"] == ("tinya",)
    assert frozen.snapshot.repositories == (Repository(name="CRAN", url=served_repository),)
    assert frozen.unpinned == ()
    assert locked(store, env) == frozen.snapshot
    assert status(store.history("demo"), observe(store, env)).state == "frozen"


def test_a_second_freeze_gives_the_same_bytes_and_fetches_nothing(store, make_r, actor, repository, served_repository):
    env = make_r("demo", "tinyb")
    first = freeze(store, env, actor=actor).path.read_bytes()
    (repository / "src/contrib/tinyb_0.2-1.tar.gz").unlink()

    again = freeze(store, env, actor=actor)

    assert again.path.read_bytes() == first
    assert again.unpinned == ()


def test_what_cannot_be_had_again_is_named_with_the_reason(store, make_r, actor, repository, in_r):
    env = make_r("demo", "tinya", "tinyc")
    source = repository / "src/contrib/Tiny.Cased_1.0.tar.gz"
    in_r(env, f"install.packages('{source}', repos = NULL, quiet = TRUE)")
    described = env.library / "Tiny.Cased/DESCRIPTION"
    described.write_text(described.read_text().replace("Repository: CRAN\n", ""))
    (repository / "src/contrib/tinyc_0.1.tar.gz").unlink()

    frozen = freeze(store, env, actor=actor)

    assert reason(frozen) == {
        "Tiny.Cased": "installed from a file or folder of this machine",
        "tinya": "its repository is of this machine",
        "tinyc": "none of its repositories has the source of it",
    }
    assert json.loads(frozen.path.read_text())["Packages"]["Tiny.Cased"]["Source"] == "unknown"


def test_another_source_under_the_same_name_is_not_taken_for_it(
    store, make_r, actor, repository, served_repository, tmp_path
):
    env = make_r("demo", "tinya", "tinyc")
    source = repository / "src/contrib/tinya_1.1.tar.gz"
    with tarfile.open(source) as tar:
        tar.extractall(tmp_path, filter="data")
    described = tmp_path / "tinya/DESCRIPTION"
    packaged = next(line for line in described.read_text().splitlines() if line.startswith("Packaged:"))
    described.write_text(described.read_text().replace(packaged, "Packaged: 1999-01-01 00:00:00 UTC; somebody"))
    with tarfile.open(source, "w:gz") as tar:
        tar.add(tmp_path / "tinya", "tinya")
    heard = []

    frozen = freeze(store, env, actor=actor, on_line=heard.append)

    assert list(reason(frozen)) == ["tinya"]
    assert "tinya 1.1: what its repository has now is not what was installed" in heard


def test_packages_of_bioconductor_come_with_the_release_and_its_repositories(store, make_r, actor, bioconductor):
    env = make_r("demo", "tinybioc")

    frozen = freeze(store, env, actor=actor)

    said = json.loads(frozen.path.read_text())
    assert said["Bioconductor"] == {"Version": bioconductor.release}
    assert [each["Name"] for each in said["R"]["Repositories"]] == ["CRAN", "BioCsoft", "BioCann", "BioCexp"]
    assert {name: each["Source"] for name, each in said["Packages"].items()} == {
        "tinya": "Repository",
        "tinybioc": "Bioconductor",
        "tinyd": "Bioconductor",
    }
    assert frozen.snapshot.package("tinybioc").url.endswith("/bioc/src/contrib/tinybioc_2.0.1.tar.gz")


def test_packages_of_the_real_cran_are_locked_by_what_cran_gave(store, make_r, actor, of_cran, served_repository, in_r):
    env = make_r("demo", "glue", "R6")

    frozen = freeze(store, env, actor=actor)

    contrib = of_cran / "src/contrib"
    assert frozen.unpinned == ()
    assert {each.name: each.sha256 for each in frozen.snapshot.packages} == {
        "glue": sha256(next(contrib.glob("glue_*.tar.gz"))),
        "R6": sha256(next(contrib.glob("R6_*.tar.gz"))),
    }
    assert in_r(env, "name <- 'Ada'; cat(glue::glue('{name}'))") == "Ada"
    assert "  - r-r6=" in store.history("demo").latest.read_text()


def test_who_asked_for_what_is_in_the_lock(store, make_r, actor):
    env = make_r("demo", "tinyb")
    install(store, env, ("tinyc",), actor=actor)

    lock = freeze(store, store.environment("demo"), actor=actor).snapshot

    assert {each.name: each.direct for each in lock.packages} == {"tinya": False, "tinyb": True, "tinyc": True}


def test_platforms_of_a_lock_that_is_for_all_are_refused(store, make_r, actor):
    with pytest.raises(InvalidInput, match="every platform"):
        freeze(store, make_r(), actor=actor, platforms=("linux-64",))

    assert not (store.project("demo") / "renv.lock").exists()


# --- exported --------------------------------------------------------------------------------------------------------


def test_an_export_is_the_lock_frozen_where_it_was_not(store, make_r, actor):
    env = make_r("demo", "tinya")

    first = export(store, "demo", Order(form="renv"), actor=actor)
    again = export(store, "demo", Order(form="renv"), actor=actor)

    assert first.locked
    assert not again.locked
    assert again.text == first.text == (store.project("demo") / "renv.lock").read_text()
    assert is_pinned(replace(locked(store, env).packages[0], url="https://e.org/src/contrib/tinya_1.1.tar.gz"))


def test_a_state_of_the_past_has_no_hashes_and_a_lock_of_it_is_refused(store, make_r, actor):
    env = make_r("demo", "tinya", "tinyc")
    remove(store, env, ("tinyc",), actor=actor)
    history = store.history("demo")
    before = point(history, "1", look=lambda: observe(store, env), read=None)

    with pytest.raises(InvalidInput, match="no hashes are known"):
        export(store, "demo", Order(form="renv", point=before), actor=actor)


def test_bill_of_materials_and_research_object_have_every_package_with_its_hash(
    store, make_r, actor, served_repository, tmp_path
):
    make_r("demo", "tinya", "Tiny.Cased")
    place = tmp_path / "ro-crate-metadata.json"

    bom = json.loads(export(store, "demo", Order(form="cyclonedx"), actor=actor).text)
    crate = export(store, "demo", Order(form="rocrate", target=place), actor=actor)

    hashes = {each["purl"]: each["hashes"][0]["content"] for each in bom["components"]}
    assert hashes.keys() == {"pkg:cran/tinya@1.1", "pkg:cran/Tiny.Cased@1.0"}
    assert crate.beside == tmp_path / "renv.lock"
    assert all(each in crate.text for each in hashes.values())


@pytest.mark.parametrize("form", ["conda-lock", "pixi", "pylock", "requirements"])
def test_formats_without_words_for_r_say_so(store, make_r, actor, form):
    make_r()

    with pytest.raises(InvalidInput, match="is an R environment"):
        export(store, "demo", Order(form=form), actor=actor)


def test_renv_is_for_r_alone(store, make, actor):
    make("demo")

    with pytest.raises(InvalidInput, match="renv is for R"):
        export(store, "demo", Order(form="renv"), actor=actor)


# --- read by renv ----------------------------------------------------------------------------------------------------


def test_renv_reads_the_lock_finds_nothing_wrong_with_it_and_makes_the_same(
    store, make_r, actor, served_repository, renv, rscript, tmp_path
):
    env = make_r("demo", "tinyb", "tinya==1.0", "tinyc")
    lock = freeze(store, env, actor=actor).path
    (tmp_path / "library").mkdir()
    code = f"""
        .libPaths(c("{renv}", .libPaths()))
        options(repos = c(CRAN = "{served_repository}"), renv.config.cache.enabled = FALSE, renv.consent = TRUE)
        said <- renv::lockfile_read("{lock}")
        cat(said$R$Version, names(said$Packages), "\\n")
        renv::restore(library = "{tmp_path}/library", lockfile = "{lock}", packages = names(said$Packages), prompt = FALSE)
        there <- installed.packages("{tmp_path}/library")
        cat("there:", sprintf("%s=%s", there[, "Package"], there[, "Version"]), "\\n")
    """

    ran = subprocess.run([rscript, "--vanilla", "-e", code], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ran.returncode == 0, ran.stderr + ran.stdout
    assert f"{env.r_version} tinya tinyb tinyc" in ran.stdout
    assert set(ran.stdout.partition("there:")[2].split()) == {"tinya=1.0", "tinyb=0.2-1", "tinyc=0.1"}


@pytest.mark.parametrize("version", [1, 2])
def test_a_lock_that_renv_wrote_is_read(renv, rscript, served_repository, tmp_path, make_r, version):
    env = make_r("demo", "tinyb", "tinyc")
    file = tmp_path / "renv.lock"
    code = f"""
        .libPaths(c("{env.library}", "{renv}"))
        options(repos = c(CRAN = "{served_repository}"), renv.consent = TRUE, renv.lockfile.version = {version}L)
        packages <- c("tinya", "tinyb", "tinyc")
        renv::snapshot(project = "{tmp_path}", lockfile = "{file}", packages = packages, prompt = FALSE, force = TRUE)
    """

    subprocess.run([rscript, "--vanilla", "-e", code], check=True, capture_output=True, cwd=tmp_path)

    said = RenvLock().load(file.read_text(), source=str(file))
    assert {each.name: each.version for each in said.packages} == {"tinya": "1.1", "tinyb": "0.2-1", "tinyc": "0.1"}
    assert said.repositories == (Repository(name="CRAN", url=served_repository),)
    assert said.language_version == env.r_version


def test_a_lock_that_renv_wrote_gives_an_environment_from_the_repositories_that_it_names(
    store, actor, repository, served_repository, settings, tmp_path, rscript
):
    lock = tmp_path / "renv.lock"
    said = {
        "R": {"Version": "4.2.0", "Repositories": [{"Name": "LAB", "URL": served_repository}]},
        "Packages": {
            "tinya": {"Package": "tinya", "Version": "1.0", "Source": "Repository", "Repository": "LAB"},
            "tinyb": {"Package": "tinyb", "Version": "0.2-1", "Source": "Repository", "Repository": "LAB"},
        },
    }
    lock.write_text(json.dumps(said))
    (tmp_path / "src/contrib").mkdir(parents=True)
    subprocess.run([rscript, "--vanilla", "-e", f"file.create('{tmp_path}/src/contrib/PACKAGES')"], check=True)
    (settings.user_home / ".Rprofile").write_text(f'options(repos = c(CRAN = "{tmp_path.as_uri()}"))\n')

    env = restore(store, lock, name="demo", actor=actor).environment

    assert {each.name: each.version for each in observe(store, env).packages} == {"tinya": "1.0", "tinyb": "0.2-1"}
