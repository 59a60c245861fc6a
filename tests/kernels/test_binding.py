"""What a notebook says of its environment is short, is read strictly, and leads to the lock again."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from venvoy.errors import InvalidInput
from venvoy.frontends.binding import LIMIT, Bound, bound, bound_in, lock_of, named_by_kernel, read, size
from venvoy.settings import Settings
from venvoy.store import Store

DIGEST, OTHER = "ab" * 32, "cd" * 32
Write = Callable[..., Path]


@pytest.fixture
def store(settings: Settings, tmp_path: Path) -> Store:
    """A home that no other test has."""
    home = tmp_path / "home"
    return Store(replace(settings, user_home=home, home=home / ".venvoy", projects=home / "venvoy-projects"))


@pytest.fixture
def notebook(tmp_path: Path) -> Write:
    """Write a notebook with that metadata under the key."""

    def written(said: object = None, *, name: str = "analysis.ipynb") -> Path:
        metadata = {} if said is None else {"venvoy": said}
        file = tmp_path / "work" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps({"cells": [], "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}))
        return file

    return written


def _lock(folder: Path, digest: str = DIGEST) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "pylock.toml"
    head = 'lock-version = "1.0"\ncreated-by = "venvoy"\npackages = []\n'
    file.write_text(f'{head}\n[tool.venvoy]\nsnapshot = "{digest}"\n')
    return file


# --- what is written -------------------------------------------------------------------------------------------------


def test_the_key_says_name_digest_and_the_way_to_the_lock(store: Store) -> None:
    lock = _lock(store.project("research"))
    folder = store.settings.user_home / "work"

    said = bound(store, "research", DIGEST, folder / "a.ipynb").said()

    assert said == {"environment": "research", "snapshot": DIGEST, "lock": "../venvoy-projects/research/pylock.toml"}
    assert (folder / said["lock"]).resolve() == lock.resolve()


def test_it_does_not_say_a_lock_that_is_not_there(store: Store) -> None:
    said = bound(store, "research", DIGEST, Path("/data/a.ipynb")).said()

    assert said == {"environment": "research", "snapshot": DIGEST}


def test_it_does_not_say_whose_home_it_is(store: Store) -> None:
    _lock(store.project("research"))

    said = bound(store, "research", DIGEST, Path("/data/shared/a.ipynb")).said()

    assert said["lock"] == "~/venvoy-projects/research/pylock.toml"


@pytest.mark.parametrize("depth", [0, 1, 10, 40])
def test_it_stays_under_three_hundred_bytes_however_long_names_and_ways_are(store: Store, depth: int) -> None:
    name = "n" * 64
    _lock(store.project(name))
    notebook = store.settings.user_home.joinpath(*(f"folder-{each}" for each in range(depth)), "a.ipynb")

    said = bound(store, name, DIGEST, notebook).said()

    assert size(said) < LIMIT == 300
    assert said["environment"] == name
    assert said["snapshot"] == DIGEST


# --- what is read ----------------------------------------------------------------------------------------------------


def test_what_was_written_is_read_again(store: Store, notebook: Write) -> None:
    _lock(store.project("research"))
    file = notebook()
    written = bound(store, "research", DIGEST, file)

    assert read(notebook(written.said())) == written


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("research", "must be a mapping of strings, not 'research'"),
        ({"environment": 3}, "must be a mapping of strings"),
        ({"environment": "../../etc"}, "names no environment: '../../etc'"),
        ({}, "names no environment: ''"),
        ({"environment": "research", "snapshot": "../x"}, "has no digest as its snapshot: '../x'"),
    ],
)
def test_what_is_not_ours_is_refused_with_the_file(notebook: Write, said: object, message: str) -> None:
    file = notebook(said)

    with pytest.raises(InvalidInput) as raised:
        read(file)

    assert raised.value.message.startswith(f"{file}: ")
    assert message in raised.value.message


def test_keys_of_a_later_version_do_no_harm(notebook: Write) -> None:
    assert read(notebook({"environment": "research", "runtime": "docker"})) == Bound(environment="research")


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"metadata": {}}', '{"nbformat": 4, "metadata": []}', "[" * 90000]
)
def test_what_is_no_notebook_is_said_to_be_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "x.ipynb"
    file.write_text(content)

    with pytest.raises(InvalidInput, match=r"x\.ipynb is no notebook"):
        read(file)


def test_bytes_that_are_no_text_are_no_notebook(tmp_path: Path) -> None:
    (tmp_path / "x.ipynb").write_bytes(b"\xff\xfe{}")

    with pytest.raises(InvalidInput, match="is no notebook"):
        read(tmp_path / "x.ipynb")


def test_a_notebook_that_says_nothing_is_told_how_to(notebook: Write) -> None:
    with pytest.raises(InvalidInput) as raised:
        read(notebook())

    assert "does not say which environment" in raised.value.message
    assert "venvoy stamp" in raised.value.hint
    assert bound_in({}) is None


def test_the_kernel_that_is_asked_for_names_the_environment(store: Store) -> None:
    store.folder("Research").mkdir(parents=True)
    (store.folder("Research") / "config.yaml").touch()

    assert named_by_kernel({"kernelspec": {"name": "venvoy-research"}}, store) == "Research"
    assert named_by_kernel({"kernelspec": {"name": "python3"}}, store) is None
    assert named_by_kernel({}, store) is None


# --- the way to the lock ---------------------------------------------------------------------------------------------


def test_the_lock_lies_where_the_notebook_says(store: Store, notebook: Write, tmp_path: Path) -> None:
    lock = _lock(tmp_path / "locks")
    _lock(store.project("research"))
    file = notebook({"environment": "research", "snapshot": DIGEST, "lock": "../locks/pylock.toml"})

    assert lock_of(store, file) == lock


def test_a_lock_below_the_home_is_found_from_anywhere(store: Store, notebook: Write) -> None:
    lock = _lock(store.settings.user_home / "locks")
    file = notebook({"environment": "research", "snapshot": DIGEST, "lock": "~/locks/pylock.toml"})

    assert lock_of(store, file) == lock


def test_else_it_is_the_project_folders_where_that_is_of_the_same_state(store: Store, notebook: Write) -> None:
    file = notebook({"environment": "research", "snapshot": DIGEST, "lock": "../gone/pylock.toml"})
    beside = _lock(file.parent)
    project = _lock(store.project("research"))

    assert lock_of(store, file) == project

    _lock(store.project("research"), OTHER)
    assert lock_of(store, file) == beside


def test_a_lock_of_another_state_is_not_taken_for_it(store: Store, notebook: Write) -> None:
    other = _lock(store.project("research"), OTHER)
    file = notebook({"environment": "research", "snapshot": DIGEST})

    with pytest.raises(InvalidInput) as raised:
        lock_of(store, file)

    assert f"({DIGEST[:12]})" in raised.value.message
    assert f"({OTHER[:12]})" in raised.value.message
    assert raised.value.hint == f"take that one all the same: venvoy restore {other}"


def test_where_there_is_none_it_is_said_what_to_do(store: Store, notebook: Write) -> None:
    with pytest.raises(InvalidInput) as raised:
        lock_of(store, notebook({"environment": "research", "snapshot": DIGEST}))

    assert "the lock of 'research' is not found" in raised.value.message
    assert "venvoy freeze research" in raised.value.hint


def test_a_lock_that_is_no_lock_is_of_no_state(store: Store, notebook: Write) -> None:
    file: Any = notebook({"environment": "research", "snapshot": DIGEST})
    (file.parent / "pylock.toml").write_text("= broken")

    with pytest.raises(InvalidInput, match="it does not say which"):
        lock_of(store, file)
