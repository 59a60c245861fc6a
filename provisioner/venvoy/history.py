"""The only writer of an environment's record: the log, the snapshots, environment.yml and its timed copies."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from . import files
from .errors import InvalidInput
from .model import Actor, Asked, Image

_TIMED = re.compile(r"environment_[0-9]{8}_[0-9]{6}(?:_[0-9]+)?\.yml")
_WORD = re.compile(r"[0-9a-z-]{1,100}")
_IN_IMAGE = re.compile(r'^\{"base":"(contents:[0-9a-f]{64})"')
"""How a snapshot begins that was taken in an image: its keys are sorted."""
Event = Literal["change", "undo", "asked", "freeze", "import"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of the log. `snapshot` and `previous` are sha256 digests in hexadecimal.

    `event` is "change" where the snapshot differs from the entry before, "undo" where it does because the last change
    was taken back, "asked" where only somebody's wish was learnt, and "freeze" where the snapshot was locked.
    An "import" says from which archive (its manifest's digest, as what was asked for) the environment was made here.
    `previous` is the digest of the line before, "" in the first. `stands_on` is the image as the runtime called it.
    """

    at: datetime
    event: Event
    actor: Actor
    asked: tuple[Asked, ...] = ()
    snapshot: str
    previous: str = ""
    stands_on: Image | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something in the record that is not as it was written. `line` is the log's, None for what lies beside it."""

    line: int | None
    message: str


class History:
    """The record of one environment in its project folder.

    ```
    environment.yml  environment_YYYYMMDD_HHMMSS.yml ...  .last_updated
    .venvoy/log.jsonl  .venvoy/head  .venvoy/snapshots/DIGEST.json  .venvoy/bases/DIGEST.json
    ```

    A base says what is in the image that snapshots were taken in; they name it in their key `base`.

    `head` has the digest of the log's last line, so that lines which were cut off are missed, too.

    `within` is the folder of the log and what it names: an archive, which is only read, calls it otherwise.
    """

    def __init__(self, folder: Path, within: str = ".venvoy") -> None:
        self.folder = folder
        self.latest = folder / "environment.yml"
        self.log = folder / within / "log.jsonl"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the record: who looks and then writes does both inside."""
        with files.locked(self.folder / ".venvoy" / "lock"):
            yield

    def entries(self) -> tuple[Entry, ...]:
        """Every entry, oldest first; a torn last line (a crash while writing) is left out.

        Raises InvalidInput with the line's number for a line that is whole but not one of ours.
        """
        *whole, torn = self._bytes().split(b"\n")
        if torn and _is_json(torn):
            whole.append(torn)
        return tuple(self._parsed(line, number) for number, line in enumerate(whole, 1))

    def last(self) -> Entry | None:
        """The newest entry, or None where nothing was recorded yet."""
        return entries[-1] if (entries := self.entries()) else None

    def append(
        self,
        event: Event,
        *,
        at: datetime,
        actor: Actor,
        asked: tuple[Asked, ...],
        snapshot: str,
        stands_on: Image | None = None,
    ) -> Entry:
        """Write one more line, chained to the one before by its digest; the caller holds the lock."""
        files.private(self.log.parent)
        self.mend()
        lines = self._bytes().splitlines()
        previous = _digest(lines[-1]) if lines else ""
        image = Image(reference=stands_on.reference, digest=stands_on.digest) if stands_on else None
        entry = Entry(
            at=at, event=event, actor=actor, asked=asked, snapshot=snapshot, previous=previous, stands_on=image
        )
        line = _line(entry)
        files.append(self.log, line)
        files.replace(self._head, f"{_digest(line.encode())}\n", lasting=False)
        return entry

    def count(self) -> int:
        """How many lines the log has, whatever is in them."""
        return self._bytes().count(b"\n")

    def check(self) -> tuple[Problem, ...]:
        """What was changed, cut off or lost since it was written; a torn last line is mended by the next entry."""
        lines = self._bytes().split(b"\n")
        torn = lines.pop()
        found = list(self._unchained(lines))
        if torn and not _is_json(torn):
            found.append(Problem(line=len(lines) + 1, message="the last line is torn; the next entry mends it"))
        elif torn:
            lines.append(torn)
        return (*found, *self._beheaded(lines), *self._lost(lines))

    def keep(self, digest: str, text: str) -> None:
        """Store a snapshot's text once, under its digest; one that was damaged is mended."""
        target = self._snapshot(digest)
        if not target.exists() or target.read_bytes() != text.encode():
            files.replace(target, text)

    def snapshot(self, digest: str) -> str:
        """The text of the snapshot with that digest. Raises InvalidInput where it is missing or was changed."""
        return self._kept(self._snapshot(digest), f"the snapshot {digest[:12]}")

    def keep_base(self, name: str, text: str) -> None:
        """Store what is in an image once, under the name by which snapshots call it."""
        target = self._base(name)
        if not target.exists() or target.read_bytes() != text.encode():
            files.replace(target, text)

    def base(self, name: str) -> str:
        """What is in the image that snapshots call so. Raises InvalidInput where it is missing or was changed."""
        return self._kept(self._base(name), f"the base {name.rpartition(':')[2][:12]}")

    def based_on(self, digest: str) -> str:
        """The name of the base of the snapshot with that digest where that is an image's contents, else "".

        Raises InvalidInput where the snapshot is missing or was changed.
        """
        found = _IN_IMAGE.search(self.snapshot(digest))
        return found[1] if found else ""

    def save(self, text: str, *, at: datetime) -> Path:
        """Make `text` the latest environment.yml and keep a timed copy, which is returned."""
        copy = self._timed(at)
        files.replace(copy, text)
        files.replace(self.latest, text)
        files.replace(self.folder / ".last_updated", f"{_stamp(at)}\n")
        return copy

    def write(self, name: str, text: str) -> Path:
        """Put a file of the record's (a lock, say) beside environment.yml; returns its path."""
        target = self.folder / name
        files.replace(target, text)
        return target

    def timed(self) -> tuple[Path, ...]:
        """The timed copies of environment.yml, oldest first."""
        found = (each for each in self.folder.glob("environment_*.yml") if _TIMED.fullmatch(each.name))
        return tuple(sorted(found, key=lambda each: _order(each.name)))

    @property
    def _head(self) -> Path:
        return self.log.parent / "head"

    def _unchained(self, lines: list[bytes]) -> Iterator[Problem]:
        """Lines that cannot be read, and those that do not name the line before them."""
        before = ""
        for number, line in enumerate(lines, 1):
            try:
                entry = self._parsed(line, number)
            except InvalidInput as error:
                yield Problem(line=number, message=error.message)
            else:
                if entry.previous != before:
                    said = "it names another line as the one before it"
                    yield Problem(line=number, message=f"{said}: line {number - 1} was changed, or lines were removed")
            before = _digest(line)

    def _beheaded(self, lines: list[bytes]) -> Iterator[Problem]:
        try:
            head = self._head.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError):
            return  # a record of before there was one
        # After a crash between the two writes the head is still that of the line before.
        if head not in [_digest(each) for each in lines[-2:]]:
            yield Problem(
                line=len(lines), message="the line that was written last is another: it was changed or cut off"
            )

    def _lost(self, lines: list[bytes]) -> Iterator[Problem]:
        """Snapshots that entries name, and bases that these name, where they are missing or changed."""
        named: dict[str, int] = {}
        for number, line in enumerate(lines, 1):
            with contextlib.suppress(InvalidInput):
                named.setdefault(self._parsed(line, number).snapshot, number)
        seen: set[str] = set()
        for digest, number in named.items():
            try:
                name = self.based_on(digest)
                if name and name not in seen:
                    seen.add(name)
                    self.base(name)
            except InvalidInput as error:
                yield Problem(line=number, message=error.message)

    def _kept(self, file: Path, called: str) -> str:
        """The text of a file that has the digest of its content for a name."""
        try:
            written = file.read_bytes()
        except FileNotFoundError:
            raise InvalidInput(f"{called} is missing from {file.parent}") from None
        if hashlib.sha256(written).hexdigest() != file.stem:
            raise InvalidInput(f"{file} was changed: its content no longer has the digest in its name")
        try:
            return written.decode()
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file} is no text ({error.reason} at byte {error.start})") from error

    def _base(self, name: str) -> Path:
        return self.log.parent / "bases" / f"{name.rpartition(':')[2]}.json"

    def _snapshot(self, digest: str) -> Path:
        return self.log.parent / "snapshots" / f"{digest}.json"

    def _timed(self, at: datetime) -> Path:
        """A name that is free: two changes within one second are told apart by a counter."""
        stem = f"environment_{at.astimezone(UTC):%Y%m%d_%H%M%S}"
        copy, count = self.folder / f"{stem}.yml", 1
        while copy.exists():
            count += 1
            copy = self.folder / f"{stem}_{count}.yml"
        return copy

    def _bytes(self) -> bytes:
        return self.log.read_bytes() if self.log.exists() else b""

    def mend(self) -> None:
        """Make the log end in a whole line again after a crash in mid-write; the caller holds the lock."""
        written = self._bytes()
        if not written or written.endswith(b"\n"):
            return
        end = written.rfind(b"\n") + 1
        if _is_json(written[end:]):
            files.append(self.log, "")
        else:
            files.cut(self.log, end)

    def _parsed(self, line: bytes, number: int) -> Entry:
        try:
            said = json.loads(line)
            if said["event"] not in get_args(Event):
                raise ValueError(f"unknown event {said['event']!r}")  # noqa: TRY301  # told with the line's number below
            if not (_is_word(said["snapshot"]) and (said["previous"] == "" or _is_word(said["previous"]))):
                raise ValueError("it names no snapshot, or no line before it")  # noqa: TRY301  # the same
            return Entry(
                at=datetime.fromisoformat(said["at"]),
                event=said["event"],
                actor=Actor(**said["actor"]),
                asked=tuple(_asked(each) for each in said["asked"]),
                snapshot=said["snapshot"],
                previous=said["previous"],
                stands_on=_image(said.get("stands_on")),
            )
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InvalidInput(f"{self.log}, line {number}: not an entry of the log ({error})") from error


def _digest(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _order(name: str) -> tuple[str, int]:
    """A timed copy's place among the others: a second one within a second has a counter behind the time."""
    day, second, *count = name.removesuffix(".yml").split("_")[1:]
    return f"{day}_{second}", int(count[0]) if count else 1


def _asked(said: dict[str, Any]) -> Asked:
    return Asked(**{**said, "names": tuple(said["names"])})


def _image(said: Mapping[str, str] | None) -> Image | None:
    return Image(reference=said["reference"], digest=said["digest"]) if said else None


def _line(entry: Entry) -> str:
    said = asdict(entry) | {"at": _stamp(entry.at)}
    del said["stands_on"]
    if image := entry.stands_on:
        said["stands_on"] = {"reference": image.reference, "digest": image.digest}
    return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _is_word(said: object) -> bool:
    """Whether it may be the digest that a file is called by."""
    return isinstance(said, str) and _WORD.fullmatch(said) is not None


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
