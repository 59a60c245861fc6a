"""Make an environment: built aside, then swapped in whole."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path

from .. import cancelling, files, process
from ..condarc import PINNED
from ..engine.request import name_in
from ..errors import EnvironmentExists, InvalidInput, RuntimeUnavailable
from ..history import Event
from ..inventory import conda_meta
from ..managers import cran, uv
from ..model import Actor, Asked, Base, Container, Environment, Language, OnProgress, Repository
from ..process import OnLine
from ..store import SECOND_OF_R, Store, generation_folder, new_generation
from . import conda, image_uses, r_prefix
from .asked import asked_in
from .bases import VERSION, image_base, interpreter, within
from .image_recipes import CONDA_IMAGE
from .note import note
from .relocate import relocate
from .start_of import start_of

Fill = Callable[[Environment], None]
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

    `runtime` is "venv", "conda" or the name of a container runtime, None that of the one which is replaced, or else a
    venv. `container` is how the image of the last is run. A conda environment is made
    of `specs` (match specs) from `channels`; `scripts` allows its packages' own scripts to run after they are linked.
    Without a `language` it is that of the one which is replaced, or else Python, and so with what it speaks `also`; an
    R environment is made on `r`, a version or a path, with `specs` as `managers.cran` reads them. One that speaks both
    has both interpreters, the requirements files, and R's packages in `specs`.

    `pins` is the text of its requirements.txt where that is a record of what came out, not anybody's wish; `texts` are
    the requirements files by name where they are known already. With `keep` the one that is replaced stays on disk, for
    going back to it. Without `seed` it gets no pip but the one that its own packages may bring;
    with `as_of` that of the day.
    """

    name: str
    runtime: str | None = None
    container: Container | None = None
    language: Language | None = None
    also: tuple[Language, ...] = ()
    python: str | None = None
    r: str | None = None
    channels: tuple[str, ...] = ()
    repositories: tuple[Repository, ...] = ()
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
    as_of: date | None = None


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
    with store.held(plan.name), ExitStack() as held:
        old = _replaceable(store, plan)
        texts = {} if _language(plan, old) == "r" else _requirement_texts(store, plan)
        store.tidy(plan.name)
        env = _described(plan, texts, prefix=_prefix(store, plan, old), old=old)
        base = beside = None
        if env.runtime == "conda":
            conda.needs_engine(store)
            _refuse_odd(env.prefix)
            env = _of_conda(env, plan, old)
        elif env.language == "r":
            base = r_prefix.base_for(store, env, _r(plan, old))
            env = r_prefix.standing(_listing(env, plan, old), base)
        else:
            base = image_base(store, env) if env.container else interpreter(store, _python(plan, old))
            env = _on(env, base, plan)
            env, beside = _with_r(store, env, plan, old)
        before = image_uses.environments(store, plan.name)
        image_uses.keep(store, env)
        folder_is_new = not store.folder(plan.name).exists()
        try:
            files.private(store.folder(plan.name))
            store.begin(env)
            _refuse_unwritable(env)
            if base and env.language == "r":
                r_prefix.begin(_aside(env), base)
                filled = fill or _from_cran(env.packages, on_line)
            elif base:
                _begun(env, base, plan, on_line=on_line)
                if beside:
                    r_prefix.begin(_aside(env).speaking("r"), beside)
                filled = fill or _both(_from_files(texts, on_line), _from_cran(env.r_packages, on_line))
            else:
                _configured_as(old, _aside(env))
                filled = fill or _solved(plan, actor, texts, on_line, on_progress)
            env = _filled(env, filled)
            held.enter_context(cancelling.whole())
            store.commit(env, texts, keep=plan.keep)
        except BaseException:
            store.tidy(plan.name)
            if folder_is_new and not store.exists(plan.name):
                store.remove(plan.name)
            raise
        store.tidy(plan.name)
        image_uses.let_go(store, plan.name, before)
        said = _asked(env) if asked is None else asked
        note(store, env, actor=actor, asked=said, event=event)
    return env


def refuse_namesake(store: Store, name: str) -> None:
    """Raise EnvironmentExists where another environment has the same name but for its case, or a kernel of it."""
    first = name[: -len(SECOND_OF_R)] if name.lower().endswith(SECOND_OF_R) else ""
    if first and store.exists(first) and store.environment(first).also:
        raise EnvironmentExists(f"the R kernel of {first!r} is called {name!r} in Jupyter", hint="choose another name")
    if other := store.namesake(name):
        raise EnvironmentExists(
            f"an environment {other!r} exists already, and Jupyter takes {name!r} for the same name",
            hint="choose a name that differs by more than capitals",
        )


def _refuse_taken(store: Store, name: str) -> None:
    """Raise EnvironmentExists where an environment has the name that the R kernel of this one is to have."""
    other = f"{name}{SECOND_OF_R}"
    if taken := other if store.exists(other) else store.namesake(other):
        raise EnvironmentExists(
            f"the R kernel of {name!r} would have the name of the environment {taken!r} in Jupyter",
            hint=f"choose another name, or delete that one: venvoy delete {taken}",
        )


def _replaceable(store: Store, plan: Plan) -> Environment | None:
    """The environment that `force` replaces, or None. Raises EnvironmentExists where it may not be replaced."""
    if not store.exists(plan.name):
        refuse_namesake(store, plan.name)
        return None
    old = store.salvaged(plan.name) if plan.force else store.environment(plan.name)
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


def _refuse_unwritable(env: Environment) -> None:
    """Raise InvalidInput where nothing can be made in the place of the prefix."""
    aside = _aside(env).prefix
    try:
        files.private(aside)
    except OSError as error:
        raise InvalidInput(f"cannot make {env.prefix}: {error.strerror}", hint="choose another --prefix") from error
    files.remove(aside)


def _empty(prefix: Path) -> bool:
    return prefix.is_dir() and not prefix.is_symlink() and not any(prefix.iterdir())


def _kind(plan: Plan, old: Environment | None) -> str:
    return plan.runtime or (old.runtime if old else "venv")


def _python(plan: Plan, old: Environment | None) -> str | None:
    """The Python that is asked for, or the minor version that is there."""
    if plan.python or not old or not old.python_version:
        return plan.python
    return ".".join(old.python_version.split(".")[:2])


def _language(plan: Plan, old: Environment | None) -> Language:
    return plan.language or (old.language if old else "python")


def _also(plan: Plan, old: Environment | None) -> tuple[Language, ...]:
    kept = old.also if old and plan.language is None and _kind(plan, old) != "conda" else ()
    return plan.also or kept


def _r(plan: Plan, old: Environment | None) -> str | None:
    """The R that is asked for, or the minor version that is there."""
    return plan.r or (".".join(old.r_version.split(".")[:2]) if old and old.r_version else None)


def _listing(env: Environment, plan: Plan, old: Environment | None) -> Environment:
    """The environment with the R packages that it is to have: those asked for, or those that were listed."""
    same = old.speaking("r") if old and old.speaks("r") else None
    return replace(
        env.listing_r(plan.specs if plan.specs is not None else same.packages if same else ()),
        repositories=plan.repositories or (same.repositories if same else ()),
    )


def _described(plan: Plan, texts: Mapping[str, str], *, prefix: Path, old: Environment | None) -> Environment:
    wished = {} if plan.pins is not None else texts
    return Environment(
        name=plan.name,
        prefix=prefix,
        language=_language(plan, old),
        also=_also(plan, old),
        runtime=_kind(plan, old),
        generation=new_generation(),
        created=datetime.now(UTC).replace(microsecond=0),
        system=platform.system(),
        architecture=platform.machine(),
        packages=_listed(wished.get(REQUIREMENTS, "")),
        dev_packages=_listed(wished.get(DEV_REQUIREMENTS, "")),
        env_file=plan.env_file or (old.env_file if old else ()),
        container=plan.container or (old.container if old and _kind(plan, old) == old.runtime else None),
    )


def _on(env: Environment, base: Base, plan: Plan) -> Environment:
    """The environment on that interpreter. Raises RuntimeUnavailable where an image has another than is asked for."""
    if env.container and plan.python and not f"{base.version}.".startswith(f"{plan.python}."):
        raise RuntimeUnavailable(
            f"the image {env.container.image.reference} has Python {base.version}, and not {plan.python}",
            hint=f"take another image, or leave --python away: --image docker.io/library/python:{plan.python}-slim",
        )
    return replace(
        env,
        python_version=base.version,
        base=None if env.container else base.path,
        base_image=env.container.image.reference if env.container else f"python:{base.minor}-slim",
        architecture=base.platform.partition("-")[2],
    )


def _with_r(store: Store, env: Environment, plan: Plan, old: Environment | None) -> tuple[Environment, Base | None]:
    """A Python environment with the R that it speaks, too, and which that is; as it is where it speaks none."""
    if not env.also:
        return env, None
    _refuse_taken(store, env.name)
    base = r_prefix.base_for(store, env.speaking("r"), _r(plan, old))
    return r_prefix.standing(_listing(env, plan, old), base), base


def _of_conda(env: Environment, plan: Plan, old: Environment | None) -> Environment:
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


def _begun(env: Environment, base: Base, plan: Plan, *, on_line: OnLine | None) -> None:
    """An empty venv for the generation, beside the prefix."""
    aside = _aside(env)
    if env.container:
        files.private(aside.prefix)  # what is mounted must be there
    # In an image the venv sees what the image has, and is the place for what comes on top.
    job = uv.create(aside.prefix, base.path, prompt=env.name, sees_base=env.container is not None)
    process.run(within(aside, job), on_line=on_line)
    files.replace(aside.prefix / ".gitignore", "*\n")
    if plan.seed and not env.container:
        process.run(start_of(aside, uv.install_listed(aside.python, "pip\n", as_of=plan.as_of)), on_line=on_line)


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
            files.replace(env.prefix / name, files.content(file))


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


def _both(*fills: Fill) -> Fill:
    def fill(env: Environment) -> None:
        for each in fills:
            each(env)

    return fill


def _from_cran(packages: tuple[str, ...], on_line: OnLine | None) -> Fill:
    return lambda env: r_prefix.fill(env, packages, on_line=on_line)


def _from_files(texts: Mapping[str, str], on_line: OnLine | None) -> Fill:
    def fill(env: Environment) -> None:
        for text in texts.values():
            if any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines()):
                job = uv.install_listed(env.python, text)
                process.run(start_of(env, job), on_line=on_line)

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
        raise InvalidInput(f"there is no {path}", hint=f"see what is there: ls {path.absolute().parent}") from None
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
    if env.language == "r":
        names = tuple(sorted(cran.spec(each)[0] for each in env.packages))
        return (Asked(tool="venvoy", verb="install", names=names),) if names else ()
    by_r = tuple(sorted(cran.spec(each)[0] for each in env.r_packages))
    named = asked_in([f"pip install {' '.join(map(_quoted, (*env.packages, *env.dev_packages)))}"])
    if env.conda_packages:
        named += (Asked(tool="venvoy", verb="install", names=tuple(sorted(map(name_in, env.conda_packages)))),)
    named += (Asked(tool="venvoy", verb="install", names=by_r),)
    return tuple(Asked(tool="venvoy", verb="install", names=each.names) for each in named if each.names)


def _quoted(requirement: str) -> str:
    return f'"{requirement.partition(";")[0].partition(" --hash")[0].strip()}"'
