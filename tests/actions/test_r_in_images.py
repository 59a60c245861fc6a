"""R environments on images: the same library, seen at one path by whatever runs the image."""

import os
from dataclasses import replace

import pytest

from venvoy.actions.check import check
from venvoy.actions.contain import Wanted, contain, usual_image
from venvoy.actions.create import Plan, create
from venvoy.actions.install import install, remove
from venvoy.actions.launch import kernel_of
from venvoy.actions.observe import observe
from venvoy.actions.r_bases import r_in
from venvoy.actions.repair import repair
from venvoy.actions.support import built
from venvoy.actions.undo import undo
from venvoy.errors import CommandFailed, InvalidInput, RuntimeUnavailable
from venvoy.settings import Policy


@pytest.fixture
def make_in(store, engine, image, actor, repository):
    def made(tag="4.5", *packages, name="demo", **words):
        wanted = Wanted(runtime=engine.name, image=image(engine, f"r:{tag}"), language="r")
        kind, container = contain(store, wanted, Policy())
        plan = Plan(name=name, language="r", runtime=kind, container=container, specs=packages, **words)
        return create(store, plan, actor=actor)

    return made


def installed(store, env):
    return {each.name: each.version for each in observe(store, env).packages}


def test_the_library_comes_on_top_of_the_image(store, make_in, in_r, actor):
    env = make_in("4.5", "tinyb")

    install(store, env, ("tinya==1.0",), actor=actor)

    assert installed(store, env) == {"tinya": "1.0", "tinyb": "0.2-1"}
    assert in_r(env, "cat(.libPaths()[1], tinyb::hello())") == "/venvoy/env/R hello from 1.0"
    assert {each.stat().st_uid for each in env.library.iterdir()} == {os.getuid()}
    assert check(store, store.environment("demo")) == ()
    base = r_in(store, env).base
    assert (base.version, base.abi, base.libc) == ("4.5.0", "r45", "glibc-2.41")
    assert env.r_version == "4.5.0"

    remove(store, store.environment("demo"), ("tinyb",), actor=actor)
    returned = undo(store, store.environment("demo"), actor=actor)

    assert installed(store, returned.environment) == {"tinya": "1.0", "tinyb": "0.2-1"}
    assert in_r(returned.environment, "cat(tinyb::hello())") == "hello from 1.0"


def test_what_fails_inside_changes_nothing(store, make_in, actor):
    env = make_in("4.2")

    with pytest.raises(CommandFailed):
        install(store, env, ("tinya", "nosuch"), actor=actor)

    assert os.listdir(env.library) == []
    assert env.r_version == "4.2.2"


def test_the_users_own_libraries_are_not_seen_though_the_home_is(store, make_in, in_r, settings):
    own = settings.user_home / "own-library"
    own.mkdir()
    (settings.user_home / ".Renviron").write_text(f"R_LIBS={own}\nR_LIBS_USER={own}\n")
    env = make_in("4.5")

    seen = in_r(env, "cat(.libPaths(), Sys.getenv(c('R_LIBS', 'R_LIBS_USER')), sep = '\n')").splitlines()

    assert seen[0] == "/venvoy/env/R"
    assert str(own) not in seen


def test_an_engine_that_is_another_by_now_is_noted(store, make_in, engine, actor):
    env = make_in("4.5")
    store.save(replace(env, container=replace(env.container, rootless=not env.container.rootless)))
    before = check(store, store.environment("demo"))

    mended = repair(store, store.environment("demo"), actor=actor)

    known = engine.engine in ("docker", "podman")  # whoever starts one of the others is who runs it
    assert [each.code for each in before] == ["runtime-other"] * known
    assert (len(mended.done), mended.left) == (int(known), ())
    assert (store.environment("demo").container.rootless == env.container.rootless) is known


def test_an_image_of_another_version_is_refused(store, make_in):
    with pytest.raises(RuntimeUnavailable, match=r"has R 4\.2\.2, and not 4\.4"):
        make_in("4.2", r="4.4")

    assert store.names() == ()


def test_an_image_without_r_is_refused(store, engine, image, actor):
    kind, container = contain(store, Wanted(runtime=engine.name, image=image(engine, "python:3.13")), Policy())

    with pytest.raises(RuntimeUnavailable, match="the R of the image"):
        create(store, Plan(name="demo", language="r", runtime=kind, container=container), actor=actor)

    assert store.names() == ()


def test_the_kernel_that_an_image_lacks_is_lent_from_this_machines_library(store, make_in, rscript):
    env = make_in("4.5")

    kernel = kernel_of(store, env)

    assert kernel.name == "IRkernel"
    assert kernel.payload == built(store, r_in(store, env).base)
    assert {"IRkernel", "pbdZMQ", "repr"} <= set(os.listdir(kernel.payload.folder / "library"))
    assert any(each.startswith("libzmq.so") for each in os.listdir(kernel.payload.folder / "shared"))


def test_the_usual_image_is_the_fields_own():
    assert usual_image(Wanted(language="r", r="4.3")) == "docker.io/rocker/r-ver:4.3"
    with pytest.raises(InvalidInput):
        usual_image(Wanted(language="r", r="latest"))
