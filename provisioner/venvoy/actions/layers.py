"""How far an engine has come with an image: read from what it says while it fetches or builds one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..model import OnProgress, Progress
from ..process import OnLine

FETCHING, UNPACKING, BUILDING = "Fetching the image", "Unpacking the image", "Building the image"
_AMOUNT = r"([\d.]+ ?[kKMGT]?i?B)"
_MOVING = (
    re.compile(
        rf"(?P<layer>[0-9a-f]{{12}}): (?P<phase>Downloading|Extracting) +\[.*?\] +{_AMOUNT}/{_AMOUNT}"
    ),  # Docker
    re.compile(rf"Copying blob (?P<layer>\S+) \[.*?\] {_AMOUNT} / {_AMOUNT}"),  # Podman
    re.compile(rf"{_AMOUNT} / {_AMOUNT} +\["),  # Apptainer, which names no layer
)
_ENDED = re.compile(
    r"(?P<layer>[0-9a-f]{12}): (?P<how>Pull complete|Already exists|Download complete|Pulling fs layer|Waiting"
    r"|Verifying Checksum)|Copying blob (?P<blob>\S+) (?P<done>done|skipped: already exists)"
)
_STEP = re.compile(r"(?:Step|STEP|#\d+ \[(?:\S+ )?) ?(\d+)/(\d+)(?: ?:|\]) ?(.*)")
_UNITS = {"": 1, "k": 1000, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4,
          "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}  # fmt: skip


class Layers:
    """Hears an engine, by its lines (call it) or the events of Docker's daemon, and adds up what the layers have.

    A layer that is whole is told to `on_line`, and so is all that is no progress.
    """

    def __init__(self, on_line: OnLine | None = None, on_progress: OnProgress | None = None) -> None:
        self.on_line, self.on_progress = on_line, on_progress
        self._had: dict[str, tuple[int, int | None]] = {}
        self._unpacked: dict[str, tuple[int, int | None]] = {}
        self._told: set[str] = set()

    def __call__(self, line: str) -> None:
        if found := next((found for each in _MOVING if (found := each.search(line))), None):
            said = found.groupdict()
            done, total = map(_bytes, found.groups()[-2:])
            self._moved(
                said.get("layer") or found.groups()[-1], done, total, unpacking=said.get("phase") == "Extracting"
            )
        elif found := _ENDED.search(line):
            self._ended(found["layer"] or found["blob"], found["how"] or found["done"])
        elif not _REPEATED.match(line):
            self._step(line)

    def event(self, said: Mapping[str, Any]) -> None:
        """One event of the engine's API."""
        layer, status, detail = said.get("id"), str(said.get("status", "")), said.get("progressDetail") or {}
        if layer and detail.get("total"):
            self._moved(layer, detail["current"], detail["total"], unpacking=status == "Extracting")
        elif layer and _ENDED.match(f"{layer}: {status}"):
            self._ended(layer, status)

    def _moved(self, layer: str, done: int, total: int, *, unpacking: bool) -> None:
        (self._unpacked if unpacking else self._had)[layer] = (done, total)
        self._report(unpacking=unpacking)

    def _ended(self, layer: str, how: str) -> None:
        size = self._had.get(layer, (0, None))[1]
        match how:
            case "Pulling fs layer" | "Waiting":
                self._had.setdefault(layer, (0, None))
            case "Already exists" | "skipped: already exists":
                self._had[layer] = (0, 0)
            case "Download complete" | "done" if size is not None:
                self._had[layer] = (size, size)
                self._whole(layer, size)
        self._report(unpacking=False)

    def _whole(self, layer: str, size: int) -> None:
        if layer not in self._told and self.on_line:
            self._told.add(layer)
            self.on_line(f"layer {layer.removeprefix('sha256:')[:12]}: {size / 1e6:.1f} MB")

    def _report(self, *, unpacking: bool) -> None:
        counted = self._unpacked if unpacking else self._had
        totals = [total for _, total in self._had.values()]
        if self.on_progress and counted:
            self.on_progress(
                Progress(
                    phase=UNPACKING if unpacking else FETCHING,
                    done=sum(done for done, _ in counted.values()),
                    total=None if None in totals else sum(each or 0 for each in totals),
                )
            )

    def _step(self, line: str) -> None:
        if self.on_line:
            self.on_line(line)
        if self.on_progress and (found := _STEP.match(line)):
            self.on_progress(
                Progress(phase=BUILDING, done=int(found[1]) - 1, total=int(found[2]), unit="steps"),
            )


_REPEATED = re.compile(r"Copying (blob|config) \S+( \[| done)|\s*$")
"""Lines that Podman draws again and again."""


def _bytes(said: str) -> int:
    """The bytes that an engine means by "10.3MB" or "9.8 MiB"."""
    number, unit = re.fullmatch(r"([\d.]+) ?(\w*)B", said).groups()  # type: ignore[union-attr]  # it was found by _AMOUNT
    return int(float(number) * _UNITS[unit])
