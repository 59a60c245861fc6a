"""What a notebook says of its environment: the key `venvoy` in its metadata, and how the lock is found again from it.

```json
{"environment": "research", "lock": "../venvoy-projects/research/pylock.toml", "snapshot": "8a31…, 64 digits"}
```

`environment` is the name, `snapshot` the digest of the state that the notebook's last run used (the name of a file in
the record's `snapshots`, and `tool.venvoy.snapshot` of the lock that was made of it), and `lock` where the lock lay
then: relative to the notebook, or beginning with `~/`. Only `environment` is always there. The whole takes less than
300 bytes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from ..actions import locks
from ..errors import InvalidInput
from ..formats import locks as formats
from ..store import NAME, Store
from .kernelspecs import KEY

LIMIT = 300
"""Bytes that the key takes at most, as it is written into a notebook."""
LOCKS = tuple(each.filename for each in formats.LOCKS.values())
"""The names of locks: which one an environment has depends on what installs its packages."""
_DIGEST_LENGTH = 64
_PREFIX = "venvoy-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What the key says; `snapshot` and `lock` are "" where it does not say them."""

    environment: str
    snapshot: str = ""
    lock: str = ""

    def said(self) -> dict[str, str]:
        """The key's value; a lock whose path is too long is left out, it is found by the environment's name as well."""
        whole = {"environment": self.environment, "lock": self.lock, "snapshot": self.snapshot}
        said = {key: value for key, value in whole.items() if value}
        if size(said) >= LIMIT:
            said.pop("lock", None)
        return said


def size(said: Mapping[str, str]) -> int:
    """How many bytes of a notebook the key takes, its own name and the indentation included."""
    written = json.dumps({KEY: said}, ensure_ascii=False, indent=1)
    return len(written.encode()) + len(written.splitlines())


def bound(store: Store, environment: str, snapshot: str, notebook: Path) -> Bound:
    """What is to be written into `notebook` (an absolute path) when it has run in that state of the environment."""
    lock = _found(store.project(environment))
    home = store.settings.user_home
    return Bound(
        environment=environment,
        snapshot=snapshot,
        lock=_place(lock, notebook.parent, home) if lock.exists() else "",
    )


def bound_in(metadata: Mapping[str, Any]) -> Bound | None:
    """What a notebook's metadata says, or None where it has no such key. Raises InvalidInput for what is not ours."""
    said = metadata.get(KEY)
    if said is None:
        return None
    if not isinstance(said, Mapping) or not all(isinstance(value, str) for value in said.values()):
        raise InvalidInput(f"the metadata's key {KEY!r} must be a mapping of strings, not {said!r:.80}")
    name, snapshot = said.get("environment", ""), said.get("snapshot", "")
    if not NAME.fullmatch(name):
        raise InvalidInput(f"the metadata's key {KEY!r} names no environment: {name!r:.80}")
    if snapshot and not (len(snapshot) == _DIGEST_LENGTH and set(snapshot) <= set("0123456789abcdef")):
        raise InvalidInput(f"the metadata's key {KEY!r} has no digest as its snapshot: {snapshot!r:.80}")
    return Bound(environment=name, snapshot=snapshot, lock=said.get("lock", ""))


def read(notebook: Path) -> Bound:
    """What the notebook says. Raises InvalidInput for a file that is no notebook, or one that says nothing."""
    try:
        found = bound_in(metadata_of(notebook))
    except InvalidInput as error:
        raise InvalidInput(f"{notebook}: {error.message}", hint=error.hint) from error
    if found is None:
        raise InvalidInput(
            f"{notebook} does not say which environment it was run in",
            hint=f"say it: venvoy stamp {notebook} --name NAME\n"
            "a notebook that is saved in Jupyter while a kernel of venvoy runs says it by itself",
        )
    return found


def metadata_of(notebook: Path) -> Mapping[str, Any]:
    """The metadata of a notebook file. Raises InvalidInput."""
    try:
        said = json.loads(notebook.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {notebook}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{notebook} is no notebook: {error}") from error
    metadata = said.get("metadata") if isinstance(said, dict) and "nbformat" in said else None
    if not isinstance(metadata, dict):
        raise InvalidInput(f"{notebook} is no notebook: it has no metadata")
    return metadata


def named_by_kernel(metadata: Mapping[str, Any], store: Store) -> str | None:
    """The environment whose kernel the notebook asks for, or None."""
    said = metadata.get("kernelspec")
    name = str(said.get("name", "")) if isinstance(said, Mapping) else ""
    return next((each for each in store.names() if name == f"{_PREFIX}{each.lower()}"), None)


def lock_of(store: Store, notebook: Path) -> Path:
    """The lock of the state that the notebook last ran in.

    It lies where the notebook says, in the project folder of that name, or beside the notebook. Raises InvalidInput
    where there is none, or only one of another state.
    """
    return lock_said(store, read(notebook), notebook)


def lock_said(store: Store, said: Bound, notebook: Path) -> Path:
    """The same of a notebook that has been read: this is what it says. Raises InvalidInput."""
    there = [each for each in _candidates(store, said, notebook) if each.is_file()]
    digests = {each: snapshot_of(each) for each in there}
    for each in there:
        if not said.snapshot or digests[each] == said.snapshot:
            return each
    if there:
        raise InvalidInput(
            f"{notebook} was last run in another state of {said.environment!r} ({said.snapshot[:12]}) than "
            f"{there[0]} is of ({digests[there[0]][:12] or 'it does not say which'})",
            hint=f"take that one all the same: venvoy restore {there[0]}",
        )
    raise InvalidInput(
        f"the lock of {said.environment!r} is not found from {notebook}",
        hint=f"where the environment is: venvoy freeze {said.environment}\n"
        f"then put its lock ({' or '.join(LOCKS)}) beside the notebook, or: venvoy restore PATH",
    )


def snapshot_of(lock: Path) -> str:
    """The digest of the state that a lock of venvoy's was made of, "" where it does not say."""
    try:
        found = lock.stat()
        return _state_at(lock, found.st_mtime_ns, found.st_size)
    except (OSError, UnicodeDecodeError, InvalidInput):
        return ""


@lru_cache(maxsize=200)
def _state_at(lock: Path, _moved: int, _size: int) -> str:
    """What a lock says as long as it is not another file: whole locks take long to read, and sidebars look often."""
    return locks.state_of(lock)


def _candidates(store: Store, said: Bound, notebook: Path) -> Iterator[Path]:
    folder = notebook.resolve().parent
    if said.lock.startswith("~/"):
        yield store.settings.user_home / said.lock[2:]
    elif said.lock:
        yield Path(os.path.normpath(folder / said.lock))
    yield from (place / each for place in (store.project(said.environment), folder) for each in LOCKS)


def _found(folder: Path) -> Path:
    """The lock in a project folder, where there is one."""
    return next((folder / each for each in LOCKS if (folder / each).exists()), folder / LOCKS[0])


def _place(lock: Path, folder: Path, home: Path) -> str:
    """How the lock is written down: from the notebook's folder, or from the home where both are not below it."""
    lock, folder, home = lock.absolute(), folder.absolute(), home.absolute()
    if lock.is_relative_to(home) and not folder.is_relative_to(home) and not lock.is_relative_to(folder):
        return f"~/{PurePosixPath(lock.relative_to(home))}"
    return str(PurePosixPath(os.path.relpath(lock, folder)))
