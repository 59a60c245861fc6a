"""How an environment stands against its last freeze, in one sentence."""

import re
from datetime import UTC, datetime

import pytest

from venvoy.actions.record import record
from venvoy.actions.status import status
from venvoy.formats.snapshot_json import digest
from venvoy.history import History
from venvoy.model import Actor, Package

SOMEBODY = Actor(kind="terminal")
AT = datetime(2026, 11, 13, 12, 2, tzinfo=UTC)
WHEN = r"1[234] Nov 2026 \d\d:\d\d"


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "demo")


@pytest.fixture
def freeze(history):
    def frozen(snapshot) -> None:
        record(history, lambda: snapshot, actor=SOMEBODY)
        history.append("freeze", at=AT, actor=SOMEBODY, asked=(), snapshot=digest(snapshot))

    return frozen


def test_what_was_never_frozen_says_so(history, snapshot):
    record(history, lambda: snapshot("a==1"), actor=SOMEBODY)

    said = status(history, snapshot("a==1"))

    assert (said.state, said.frozen, said.sentence) == ("never frozen", None, "Never frozen.")


def test_an_environment_without_any_record_was_never_frozen(history, snapshot):
    assert status(history, snapshot()).state == "never frozen"


def test_an_unchanged_environment_matches(history, snapshot, freeze):
    freeze(snapshot("a==1"))

    said = status(history, snapshot("a==1"))

    assert (said.state, said.frozen, bool(said.since)) == ("frozen", AT, False)
    assert re.fullmatch(f"Matches the freeze of {WHEN}.", said.sentence)


@pytest.mark.parametrize(
    ("now", "sentence"),
    [
        (("a==2",), "1 package changed"),
        (("b==1", "c==1"), "3 packages changed"),
        ((), "1 package changed"),
    ],
)
def test_changed_packages_are_counted(history, snapshot, freeze, now, sentence):
    freeze(snapshot("a==1"))

    said = status(history, snapshot(*now))

    assert said.state == "changed"
    assert re.fullmatch(f"{sentence} since the freeze of {WHEN}.", said.sentence)


def test_another_interpreter_is_a_change_of_its_own(history, snapshot, freeze):
    freeze(snapshot("a==1", python="3.12.1"))

    said = status(history, snapshot("a==1", python="3.12.2"))

    assert (said.state, said.since.interpreter) == ("changed", ("3.12.1", "3.12.2"))
    assert re.fullmatch(f"The interpreter changed since the freeze of {WHEN}.", said.sentence)


def test_the_last_freeze_counts_also_when_changes_followed(history, snapshot, freeze):
    freeze(snapshot("a==1"))
    freeze(snapshot("a==2"))
    record(history, lambda: snapshot("a==3"), actor=SOMEBODY)

    assert [each.before.version for each in status(history, snapshot("a==3")).since.changed] == ["2"]


def test_going_back_to_the_frozen_state_matches_again(history, snapshot, freeze):
    freeze(snapshot("a==1"))
    record(history, lambda: snapshot("a==2"), actor=SOMEBODY)
    record(history, lambda: snapshot("a==1"), actor=SOMEBODY)

    assert status(history, snapshot("a==1")).state == "frozen"


def test_the_same_version_from_elsewhere_does_not_match(history, snapshot, freeze):
    freeze(snapshot("a==1"))

    assert (
        status(history, snapshot(Package(name="a", version="1", origin="editable", url="file:///a"))).state == "changed"
    )


def test_an_image_that_changed_is_said(history, in_image):
    frozen = in_image("six==1.0")
    record(history, lambda: frozen, actor=SOMEBODY)
    history.append("freeze", at=AT, actor=SOMEBODY, asked=(), snapshot=digest(frozen), stands_on=frozen.stands_on)

    alone = status(history, in_image("six==1.0", own=("deb libssl3 3.0.11",)))
    both = status(history, in_image("six==2.0", own=("deb libssl3 3.0.11",)))
    elsewhere = status(history, in_image("six==1.0", digest=f"sha256:{'9' * 64}"))

    assert (alone.state, both.state, elsewhere.state) == ("changed", "changed", "frozen")
    assert re.fullmatch(rf"The image that it stands on changed since the freeze of {WHEN}\.", alone.sentence)
    said = rf"1 package, and the image that it stands on, changed since the freeze of {WHEN}\."
    assert re.fullmatch(said, both.sentence)
