"""Read one request, do it, answer."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

from rattler.exceptions import (
    DetectVirtualPackageError,
    FetchRepoDataError,
    GatewayError,
    InvalidMatchSpecError,
    InvalidVersionError,
    ParseSubdirError,
    SolverError,
)

from .channels import Reach, reach
from .prefix import Busy, Halfway, Twice, Unknown, cache_of, change, exactly, told
from .records import Damaged, Unreachable, unpacked
from .request import Failure, Request, loaded
from .solving import Unsatisfiable, WrongPin, solved

_KINDS: tuple[tuple[tuple[type[Exception], ...], Failure], ...] = (
    ((SolverError, Unsatisfiable), "unsatisfiable"),
    ((GatewayError, FetchRepoDataError, Unreachable), "unreachable"),
    ((Damaged,), "damaged"),
    ((InvalidMatchSpecError, InvalidVersionError, DetectVirtualPackageError, ParseSubdirError), "input"),
    ((Twice, Unknown, WrongPin), "input"),
    ((Busy,), "busy"),
    ((Halfway,), "failed"),
)
_INTERRUPTED = 128 + signal.SIGINT
_USER = re.compile(r"(?<=://)[^\s/\"']+@")
_TOKEN = re.compile(r"(https?://[^\s\"']*?)/t/[^\s/\"']+")


async def _done(way: Reach, request: Request) -> Any:
    match request.verb:
        case "change":
            return await change(way, request)
        case "exactly":
            return await exactly(way, request)
        case "solve":
            return {each: await _solved(way, request, each) for each in request.platforms}
        case "cached":
            return [each.url for each in request.pins if unpacked(cache_of(way), each) is not None]


async def _solved(way: Reach, request: Request, platform: str) -> list[dict[str, Any]]:
    records = await solved(way, request.specs, platform=platform, constraints=request.constraints, as_of=request.as_of)
    return [told(each) for each in records]


async def _answered(request: Request) -> dict[str, Any]:
    try:
        with reach(request.source) as way:
            return {"done": await _done(way, request)}
    except Exception as error:  # rattler's errors have no common class; whoever asked tells the user
        return {"failure": _kind(error), "message": str(error).strip()}


def _kind(error: Exception) -> Failure:
    said = str(error)
    if isinstance(error, FetchRepoDataError | GatewayError) and "parse" in said.partition("\n")[0]:
        return "damaged"
    for classes, kind in _KINDS:
        if isinstance(error, classes):
            return kind
    # The installer has one class for all that can happen to it.
    if any(each in said for each in ("hash mismatch", "zip archive", "tar archive")):
        return "damaged"
    return "unreachable" if said.startswith("failed to fetch") else "failed"


def _public(text: str) -> str:
    """The text with the users, passwords and tokens of mirrors taken out of every address, as rattler quotes them."""
    return _TOKEN.sub(r"\1", _USER.sub("", text))


def main() -> None:
    """Run the engine; the process ends without the interpreter's own end, at which py-rattler may crash."""
    # https://github.com/PyO3/pyo3-async-runtimes/issues/40
    request = loaded(sys.stdin.read())
    os.chdir(Path("/"))
    try:
        answer = asyncio.run(_answered(request))
    except KeyboardInterrupt:
        os._exit(_INTERRUPTED)
    sys.stdout.write(_public(json.dumps(answer)))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
