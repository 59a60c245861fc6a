"""What numbers may depend on beside the packages: the machine, as the environment itself sees it."""

from __future__ import annotations

import json
from importlib.resources import files as package_files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import process
from ..errors import CommandFailed, RuntimeUnavailable
from ..managers import cran
from ..model import Environment, Job
from .start_of import start_of

FACTS = "facts.json"
"""The file in which they are kept beside the record, and carried."""
_PATIENCE = 120
"""Seconds: importing a large library over a network file system takes its time."""


def facts(env: Environment) -> dict[str, Any]:
    """Processor, system, numeric libraries with their threads, locale, variables that change numbers; {} if unknown."""
    try:
        printed = process.run(start_of(env, _job(env)), timeout=_PATIENCE)
        return _of_r(printed) if env.language == "r" else _of_python(printed)
    except (CommandFailed, RuntimeUnavailable, KeyError, ValueError):
        return {}


def _job(env: Environment) -> Job:
    if env.language == "r":
        return cran.script("facts.R")
    script = package_files("venvoy.guest").joinpath("facts.py").read_text("utf-8")
    found = find_spec("threadpoolctl")
    place = str(found.origin) if found and found.origin else ""
    return Job(argv=("python", "-", place), stdin=script, cwd=Path("/"))


def _of_python(printed: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(printed)
    return said


def _of_r(printed: str) -> dict[str, Any]:
    pairs = [line.split("\t", 1) for line in printed.splitlines() if "\t" in line]
    one = dict(pairs)
    return {
        "processor": {"model": one["model"], "flags": sorted(one["flags"].split()), "count": int(one["count"])},
        "system": {"name": one["name"], "machine": one["machine"], "libc": one["libc"].replace(" ", "-")},
        "libraries": [{"user_api": each, "file": one[each]} for each in ("blas", "lapack")],
        "locale": [value for word, value in pairs if word == "locale"],
        "variables": dict(value.split("=", 1) for word, value in pairs if word == "variable"),
        "r": one["r"],
    }
