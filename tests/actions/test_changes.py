"""The record's story, told from its first entry."""

import pytest

from venvoy.actions.changes import changes
from venvoy.actions.record import record
from venvoy.errors import InvalidInput
from venvoy.formats.snapshot_json import digest
from venvoy.history import History
from venvoy.model import Actor, Asked, Diff

SOMEBODY = Actor(kind="terminal")


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "demo")


@pytest.fixture
def recorded(history, snapshot):
    def seen(*packages: str, python: str = "3.12.1", asked: tuple[Asked, ...] = ()) -> None:
        record(history, lambda: snapshot(*packages, python=python), actor=SOMEBODY, asked=asked)

    return seen


def told(history: History) -> list[tuple[str, list[str], list[str], list[str]]]:
    return [
        (
            entry.event,
            [each.name for each in found.added],
            [each.name for each in found.removed],
            [f"{each.name} {each.before.version}>{each.after.version}" for each in found.changed],
        )
        for entry, found in changes(history)
    ]


def test_where_nothing_was_recorded_there_is_no_story(history):
    assert changes(history) == ()


def test_every_entry_is_told_with_what_it_changed(history, recorded):
    recorded("a==1", "b==1")
    recorded("a==2", "b==1", "c==1")
    recorded("a==2")

    assert told(history) == [
        ("change", ["a", "b"], [], []),
        ("change", ["c"], [], ["a 1>2"]),
        ("change", [], ["b", "c"], []),
    ]


def test_wishes_and_freezes_change_nothing(history, recorded, snapshot):
    recorded("a==1")
    recorded("a==1", asked=(Asked(tool="pip", verb="install", names=("a",)),))
    history.append("freeze", at=history.last().at, actor=SOMEBODY, asked=(), snapshot=digest(snapshot("a==1")))
    recorded("a==2")

    assert told(history) == [
        ("change", ["a"], [], []),
        ("asked", [], [], []),
        ("freeze", [], [], []),
        ("change", [], [], ["a 1>2"]),
    ]


def test_an_empty_beginning_is_no_change(history, recorded):
    recorded()

    assert [found for _, found in changes(history)] == [Diff()]


def test_another_interpreter_is_told(history, recorded):
    recorded("a==1")
    recorded("a==1", python="3.13.0")

    assert [found.interpreter for _, found in changes(history)] == [None, ("3.12.1", "3.13.0")]


def test_a_snapshot_that_is_missing_is_named(history, recorded):
    recorded("a==1")
    for file in (history.folder / ".venvoy/snapshots").iterdir():
        file.unlink()

    with pytest.raises(InvalidInput, match="is missing"):
        changes(history)
