"""The state that somebody means by a word."""

import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venvoy.actions.points import moment, point
from venvoy.actions.record import record
from venvoy.errors import InvalidInput
from venvoy.formats.snapshot_json import digest
from venvoy.history import History
from venvoy.model import Actor

SOMEBODY = Actor(kind="terminal")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)  # a Saturday


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def history(tmp_path, snapshot) -> History:
    """Three states: a week ago, the day before yesterday, and today, of which the second is frozen."""
    from dataclasses import replace

    made = History(tmp_path / "demo")
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    today = max(now - timedelta(hours=1), midnight)
    moments = ((("a==1",), now - timedelta(days=7)), (("a==2",), now - timedelta(days=2)), (("a==3",), today))
    for packages, at in moments:
        taken = replace(snapshot(*packages), taken=at)
        record(made, lambda taken=taken: taken, actor=SOMEBODY)
        if packages == ("a==2",):
            made.append("freeze", at=taken.taken, actor=SOMEBODY, asked=(), snapshot=digest(taken))
    return made


@pytest.fixture
def meant(history, snapshot):
    def found(text: str) -> str:
        return point(history, text, look=lambda: snapshot("a==9")).snapshot.packages[0].version

    return found


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", "1"), ("#2", "2"), ("3", "2"), ("4", "3"), ("freeze", "2"), ("now", "9"), ("NOW", "9"),
        ("yesterday", "2"), ("3 days ago", "1"), ("a week ago", "1"), ("50 hours ago", "1"), ("today", "3"),
    ],
)  # fmt: skip
def test_a_state_is_meant_by_number_by_event_and_by_time(meant, text, version):
    assert meant(text) == version


def test_a_state_is_meant_by_the_beginning_of_its_digest(history, meant, snapshot):
    assert meant(digest(snapshot("a==1"))) == "1"
    assert meant(digest(snapshot("a==2"))[:12]) == "2"


def test_a_number_says_itself_in_the_label(history, snapshot):
    found = point(history, "2", look=snapshot)

    assert found.number == 2
    assert found.label.startswith("#2 of ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "no entry 0"), ("9", "no entry 9"), ("a year ago", "nothing was recorded by"), ("gibberish", "means no state"),
        ("", "means no state"), ("ffffffffff", "means no state"), ("03/11/2026", "another country"),
    ],
)  # fmt: skip
def test_what_means_no_state_is_refused_with_a_reason(meant, text, said):
    with pytest.raises(InvalidInput, match=said):
        meant(text)


def test_without_a_freeze_and_without_a_record_that_is_said(tmp_path, history, snapshot):
    fresh = History(tmp_path / "fresh")
    with pytest.raises(InvalidInput, match="nothing is recorded"):
        point(fresh, "1", look=snapshot)

    record(fresh, lambda: snapshot("a==1"), actor=SOMEBODY)
    with pytest.raises(InvalidInput, match="never frozen"):
        point(fresh, "freeze", look=snapshot)


def test_a_file_is_read_where_it_can_be(history, snapshot, tmp_path):
    found = point(history, f"{tmp_path}/x.lock", look=snapshot, read=lambda _: snapshot("a==7"))

    assert (found.snapshot.packages[0].version, found.number) == ("7", None)
    with pytest.raises(InvalidInput, match="another country"):
        point(history, "03/11/2026", look=snapshot, read=lambda _: snapshot("a==7"))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("yesterday", "2026-11-20T23:59:59"), ("friday", "2026-11-20T23:59:59"), ("saturday", "2026-11-14T23:59:59"),
        ("2026-11-03", "2026-11-03T23:59:59"), ("2026-11-03 14:02", "2026-11-03T14:02:59"),
        ("3 Nov 14:02", "2026-11-03T14:02:59"), ("3 Nov", "2026-11-03T23:59:59"), ("24 dec", "2025-12-24T23:59:59"),
        ("23:10", "2026-11-20T23:10:59"), ("09:30", "2026-11-21T09:30:59"), ("2 hours ago", "2026-11-21T10:00:00"),
        ("an hour ago", "2026-11-21T11:00:00"), ("last week", "2026-11-14T12:00:00"),
        ("2026-11-03T14:02:07Z", "2026-11-03T14:02:07"), ("2026-11-03T14:02:07+02:00", "2026-11-03T12:02:07"),
    ],
)  # fmt: skip
def test_times_are_read_as_people_mean_them(text, at):
    assert moment(text, now=NOON).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S") == at


def test_a_time_of_winter_is_read_in_summer_as_it_was_on_the_clock_then(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    july = datetime(2026, 7, 1, 12, 0).astimezone()

    assert moment("2026-01-15 10:00", now=july).astimezone(UTC).hour == 9
    assert os.environ["TZ"] == "Europe/Berlin"


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_none_or_refused(text):
    try:
        found = moment(text, now=NOON)
    except InvalidInput:
        return
    assert found is None or found.tzinfo is not None
