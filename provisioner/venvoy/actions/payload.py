"""Build the kernel that is lent to environments which have none of their own.

A payload is a folder of ipykernel and what it needs, one for each interpreter ABI, shared by all environments and
found behind everything of theirs on `sys.path`. So nothing of ours is installed in the user's environment.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files as package_files
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

from .. import files, inventory, process
from ..errors import CommandFailed, KernelUnusable
from ..formats.pylock import PylockToml
from ..inventory import dist_info, fit
from ..managers import uv
from ..model import Base, Command, Environment, Job, Mount, OnProgress, Package
from ..process import OnLine
from ..runtimes.inside import without_prefix
from ..store import Store
from .bases import without_environment
from .start_of import start_of

_MANIFEST = "venvoy-payload.json"
_OLDEST = (3, 9)
_USABLE_SINCE = Version("6")
"""Older ones have no control channel that is heard while a cell runs, and through that a container is interrupted."""
_NAME = re.compile(r"[\w.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """The folder, and what lies in it: canonical name to version, and to what it requires."""

    folder: Path
    versions: Mapping[str, str]
    requires: Mapping[str, tuple[str, ...]]


def payload_for(
    store: Store,
    base: Base,
    *,
    env: Environment | None = None,
    lock: str = "",
    wheels: Path | None = None,
    on_line: OnLine | None = None,
) -> Payload:
    """The payload for an interpreter; built when it is not there yet or its lock has changed.

    `lock` is a requirements file in which every package has its hashes; by default the one that venvoy comes with.
    `env` is the environment whose image the interpreter is in, where it is in one. With `wheels`, a folder, they are
    taken from there and no index is asked.
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
                _build(folder, base, env, lock, wheels, on_line)
    return _read(folder)


def built(store: Store, base: Base) -> Payload | None:
    """The payload for an interpreter if it is there already; nothing is built."""
    folder = _folder(store, base, own_lock())
    return _read(folder) if (folder / _MANIFEST).exists() else None


def conflicts(payload: Payload, env: Environment, *, image: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What of the environment stands before the payload on `sys.path` and does not fit it, one sentence each.

    `image` is what its image has of its own, name to version: it stands behind the prefix, and before the payload.
    """
    installed = inventory.names(env.prefix)
    own = {**(image or {}), **installed}
    markers = fit.markers(env.python_version, f"{env.system}-{env.architecture}".lower())
    found = []
    if not usable_kernel(image or {}) and "ipykernel" in (image or {}) and "ipykernel" not in installed:
        said = f"ipykernel {own['ipykernel']} is in its image"
        found.append(f"{said}, but a kernel in a container needs ipykernel>={_USABLE_SINCE}")
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
                place = "installed" if name in installed else "in its image"
                found.append(
                    f"{name} {own[name]} is {place}, but the kernel's {owner} {payload.versions[owner]} "
                    f"needs {name}{requirement.specifier}"
                )
    return tuple(sorted(set(found)))


def upgrade(env: Environment, conflicts: Iterable[str]) -> str:
    """The command that puts what fits in the place of what `conflicts` found, or before it."""
    if not env.container:
        names = sorted({each.partition(" ")[0] for each in conflicts})
        return f"venvoy run {env.name} -- pip install --upgrade {' '.join(names)}"
    # The image's own stays where it is; what is installed is found before it.
    wanted = sorted({shlex.quote(each.rpartition(" needs ")[2]) for each in conflicts})
    return f"venvoy install {env.name} {' '.join(wanted)}"


def usable_kernel(image: Mapping[str, str]) -> str | None:
    """The version of an image's own ipykernel, or None where it has none or one that is lent does better."""
    try:
        version = Version(image["ipykernel"])
    except (KeyError, InvalidVersion):
        return None
    return str(version) if version >= _USABLE_SINCE else None


def wheels(
    store: Store, base: Base, *, env: Environment | None = None, on_progress: OnProgress | None = None
) -> tuple[Path, ...]:
    """The files that the payload for an interpreter is built from, fetched once and kept beside it; `env` as above.

    Raises CommandFailed where the index does not answer; KernelUnusable where a file cannot be had.
    """
    from .. import fetch  # noqa: PLC0415  # 0.1 s, and a kernel's start needs none of it

    folder = _folder(store, base, own_lock())
    kept = folder.with_name(f"{folder.name}.wheels")
    if not (kept / _MANIFEST).exists():
        files.private(kept)
        packages = _files(base, env)
        wanted = [
            fetch.Wanted(urls=(each.url,), file=kept / each.url.rpartition("/")[2], sha256=each.sha256)
            for each in packages
        ]
        if missed := fetch.fetch(wanted, on_progress=on_progress):
            raise KernelUnusable(f"{missed[0].wanted.file.name} of the lent kernel: {missed[0].reason}")
        files.replace(kept / _MANIFEST, json.dumps({each.name: each.version for each in packages}, sort_keys=True))
    return tuple(sorted(each for each in kept.iterdir() if each.suffix == ".whl"))


def _files(base: Base, env: Environment | None) -> tuple[Package, ...]:
    """What the payload's lock gives that interpreter, each with its file; only files whose hash it names."""
    text = own_lock()
    hashes = frozenset(re.findall(r"--hash=sha256:([0-9a-f]{64})", text))
    plain = [line.removesuffix("\\").strip() for line in text.splitlines() if re.match(r"[a-z0-9]", line)]
    job = uv.lock(base.path, plain)
    answer = process.run(_in_image(env, job) if env and env.container else without_environment(job))
    found = PylockToml().load(answer, source="uv's answer", base=base).packages
    if strange := [each.name for each in found if each.sha256 not in hashes]:
        raise KernelUnusable(f"the index has another {strange[0]} than the lent kernel is locked to")
    return found


def _in_image(env: Environment, job: Job) -> Command:
    return start_of(without_prefix(env), job)


def own_lock() -> str:
    """The lock of the payload that this venvoy lends, as a requirements file with hashes."""
    return package_files("venvoy.guest").joinpath("payload.txt").read_text("utf-8")


def _folder(store: Store, base: Base, lock: str) -> Path:
    family = base.libc.partition("-")[0] or "libc"
    return store.payloads / f"{base.abi}-{base.platform}-{family}" / hashlib.sha256(lock.encode()).hexdigest()[:16]


def _build(
    folder: Path, base: Base, env: Environment | None, lock: str, wheels: Path | None, on_line: OnLine | None
) -> None:
    aside = folder.with_name(f".{folder.name}-{secrets.token_hex(3)}")
    try:
        files.replace(aside / "requirements.txt", lock)
        into = uv.into(aside, base.path, aside / "requirements.txt", find_links=wheels)
        if env and env.container:
            into = replace(into, mounts=(*into.mounts, Mount(source=aside, target=str(aside))))
            process.run(_in_image(env, into), on_line=_unnamed(on_line))
        else:
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
