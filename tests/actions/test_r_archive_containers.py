"""R environments in containers: carried with their image, made again in another runtime, without network."""

from dataclasses import replace

import pytest

from venvoy.actions.archive import archive
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.facts import facts
from venvoy.actions.import_archive import import_archive
from venvoy.actions.lay_out import lay_out
from venvoy.actions.observe import observe
from venvoy.actions.verify import verify_archive, verify_environment
from venvoy.model import Resources
from venvoy.settings import Policy
from venvoy.store import Store

OFF = Resources(network="none")


@pytest.fixture
def packed(store, runtime, image, actor, repository, tmp_path):
    def made(engine):
        found = runtime(engine)
        wanted = Wanted(runtime=engine, image=image(found, "r:4.2"), language="r")
        kind, container = contain(store, wanted, Policy())
        specs = ("tinyb",)
        env = create(
            store, Plan(name="demo", language="r", runtime=kind, container=container, specs=specs), actor=actor
        )
        return archive(store, env, tmp_path / "a.venvoy.tar.zst", actor=actor)

    return made


@pytest.fixture
def elsewhere(store, settings, repository):
    def moved():
        (repository / "src").rename(repository / "gone")
        home = settings.user_home / "elsewhere"
        return Store(replace(store.settings, home=home / "home", projects=home / "projects"))

    return moved


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


@pytest.mark.parametrize(("source", "target"), [("docker", "podman"), ("podman", "apptainer"), ("apptainer", "docker")])
def test_what_was_packed_in_one_runtime_is_made_in_another(
    source, target, runtime, packed, elsewhere, store, actor, in_r
):
    runtime(target)
    result = packed(source)
    there = elsewhere()

    made = import_archive(there, result.packed.path, actor=actor, wanted=Wanted(runtime=target, resources=OFF))

    env = made.environment
    assert result.tier == "image"
    assert (env.runtime, env.language, env.r_version) == (target, "r", "4.2.2")
    assert installed(there, env) == {"tinya": "1.1", "tinyb": "0.2-1"}
    assert in_r(env, "cat(tinyb::hello())") == "hello"
    assert facts(env)["r"].startswith("R version 4.2.2")
    report = verify_environment(there, env)
    assert (report.reached, report.deviations) == ("L3", ())
    assert "with no network" in report.checked["L3"]
    assert list((there.settings.home / "scratch").iterdir()) == []


@pytest.mark.parametrize("engine_name", ["docker", "podman", "apptainer"])
def test_an_archive_is_proved_and_leaves_nothing(engine_name, packed, elsewhere, store):
    result = packed(engine_name)
    there = elsewhere()

    report = verify_archive(there, result.packed.path)

    assert (report.reached, report.deviations) == ("L3", ())
    assert list((there.settings.home / "scratch").iterdir()) == []


def test_a_folder_shows_it_without_any_runtime(packed, tmp_path):
    result = packed("docker")

    laid = lay_out(result.packed.path, tmp_path / "laid")

    assert laid.packages == 2
    assert (laid.folder / "prefix/R/tinyb/R/tinyb.rdb").is_file()
    assert (laid.folder / "prefix/etc/Rprofile.site").is_file()
    assert (laid.folder / "rootfs/usr/bin/Rscript").exists()
