"""Build the kernel that is lent to environments which have none of their own.

A payload is a folder of ipykernel and what it needs, one for each interpreter ABI, shared by all environments and
found behind everything of theirs on `sys.path`. So nothing of ours is installed in the user's environment.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path

from packaging.requirements import Requirement

from .. import files, inventory, process
from ..errors import CommandFailed, KernelUnusable
from ..formats.pylock import PylockToml
from ..inventory import dist_info, fit
from ..managers import uv
from ..model import Base, Environment, OnProgress, Package
from ..process import OnLine
from ..store import Store
from .bases import without_environment

_MANIFEST = "venvoy-payload.json"
_OLDEST = (3, 9)
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The folder, and what lies in it: canonical name to version, and to what it requires."""

    folder: Path
    versions: Mapping[str, str]
    requires: Mapping[str, tuple[str, ...]]


def payload_for(
    store: Store, base: Base, *, lock: str = "", wheels: Path | None = None, on_line: OnLine | None = None
) -> Payload:
    """The payload for an interpreter; built when it is not there yet or its lock has changed.

    `lock` is a requirements file in which every package has its hashes; by default the one that venvoy comes with.
    With `wheels`, a folder, they are taken from there and no index is asked.
    Two processes that need the same payload build it once. Raises KernelUnusable for an interpreter that no kernel runs
    on, and where the payload cannot be fetched.
    """
    if tuple(map(int, base.minor.split("."))) < _OLDEST or not base.abi.startswith("cp"):
        raise KernelUnusable(
            f"no kernel runs on Python {base.version} ({base.abi})",
            hint="make an environment of CPython 3.9 or newer",
        )
    lock = lock or own_lock()
    folder = _folder(store, base, lock)
    if not (folder / _MANIFEST).exists():
        with files.locked(folder.parent / ".lock", timeout=900):
            if not (folder / _MANIFEST).exists():
                _build(folder, base, lock, wheels, on_line)
    return _read(folder)


def built(store: Store, base: Base) -> Payload | None:
    """The payload for an interpreter if it is there already; nothing is built."""
    folder = _folder(store, base, own_lock())
    return _read(folder) if (folder / _MANIFEST).exists() else None


def conflicts(payload: Payload, env: Environment) -> tuple[str, ...]:
    """What of the environment stands before the payload on `sys.path` and does not fit it, one sentence each."""
    own = inventory.names(env.prefix)
    markers = fit.markers(env.python_version, f"{env.system}-{env.architecture}".lower())
    found = []
    for owner, requirements in payload.requires.items():
        if owner in own:
            continue  # what the environment's own distributions need is its own affair
        for text in requirements:
            named = _NAME.match(text)
            if named is None or (name := dist_info.canonical(named[0])) not in own:
                continue  # parsing all requirements would take a tenth of a kernel's start
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({**markers, "extra": ""}):
                continue
            if not requirement.specifier.contains(own[name], prereleases=True):
                found.append(
                    f"{name} {own[name]} is installed, but the kernel's {owner} {payload.versions[owner]} "
                    f"needs {name}{requirement.specifier}"
                )
    return tuple(sorted(set(found)))


def wheels(store: Store, base: Base, *, on_progress: OnProgress | None = None) -> tuple[Path, ...]:
    """The files that the payload for an interpreter is built from, fetched once and kept beside it.

    Raises CommandFailed where the index does not answer; KernelUnusable where a file cannot be had.
    """
    from .. import fetch  # noqa: PLC0415  # 0.1 s, and a kernel's start needs none of it

    folder = _folder(store, base, own_lock())
    kept = folder.with_name(f"{folder.name}.wheels")
    if not (kept / _MANIFEST).exists():
        files.private(kept)
        packages = _files(base)
        wanted = [
            fetch.Wanted(urls=(each.url,), file=kept / each.url.rpartition("/")[2], sha256=each.sha256)
            for each in packages
        ]
        if missed := fetch.fetch(wanted, on_progress=on_progress):
            raise KernelUnusable(f"{missed[0].wanted.file.name} of the lent kernel: {missed[0].reason}")
        files.replace(kept / _MANIFEST, json.dumps({each.name: each.version for each in packages}, sort_keys=True))
    return tuple(sorted(each for each in kept.iterdir() if each.suffix == ".whl"))


def _files(base: Base) -> tuple[Package, ...]:
    """What the payload's lock gives that interpreter, each with its file; only files whose hash it names."""
    text = own_lock()
    hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    plain = [line.removesuffix("\\").strip() for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    answer = process.run(without_environment(uv.lock(base.path, plain)))
    found = PylockToml().load(answer, source="uv's answer", base=base).packages
    if strange := [each.name for each in found if each.sha256 not in hashes]:
        raise KernelUnusable(f"the index has another {strange[0]} than the lent kernel is locked to")
    return found


def own_lock() -> str:
    """The lock of the payload that this venvoy lends, as a requirements file with hashes."""
    return package_files("venvoy.guest").joinpath("payload.txt").read_text("utf-8")


def _folder(store: Store, base: Base, lock: str) -> Path:
    family = base.libc.partition("-")[0] or "libc"
    return store.payloads / f"{base.abi}-{base.platform}-{family}" / hashlib.sha256(lock.encode()).hexdigest()[:16]


def _build(folder: Path, base: Base, lock: str, wheels: Path | None, on_line: OnLine | None) -> None:
    aside = folder.with_name(f".{folder.name}-{secrets.token_hex(3)}")
    try:
        files.replace(aside / "requirements.txt", lock)
        into = uv.into(aside, base.path, aside / "requirements.txt", find_links=wheels)
        process.run(without_environment(into), on_line=_unnamed(on_line))
        distributions = tuple(dist_info.read(aside))
        manifest = {each.name: {"version": each.version, "requires": each.requires} for each in distributions}
        files.replace(aside / _MANIFEST, json.dumps(manifest, sort_keys=True, indent=1))
        aside.rename(folder)
    except CommandFailed as error:
        files.remove(aside)
        raise KernelUnusable(
            f"the kernel for Python {base.minor}, which is lent to environments without one, could not be fetched",
            hint=f"try again when the package index can be reached; uv said:\n{error.hint}",
        ) from error
    except BaseException:
        files.remove(aside)
        raise


def _unnamed(on_line: OnLine | None) -> OnLine | None:
    """Pass progress on, but not the names of what is installed: they would be taken for the environment's."""
    if on_line is None:
        return None
    return lambda line: None if line.startswith(" + ") else on_line(line)


def _read(folder: Path) -> Payload:
    said = json.loads((folder / _MANIFEST).read_text("utf-8"))
    return Payload(
        folder=folder,
        versions={name: each["version"] for name, each in said.items()},
        requires={name: tuple(each["requires"]) for name, each in said.items()},
    )
