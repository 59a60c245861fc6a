"""The record of one environment: a chain that survives crashes and says which line is wrong."""

import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from venvoy.errors import InvalidInput
from venvoy.history import Entry, History
from venvoy.model import Actor, Asked

AT = datetime(2026, 11, 3, 14, 2, 5, 123456, tzinfo=UTC)
ASKED = Asked(tool="pip", verb="install", names=("numpy", "six"), command="pip install numpy six  # grün")


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "project")


def append(history: History, **said: object) -> Entry:
    given = {"at": AT, "actor": Actor(kind="terminal"), "asked": (), "snapshot": "a" * 64, **said}
    with history.locked():
        return history.append(given.pop("event", "change"), **given)


def chained(history: History) -> bool:
    lines = history.log.read_bytes().splitlines()
    digests = ["", *(hashlib.sha256(line).hexdigest() for line in lines)]
    return [json.loads(line)["previous"] for line in lines] == digests[:-1]


def test_where_nothing_was_recorded_there_is_nothing(history):
    assert (history.entries(), history.last()) == ((), None)
    assert not history.folder.exists()


def test_what_was_appended_is_read_again(history):
    actor = Actor(kind="cell", notebook="über.ipynb", cell="c1", count=3)

    first = append(history, actor=actor, asked=(ASKED,))
    second = append(history, event="freeze", at=AT + timedelta(seconds=1), snapshot="b" * 64)

    assert history.entries() == (first, second)
    assert history.last() == second


def test_every_line_carries_the_digest_of_the_one_before(history):
    for _ in range(5):
        append(history)

    assert chained(history)


def test_a_line_is_compact_sorted_and_in_utc(history):
    append(history, at=AT.astimezone(timezone(timedelta(hours=2))))

    assert history.log.read_text() == (
        '{"actor":{"cell":"","command":"","count":null,"kind":"terminal","notebook":""},"asked":[],'
        '"at":"2026-11-03T14:02:05.123456Z","event":"change","previous":"","snapshot":"' + "a" * 64 + '"}\n'
    )


@pytest.mark.parametrize("cut", [1, 7, 100])
def test_a_torn_last_line_is_left_out_and_mended_by_the_next(history, cut):
    kept = append(history)
    append(history)
    history.log.write_bytes(history.log.read_bytes()[: -cut - 1])

    assert history.entries() == (kept,)
    added = append(history)

    assert history.entries() == (kept, added)
    assert chained(history)


def test_a_last_line_that_lacks_only_its_end_is_kept(history):
    kept = append(history)
    history.log.write_bytes(history.log.read_bytes()[:-1])

    assert history.entries() == (kept,)
    added = append(history)

    assert history.entries() == (kept, added)
    assert chained(history)


def test_a_torn_only_line_is_nothing(history):
    append(history)
    history.log.write_bytes(history.log.read_bytes()[:20])

    assert history.entries() == ()
    assert append(history).previous == ""


@pytest.mark.parametrize(
    "line",
    [
        b"garbage",
        b"",
        b"[]",
        b"3",
        b"{}",
        b'{"at": 3}',
        b"\xff\xfe",
        b'{"at":"2026-11-03T14:02:05Z","event":"boom","actor":{"kind":"cell"},"asked":[],"snapshot":"","previous":""}',
        b'{"at":"today","event":"change","actor":{"kind":"cell"},"asked":[],"snapshot":"","previous":""}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kin":"cell"},"asked":[],"snapshot":"","previous":""}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kind":"cell"},"asked":[3],"snapshot":"a","previous":""}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kind":"cell"},"asked":[],"snapshot":["a"],"previous":""}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kind":"cell"},"asked":[],"snapshot":"a","previous":{}}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kind":"cell"},"asked":[],"snapshot":"../a","previous":""}',
        b'{"at":"2026-11-03T14:02:05Z","event":"change","actor":{"kind":"cell"},"asked":[],"snapshot":"a\\u0000b","previous":""}',
        b"[" * 100_000,
    ],
)
def test_a_whole_line_that_is_not_ours_is_named_by_its_number(history, line):
    append(history)
    with history.log.open("ab") as log:
        log.write(line + b"\n")
    append(history)

    with pytest.raises(InvalidInput, match=r"log\.jsonl, line 2: not an entry"):
        history.entries()


def test_a_snapshot_is_kept_under_its_digest(history):
    text = '{"grün": 1}'
    digest = hashlib.sha256(text.encode()).hexdigest()

    history.keep(digest, text)
    history.keep(digest, text)

    assert history.snapshot(digest) == text


def test_a_missing_snapshot_is_named(history):
    with pytest.raises(InvalidInput, match="the snapshot aaaaaaaaaaaa is missing"):
        history.snapshot("a" * 64)


@pytest.mark.parametrize("damage", [b"{}", b"\xff", b""])
def test_a_snapshot_that_was_changed_is_refused_and_mended_when_the_state_is_seen_again(history, damage):
    digest = hashlib.sha256(b"text").hexdigest()
    history.keep(digest, "text")
    (history.log.parent / "snapshots" / f"{digest}.json").write_bytes(damage)

    with pytest.raises(InvalidInput, match="was changed"):
        history.snapshot(digest)
    history.keep(digest, "text")

    assert history.snapshot(digest) == "text"


def test_the_latest_text_and_its_timed_copy_are_saved(history):
    copy = history.save("name: demo\n", at=AT)

    assert copy == history.folder / "environment_20261103_140205.yml"
    assert copy.read_text() == history.latest.read_text() == "name: demo\n"
    assert (history.folder / ".last_updated").read_text() == "2026-11-03T14:02:05.123456Z\n"


def test_two_changes_within_a_second_have_two_copies(history):
    copies = [history.save(text, at=AT) for text in ("one\n", "two\n", "three\n")]

    assert [each.name for each in copies] == [
        "environment_20261103_140205.yml",
        "environment_20261103_140205_2.yml",
        "environment_20261103_140205_3.yml",
    ]
    assert [each.read_text() for each in copies] == ["one\n", "two\n", "three\n"]


def test_the_times_in_names_are_utc_wherever_we_are(history):
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))

    assert history.save("", at=tokyo).name == "environment_20261103_140205.yml"


def test_a_file_is_put_beside_environment_yml(history):
    assert history.write("pylock.toml", "lock").read_text() == "lock"
    assert (history.folder / "pylock.toml").exists()


def kept(history: History, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    history.keep(digest, text)
    return digest


@pytest.fixture
def whole(history) -> History:
    for text in ("{}", "[]", "{}"):
        append(history, snapshot=kept(history, text))
    return history


def rewritten(history: History, change) -> None:
    lines = history.log.read_bytes().splitlines()
    history.log.write_bytes(b"".join(line + b"\n" for line in change(lines)))


def test_a_record_as_it_was_written_has_no_problems(whole):
    assert whole.check() == ()
    assert whole.count() == 3


@pytest.mark.parametrize(
    ("change", "line", "said"),
    [
        (lambda lines: [lines[0].replace(b"terminal", b"command"), *lines[1:]], 2, "line 1 was changed"),
        (lambda lines: [lines[0], lines[1].replace(b"terminal", b"command"), lines[2]], 3, "line 2 was changed"),
        (lambda lines: [*lines[:2], lines[2].replace(b"terminal", b"command")], 3, "changed or cut off"),
        (lambda lines: [lines[0], lines[2]], 2, "lines were removed"),
        (lambda lines: lines[1:], 1, "lines were removed"),
        (lambda lines: lines[:1], 1, "changed or cut off"),
        (lambda lines: [lines[1], lines[0], lines[2]], 1, "lines were removed"),
        (lambda lines: [lines[0], b"{}", lines[2]], 2, "not an entry"),
        (lambda lines: [lines[0], lines[1].replace(b'"snapshot":"', b'"snapshot":"../'), lines[2]], 2, "not an entry"),
    ],
)
def test_whatever_is_changed_in_the_log_is_found_with_its_line(whole, change, line, said):
    rewritten(whole, change)

    found = whole.check()

    assert any(each.line == line and said in each.message for each in found), found


def test_a_snapshot_that_was_changed_or_lost_is_named_by_the_first_line_that_has_it(whole):
    (whole.log.parent / "snapshots" / f"{hashlib.sha256(b'{}').hexdigest()}.json").write_text("{ }")
    (whole.log.parent / "snapshots" / f"{hashlib.sha256(b'[]').hexdigest()}.json").unlink()

    assert [each.line for each in whole.check()] == [1, 2]


def test_a_crash_between_the_log_and_its_head_is_no_problem(whole):
    head = whole.log.parent / "head"
    before = head.read_bytes()
    append(whole, snapshot=kept(whole, "{}"))
    head.write_bytes(before)

    assert whole.check() == ()


def test_a_torn_last_line_is_said_and_mended_by_the_next_entry(whole):
    with whole.log.open("ab") as stream:
        stream.write(b'{"actor":{"ki')

    assert [each.message for each in whole.check()] == ["the last line is torn; the next entry mends it"]

    append(whole, snapshot=kept(whole, "{}"))

    assert whole.check() == ()
    assert whole.count() == 4


def test_timed_copies_are_in_their_order(history):
    for seconds in (1, 0, 0):
        history.save("x", at=AT + timedelta(seconds=seconds))

    assert [each.name.removeprefix("environment_20261103_") for each in history.timed()] == [
        "140205.yml", "140205_2.yml", "140206.yml",
    ]  # fmt: skip
