"""YAML as locks need it: written in blocks, and read with every scalar as the text that stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ..errors import InvalidInput

LIMIT = 10_000_000
"""Characters of the longest lock that is read; of twenty thousand packages it takes two thirds of that."""
_PLAIN = re.compile(
    r"(?!(?i:true|false|null|yes|no|on|off|y|n)$)[A-Za-z_][\w.+/-]*"
    r"|[0-9a-f]*[acdf][0-9a-f]*|\d+(?:\.\d+){2,}|(?:https?|file)://[\w./+%~@!-]+",
    re.ASCII,
)
"""What every YAML, of 1.1 or 1.2, takes for a string without quotes."""
_LINE = re.compile(r"( *)([^ ].*)", re.ASCII)
_ENTRY = re.compile(r"(?P<key>\w[\w.+/-]{0,99}|'[ -&(-~]{0,99}'):(?: +(?P<value>[^ ].*))?", re.ASCII)
_BARE = re.compile(r"(?![-?:,\[\]{}#&*!|>'\"%@`])(?:(?!: | #)[ -~])*(?<![: ])")
_QUOTED = re.compile(r"'((?:[^'\x00-\x1f\x7f-\U0010ffff]|'')*)'|\"([^\"\\\x00-\x1f\x7f-\U0010ffff]*)\"")


def yaml(value: object) -> str:
    """Mappings, lists and scalars as blocks, with quotes around every string that some YAML reads as something else."""
    return "\n".join(_block(value)) + "\n"


def parsed(text: str, *, source: str) -> Mapping[str, Any]:
    """The mapping that a YAML text is, every scalar of it a string. Raises InvalidInput.

    So the version 1.10 and a digest of nothing but digits are what was written, with quotes or without.
    """
    if len(text) > LIMIT:
        raise InvalidInput(f"{source} is too long for a lock ({len(text)} characters)")
    said = _simple(text)
    if said is None:
        said = loaded(text, source=source, typ="base")
    if not isinstance(said, dict):
        raise InvalidInput(f"{source} is no lock (no keys)")
    return said


def mapping_in(said: Mapping[str, Any], key: str, where: str) -> Mapping[str, Any]:
    """What stands under that key, which must be a mapping. Raises InvalidInput."""
    found = said.get(key)
    if not isinstance(found, dict):
        raise InvalidInput(f"{where}: {key} is no mapping")
    return found


def text_in(said: Mapping[str, Any], key: str, where: str) -> str:
    """What stands under that key, which must be one line of text. Raises InvalidInput."""
    found = said.get(key)
    if not isinstance(found, str) or not found.isprintable() or not found.strip():
        raise InvalidInput(f"{where}: its {key} is {shown(found)}")
    return found


def shown(said: object) -> str:
    """What somebody wrote, for an error; the items of lists and mappings, which may be endless, are left out."""
    return repr(said)[:100] if isinstance(said, str | int | float | None) else "a list or a mapping"


def _block(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, dict | list) and each:
                yield f"{_scalar(key)}:"
                yield from (f"  {line}" if isinstance(each, dict) else line for line in _block(each))
            else:
                yield f"{_scalar(key)}: {_scalar(each)}"
    elif isinstance(value, list):
        for each in value:
            lines = list(_block(each)) if isinstance(each, dict | list) and each else [_scalar(each)]
            yield from (f"{'  ' if number else '- '}{line}" for number, line in enumerate(lines))


def _scalar(value: object) -> str:
    if isinstance(value, bool | int | dict | list):
        return str(value).lower()
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    if all(" " <= each <= "~" for each in text):
        return "'" + text.replace("'", "''") + "'"
    escaped = (each if " " <= each <= "~" and each not in '"\\' else f"\\U{ord(each):08x}" for each in text)
    return f'"{"".join(escaped)}"'


def loaded(text: str, *, source: str, typ: Literal["base", "safe"]) -> object:
    """What ruamel.yaml makes of a text: every scalar as it stands ("base") or as YAML means it. Raises InvalidInput."""
    from ruamel.yaml import YAML  # noqa: PLC0415  # writing needs no YAML library, and launching a kernel neither
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415

    try:
        return YAML(typ=typ, pure=True).load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InvalidInput(f"{source}, line {line}: {error.problem or error.context}") from error
    except RecursionError as error:
        raise InvalidInput(f"{source}: nested too deeply") from error
    except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # Beside its own errors ruamel.yaml lets through what Python says of an odd number or date.
        raise InvalidInput(f"{source} is not YAML: {shown(str(error))}") from error


class _NotSimpleError(Exception):
    """Nothing that only a YAML library reads is wrong; it is only not read here."""


def _simple(text: str) -> object | None:
    """What plain blocks say, as the tools write them, at thirty times the speed; None for everything else in YAML."""
    lines: list[tuple[int, str]] = []
    for line in text.split("\n"):
        found = _LINE.fullmatch(line)
        if found and not found[2].startswith("#"):
            lines.append((len(found[1]), found[2]))
        elif not found and line.strip(" "):
            return None
    try:
        said, after = _node(lines, 0, 0)
    except (_NotSimpleError, RecursionError):
        return None
    return said if after == len(lines) else None


def _node(lines: list[tuple[int, str]], at: int, deep: int) -> tuple[object, int]:
    """The block that begins in that line, and the number of the line after it."""
    if at == len(lines) or deep > 20:
        raise _NotSimpleError
    read = _items if lines[at][1].startswith("- ") else _pairs
    return read(lines, at, deep)


def _items(lines: list[tuple[int, str]], at: int, deep: int) -> tuple[list[object], int]:
    indent, items = lines[at][0], []
    while at < len(lines) and lines[at][0] == indent and lines[at][1].startswith("- "):
        inner = lines[at][1][1:].lstrip(" ")
        if inner.startswith("- ") or _ENTRY.fullmatch(inner):
            lines[at] = (indent + len(lines[at][1]) - len(inner), inner)
            item, at = _node(lines, at, deep + 1)
        else:
            item, at = _value_of(inner), at + 1
        items.append(item)
    return items, at


def _pairs(lines: list[tuple[int, str]], at: int, deep: int) -> tuple[dict[str, object], int]:
    indent, pairs = lines[at][0], dict[str, object]()
    while at < len(lines) and lines[at][0] == indent and (found := _ENTRY.fullmatch(lines[at][1])):
        key, value = found["key"].strip("'"), found["value"]
        if key in pairs:
            raise _NotSimpleError
        at += 1
        if value is not None:
            pairs[key] = _value_of(value)
        elif at < len(lines) and (lines[at][0] > indent or (lines[at][0] == indent and lines[at][1].startswith("- "))):
            pairs[key], at = _node(lines, at, deep + 1)
        else:
            pairs[key] = ""
    if not pairs or (at < len(lines) and lines[at][0] > indent):
        raise _NotSimpleError
    return pairs, at


def _value_of(text: str) -> object:
    if text in ("[]", "{}"):
        return [] if text == "[]" else {}
    if _BARE.fullmatch(text):
        return text
    if found := _QUOTED.fullmatch(text):
        return found[2] if found[1] is None else found[1].replace("''", "'")
    raise _NotSimpleError
