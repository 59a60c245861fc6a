"""The verbs' answers in the words of R."""

import pytest

from venvoy.frontends.requests import VERBS, answer
from venvoy.frontends.requests.in_r import helped, told


@pytest.mark.parametrize(
    ("magic", "call"),
    [
        ("none yet: %env-freeze", "none yet: env_freeze()"),
        ("To do it: %env-restore 3 --yes", "To do it: env_restore(3, yes = TRUE)"),
        ("%env-restore NUMBER", "env_restore(NUMBER)"),
        ("in quotes: %env-diff '2 days ago' now", 'in quotes: env_diff("2 days ago", "now")'),
        ("%env-restore 2024-05-01 --yes", 'env_restore("2024-05-01", yes = TRUE)'),
        ("%env-history: --last takes a number", "env_history(): --last takes a number"),
        ("%env-history --last 3", "env_history(last = 3)"),
        ("%env-nosuch", "%env-nosuch"),
        ("100%", "100%"),
        (3, 3),
    ],
)
def test_a_magic_is_the_call_of_a_function(magic, call):
    assert told(magic, VERBS) == call


def test_help_declares_the_function_and_names_its_arguments():
    text = helped(VERBS["restore"])

    assert text.startswith("env_restore(..., yes = FALSE)")
    assert "%env" not in text
    assert "do it" in text


def test_a_request_from_r_is_answered_in_its_words():
    said = []

    answer(None, {"verb": "export", "words": ["--help"], "language": "r"}, said.append)
    answer(None, {"verb": "nosuch", "language": "r"}, said.append)

    assert said[0]["answer"]["text"].startswith("env_export(format, output = NULL)")
    assert "nothing is called 'nosuch'" in said[1]["error"]
