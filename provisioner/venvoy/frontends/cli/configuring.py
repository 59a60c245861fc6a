"""`venvoy configure`: what config.yaml says of an environment, shown, set or edited."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from packaging.requirements import InvalidRequirement, Requirement

from ... import cancelling, files, process
from ...actions.note import note
from ...actions.permission import within_policy
from ...actions.variables import variables_from
from ...containers import container, mount, mount_text, written
from ...errors import CommandFailed, InvalidInput, NotPermitted, RuntimeUnavailable
from ...model import Command, Container, Environment
from ...settings import policy
from ...store import Store
from ..views.environments import configured_view
from . import kernels
from .options import actor, current_store, named, output, patient
from .output import Output

CONFIG = "config.yaml"
CONTAINED = ("gpus", "cpus", "memory", "shm_size", "network", "devices", "mounts", "home", "writable")
PLAIN = ("env_file", "base_image", "packages", "dev_packages", "channels", "conda_packages", "read_only", "record")
SETTABLE = (*PLAIN, *CONTAINED)
_EDITORS = ("sensible-editor", "nano", "vi")


@click.command
@named
@click.option("--set", "given", multiple=True, metavar="KEY=VALUE", help="Lists: words as for a shell.")
@click.option("--unset", multiple=True, type=click.Choice(SETTABLE), metavar="KEY", help="Back to the default.")
@click.option("--edit", is_flag=True, help="Open it in $VISUAL or $EDITOR.")
@output
def configure(name: str, given: tuple[str, ...], unset: tuple[str, ...], *, edit: bool, out: Output) -> None:
    """Show or change the settings of an environment.

    The keys that can be set are env_file, base_image, packages, dev_packages and record (false: kernels write nothing
    down of what changes), and of a conda environment channels, conda_packages and read_only; of one in a container
    gpus, cpus, memory, shm_size, network, devices, mounts, home and writable. Without options config.yaml is shown;
    in any case Jupyter's kernelspec is brought up to date. An edit with a mistake in it is refused, with its line, and
    the file stays as it was.
    """
    if edit and (given or unset):
        raise click.UsageError("--edit cannot be combined with --set and --unset")
    store = current_store()
    if edit:
        _edited(store, name)
    env = _readable(store, name)
    if given or unset:
        patient(store, name, out)
        with store.held(name):
            before = store.environment(name)
            env = _set(store, before, _pairs(given), unset)
            within_policy(env, policy())
            if env.record and not before.record:
                # What nobody wrote down so far is not the doing of the cell that comes next.
                note(store, before, actor=actor(out))
            store.save(env)
            cancelling.too_late()
    kernel = kernels.offered(store, env, out)
    file = store.folder(name) / CONFIG
    out.show(configured_view(env, file=file, content=file.read_text("utf-8"), kernel=kernel))


def _readable(store: Store, name: str) -> Environment:
    try:
        return store.environment(name)
    except InvalidInput as error:
        if not store.exists(name):
            raise
        raise InvalidInput(error.message, hint=f"open it: venvoy configure {name} --edit") from error


def _pairs(given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not equals or key not in SETTABLE:
            raise click.UsageError(f"{each!r} is not KEY=VALUE with one of the keys {', '.join(SETTABLE)}")
        found[key] = value
    return found


def _set(store: Store, env: Environment, given: Mapping[str, str], unset: tuple[str, ...]) -> Environment:
    """The environment with other settings. Raises InvalidInput for a value that is not what its key needs."""
    minor = ".".join(env.python_version.split(".")[:2])
    said = {**dict.fromkeys(unset, ""), **given}
    for key in said.keys() & {"env_file"}:
        env = replace(env, env_file=tuple(Path(each).absolute() for each in _words(key, said[key])))
        variables_from(env.env_file)
    for key in said.keys() & {"packages"}:
        env = replace(env, packages=_requirements(key, said[key]))
    for key in said.keys() & {"dev_packages"}:
        env = replace(env, dev_packages=_requirements(key, said[key]))
    if contained := {key: value for key, value in said.items() if key in CONTAINED}:
        env = replace(env, container=_container(store, env, contained))
    if "base_image" in said:
        env = replace(env, base_image=said["base_image"] or f"python:{minor}-slim")
    if "channels" in said:
        env = replace(env, channels=tuple(_words("channels", said["channels"].replace(",", " "))))
    if "conda_packages" in said:
        env = replace(env, conda_packages=tuple(_words("conda_packages", said["conda_packages"])))
    if "record" in said:
        env = replace(env, record=_recorded(said["record"]))
    return replace(env, read_only=_yes("read_only", said["read_only"])) if "read_only" in said else env


def _recorded(value: str) -> bool:
    """Whether kernels are to write down what changes. Raises NotPermitted."""
    wanted = not value or _yes("record", value)
    if policy().record and not wanted:
        raise NotPermitted("recording cannot be switched off here", hint="the administrator's policy demands it")
    return wanted


def _container(store: Store, env: Environment, said: Mapping[str, str]) -> Container:
    """How the container is run with those settings. Raises InvalidInput."""
    if env.container is None:
        raise InvalidInput(f"{env.name!r} is in no container: {', '.join(said)} cannot be set", hint="see: venvoy show")
    read: dict[str, Any] = {}
    for key, value in said.items():
        if key in ("home", "writable"):
            read[key] = _yes(key, value) if value else key == "home"
        elif key in ("devices", "mounts"):
            read[key] = _words(key, value)
        else:
            read[key] = value or None
    if read.get("mounts"):
        read["mounts"] = [mount_text(mount(each)) for each in read["mounts"]]
    if read.get("cpus"):
        read["cpus"] = _number("cpus", read["cpus"])
    known = {key: value for key, value in written(env.container).items() if value is not None}
    return container(
        {**known, "runtime": env.runtime, **read},
        folder=store.folder(env.name),
        home=store.settings.user_home,
        users=store.settings.home / "users",
    )


def _number(key: str, value: str) -> float:
    try:
        return float(value)
    except ValueError as error:
        raise InvalidInput(f"{key} cannot be {value!r}", hint="write it as 2 or 0.5") from error


def _yes(key: str, value: str) -> bool:
    if value not in ("true", "false", ""):
        raise InvalidInput(f"{key} is true or false, not {value!r}")
    return value == "true"


def _words(key: str, value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError as error:
        raise InvalidInput(f"{key}: {value!r} cannot be read as a list of words: {error}") from error


def _requirements(key: str, value: str) -> tuple[str, ...]:
    words = _words(key, value)
    for each in words:
        try:
            Requirement(each)
        except InvalidRequirement as error:
            raise InvalidInput(f"{key}: {each!r} is not a requirement: {error}") from error
    return tuple(words)


def _edited(store: Store, name: str) -> None:
    """Have the user edit a copy and put it in place if it is right; one that is refused is kept, not lost."""
    if not store.exists(name):
        store.environment(name)
    editor = _editor()
    file = store.folder(name) / CONFIG
    aside = Path(tempfile.mkdtemp(prefix="venvoy-"))
    # The same layout, so that the store's own reading tells what is wrong.
    copy = Store(replace(store.settings, home=aside))
    edited = copy.folder(name) / CONFIG
    before = file.read_bytes()
    try:
        files.replace(edited, before, mode=0o600)
        code = process.attend(Command(argv=(*editor, str(edited))))
        if code:
            hint = f"your edit: {edited}" if edited.read_bytes() != before else ""
            raise CommandFailed(f"the editor exited with {code}; {file} is as it was", hint=hint, code=code)
        _accepted(store, name, copy=copy, before=before)
    finally:
        if not edited.exists() or edited.read_bytes() in (before, file.read_bytes()):
            files.remove(aside)


def _accepted(store: Store, name: str, *, copy: Store, before: bytes) -> None:
    """Put the edited settings in place. Raises InvalidInput for a mistake in them, or when others wrote meanwhile."""
    file, edited = (each.folder(name) / CONFIG for each in (store, copy))
    try:
        copy.environment(name)
    except InvalidInput as error:
        message = error.message.replace(str(edited), str(file))
        raise InvalidInput(message, hint=f"{file} is as it was; your edit: {edited}") from error
    with store.held(name):
        if file.read_bytes() != before:
            raise InvalidInput(f"{file} was changed while you edited it", hint=f"your edit: {edited}")
        files.replace(file, edited.read_bytes())


def _editor() -> tuple[str, ...]:
    for variable in ("VISUAL", "EDITOR"):
        if words := shlex.split(os.environ.get(variable, "")):
            return tuple(words)
    for program in _EDITORS:
        if shutil.which(program):
            return (program,)
    raise RuntimeUnavailable("there is no editor here", hint="name one: EDITOR=… venvoy configure --edit")
