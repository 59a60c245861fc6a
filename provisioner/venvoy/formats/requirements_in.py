"""requirements.txt as people write it, with everything that it includes, read into one list.

Source: pip's "Requirements File Format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import InvalidInput
from ..model import Wish

_CONTINUED = re.compile(r"\\\r?\n")
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_INCLUDE = re.compile(r"(?P<option>-r|-c|--requirement|--constraint)(?:\s*=\s*|\s+|(?=[^\s=-]))(?P<path>\S.*)")
_EDITABLE = re.compile(r"(?P<option>-e|--editable)(?:\s*=\s*|\s+)(?P<path>\S.*)")
_OPTIONS = re.compile(
    r"(?:-i|--index-url|--extra-index-url|--no-index|-f|--find-links|--no-binary|--only-binary|--prefer-binary"
    r"|--require-hashes|--pre|--trusted-host|--use-feature|--config-settings|--global-option)\b.*"
)
_DEEPEST = 50

ReadFile = Callable[[Path], str]


def load(text: str, *, file: Path, read: ReadFile) -> Wish:
    """Read a requirements file; `read` gives the text of those that it includes.

    Included requirements stand in the list, constraints stay as `-c` with an absolute path, and so do paths. Raises
    InvalidInput with file and line.
    """
    return Wish(name="", requirements=tuple(_lines(text, file, read, (file,))))


def hashed(requirements: tuple[str, ...]) -> bool:
    """Whether any of them has a hash: pip then demands one of all."""
    return any("--hash" in each for each in requirements)


def _lines(text: str, file: Path, read: ReadFile, within: tuple[Path, ...]) -> Iterator[str]:
    if len(within) > _DEEPEST:
        raise InvalidInput(f"{file}: files that include files, more than {_DEEPEST} deep")
    number = 1
    for entry in _entries(text):
        line = _COMMENT.sub("", _CONTINUED.sub(" ", entry)).strip()
        if line:
            yield from _line(line, f"{file}, line {number}", file, read, within)
        number += entry.count("\n") + 1


def _entries(text: str) -> Iterator[str]:
    """Lines, with those that a backslash continues."""
    held: list[str] = []
    for line in text.split("\n"):
        held.append(line)
        if not line.rstrip("\r").endswith("\\"):
            yield "\n".join(held)
            held = []
    if held:
        yield "\n".join(held)


def _line(line: str, where: str, file: Path, read: ReadFile, within: tuple[Path, ...]) -> Iterator[str]:
    if "\0" in line:
        raise InvalidInput(f"{where}: it has a zero byte")
    if found := _INCLUDE.fullmatch(line):
        yield from _included(found, where, file, read, within)
    elif found := _EDITABLE.fullmatch(line):
        yield f"-e {_place(found['path'], file)}"
    elif line.startswith("-"):
        if not _OPTIONS.fullmatch(line):
            raise InvalidInput(f"{where}: {line[:100]!r} is no option of a requirements file")
        yield _moved_links(line, file)
    elif re.match(r"\.{0,2}/|[A-Za-z]:[\\/]", line) or "://" in line.partition("@")[0]:
        yield _place(line, file)
    else:
        yield _requirement(line, where)


def _included(found: re.Match[str], where: str, file: Path, read: ReadFile, within: tuple[Path, ...]) -> Iterator[str]:
    path = found["path"].strip("\"'")
    if "://" in path:
        raise InvalidInput(f"{where}: {path[:100]} is on another machine", hint="download it, and name the file")
    target = file.parent / path
    if found["option"] in ("-c", "--constraint"):
        if not target.is_file():
            raise InvalidInput(f"{where}: there is no {target}")
        yield f"-c {target}"
        return
    if target.resolve() in [each.resolve() for each in within]:
        raise InvalidInput(f"{where}: {target} includes itself")
    try:
        text = read(target)
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error.message}", hint=error.hint) from error
    yield from _lines(text, target, read, (*within, target))


def _requirement(line: str, where: str) -> str:
    plain = re.split(r"\s--", line, maxsplit=1)[0].strip()
    try:
        Requirement(plain)
    except InvalidRequirement as error:
        raise InvalidInput(f"{where}: {plain[:100]!r} is not a requirement: {error}") from error
    return re.sub(r"\s+", " ", line)


def _place(path: str, file: Path) -> str:
    return path if "://" in path or path.startswith("/") else str(file.parent / path)


def _moved_links(line: str, file: Path) -> str:
    found = re.fullmatch(r"(-f|--find-links)(?:\s*=\s*|\s+)(\S.*)", line)
    return f"--find-links {_place(found[2], file)}" if found else line
