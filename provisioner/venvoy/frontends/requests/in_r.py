"""The magics in R's words: there they are functions, `%env-restore 3 --yes` is `env_restore(3, yes = TRUE)`."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..views.view import View
from .asking import Verb

_MAGIC = re.compile(
    r"%env-(?P<verb>[a-z]+)(?P<words>(?: (?:--?[a-z][\w-]*|'[^'\n]*'|[0-9][\w:.+-]*|now|freeze|[A-Z]+\b))*)"
)
_BARE = re.compile(r"[0-9]+|[A-Z]+")
"""Numbers, and what stands for a value in a hint."""


def in_r(view: View, verbs: Mapping[str, Verb]) -> View:
    """The answer as an R notebook shows it."""
    data = {key: told(value, verbs) if key == "confirm" else value for key, value in view.data.items()}
    rows = tuple(tuple(told(cell, verbs) for cell in row) for row in view.rows)
    return replace(view, data=data, head=told(view.head, verbs), rows=rows)


def told(text: Any, verbs: Mapping[str, Verb]) -> Any:
    """The text with every magic in it as the call of a function; what is no text stays."""

    def called(found: re.Match[str]) -> str:
        verb = verbs.get(found["verb"])
        return f"env_{verb.name}({', '.join(_arguments(verb, shlex.split(found['words'])))})" if verb else found[0]

    return _MAGIC.sub(called, text) if isinstance(text, str) else text


def helped(verb: Verb) -> str:
    """How the function is called, and what its arguments mean."""
    listed = [each for each in _actions(verb) if each.help]
    names = {each.dest: _name(each) for each in listed}
    width = max(map(len, names.values()), default=0)
    lines = [f"  {names[each.dest].ljust(width)}  {(each.help or '').replace('%%', '%')}" for each in listed]
    usage = ", ".join(map(_declared, _actions(verb)))
    return "\n".join([f"env_{verb.name}({usage})", "", verb.parser.description or "", *(["", *lines] if lines else [])])


def _actions(verb: Verb) -> list[argparse.Action]:
    return list(verb.parser._actions)  # noqa: SLF001  # argparse tells its options in no other way


def _arguments(verb: Verb, words: list[str]) -> Iterator[str]:
    by_option = {option: each for each in _actions(verb) for option in each.option_strings}
    rest = iter(words)
    for word in rest:
        action = by_option.get(word)
        if action is None:
            yield _value(word)
        else:
            yield f"{_name(action)} = {'TRUE' if action.nargs == 0 else _value(next(rest, 'VALUE'))}"


def _name(action: argparse.Action) -> str:
    return "..." if not action.option_strings and action.nargs == "*" else action.dest


def _declared(action: argparse.Action) -> str:
    if not action.option_strings:
        return _name(action)
    return f"{action.dest} = {'FALSE' if action.nargs == 0 else 'NULL'}"


def _value(word: str) -> str:
    return word if _BARE.fullmatch(word) else json.dumps(word, ensure_ascii=False)
