"""Read a file of any format that says what should be installed, whoever wrote it; nothing in it is executed."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..errors import InvalidInput
from ..model import Image, Snapshot, Wish
from . import conda_lock, explicit, inline_metadata, rattler_lock, repo2docker, requirements_in, uv_lock
from .conda_lock import CondaLock
from .environment_yml import EnvironmentYml
from .explicit import Explicit
from .locks import whole
from .pylock import PylockToml
from .rattler_lock import RattlerLock
from .renv import RenvLock
from .requirements import python_of
from .snapshot_json import SnapshotJson
from .subdirs import subdir_of

LARGEST = 50_000_000
"""Bytes of the largest file that is read; a lock of a thousand packages for all platforms has a tenth of that."""
Kind = Literal[
    "pylock", "uv.lock", "lock", "yaml", "conda-lock", "explicit", "pixi", "renv", "requirements", "script", "notebook"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a file is and says: a wish to be resolved, or exactly what to install.

    Exact are `snapshot` (our own lock), `lock`, which gives a pylock.toml for the interpreter that PEP 508's variables
    describe, and `states`, which gives a snapshot for one of conda's platforms ("linux-64"). `file` is what was
    followed, where a folder was given; `python` is what the file asks for, `stands_on` the image of a lock, and `by_r`
    its other half, where `lock` is one of Python and R.
    """

    kind: Kind
    file: Path
    python: str = ""
    name: str = ""
    wish: Wish | None = None
    lock: Callable[[Mapping[str, str]], str] | None = None
    snapshot: Snapshot | None = None
    states: Callable[[str], Snapshot] | None = None
    by_r: Snapshot | None = None
    stands_on: Image | None = None
    remarks: tuple[str, ...] = ()

    @property
    def of_r(self) -> bool:
        """Whether it says what an R environment is."""
        return (self.snapshot is not None and self.snapshot.language == "r") or bool(self.wish and self.wish.r)


def read(path: Path) -> Read:
    """Recognise and read. Raises InvalidInput, with file and line where there is one, for what cannot be understood."""
    if path.is_dir():
        found = repo2docker.recognised(path)
        said = read(found.file)
        python = found.python or said.python
        return replace(
            said, python=python, name=said.name or path.resolve().name, remarks=(*found.remarks, *said.remarks)
        )
    if path.name.endswith(".tar.zst"):
        raise InvalidInput(f"{path} is an archive", hint=f"venvoy import-archive {path}")
    text = text_of(path)
    return _READERS.get(_kind(path, text), _requirements)(path, text)


def snapshot_of(path: Path, *, platform: str) -> Snapshot:
    """The state that a file describes, to be compared; of a lock for several platforms that of one ("linux-x86_64").

    Raises InvalidInput where it leaves a version open.
    """
    said = read(path)
    if said.states is not None:
        return said.states(subdir_of(platform))
    if said.snapshot is not None:
        return said.snapshot
    if said.kind == "pylock":
        return whole(PylockToml().load(text_of(said.file), source=str(path)), said.file)
    if said.wish is not None:
        return EnvironmentYml().state(said.wish, source=str(path))
    raise InvalidInput(
        f"{path} says only for one interpreter what it gives", hint="compare an environment made from it"
    )


def text_of(path: Path) -> str:
    """The text of a file. Raises InvalidInput where it cannot be read, is no UTF-8, or is too large for what it is."""
    try:
        if not path.is_file():
            raise InvalidInput(f"there is no file {path}", hint=f"see what is there: ls {path.absolute().parent}")
        if (size := os.stat(path).st_size) > LARGEST:  # noqa: PTH116  # the same
            raise InvalidInput(f"{path} has {size} bytes: that is no list of packages")
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    except (OSError, ValueError) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error


_NAMED: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"(?:.*\.py|uv)\.lock"), "uv.lock"),
    (re.compile(r".*pixi\.lock"), "pixi"),
    (re.compile(r".*renv\.lock"), "renv"),
    (re.compile(r".*conda-lock\.ya?ml"), "conda-lock"),
    (re.compile(r".*\.toml"), "pylock"),
    (re.compile(r".*\.json"), "lock"),
    (re.compile(r".*\.ipynb"), "notebook"),
    (re.compile(r".*\.py"), "script"),
)
"""What the name of a file says of it, in small letters."""
_WRITTEN: Sequence[tuple[re.Pattern[str], str]] = (
    (re.compile(r"(?ms)^metadata:.*^package:|^package:.*^metadata:"), "conda-lock"),
    (re.compile(r"(?ms)\A(?:#[^\n]*\n)*version: [0-9]+\n.*^environments:"), "pixi"),
    (re.compile(r'(?s)\A\s*\{.*"Packages"\s*:\s*\{'), "renv"),
    (re.compile(r"\A\s*\{"), "lock"),
    (re.compile(r"(?m)^lock-version *="), "pylock"),
    (explicit.MARK, "explicit"),
)
"""What its content says, where the name says nothing or no more than that it is YAML."""


def _kind(path: Path, text: str) -> str:
    name = path.name.lower()
    if told := next((kind for pattern, kind in _NAMED if pattern.fullmatch(name)), ""):
        return told
    seen = next((kind for pattern, kind in _WRITTEN if pattern.search(text)), "")
    if name.endswith((".yml", ".yaml")):
        return seen if seen in ("conda-lock", "pixi") else "yaml"
    return seen or "requirements"


def _requirements(path: Path, text: str) -> Read:
    wish = requirements_in.load(text, file=path.absolute(), read=text_of)
    return Read(kind="requirements", file=path, python=python_of(text), wish=wish)


def _yaml(path: Path, text: str) -> Read:
    wish = EnvironmentYml().load(text, source=str(path))
    version = wish.r or wish.python
    return Read(kind="yaml", file=path, python=version, name=wish.name, wish=wish, remarks=wish.remarks)


def _pylock(path: Path, text: str) -> Read:
    said = whole(PylockToml().load(text, source=str(path)), path)
    return Read(
        kind="pylock",
        file=path,
        python=said.language_version,
        lock=lambda _: text,
        by_r=said.halves[1] if said.r_version else None,
        stands_on=said.stands_on,
    )


def _snapshot(path: Path, text: str) -> Read:
    try:
        said = SnapshotJson().load(text)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error.message}") from error
    return Read(kind="lock", file=path, python=said.language_version, snapshot=said, stands_on=said.stands_on)


def _uv_lock(path: Path, text: str) -> Read:
    python = uv_lock.requires_python(text, source=str(path))
    uv_lock.as_pylock(text, source=str(path), environment={})
    own = "the project itself is not installed, only what it needs"
    return Read(kind="uv.lock", file=path, python=python, lock=_converter(path, text), remarks=(own,))


def _converter(path: Path, text: str) -> Callable[[Mapping[str, str]], str]:
    return lambda environment: uv_lock.as_pylock(text, source=str(path), environment=environment)


def _script(path: Path, text: str) -> Read:
    said = inline_metadata.of_script(text, source=str(path))
    lock = path.with_name(f"{path.name}.lock")
    if lock.is_file():
        return replace(_uv_lock(lock, text_of(lock)), remarks=(f"{lock.name} was followed",))
    return Read(kind="script", file=path, python=said.wish.python, wish=said.wish, remarks=said.wish.remarks)


def _notebook(path: Path, text: str) -> Read:
    said = inline_metadata.of_notebook(text, source=str(path))
    if said.lock:
        python = uv_lock.requires_python(said.lock, source=str(path))
        return Read(kind="notebook", file=path, python=python, lock=_converter(path, said.lock))
    return Read(kind="notebook", file=path, python=said.wish.python, wish=said.wish, remarks=said.wish.remarks)


def _explicit(path: Path, text: str) -> Read:
    said = Explicit().load(text, source=str(path))
    return Read(kind="explicit", file=path, python=said.language_version, snapshot=said)


def _conda_lock(path: Path, text: str) -> Read:
    conda_lock.subdirs(text, source=str(path))

    def state(subdir: str) -> Snapshot:
        return CondaLock().load(text, source=str(path), subdir=subdir)

    return Read(kind="conda-lock", file=path, states=state)


def _pixi(path: Path, text: str) -> Read:
    rattler_lock.subdirs(text, source=str(path))

    def state(subdir: str) -> Snapshot:
        return RattlerLock().load(text, source=str(path), subdir=subdir)

    return Read(kind="pixi", file=path, states=state)


def _renv(path: Path, text: str) -> Read:
    said = RenvLock().load(text, source=str(path))
    return Read(kind="renv", file=path, python=said.language_version, snapshot=said, stands_on=said.stands_on)


_READERS: Mapping[str, Callable[[Path, str], Read]] = {
    "requirements": _requirements,
    "yaml": _yaml,
    "pylock": _pylock,
    "lock": _snapshot,
    "uv.lock": _uv_lock,
    "script": _script,
    "notebook": _notebook,
    "explicit": _explicit,
    "conda-lock": _conda_lock,
    "pixi": _pixi,
    "renv": _renv,
}
