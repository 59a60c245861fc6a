"""The snapshot in full, whose digest names the state."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from venvoy.errors import InvalidInput
from venvoy.formats.snapshot_json import SnapshotJson, digest
from venvoy.model import Package

form = SnapshotJson()


def test_the_text_is_canonical(snapshot):
    written = snapshot(Package(name="grün", version="1", url="https://h/ü", direct=True), "a==1")

    assert form.dump(written) == (
        '{"base":"' + "b" * 64 + '","format":"venvoy-snapshot-1","language":"python","language_version":"3.12.1",'
        '"packages":[{"ecosystem":"pypi","name":"a","origin":"index","version":"1"},'
        '{"ecosystem":"pypi","name":"grün","origin":"index","url":"https://h/ü","version":"1"}],"platform":"linux-x86_64"}'
    )


def test_it_is_read_again(snapshot):
    written = snapshot("a==1", Package(name="b", version="1", origin="editable", url="file:///b"))
    at = datetime(2026, 1, 1, tzinfo=UTC)

    read = form.load(form.dump(written), environment="demo", taken=at)

    assert (read, read.environment, read.taken, read.base) == (written, "demo", at, written.base)


def test_equal_states_have_one_digest_and_others_another(snapshot):
    one = snapshot("a==1", "b==1")

    assert digest(one) == digest(replace(one, environment="x", packages=one.packages[::-1]))
    assert (
        len(
            {
                digest(one),
                digest(snapshot("a==1")),
                digest(replace(one, base="x")),
                digest(snapshot("a==1", "b==1", python="3.12.2")),
            }
        )
        == 4
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "3",
        "{}",
        '{"base": 1}',
        "\ud800",
        '{"base":"","language":"python","language_version":"","platform":"","packages":[{"nam":"x"}]}',
    ],
)
def test_what_is_no_snapshot_is_refused(text):
    with pytest.raises(InvalidInput, match="not a snapshot"):
        form.load(text)
