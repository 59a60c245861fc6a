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

from .errors import InvalidInput

DEFAULT_NAME = "venvoy-env"
POLICY_FILES = (Path("/etc/venvoy/policy.yaml"), Path(sys.prefix, "etc/venvoy/policy.yaml"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things lie; made from the variables of the process by `current`."""

    home: Path
    projects: Path
    runtime: Path
    user_home: Path


def current(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read VENVOY_HOME, VENVOY_PROJECTS and XDG_RUNTIME_DIR, or take what is used without them.

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
    )


def _folder(said: str, user_home: Path) -> Path:
    """An absolute path, because programs that we start in other folders must mean the same one."""
    return user_home / said[2:] if said.startswith("~/") else Path(said).absolute()


def this_platform() -> str:
    """What snapshots call the machine that we run on: "linux-x86_64"."""
    return f"{platform.system().lower()}-{platform.machine()}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the administrator demands of every kernel; None leaves the choice to the user.

    `prefixes` are the folders under which environments may lie; `dropped_variables` are shell patterns of variables
    that never reach a kernel; `env_files` False forbids files of variables.
    """

    transport: Literal["ipc", "tcp"] | None = None
    encryption: Literal["required"] | None = None
    prefixes: tuple[Path, ...] | None = None
    dropped_variables: tuple[str, ...] = ()
    env_files: bool = True
    record: Literal[True] | None = None


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
    for key in ("prefixes", "dropped_variables"):
        if not (isinstance(said.get(key, []), list) and all(isinstance(each, str) for each in said.get(key, []))):
            raise InvalidInput(f"{file}: {key} must be a list of strings")
    if relative := [each for each in said.get("prefixes", []) if not Path(each).is_absolute()]:
        raise InvalidInput(f"{file}: prefixes must be absolute paths, not {relative[0]!r}")
    return Policy(
        transport=said.get("transport"),
        encryption=said.get("encryption"),
        prefixes=tuple(Path(each) for each in said["prefixes"]) if "prefixes" in said else None,
        dropped_variables=tuple(said.get("dropped_variables", ())),
        env_files=said.get("env_files", True),
        record=said.get("record"),
    )
