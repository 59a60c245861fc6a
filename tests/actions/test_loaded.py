"""What a running kernel has loaded is compared with what is installed, without a false word."""

import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from venvoy.actions.loaded import Module, Restart, stale, would_be_stale
from venvoy.actions.record import record
from venvoy.frontends.views.running import restart_sentence
from venvoy.history import History
from venvoy.model import Actor

NOW = time.time()
LONG_AGO = NOW - 1000


@pytest.fixture
def history(tmp_path):
    return History(tmp_path / "project")


@pytest.fixture
def install(env, distribution):
    """Lay a distribution into the prefix as an installer would have done at a time."""

    def laid(name, version, *files, at=NOW, text=""):
        for old in env.prefix.glob(f"lib/python3.12/site-packages/{name.replace('-', '_')}-*.dist-info"):
            for each in old.iterdir():
                each.unlink()
            old.rmdir()
        info = distribution(env.prefix, name, version, RECORD="".join(f"{each},,\n" for each in files))
        for each in files:
            file = info.parent / each
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        os.utime(info, (at, at))

    return laid


def _module(name="numpy", version="1.26", *, file="", loaded=LONG_AGO, **more):
    return Module(name=name, version=version, file=file or f"{name}/__init__.py", after=loaded, by=loaded, **more)


def _said(found):
    return [each.sentence for each in found]


def test_another_version_that_came_later_is_named_with_both(env, install, history):
    install("numpy", "2.1", "numpy/__init__.py")

    assert _said(stale(env, [_module()], history)) == ["numpy 1.26 is loaded, 2.1 is installed"]


def test_what_was_there_before_it_was_loaded_is_what_was_loaded(env, install, history):
    install("numpy", "2.1", "numpy/__init__.py", at=LONG_AGO - 5)

    assert stale(env, [_module(version="1.26"), _module("numpy", None)], history) == ()


@pytest.mark.parametrize(("loaded", "installed"), [("1.0", "1.0.0"), ("2.1+cu118", "2.1"), ("1.0rc1", "1.0.rc1")])
def test_the_same_version_may_be_written_otherwise(env, install, history, loaded, installed):
    install("torch", installed, "torch/__init__.py")

    assert stale(env, [_module("torch", loaded)], history) == ()


def test_a_module_may_be_called_otherwise_than_its_distribution(env, install, history):
    install("scikit-learn", "1.6", "sklearn/__init__.py")
    install("single", "3", "one_file.py")

    found = stale(env, [_module("sklearn", "1.5"), _module("one_file", "2", file="one_file.py")], history)

    assert _said(found) == ["scikit-learn 1.5 is loaded, 1.6 is installed", "single 2 is loaded, 3 is installed"]


def test_a_module_that_never_says_its_packages_version_is_believed_where_its_file_still_says_the_same(
    env, install, history
):
    install("odd", "7.0", "odd/__init__.py", text="__version__ = '0.1'\n")

    assert stale(env, [_module("odd", "0.1")], history) == ()


def test_without_a_version_the_record_tells_what_stood_then(env, install, history, snapshot):
    then = datetime.fromtimestamp(LONG_AGO - 1, UTC)
    for moment, pin in ((then, "plain==1.0"), (then + timedelta(seconds=60), "plain==2.0")):
        record(
            history, lambda pin=pin, moment=moment: replace(snapshot(pin), taken=moment), actor=Actor(kind="terminal")
        )
    install("plain", "3.0", "plain/__init__.py")

    assert _said(stale(env, [_module("plain", None)], history)) == ["plain 1.0 is loaded, 3.0 is installed"]
    assert _said(stale(env, [_module("plain", None, loaded=LONG_AGO + 100)], history)) == [
        "plain 2.0 is loaded, 3.0 is installed"
    ]


def test_where_nobody_knows_the_version_none_is_made_up(env, install, history):
    install("plain", "3.0", "plain/__init__.py")

    assert _said(stale(env, [_module("plain", None)], history)) == ["an earlier plain is loaded, 3.0 is installed"]


def test_what_is_gone_is_named_and_what_was_lent_is_not_missed(env, install, history):
    install("other", "1.0", "other/__init__.py")

    found = stale(env, [_module("gone", "1.0"), _module("traitlets", "5.14", lent=True)], history)

    assert _said(found) == ["gone 1.0 is loaded and is not installed any more"]
    assert found[0].installed == ""


def test_what_was_lent_is_named_where_the_environment_has_its_own_since(env, install, history):
    install("traitlets", "5.9", "traitlets/__init__.py")

    found = stale(env, [_module("traitlets", "5.14", lent=True)], history)

    assert _said(found) == ["traitlets 5.14 is loaded, 5.9 is installed"]


def test_a_package_of_many_modules_is_named_once(env, install, history):
    install("setuptools", "80", "setuptools/__init__.py", "pkg_resources/__init__.py")

    found = stale(env, [_module("setuptools", "70"), _module("pkg_resources", "70")], history)

    assert _said(found) == ["setuptools 70 is loaded, 80 is installed"]


def test_what_would_be_stale_is_told_before(env, install, snapshot):
    install("numpy", "2.1", "numpy/__init__.py", at=LONG_AGO - 5)
    install("six", "1.17", "six.py", at=LONG_AGO - 5)
    modules = [_module("numpy", "2.1"), _module("six", None, file="six.py")]

    assert would_be_stale(env, modules, snapshot("numpy==2.1", "six==1.17")) == ()
    assert _said(would_be_stale(env, modules, snapshot("numpy==1.26"))) == [
        "numpy 2.1 is loaded, 1.26 is installed",
        "six 1.17 is loaded and is not installed any more",
    ]


def test_the_sentence_names_a_few_and_counts_the_rest(env, install, history):
    names = [f"package-{number}" for number in range(7)]
    for name in names:
        install(name, "2", f"{name.replace('-', '_')}/__init__.py")
    found = stale(env, [_module(name.replace("-", "_"), "1") for name in names], history)

    said = restart_sentence(Restart(stale=found, replaced=True, python=("3.11.7", "3.12.1")))

    assert said.startswith("Restart needed: Python 3.11.7 runs, 3.12.1 is installed; package-0 1 is loaded, 2 is")
    assert said.endswith("; and 2 packages more.")
    assert restart_sentence(Restart()) == ""
    assert "was replaced" in restart_sentence(Restart(replaced=True))
