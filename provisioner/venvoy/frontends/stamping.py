"""Write what a notebook is bound to into its file; all else in it stays as nbformat writes it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbformat import reader

from .. import files
from ..errors import InvalidInput
from .binding import Bound
from .kernelspecs import KEY

OLDEST = 3
"""The first version of the notebook format that has metadata as we know it."""


def stamp(said: Sequence[tuple[Path, Bound]]) -> tuple[Path, ...]:
    """Write each notebook's key; returns those that changed. Raises InvalidInput before anything is written."""
    texts = [(path.resolve(), _with(path, bound)) for path, bound in said]
    changed = []
    for path, (before, after) in texts:
        if before != after:
            files.replace(path, after, mode=path.stat().st_mode & 0o777)
            changed.append(path)
    return tuple(changed)


def _with(path: Path, bound: Bound) -> tuple[str, str]:
    """The notebook's text as it is, and as it is to be."""
    try:
        text = path.read_text("utf-8")
        notebook = reader.reads(text)
        major = int(notebook["nbformat"])
        writer = nbformat.versions[major]
    except OSError as error:
        raise InvalidInput(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"{path} is no notebook: {error}") from error
    if major < OLDEST:
        raise InvalidInput(
            f"{path} is a notebook of version {major}", hint="convert it: jupyter nbconvert --to notebook"
        )
    if notebook["metadata"].get(KEY) == bound.said():
        return text, text
    notebook["metadata"][KEY] = bound.said()
    written = writer.writes_json(notebook)
    return text, written if written.endswith("\n") else f"{written}\n"
