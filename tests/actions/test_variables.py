"""Files of variables: their syntax, and that a bad line is named without what stands in it."""

from pathlib import Path

import pytest

from venvoy.actions.variables import variables_from
from venvoy.errors import InvalidInput


@pytest.fixture
def read(tmp_path, monkeypatch):
    monkeypatch.setenv("FROM_OUTSIDE", "outside")
    monkeypatch.delenv("UNKNOWN", raising=False)

    def variables(*texts: str | bytes) -> dict[str, str]:
        files = [tmp_path / f"{number}.env" for number, _ in enumerate(texts)]
        for file, text in zip(files, texts, strict=True):
            file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return variables_from(files)

    return variables


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ("# nothing\n\n", {}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        (b"\xef\xbb\xbfA=1\n", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=''\nB=\"\"", {"A": "", "B": ""}),
        ("A", {}),
        ("export A=1", {"A": "1"}),
        ("  A = 1  ", {"A": "1"}),
        ("A=one two", {"A": "one two"}),
        ("A=1 # why", {"A": "1"}),
        ("A=a#b", {"A": "a#b"}),
        ("A='1 # 2'", {"A": "1 # 2"}),
        ("A='it''s'", None),
        (r"A='it\'s'", {"A": "it's"}),
        (r'A="tab\there"', {"A": "tab\there"}),
        (r"A='tab\there'", {"A": r"tab\there"}),
        ('A="two\nlines"\nB=1', {"A": "two\nlines", "B": "1"}),
        ("A=https://u:p@h/?x=1&y=2", {"A": "https://u:p@h/?x=1&y=2"}),
        ("A=grün", {"A": "grün"}),
        ("A=1\nA=2", {"A": "2"}),
        ("A=1\nB=${A}2", {"A": "1", "B": "12"}),
        ("B=${UNKNOWN:-else}", {"B": "else"}),
        ("B=x${UNKNOWN}y", {"B": "xy"}),
        ("B=${FROM_OUTSIDE}!", {"B": "outside!"}),
        ("FROM_OUTSIDE=mine\nB=${FROM_OUTSIDE}!", {"FROM_OUTSIDE": "mine", "B": "mine!"}),
        ("PATH=/opt/x/bin:$PATH", {"PATH": "/opt/x/bin:$PATH"}),
        ("B=$UNKNOWN", {"B": "$UNKNOWN"}),
    ],
)
def test_a_file_is_read_as_dotenv_reads_it(read, text, variables):
    if variables is None:
        with pytest.raises(InvalidInput):
            read(text)
    else:
        assert read(text) == variables


def test_a_later_file_wins_and_knows_the_earlier_ones(read):
    assert read("A=1\nB=1\n", "B=2\nC=${A}${B}\n") == {"A": "1", "B": "2", "C": "12"}


def test_what_is_hidden_of_the_callers_stands_for_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_SECRET", "hunter2")
    file = tmp_path / "a.env"
    file.write_text("A=x${AWS_SECRET}y\nB=${AWS_SECRET:-none}\nAWS_SECRET=mine\nC=${AWS_SECRET}\n")

    found = variables_from([file], hidden=("AWS_*",))

    assert found == {"A": "xy", "B": "none", "AWS_SECRET": "mine", "C": "mine"}


def test_no_files_give_no_variables():
    assert variables_from(()) == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("A=1\nB='hunter2\nC=3\n", 2),
        ('A=1\n\n\n# x\nB="hunter2\n', 5),
        ("A=1\n'hunter2\n", 2),
        ("=hunter2\n", 1),
        ("A=1\n\n  =hunter2\n", 3),
        ("A=hunter2\0\n", 1),
        ("A='hunter2' hunter2\n", 1),
    ],
)
def test_a_bad_line_is_named_by_its_number_and_not_by_what_it_says(read, tmp_path, text, line):
    with pytest.raises(InvalidInput) as refused:
        read(text)

    assert refused.value.message == f"{tmp_path}/0.env, line {line}: not of the form NAME=value"
    assert "hunter2" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_bytes_that_are_no_text_are_refused_without_showing_them(read):
    with pytest.raises(InvalidInput, match=r"cannot read .*UnicodeDecodeError") as refused:
        read(b"A=hunter2\xff\n")

    assert "hunter2" not in str(refused.value)
    assert refused.value.__suppress_context__


def test_a_missing_file_is_named_with_where_it_may_come_from(tmp_path):
    with pytest.raises(InvalidInput, match=r"there is no .*none\.env") as refused:
        variables_from([tmp_path / "none.env"])

    assert "venvoy configure NAME --set env_file=FILE" in refused.value.hint


def test_a_folder_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="cannot read"):
        variables_from([Path(tmp_path)])
