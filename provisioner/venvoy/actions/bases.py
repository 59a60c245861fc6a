"""Find the interpreters of this machine, and ask each once what it is."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from .. import files, process
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable, VenvoyError
from ..managers import uv
from ..model import Base, Command, Container, Environment, Job, Language
from ..runtimes.host import FOREIGN
from ..runtimes.inside import NOWHERE, container_of
from ..store import Store
from .contents_of import contents_of
from .r_bases import r_in
from .start_of import start_of

VERSION = re.compile(r"3(\.[0-9]+){0,2}((a|b|rc)[0-9]+)?")
_CONDA_ROOTS = ("miniconda3", "miniforge3", "mambaforge", "micromamba", "anaconda3")


def base_of(store: Store, python: Path) -> Base:
    """What the interpreter at `python` is; remembered for as long as its file stays the same.

    Raises RuntimeUnavailable where it does not run.
    """
    try:
        key = hashlib.sha256(files.state(python).encode()).hexdigest()[:24]
    except OSError as error:
        raise RuntimeUnavailable(f"the interpreter {python} is gone") from error
    remembered = store.bases / f"{key}.json"
    try:
        return Base(path=python, **json.loads(remembered.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        said = _ask(python)
        files.replace(remembered, json.dumps(said, sort_keys=True))
    return Base(path=python, **said)


def base_in(store: Store, env: Environment) -> Base:
    """What the environment's own interpreter is. Raises RuntimeUnavailable where it does not run."""
    if env.language == "r":
        return r_in(store, env).base
    return image_base(store, env) if env.container else base_of(store, env.python)


def image_base(store: Store, env: Environment) -> Base:
    """What the Python of an image is. Raises RuntimeUnavailable where it has none that runs."""
    if python := contents_of(store, env).python:
        return python
    raise RuntimeUnavailable(
        f"the image {container_of(env).image.reference} has no Python that runs",
        hint="take one that has: --image docker.io/library/python:3.13-slim",
    )


def base_of_image(store: Store, runtime: str, container: Container) -> Base:
    """The same of an image that no environment has yet."""
    return image_base(store, environment_of_image(runtime, container))


def environment_of_image(runtime: str, container: Container, *, language: Language = "python") -> Environment:
    """An image as an environment that has nothing on top of it."""
    return Environment(
        name="image",
        prefix=NOWHERE,
        language=language,
        runtime=runtime,
        created=datetime.now(UTC),
        container=container,
    )


def within(env: Environment, job: Job) -> Command:
    """A job that asks the environment's interpreter and changes nothing: on this machine without any environment."""
    return start_of(env, job) if env.container else without_environment(job)


def interpreter(store: Store, wanted: str | None) -> Base:
    """The newest interpreter for `wanted`: a version ("3.12", "3.12.1"), a range (">=3.10,<3.13"), a path, or None.

    Raises InvalidInput for a word that is none of these, and RuntimeUnavailable, with what there is, when none matches.
    """
    if wanted and os.sep in wanted:
        return _at(store, Path(wanted))
    specifier = _specifier(wanted) if wanted else SpecifierSet()
    found = interpreters(store)
    fitting = [base for base in found if specifier.contains(base.version, prereleases=True)]
    if not fitting:
        listed = "\n".join(f"  {base.version:10} {base.path}" for base in found)
        fetched = wanted if wanted and VERSION.fullmatch(wanted) else "3.12"
        raise RuntimeUnavailable(
            f"there is no Python {wanted} on this machine" if wanted else "there is no Python for environments here",
            hint=f"there is:\n{listed or '  none'}\nor fetch one: {uv.program()} python install {fetched}",
        )
    return fitting[0]


def nearest(store: Store, wanted: str) -> Base:
    """The version itself where this machine has it, else the newest of the same minor version.

    Raises RuntimeUnavailable where there is none of these.
    """
    try:
        return interpreter(store, wanted)
    except RuntimeUnavailable:
        if not VERSION.fullmatch(wanted):
            raise
        return interpreter(store, ".".join(wanted.split(".")[:2]))


def interpreters(store: Store) -> tuple[Base, ...]:
    """Every CPython 3.9 or newer of this machine, one per version, newest first; prereleases last."""
    found: dict[str, Base] = {}
    for path in _candidates():
        try:
            base = base_of(store, path)
        except VenvoyError:
            continue
        if base.abi.startswith("cp3") and _numbers(base.version) >= (3, 9):
            found.setdefault(base.version, base)
    return tuple(
        sorted(
            found.values(),
            key=lambda base: (base.version.replace(".", "").isdigit(), _numbers(base.version)),
            reverse=True,
        )
    )


def _candidates() -> Iterator[Path]:
    """PATH first, as a user would expect, then what uv knows, then pyenv's and conda's folders."""
    environ = process.environment(Command(argv=()))
    home = Path(environ.get("HOME", "/"))
    for folder in environ["PATH"].split(os.pathsep):
        if folder and not folder.rstrip("/").endswith("shims"):
            yield from _pythons(Path(folder))
    yield from _known_to_uv()
    pyenv = Path(environ.get("PYENV_ROOT") or home / ".pyenv")
    yield from sorted(pyenv.glob("versions/*/bin/python3"))
    for root in [*(home / each for each in _CONDA_ROOTS), Path("/opt/conda")]:
        yield from (path for path in (root / "bin/python", *sorted(root.glob("envs/*/bin/python"))) if path.exists())


def _pythons(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = folder / name
        if re.fullmatch(r"python3(\.[0-9]+)?", name) and os.access(path, os.X_OK) and not _in_venv(path):
            yield path


def _in_venv(python: Path) -> bool:
    """A venv's python is somebody's environment, not a base that stays."""
    return (python.parent.parent / "pyvenv.cfg").exists()


def _known_to_uv() -> Iterator[Path]:
    try:
        listed = process.run(without_environment(uv.find()))
    except CommandFailed:
        return
    for each in json.loads(listed or "[]"):
        path = Path(each["path"] or "")
        if path.parent.name != "shims" and not _in_venv(path):
            yield path


def without_environment(job: Job) -> Command:
    """The job outside any environment: nothing of an active one reaches it."""
    return Command(
        argv=job.argv, variables=job.variables, dropped=(*FOREIGN, *job.dropped), cwd=job.cwd, stdin=job.stdin
    )


def _at(store: Store, path: Path) -> Base:
    python = path / "bin" / "python" if path.is_dir() else path
    if not python.exists():
        raise RuntimeUnavailable(f"there is no interpreter {python}", hint="name its version instead: --python 3.12")
    return base_of(store, python.absolute())


def _ask(python: Path) -> dict[str, Any]:
    probe = package_files("venvoy.guest").joinpath("probe.py").read_text("utf-8")
    command = Command(argv=(str(python), "-I", "-S", "-"), stdin=probe, dropped=FOREIGN)
    try:
        said: dict[str, Any] = json.loads(process.run(command, timeout=30))
        said.pop("path", None)  # it was started by the one that counts
        Base(path=python, **said)
    except (CommandFailed, RuntimeUnavailable, ValueError, TypeError) as error:
        raise RuntimeUnavailable(f"the interpreter {python} does not run", hint=str(error)) from error
    return said


def _specifier(wanted: str) -> SpecifierSet:
    exact = wanted.count(".") > 1
    try:
        return SpecifierSet((f"=={wanted}" if exact else f"=={wanted}.*") if VERSION.fullmatch(wanted) else wanted)
    except InvalidSpecifier:
        raise InvalidInput(
            f"{wanted!r} is not a Python version", hint="write it as 3.12, 3.12.1 or '>=3.10,<3.13', or give a path"
        ) from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version)[:3])
