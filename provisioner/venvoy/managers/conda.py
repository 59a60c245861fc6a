"""The conda engine: requests become jobs, and its answers data or errors that say what to do."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..engine.request import Failure, Pin, Request, dumped
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable, VenvoyError
from ..model import Job, Package, Progress

_EXTRA = "pip install 'venvoy[conda]'"
_OF_INSTALL_SH = re.compile(r"venv-[0-9]{8}T[0-9]{6}Z-[0-9]+")
"""The folders that install.sh makes; the `pip` on the user's PATH is another Python's."""
_HINTS: Mapping[Failure, str] = {
    "unsatisfiable": "ask for other versions, or look in another channel: --channel NAME\n"
    "what only the Python index has: venvoy install NAME --pip PACKAGE",
    "unreachable": "try again when the channel can be reached; what is in the cache needs no network",
    "damaged": "nothing was installed; tell whoever keeps the channel, or take another mirror",
    "input": "write it as conda does: numpy, 'numpy>=2', numpy=2.1, conda-forge::numpy\n"
    "addresses and extras are pip's: venvoy install NAME --pip 'PACKAGE @ URL'",
    "busy": "try again when the other process is done",
    "failed": "nothing is lost: venvoy check NAME tells how the prefix stands",
}


def embedded() -> bool:
    """Whether the engine can run here: py-rattler is an extra."""
    try:
        return find_spec("rattler") is not None
    except ModuleNotFoundError:  # whoever stands in for the import system says it so
        return False


def extra(prefix: str = sys.prefix) -> str:
    """The command that adds the engine to the Python of that prefix, which venvoy runs in."""
    if _OF_INSTALL_SH.fullmatch(Path(prefix).resolve().name):
        return "sh install.sh --conda, in the folder that venvoy was installed from"
    return _EXTRA


def needed(otherwise: str = "what is here: venvoy package-managers") -> None:
    """Raise RuntimeUnavailable where the engine is not installed; `otherwise` is what helps besides adding it."""
    if not embedded():
        raise RuntimeUnavailable(
            "conda packages need the conda engine, which is not installed beside venvoy",
            hint=f"add it to the Python that venvoy runs in: {extra()}\n{otherwise}".strip(),
        )


def job(request: Request) -> Job:
    """Start the engine with one request. Raises RuntimeUnavailable where it is not installed."""
    needed()
    argv = (sys.executable, "-P", "-m", "venvoy.engine")
    return Job(argv=argv, stdin=dumped(request), cwd=Path("/"))


def answer(printed: str, *, doing: str) -> Any:
    """What the engine answers. Raises InvalidInput for what it cannot understand, CommandFailed for what fails."""
    try:
        said = json.loads(printed)
    except ValueError as error:
        raise CommandFailed(f"{doing}: the conda engine gave no answer", hint=printed[-500:]) from error
    if "failure" not in said:
        return said["done"]
    kind: Failure = said["failure"]
    failed: type[VenvoyError] = InvalidInput if kind == "input" else CommandFailed
    raise failed(f"{doing}: {said['message']}", hint=_HINTS[kind])


def heard(line: str) -> Progress | str:
    """A line that the engine tells while it works: how far it is, or a word for people."""
    try:
        said = json.loads(line)
    except ValueError:
        return line
    if not isinstance(said, dict) or "phase" not in said:
        return str(said.get("line", "")) if isinstance(said, dict) else line
    return Progress(phase=said["phase"], done=said["done"], total=said["total"], unit=said["unit"])


def pins(packages: Iterable[Package]) -> tuple[Pin, ...]:
    """The very files of the conda packages among them."""
    return tuple(
        Pin(
            name=each.name,
            version=each.version,
            build=each.build,
            url=each.url,
            sha256=each.sha256,
            md5=each.md5,
            depends=each.depends or None,
        )
        for each in packages
        if each.ecosystem == "conda"
    )


def package(said: Mapping[str, Any]) -> Package:
    """A record that the engine answers, as data."""
    return Package(
        ecosystem="conda",
        name=said["name"],
        version=said["version"],
        build=said["build"],
        channel=said["channel"],
        url=said["url"],
        sha256=said["sha256"],
        md5=said["md5"],
        size=said["size"],
        depends=tuple(said["depends"]),
        constrains=tuple(said["constrains"]),
    )
