"""Make an environment: built aside, then swapped in whole."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from .. import files, process, runtimes
from ..condarc import PINNED
from ..engine.request import name_in
from ..errors import EnvironmentExists, InvalidInput
from ..formats.dockerfile import MICROMAMBA
from ..history import Event
from ..inventory import conda_meta
from ..managers import uv
from ..model import Actor, Asked, Base, Environment, Kind, OnProgress
from ..process import OnLine
from ..store import Store, generation_folder, new_generation
from . import conda
from .asked import asked_in
from .bases import VERSION, interpreter, without_environment
from .observe import observe
from .record import record
from .relocate import relocate

Fill = Callable[[Environment], None]
CONDA_IMAGE = MICROMAMBA.removeprefix("docker.io/")
"""What an image of a conda environment is built on: it has nothing in it but micromamba."""
REQUIREMENTS = "requirements.txt"
DEV_REQUIREMENTS = "requirements-dev.txt"
_RELATIVE = re.compile(
    r"""(?:(?P<option>-[rcef]|--requirement|--constraint|--editable|--find-links)(?P<space>[ =]*)(?P<path>\S+)"""
    r"""|(?P<name>[\w.-]+(?:\[[^]]*\])?\s*@\s*)?(?P<place>\.{1,2}/\S*))(?P<rest>.*)"""
)
"""A line of a requirements file that names a file or a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new environment should be. `python` is a version or a path; `force` replaces one of the same name.

    `runtime` is "venv" or "conda", None that of the one which is replaced, or else a venv. A conda environment is made
    of `specs` (match specs) from `channels`; `scripts` allows its packages' own scripts to run after they are linked.

    `pins` is the text of its requirements.txt where that is a record of what came out, not anybody's wish; `texts` are
    the requirements files by name where they are known already. With `keep` the one that is replaced stays on disk, for
    going back to it. Without `seed` it gets no pip but the one that its own packages may bring.
    """

    name: str
    runtime: Kind | None = None
    python: str | None = None
    channels: tuple[str, ...] = ()
    specs: tuple[str, ...] | None = None
    scripts: bool = False
    requirements: Path | None = None
    dev_requirements: Path | None = None
    pins: str | None = None
    texts: Mapping[str, str] | None = None
    prefix: Path | None = None
    env_file: tuple[Path, ...] = ()
    force: bool = False
    keep: bool = False
    seed: bool = True


def create(
    store: Store,
    plan: Plan,
    *,
    actor: Actor,
    asked: tuple[Asked, ...] | None = None,
    event: Event = "change",
    fill: Fill | None = None,
    on_line: OnLine | None = None,
    on_progress: OnProgress | None = None,
) -> Environment:
    """Make the environment and record its first state.

    `fill` puts the packages in; without it they come from the plan's specs and requirements files or, with `force`,
    from those that the environment had. `event` and `asked` are for the record; what was asked for is otherwise
    what the requirements files list. Whatever fails, and whenever, the old environment stays as it was; a
    new one is either whole or not there.

    Raises EnvironmentExists, RuntimeUnavailable (no such interpreter), InvalidInput, CommandFailed.
    """
    with store.held(plan.name):
        old = _replaceable(store, plan)
        texts = _requirement_texts(store, plan)
        base = None
        if _kind(plan, old) == "conda":
            conda.needs_engine(store)
            _refuse_odd(_prefix(store, plan, old))
        else:
            base = interpreter(store, _python(plan, old))
        store.tidy(plan.name)
        env = _described(plan, base, texts, prefix=_prefix(store, plan, old), old=old)
        folder_is_new = not store.folder(plan.name).exists()
        files.private(store.folder(plan.name))
        try:
            store.begin(env)
            if base:
                _begun(env, base, seed=plan.seed, on_line=on_line)
                filled = fill or _from_files(texts, on_line)
            else:
                _configured_as(old, _aside(env))
                filled = fill or _solved(plan, actor, texts, on_line, on_progress)
            env = _filled(env, filled)
            store.commit(env, texts, keep=plan.keep)
        except BaseException:
            store.tidy(plan.name)
            if folder_is_new and not store.exists(plan.name):
                store.remove(plan.name)
            raise
        store.tidy(plan.name)
        said = _asked(env) if asked is None else asked
        record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=said, event=event)
    return env


def refuse_namesake(store: Store, name: str) -> None:
    """Raise EnvironmentExists where another environment has the same name but for its case."""
    if other := store.namesake(name):
        raise EnvironmentExists(
            f"an environment {other!r} exists already, and Jupyter takes {name!r} for the same name",
            hint="choose a name that differs by more than capitals",
        )


def _replaceable(store: Store, plan: Plan) -> Environment | None:
    """The environment that `force` replaces, or None. Raises EnvironmentExists where it may not be replaced."""
    if not store.exists(plan.name):
        refuse_namesake(store, plan.name)
        return None
    old = store.environment(plan.name)
    if old.adopted:
        raise EnvironmentExists(
            f"{plan.name!r} was adopted: venvoy does not rebuild what it has not made",
            hint=f"give it another name, or let go of it first: venvoy delete {plan.name}",
        )
    if not plan.force:
        raise EnvironmentExists(
            f"an environment {plan.name!r} exists already, in {store.folder(plan.name)}",
            hint=f"replace it: venvoy init {plan.name} --force\nmake another: venvoy init --name OTHER\n"
            f"use it: venvoy run {plan.name}\nsee all: venvoy list",
        )
    return old


def _refuse_odd(prefix: Path) -> None:
    """Raise InvalidInput for a path that rattler does not quote in the first lines of scripts."""
    if odd := sorted({each for each in str(prefix) if each in '"$`\\\n'}):
        raise InvalidInput(
            f"scripts of conda packages do not run from a path with {' or '.join(odd)} in it: {prefix}",
            hint="choose another --prefix",
        )


def _prefix(store: Store, plan: Plan, old: Environment | None) -> Path:
    """Where the environment goes. Raises EnvironmentExists for a place that is somebody's already."""
    usual = old.prefix if old else store.folder(plan.name) / "prefix"
    prefix = Path(os.path.abspath(plan.prefix)) if plan.prefix else usual  # noqa: PTH100  # takes ".." out, keeps links
    if prefix.is_mount():
        raise EnvironmentExists(
            f"{prefix} is a mount point", hint=f"choose a folder in it: --prefix {prefix / plan.name}"
        )
    if os.path.lexists(prefix) and not _empty(prefix) and not (old and prefix == old.prefix):
        raise EnvironmentExists(
            f"{prefix} is not empty",
            hint=f"choose another --prefix, or take it as it is: venvoy adopt {prefix}",
        )
    return prefix


def _empty(prefix: Path) -> bool:
    return prefix.is_dir() and not prefix.is_symlink() and not any(prefix.iterdir())


def _kind(plan: Plan, old: Environment | None) -> str:
    return plan.runtime or (old.runtime if old else "venv")


def _python(plan: Plan, old: Environment | None) -> str | None:
    """The Python that is asked for, or the minor version that is there."""
    if plan.python or not old or not old.python_version:
        return plan.python
    return ".".join(old.python_version.split(".")[:2])


def _described(
    plan: Plan, base: Base | None, texts: Mapping[str, str], *, prefix: Path, old: Environment | None
) -> Environment:
    wished = {} if plan.pins is not None else texts
    env = Environment(
        name=plan.name,
        prefix=prefix,
        runtime=_kind(plan, old),
        generation=new_generation(),
        created=datetime.now(UTC).replace(microsecond=0),
        system=platform.system(),
        architecture=platform.machine(),
        packages=_listed(wished.get(REQUIREMENTS, "")),
        dev_packages=_listed(wished.get(DEV_REQUIREMENTS, "")),
        env_file=plan.env_file or (old.env_file if old else ()),
    )
    if base:
        return replace(
            env,
            python_version=base.version,
            base=base.path,
            base_image=f"python:{base.minor}-slim",
            architecture=base.platform.partition("-")[2],
        )
    kept = old if old and old.runtime == "conda" else None
    return replace(
        env,
        channels=plan.channels or (kept.channels if kept else conda.channels()),
        conda_packages=_specs(plan, kept),
        base_image=CONDA_IMAGE,
    )


def _specs(plan: Plan, old: Environment | None) -> tuple[str, ...]:
    """What a conda environment is made of: what is asked for, a Python, and pip, which most people look for."""
    if plan.python and not VERSION.fullmatch(plan.python):
        raise InvalidInput(
            f"{plan.python!r} is not a version of Python: a conda environment gets its own from a channel",
            hint="write it as 3.12 or 3.12.1",
        )
    asked = plan.specs if plan.specs is not None else asked_of(old) if old else ()
    if not plan.seed:
        return asked
    named = {each: name_in(each) for each in asked}
    if plan.python:
        return (f"python={plan.python}", *(each for each in asked if named[each] != "python"), *_pip(named.values()))
    return (*(() if "python" in named.values() or asked else ("python",)), *asked, *(() if asked else ("pip",)))


def asked_of(env: Environment) -> tuple[str, ...]:
    """The match specs that somebody asked for: as the prefix has them, for a notebook writes into no config.yaml."""
    specs = {name_in(each): each for each in env.conda_packages}
    return tuple({**specs, **{each.name: each.spec for each in conda_meta.records(env.prefix) if each.spec}}.values())


def _pip(names: Iterable[str]) -> tuple[str, ...]:
    return () if "pip" in names else ("pip",)


def _begun(env: Environment, base: Base, *, seed: bool, on_line: OnLine | None) -> None:
    """An empty venv for the generation, beside the prefix."""
    aside = _aside(env)
    process.run(without_environment(uv.create(aside.prefix, base.path, prompt=env.name)), on_line=on_line)
    files.replace(aside.prefix / ".gitignore", "*\n")
    if seed:
        process.run(runtimes.get(env.runtime).command(aside, uv.install(aside.python, "pip")), on_line=on_line)


def _filled(env: Environment, fill: Fill) -> Environment:
    """Fill the generation, and write its scripts as if it stood in its place already."""
    aside = _aside(env)
    fill(aside)
    relocate(aside.prefix, (str(aside.prefix),), env.prefix)
    if env.runtime != "conda":
        return env
    records = conda_meta.records(aside.prefix)
    version = next((each.version for each in records if each.name == "python"), "")
    # What was asked for may have been brought in step with what is there.
    return replace(env, python_version=version, conda_packages=tuple(each.spec for each in records if each.spec))


def _configured_as(old: Environment | None, env: Environment) -> None:
    """What the user has put into a conda prefix for conda holds in the one that replaces it."""
    if old is None:
        return
    for name in (PINNED, ".condarc", ".mambarc"):
        file = old.prefix / name
        if file.is_file():
            files.replace(env.prefix / name, file.read_bytes())


def _aside(env: Environment) -> Environment:
    aside = replace(env, prefix=generation_folder(env.prefix, env.generation or ""))
    aside.prefix.parent.mkdir(parents=True, exist_ok=True)
    return aside


def _solved(
    plan: Plan, actor: Actor, texts: Mapping[str, str], on_line: OnLine | None, on_progress: OnProgress | None
) -> Fill:
    """A conda prefix of what its environment lists, and what requirements files list on top of it."""

    def fill(env: Environment) -> None:
        conda.fill(
            env,
            conda.source((*env.channels, *conda.named_in(env.conda_packages)), prefix=env.prefix),
            env.conda_packages,
            scripts=plan.scripts,
            command=actor.command,
            on_line=on_line,
            on_progress=on_progress,
        )
        _from_files(texts, on_line)(env)

    return fill


def _from_files(texts: Mapping[str, str], on_line: OnLine | None) -> Fill:
    def fill(env: Environment) -> None:
        for text in texts.values():
            if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
                job = uv.install_listed(env.python, text)
                process.run(runtimes.get(env.runtime).command(env, job), on_line=on_line)

    return fill


def _requirement_texts(store: Store, plan: Plan) -> dict[str, str]:
    """The requirements files by the name that they get in the environment's folder."""
    if plan.texts is not None:
        return dict(plan.texts)
    if plan.pins is not None:
        return {REQUIREMENTS: plan.pins, DEV_REQUIREMENTS: ""}
    given = {REQUIREMENTS: plan.requirements, DEV_REQUIREMENTS: plan.dev_requirements}
    texts = {}
    for name, path in given.items():
        kept = store.folder(plan.name) / name
        if path is not None:
            texts[name] = absolute(_text(path), path.absolute().parent)
        elif kept.exists():
            texts[name] = _text(kept)
        else:
            texts[name] = ""
    return texts


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        raise InvalidInput(f"there is no {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error


def absolute(text: str, folder: Path) -> str:
    """The same list with the files that it names found from anywhere."""

    def moved(line: str) -> str:
        found = _RELATIVE.fullmatch(line)
        if found is None:
            return line
        if found["place"]:
            return f"{found['name'] or ''}{folder / found['place']}{found['rest']}"
        if "://" in found["path"] or found["path"].startswith("/"):
            return line
        return f"{found['option']}{found['space'] or ' '}{folder / found['path']}{found['rest']}"

    return "".join(f"{moved(line)}\n" for line in text.splitlines())


def _listed(text: str) -> tuple[str, ...]:
    """The requirements of a list, without comments and options."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", "-")))


def _asked(env: Environment) -> tuple[Asked, ...]:
    named = asked_in([f"pip install {' '.join(map(_quoted, (*env.packages, *env.dev_packages)))}"])
    if env.conda_packages:
        named += (Asked(tool="venvoy", verb="install", names=tuple(sorted(map(name_in, env.conda_packages)))),)
    return tuple(Asked(tool="venvoy", verb="install", names=each.names) for each in named if each.names)


def _quoted(requirement: str) -> str:
    return f'"{requirement.partition(";")[0].partition(" --hash")[0].strip()}"'
