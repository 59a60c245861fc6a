"""Read files of variables (.env) for kernels and runs; their values are handed on and kept nowhere."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from dotenv.parser import Binding, parse_stream
from dotenv.variables import parse_variables

from .. import settings
from ..errors import InvalidInput
from ..model import is_among

_BLANK = re.compile(r"\s*")


def variables_from(files: Iterable[Path], *, hidden: Iterable[str] = ()) -> dict[str, str]:
    """The variables of all files, a later one winning; `${NAME}` stands for one set before, or the caller's.

    Of the caller's those of the `hidden` patterns stand for nothing. Raises InvalidInput, naming file and line but
    never a value.
    """
    patterns = tuple(hidden)
    known = {name: value for name, value in settings.variables().items() if not is_among(name, patterns)}
    found: dict[str, str] = {}
    for name, value in (pair for file in files for pair in _read(file)):
        found[name] = known[name] = "".join(atom.resolve(known) for atom in parse_variables(value))
    return found


def _read(file: Path) -> Iterator[tuple[str, str]]:
    try:
        text = file.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InvalidInput(
            f"there is no {file}",
            hint="make it, or name another: --env-file FILE\n"
            "of an environment: venvoy configure NAME --set env_file=FILE",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {type(error).__name__}") from None
    for binding in parse_stream(io.StringIO(text)):
        if binding.error or "\0" in binding.original.string:
            raise InvalidInput(
                f"{file}, line {_line(binding)}: not of the form NAME=value",
                hint="a value with spaces, quotes or several lines stands in quotes, which must be closed",
            )
        if binding.key and binding.value is not None:
            yield binding.key, binding.value


def _line(binding: Binding) -> int:
    """The number of the line on which it begins, which the parser counts from the empty lines before."""
    blank = _BLANK.match(binding.original.string)
    return binding.original.line + (blank[0].count("\n") if blank else 0)
