"""Mend what `check` finds, as far as it can be mended without taking anything from the user."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from .. import cancelling, files, inventory, process
from ..containers import ENGINES, needs_users
from ..errors import CommandFailed, InvalidInput, RuntimeUnavailable, VenvoyError
from ..inventory import Distribution, fit, venv
from ..managers import uv
from ..model import Actor, Base, Environment, Finding, Job
from ..process import OnLine
from ..runtimes.inside import container_of
from ..store import Store, generation_folder
from . import image_uses
from .bases import base_of, interpreter, interpreters
from .check import check, damaged, lacking, serves, unfit, usable, visible
from .check_container import is_other, kind_of, made_for, of_container, python_of
from .contain import named
from .detect import detect
from .image_again import image_again
from .note import note
from .relocate import relocate
from .repair_conda import mended
from .repair_r import mended_r
from .start_of import start_of
from .under_way import under_way
from .why import why

_STANDING = ("interpreter-broken", "interpreter-changed", "home-gone", "pyvenv-cfg-gone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was done, one sentence each, and what is still wrong."""

    done: tuple[str, ...]
    left: tuple[Finding, ...]


def repair(store: Store, env: Environment, *, actor: Actor, on_line: OnLine | None = None) -> Repair:
    """Mend the environment, write its new state down, and look again.

    In an adopted environment files are mended and packages are put in, but no folder of the user's is removed.
    """
    with store.held(env.name):
        work = _Work(store=store, env=store.environment(env.name), on_line=on_line)
        with _noted(work, actor):
            for step in (_leftovers, _link, *_steps(work.env)):
                work.done += step(work)
    found = tuple(each for each in check(store, work.env) if each.code not in work.explained)
    return Repair(done=tuple(work.done), left=(*work.hindered, *found))


@contextlib.contextmanager
def _noted(work: _Work, actor: Actor) -> Iterator[None]:
    """Write down what was done, also where somebody stops the rest."""
    try:
        yield
    finally:
        with cancelling.whole():
            if work.done and (work.env.language == "r" or _ready(work)):
                note(work.store, work.env, actor=actor)


def _steps(env: Environment) -> tuple[Callable[[_Work], Iterator[str]], ...]:
    """What is done for an environment of that kind, in this order."""
    if env.language == "r":
        return (*((_engine, _users, _image) if env.container else ()), _r)
    by_r = (_r,) if env.also else ()
    return (*_STEPS.get(env.runtime, (_places, _interpreter)), _distributions, _requirements, *by_r)


@dataclass(slots=True, kw_only=True)
class _Work:
    """One repair under way: the environment as it is by now, and what could not be mended, with the reason.

    `explained` are the codes of findings that `hindered` tells of better than `check` can.
    """

    store: Store
    env: Environment
    on_line: OnLine | None
    done: list[str] = field(default_factory=list)
    hindered: list[Finding] = field(default_factory=list)
    explained: set[str] = field(default_factory=set)

    def run(self, job: Job) -> None:
        process.run(start_of(self.env, job), on_line=self.on_line, begun=under_way(self.env.prefix))

    def fails(self, code: str, message: str, mend: str) -> None:
        self.hindered.append(Finding(code=code, message=message, mend=mend))
        self.explained.add(code)


def _leftovers(work: _Work) -> Iterator[str]:
    if found := work.store.leftovers(work.env.name):
        work.store.tidy(work.env.name)
        yield f"removed what an interrupted build had left ({_count(len(found), 'item')})"


def _link(work: _Work) -> Iterator[str]:
    """The link that an environment of ours is reached by, where only that is lost."""
    env = work.env
    generation = generation_folder(env.prefix, env.generation or "")
    if not env.adopted and not os.path.lexists(env.prefix) and generation.is_dir():
        files.link(env.prefix, generation.name)
        yield f"linked {env.prefix} to {generation.name} again"


def _conda(work: _Work) -> Iterator[str]:
    if work.env.read_only or not work.env.prefix.is_dir():
        return
    try:
        yield from mended(work.store, work.env, on_line=work.on_line)
        work.env = work.store.environment(work.env.name)
    except (CommandFailed, InvalidInput) as error:
        hint = error.hint.splitlines()[:1] or [""]
        work.fails("install-interrupted", error.message, hint[0])


def _users(work: _Work) -> Iterator[str]:
    """The passwd and group by which the user has a name inside."""
    users = container_of(work.env).users
    if users and not all((users / name).is_file() for name in ("passwd", "group")):
        named(users, work.store.settings.user_home)
        yield f"wrote passwd and group into {users} again"


def _engine(work: _Work) -> Iterator[str]:
    """Who the user is inside, where the engine is another one by now."""
    env, found = work.env, detect().named(work.env.runtime)
    if not found.usable or not is_other(env, found):
        return
    users = work.store.settings.home / "users" if needs_users(found.engine, rootless=found.rootless) else None
    said = replace(container_of(env), engine=found.engine, rootless=found.rootless, users=users)
    work.env = replace(env, container=said)
    work.store.save(work.env)
    yield f"noted that {found.name} is {kind_of(found)} now"


def _image(work: _Work) -> Iterator[str]:
    """The image, where only that is gone."""
    env = work.env
    if not {each.code for each in of_container(work.store, env)} & {"image-gone", "image-changed"}:
        return
    container = container_of(env)
    try:
        image = image_again(work.store, env, detect().named(env.runtime), on_line=work.on_line)
    except VenvoyError as error:
        work.fails("image-gone", error.message, error.hint)
        work.explained.add("image-changed")
        return
    work.env = replace(env, container=replace(container, image=image))
    work.store.save(work.env)
    image_uses.keep(work.store, work.env)
    same = "it is the same" if image.digest == container.image.digest else "another file with the same packages in it"
    yield f"got the image {image.reference} again ({same}, {image.digest[:19]}…)"


def _image_python(work: _Work) -> Iterator[str]:
    """Turn the prefix to the Python of the image, where that is of the same minor version."""
    env = work.env
    python = python_of(work.store, env) if env.prefix.is_dir() else None
    if python is None or not serves(env, python) or env.platform != python.platform:
        return  # `check` says so; packages for another Python are no use here
    if made_for(env, python) and venv.settings(env.prefix):
        return
    _repoint(env.prefix / "bin", python.path, python.minor)
    _write_settings(env.prefix, python.path, python.version, inside=True)
    work.env = replace(env, python_version=python.version)
    work.store.save(work.env)
    yield f"turned its interpreter to the image's Python {python.version}, {python.path}"


_STEPS: Mapping[str, tuple[Callable[[_Work], Iterator[str]], ...]] = {
    "conda": (_conda,),
    **dict.fromkeys(ENGINES, (_engine, _users, _image, _image_python)),
}
"""What is mended of an environment by what it is made as, beside what is mended of all."""


def _r(work: _Work) -> Iterator[str]:
    try:
        for said in mended_r(work.store, work.env.speaking("r"), on_line=work.on_line):
            if isinstance(said, Finding):
                work.hindered.append(said)
            else:
                yield said
        work.env = work.store.environment(work.env.name)
    except (CommandFailed, RuntimeUnavailable) as error:
        last = (error.hint.strip().splitlines() or [""])[-1]
        work.hindered.append(Finding(code="repair-failed", message=f"{error.message}: {last}".rstrip(": ")))


def _places(work: _Work) -> Iterator[str]:
    env = work.env
    if places := venv.written_for(env.prefix):
        changed = relocate(env.prefix, places, env.prefix)
        yield f"wrote {env.prefix} instead of {', '.join(places)} into {_count(len(changed), 'file')}"


# --- the interpreter


def _interpreter(work: _Work) -> Iterator[str]:
    """Stand on an interpreter of the same minor version, in place of one that is gone or was exchanged."""
    env = work.env
    if not env.prefix.is_dir() or _stands(work):
        return
    minor = _installed_for(env)
    try:
        base = _replacement(work.store, env, minor)
    except RuntimeUnavailable as error:
        mend = f"{uv.program()} python install {minor}, then: venvoy repair {env.name}"
        work.fails("interpreter-gone", f"the packages of {env.name!r} are for Python {minor}: {error}", mend)
        work.explained.update(_STANDING)
        return
    python = _lasting(base)
    _repoint(env.prefix / "bin", python, minor)
    _write_settings(env.prefix, python, base.version)
    work.env = replace(env, base=python, python_version=base.version)
    work.store.save(work.env)
    yield f"turned its interpreter to Python {base.version}, {python}"


def _stands(work: _Work) -> bool:
    try:
        base = usable(work.store, work.env)
    except RuntimeUnavailable:
        return False
    home = venv.settings(work.env.prefix).get("home")
    return home is not None and Path(home).is_dir() and serves(work.env, base)


def _replacement(store: Store, env: Environment, minor: str) -> Base:
    """The interpreter it was made on, else one of the same version, else of the same minor version."""
    if env.base is not None:
        with contextlib.suppress(RuntimeUnavailable):
            base = base_of(store, env.base)
            if base.minor == minor:
                return base
    fitting = [each for each in interpreters(store) if each.minor == minor]
    same = [each for each in fitting if each.version == env.python_version]
    return (same or fitting or [interpreter(store, minor)])[0]


def _installed_for(env: Environment) -> str:
    """The minor version that the packages are for: of the folder that holds most of them, or else config.yaml's."""
    folders = sorted(inventory.site_folders(env.prefix), key=lambda folder: len(os.listdir(folder)))
    if folders:
        return folders[-1].parent.name.removeprefix("python").removesuffix("t")
    return ".".join(env.python_version.split(".")[:2])


def _lasting(base: Base) -> Path:
    """The interpreter by the name that stays its own: `python3` may be another one after an upgrade."""
    named = base.path.with_name(f"python{base.minor}")
    return named if named.exists() and named.resolve() == base.path.resolve() else base.path


def _repoint(folder: Path, python: Path, minor: str) -> None:
    """`python` leads to the interpreter, and its other names to `python`."""
    folder.mkdir(exist_ok=True)
    files.link(folder / "python", str(python))
    for name in ("python3", f"python{minor}"):
        files.link(folder / name, "python")


def _write_settings(prefix: Path, python: Path, version: str, *, inside: bool = False) -> None:
    """Name the interpreter in pyvenv.cfg, in the keys that stand there: venv, virtualenv and uv have each their own.

    One that is `inside` an image is not looked at on this machine, and what it has of its own is seen.
    """
    told = {
        "home": str(python.parent),
        "executable": str(python if inside else python.resolve()),
        "base-executable": str(python),
        "base-prefix": str(python.parent.parent),
        "base-exec-prefix": str(python.parent.parent),
        "version": version,
        "version_info": version,
    }
    sees = "true" if inside else "false"
    there = {"home": "", "include-system-site-packages": sees, "version": "", **venv.settings(prefix)}
    lines = [f"{key} = {told.get(key, value)}\n" for key, value in there.items()]
    files.replace(prefix / "pyvenv.cfg", "".join(lines))


# --- the packages


def _distributions(work: _Work) -> Iterator[str]:
    """Put in anew what is not whole or was built for something else."""
    if not _ready(work):
        return
    env = work.env
    for each in damaged(env):
        if each.spare == each.folders:
            yield from _cleared(env, each.spare)
        elif _reinstalled(work, each.distribution, f"distribution-{each.kind}"):
            yield f"installed {each.name} {each.version} anew"
            yield from _cleared(env, each.spare)
    for one in unfit(env, usable(work.store, env)):
        if _reinstalled(work, one, "distribution-unfit"):
            yield f"installed {one.name} {one.version} anew, built for this interpreter"


def _reinstalled(work: _Work, one: Distribution, code: str) -> bool:
    package = one.package()
    listed = f"{one.name}=={one.version}" if one.version else one.name
    if package.origin == "editable":
        listed = f"-e {package.url}"
    elif package.origin != "index":
        listed = f"{one.name} @ {package.url}"
    try:
        work.run(uv.reinstall(work.env.python, one.name, f"{listed}\n"))
    except CommandFailed as error:
        mend = f"venvoy install {work.env.name} {one.name}"
        work.fails(code, f"{listed} could not be installed anew: {why(error)}", mend)
        return False
    return True


def _cleared(env: Environment, folders: Iterable[Path]) -> Iterator[str]:
    if env.adopted:
        return
    for folder in folders:
        files.remove(folder)
        yield f"removed {folder}"


def _requirements(work: _Work) -> Iterator[str]:
    """Install what is needed and not there; what else is asked of the same packages is heard, too."""
    if not _ready(work):
        return
    env, base = work.env, usable(work.store, work.env)
    there = visible(work.store, env)
    if not (needs := lacking(env, base, there)):
        return
    names = {each.name for each in needs}
    asked = fit.demands(there, names, fit.markers(base.version, base.platform))
    wanted = sorted({*asked, *(each.text for each in needs)})
    try:
        work.run(uv.install_listed(env.python, "".join(f"{each}\n" for each in wanted)))
    except CommandFailed as error:
        for each in needs:
            kind = f"{'requirement' if each.owner else 'package'}-{'unmet' if each.installed else 'missing'}"
            whose = each.owner or "config.yaml"
            mend = f"venvoy install {env.name} {each.name}"
            work.fails(kind, f"{whose} needs {each.text}, and it could not be installed: {why(error)}", mend)
        return
    yield f"installed {', '.join(wanted)}"


def _ready(work: _Work) -> bool:
    """Whether packages can be judged and installed at all."""
    try:
        return serves(work.env, usable(work.store, work.env))
    except RuntimeUnavailable:
        return False


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
