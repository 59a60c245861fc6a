"""Make an environment: built aside, then swapped in whole."""

from __future__ import annotations

import platform
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from .. import files, process, runtimes
from ..errors import EnvironmentExists, InvalidInput
from ..managers import uv
from ..model import Actor, Asked, Base, Environment
from ..process import OnLine
from ..store import Store, generation_folder
from .asked import asked_in
from .bases import interpreter, without_environment
from .observe import observe
from .record import record

Fill = Callable[[Environment], None]
REQUIREMENTS = "requirements.txt"
DEV_REQUIREMENTS = "requirements-dev.txt"
_RELATIVE = re.compile(
    r"^(?P<option>-r|-c|-e|--requirement|--constraint|--editable)(?P<space>[ =]*)(?P<path>\S+)(?P<rest>.*)$"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a new environment should be. `python` is a version or a path; `force` replaces one of the same name."""

    name: str
    python: str | None = None
    requirements: Path | None = None
    dev_requirements: Path | None = None
    prefix: Path | None = None
    env_file: tuple[Path, ...] = ()
    force: bool = False


def create(
    store: Store, plan: Plan, *, actor: Actor, fill: Fill | None = None, on_line: OnLine | None = None
) -> Environment:
    """Make the environment and record its first state.

    `fill` puts the packages in; without it they come from the requirements files of the plan or, with `force`, from
    those that lie in the environment's folder. Whatever fails, and whenever, the old environment stays as it was; a
    new one is either whole or not there.

    Raises EnvironmentExists, RuntimeUnavailable (no such interpreter), InvalidInput, CommandFailed.
    """
    with store.held(plan.name):
        old = _replaceable(store, plan)
        texts = _requirement_texts(store, plan)
        base = interpreter(store, plan.python or (old.python_version.rpartition(".")[0] if old else None))
        env = _described(store, plan, base, old)
        for leftover in store.leftovers(plan.name):
            files.remove(leftover)
        files.private(store.folder(plan.name))
        aside = generation_folder(env.prefix, env.generation or "")
        building = replace(env, prefix=aside)
        try:
            _build(building, base, on_line)
            (fill or _from_files(texts, on_line))(building)
        except BaseException:
            files.remove(aside)
            if old is None:
                store.remove(plan.name)
            raise
        store.commit(env, texts)
        if old and old.generation:
            files.remove(generation_folder(old.prefix, old.generation))
        record(store.history(env.name), lambda: observe(store, env), actor=actor, asked=_asked(env))
    return env


def _replaceable(store: Store, plan: Plan) -> Environment | None:
    """The environment that `force` replaces, or None. Raises EnvironmentExists where it may not be replaced."""
    if not store.exists(plan.name):
        prefix = plan.prefix
        if prefix and (prefix.is_symlink() or (prefix.exists() and any(prefix.iterdir()))):
            raise EnvironmentExists(
                f"{prefix} is not empty",
                hint=f"choose another --prefix, or take it as it is: venvoy adopt {prefix}",
            )
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


def _described(store: Store, plan: Plan, base: Base, old: Environment | None) -> Environment:
    now = datetime.now(UTC)
    texts = _requirement_texts(store, plan)
    return Environment(
        name=plan.name,
        prefix=(plan.prefix.absolute() if plan.prefix else None)
        or (old.prefix if old else store.folder(plan.name) / "prefix"),
        python_version=base.version,
        base=base.path,
        base_image=f"python:{base.minor}-slim",
        generation=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
        created=now,
        system=platform.system(),
        architecture=platform.machine(),
        packages=_listed(texts.get(REQUIREMENTS, "")),
        dev_packages=_listed(texts.get(DEV_REQUIREMENTS, "")),
        env_file=plan.env_file or (old.env_file if old else ()),
    )


def _build(env: Environment, base: Base, on_line: OnLine | None) -> None:
    env.prefix.parent.mkdir(parents=True, exist_ok=True)
    process.run(without_environment(uv.create(env.prefix, base.path)), on_line=on_line)
    files.replace(env.prefix / ".gitignore", "*\n")
    install = uv.install(env.python, "pip")
    process.run(runtimes.get(env.runtime).command(env, install), on_line=on_line)


def _from_files(texts: Mapping[str, str], on_line: OnLine | None) -> Fill:
    def fill(env: Environment) -> None:
        for text in texts.values():
            if _listed(text):
                job = uv.install_listed(env.python, text)
                process.run(runtimes.get(env.runtime).command(env, job), on_line=on_line)

    return fill


def _requirement_texts(store: Store, plan: Plan) -> dict[str, str]:
    """The requirements files by the name that they get in the environment's folder."""
    given = {REQUIREMENTS: plan.requirements, DEV_REQUIREMENTS: plan.dev_requirements}
    texts = {}
    for name, path in given.items():
        kept = store.folder(plan.name) / name
        if path is not None:
            texts[name] = _absolute(_text(path), path.absolute().parent)
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


def _absolute(text: str, folder: Path) -> str:
    """The same list with the files that it names found from anywhere."""

    def moved(line: str) -> str:
        found = _RELATIVE.match(line)
        if found is None or "://" in found["path"] or found["path"].startswith("/"):
            return line
        return f"{found['option']}{found['space'] or ' '}{folder / found['path']}{found['rest']}"

    return "".join(f"{moved(line)}\n" for line in text.splitlines())


def _listed(text: str) -> tuple[str, ...]:
    """The requirements of a list, without comments and options."""
    lines = (line.split(" #")[0].strip() for line in text.splitlines())
    return tuple(line for line in lines if line and not line.startswith(("#", "-")))


def _asked(env: Environment) -> tuple[Asked, ...]:
    named = asked_in([f"pip install {' '.join(map(_quoted, (*env.packages, *env.dev_packages)))}"])
    return tuple(Asked(tool="venvoy", verb="install", names=each.names) for each in named if each.names)


def _quoted(requirement: str) -> str:
    return f'"{requirement.partition(";")[0].partition(" --hash")[0].strip()}"'
