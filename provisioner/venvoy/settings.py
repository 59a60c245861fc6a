"""What the user and the administrator set outside any environment: variables and the policy file."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from .containers import NETWORKS, size
from .errors import InvalidInput

DEFAULT_NAME = "venvoy-env"
DATED_CRAN = "https://packagemanager.posit.co/cran/{day}"
POLICY_FILES = (Path("/etc/venvoy/policy.yaml"), Path(sys.prefix, "etc/venvoy/policy.yaml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things lie; made from the variables of the process by `current`."""

    home: Path
    projects: Path
    runtime: Path
    user_home: Path
    containers: str = "auto"
    """The container runtime that is taken where none is named."""
    dated_cran: str = DATED_CRAN
    """Where CRAN is kept as it stood on each {day}."""


def current(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read VENVOY_HOME, VENVOY_PROJECTS, VENVOY_RUNTIME, VENVOY_DATED_CRAN and XDG_RUNTIME_DIR, or what is usual.

    Without XDG_RUNTIME_DIR sessions go to a short folder of the user's own under the temporary directory:
    a Unix socket's path has no more than 107 bytes.
    """
    user_home = Path(environ.get("HOME") or Path.home())
    runtime_folder = environ.get("XDG_RUNTIME_DIR", "")
    usable = runtime_folder and os.access(runtime_folder, os.W_OK | os.X_OK) and len(runtime_folder) < 60
    temporary = Path(environ.get("TMPDIR") or tempfile.gettempdir())
    if len(str(temporary)) >= 50:
        temporary = Path("/tmp")  # noqa: S108  # the folder below it is private and checked by `session`
    return Settings(
        home=_folder(environ.get("VENVOY_HOME") or "~/.venvoy", user_home),
        projects=_folder(environ.get("VENVOY_PROJECTS") or "~/venvoy-projects", user_home),
        runtime=Path(runtime_folder) / "venvoy" if usable else temporary / f"venvoy-{os.getuid()}",
        user_home=user_home,
        containers=environ.get("VENVOY_RUNTIME") or "auto",
        dated_cran=environ.get("VENVOY_DATED_CRAN") or DATED_CRAN,
    )


def variables() -> Mapping[str, str]:
    """What this process was given: signs of a scheduler, where a daemon is, what files of variables refer to."""
    return os.environ


def _folder(said: str, user_home: Path) -> Path:
    """An absolute path, because programs that we start in other folders must mean the same one."""
    return user_home / said[2:] if said.startswith("~/") else Path(said).absolute()


def this_platform() -> str:
    """What snapshots call the machine that we run on: "linux-x86_64"."""
    return f"{platform.system().lower()}-{platform.machine()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that a container may have; None leaves it to the user.

    `memory` is bytes; `gpus` are numbers or names, among which "all" allows every one; `devices` are shell patterns.
    Where a user asks for no memory or processors at all, these are what the container gets.
    """

    memory: int | None = None
    cpus: float | None = None
    gpus: tuple[str, ...] | None = None
    devices: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """A folder of which containers may see something; with `read_only` they change nothing in it, whatever is asked."""

    folder: Path
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the administrator demands of every kernel; None leaves the choice to the user.

    `prefixes` are the folders under which environments may lie; `dropped_variables` are shell patterns of variables
    that never reach a kernel; `env_files` False forbids files of variables. `images` are shell patterns of the images
    that containers may be made of, `networks` those that they may have, `mounts` what they may see of this machine, the
    home and the working folder included, and `resources` the most that they get.
    """

    transport: Literal["ipc", "tcp"] | None = None
    encryption: Literal["required"] | None = None
    prefixes: tuple[Path, ...] | None = None
    dropped_variables: tuple[str, ...] = ()
    env_files: bool = True
    record: Literal[True] | None = None
    images: tuple[str, ...] | None = None
    networks: tuple[str, ...] | None = None
    mounts: tuple[Allowed, ...] | None = None
    resources: Limits = Limits()


def policy(files: Sequence[Path] = POLICY_FILES) -> Policy:
    """Read the first policy file that is there; only one that root owns and nobody else may write counts.

    Raises InvalidInput for a file that others could have written or that says something unknown: a policy that cannot
    be understood must not be taken for none.
    """
    for file in files:
        try:
            status = file.stat()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
        if status.st_uid != 0 or status.st_mode & 0o022:
            raise InvalidInput(
                f"{file} must belong to root and be writable by root alone",
                hint=f"chown root {file} && chmod 644 {file}",
            )
        return _policy_from(_mapping(file), file)
    return Policy()


def _mapping(file: Path) -> Mapping[str, Any]:
    from ruamel.yaml import YAML  # noqa: PLC0415  # most machines have no policy file
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415

    try:
        loaded = YAML(typ="safe", pure=True).load(file.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    except (YAMLError, ValueError) as error:
        raise InvalidInput(f"{file} is not YAML: {error}") from error
    if not isinstance(loaded, dict | None):
        raise InvalidInput(f"{file} must be a mapping")
    return loaded or {}


def _policy_from(said: Mapping[str, Any], file: Path) -> Policy:
    known = {each.name for each in fields(Policy)}
    if unknown := [key for key in said if key not in known]:
        raise InvalidInput(f"{file}: unknown key {unknown[0]!r}", hint=f"known: {', '.join(sorted(known))}")
    allowed: dict[str, tuple[object, ...]] = {
        "transport": ("ipc", "tcp"),
        "encryption": ("required",),
        "record": (True,),
        "env_files": (True, False),
    }
    for key, values in allowed.items():
        if key in said and not any(type(said[key]) is type(value) and said[key] == value for value in values):
            raise InvalidInput(f"{file}: {key} must be one of {', '.join(map(str, values))}, not {said[key]!r}")
    for key in ("prefixes", "dropped_variables", "images", "networks", "mounts"):
        _texts(said, key, file)
    if wrong := [each for each in said.get("networks", []) if each not in NETWORKS]:
        raise InvalidInput(f"{file}: networks must be among {', '.join(NETWORKS)}, not {wrong[0]!r}")
    if relative := [each for each in said.get("prefixes", []) if not Path(each).is_absolute()]:
        raise InvalidInput(f"{file}: prefixes must be absolute paths, not {relative[0]!r}")
    return Policy(
        transport=said.get("transport"),
        encryption=said.get("encryption"),
        prefixes=tuple(Path(each) for each in said["prefixes"]) if "prefixes" in said else None,
        dropped_variables=tuple(said.get("dropped_variables", ())),
        env_files=said.get("env_files", True),
        record=said.get("record"),
        images=tuple(said["images"]) if "images" in said else None,
        networks=tuple(said["networks"]) if "networks" in said else None,
        mounts=tuple(_allowed(each, file) for each in said["mounts"]) if "mounts" in said else None,
        resources=_limits(said.get("resources", {}), file),
    )


def _texts(said: Mapping[str, Any], key: str, file: Path) -> None:
    if not (isinstance(said.get(key, []), list) and all(isinstance(each, str) for each in said.get(key, []))):
        raise InvalidInput(f"{file}: {key} must be a list of strings")


def _allowed(said: str, file: Path) -> Allowed:
    folder, _, mode = said.rpartition(":") if said.endswith((":ro", ":rw")) else (said, "", "rw")
    if not folder.startswith("/"):
        raise InvalidInput(f"{file}: mounts must be absolute paths, with :ro behind those for reading, not {said!r}")
    return Allowed(folder=Path(folder), read_only=mode == "ro")


def _limits(said: Any, file: Path) -> Limits:
    known = [each.name for each in fields(Limits)]
    if not isinstance(said, dict) or (unknown := [key for key in said if key not in known]):
        what = f"unknown key {unknown[0]!r}" if isinstance(said, dict) else "not a mapping"
        raise InvalidInput(f"{file}: resources: {what}", hint=f"known: {', '.join(known)}")
    try:
        memory = size(said["memory"]) if "memory" in said else None
    except InvalidInput as error:
        raise InvalidInput(f"{file}: resources: memory: {error.message}", hint=error.hint) from error
    cpus = said.get("cpus")
    if "cpus" in said and (isinstance(cpus, bool) or not isinstance(cpus, int | float) or not cpus > 0):
        raise InvalidInput(f"{file}: resources: cpus must be a number above 0, not {cpus!r}")
    gpus = said.get("gpus")
    gpus = {"all": ["all"], "none": []}.get(gpus, gpus) if isinstance(gpus, str) else gpus
    if "gpus" in said and not (isinstance(gpus, list) and all(type(each) in (int, str) for each in gpus)):
        raise InvalidInput(f"{file}: resources: gpus must be all, none, or a list such as [0, 1], not {said['gpus']!r}")
    _texts(said, "devices", file)
    return Limits(
        memory=memory,
        cpus=float(cpus) if cpus is not None else None,
        gpus=tuple(map(str, gpus)) if gpus is not None else None,
        devices=tuple(said["devices"]) if "devices" in said else None,
    )
