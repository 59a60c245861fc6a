"""What a script or a notebook says of itself in a `# /// script` block (PEP 723), as uv and juv write it."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from ..errors import InvalidInput
from ..model import Wish

_BLOCK = re.compile(r"(?m)^# /// (?P<type>[a-zA-Z0-9-]+)$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
"""PEP 723's own expression."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    """The wish, and the uv.lock that juv puts into a notebook's metadata, or ""."""

    wish: Wish
    lock: str = ""


def of_script(text: str, *, source: str) -> Inline:
    """Read a Python file. Raises InvalidInput where it says nothing."""
    found = [each for each in _BLOCK.finditer(text.replace("\r\n", "\n") + "\n") if each["type"] == "script"]
    if not found:
        raise InvalidInput(f"{source} says not what it needs", hint="a '# /// script' block would (PEP 723)")
    if len(found) > 1:
        raise InvalidInput(f"{source} has {len(found)} script blocks; one is allowed (PEP 723)")
    content = "".join(
        line[2:] if line.startswith("# ") else line[1:] for line in found[0]["content"].splitlines(keepends=True)
    )
    try:
        said = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise InvalidInput(f"{source}, its script block: {error}") from error
    return Inline(wish=_wish(said, source))


def of_notebook(text: str, *, source: str) -> Inline:
    """Read a notebook: the block in one of its code cells, and the lock in its metadata. Raises InvalidInput."""
    try:
        said = json.loads(text)
        cells = ["".join(each["source"]) for each in said["cells"] if each["cell_type"] == "code"]
        lock = said.get("metadata", {}).get("uv.lock", "")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{source} is not a notebook that can be read ({type(error).__name__})") from error
    blocks = [each for each in cells if "# /// script" in each]
    if not blocks:
        raise InvalidInput(
            f"{source} says not what it needs: it has neither a stamp of venvoy nor a '# /// script' block",
            hint="where its environment is at hand: venvoy stamp NOTEBOOK --name NAME",
        )
    wish = of_script(blocks[0], source=source).wish
    return Inline(wish=wish, lock=lock if isinstance(lock, str) else "")


def _wish(said: dict[str, Any], source: str) -> Wish:
    dependencies = said.get("dependencies", [])
    if not (isinstance(dependencies, list) and all(isinstance(each, str) for each in dependencies)):
        raise InvalidInput(f"{source}: dependencies must be a list of requirements")
    for each in dependencies:
        try:
            Requirement(each)
        except InvalidRequirement as error:
            raise InvalidInput(f"{source}: {each[:100]!r} is not a requirement: {error}") from error
    python = said.get("requires-python", "")
    if not isinstance(python, str):
        raise InvalidInput(f"{source}: requires-python must be a string")
    return Wish(python=python, requirements=tuple(dependencies), remarks=tuple(_remarks(said)))


def _remarks(said: dict[str, Any]) -> Iterator[str]:
    tool = said.get("tool", {})
    settings = tool.get("uv", {}) if isinstance(tool, dict) else {}
    day = str(settings.get("exclude-newer", "")) if isinstance(settings, dict) else ""
    if day:
        yield f"it was written for the index as of {day[:40]}: --as-of {day[:10]}"
