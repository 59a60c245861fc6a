"""What numbers may depend on beside the packages: the machine, as the environment itself sees it."""

from __future__ import annotations

import json
from importlib.resources import files as package_files
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import process, runtimes
from ..errors import CommandFailed, RuntimeUnavailable
from ..model import Environment, Job

_PATIENCE = 120
"""Seconds: importing a large library over a network file system takes its time."""


def facts(env: Environment) -> dict[str, Any]:
    """Processor, system, numeric libraries with their threads, locale, variables that change numbers; {} if unknown."""
    script = package_files("venvoy.guest").joinpath("facts.py").read_text("utf-8")
    found = find_spec("threadpoolctl")
    place = str(found.origin) if found and found.origin else ""
    job = Job(argv=("python", "-", place), stdin=script, cwd=Path("/"))
    try:
        said: dict[str, Any] = json.loads(process.run(runtimes.get(env.runtime).command(env, job), timeout=_PATIENCE))
    except (CommandFailed, RuntimeUnavailable, ValueError):
        return {}
    return said
