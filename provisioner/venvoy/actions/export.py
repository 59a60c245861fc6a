"""Write an environment down in a format of the field."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from .. import files
from ..errors import InvalidInput
from ..formats.conda_lock import CondaLock
from ..formats.environment_yml import EnvironmentYml, written
from ..formats.locks import LOCKS
from ..formats.rattler_lock import RattlerLock
from ..formats.registry import CONDA, FORMATS, IMAGES, UNHASHED, image_format, lacking
from ..formats.requirements import reason
from ..formats.rocrate import Part, Ran, RoCrate
from ..formats.snapshot_json import digest
from ..model import Actor, Environment, Ground, Kind, Package, Snapshot, Wish
from ..process import OnLine
from ..store import Store
from .archive import locked_now
from .create import asked_of
from .elsewhere import everywhere
from .freeze import Unpinned
from .image_recipes import ground_of, public_image
from .locks import read_lock
from .observe import observe
from .packing import place_for
from .points import Point
from .stand_on import on_image
from .universal import Elsewhere, universal

ANYWHERE = frozenset({"pylock", "requirements", "conda-lock", "pixi"})
"""The formats that can be for several platforms at once."""
PYTHON = frozenset({"pylock", "requirements"})
"""The formats that pip and uv install from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is wished: a format (`formats.FORMATS`), and where to; None for nowhere.

    The state is that of `point`, or of now. `platforms` resolve the lock for others than this one
    (`formats.platforms`). An environment.yml has the `builds` of conda packages on demand, or, `from_history`, only
    what somebody asked for, as they asked for it. `notebooks` make a research object that of their runs on `inputs`.
    """

    form: str
    target: Path | None = None
    point: Point | None = None
    platforms: tuple[str, ...] = ()
    builds: bool = False
    from_history: bool = False
    notebooks: tuple[Path, ...] = ()
    inputs: tuple[Path, ...] = ()


HALVES = {"pylock": ("renv", "R"), "requirements": ("renv", "R"), "renv": ("pylock", "Python")}
"""The formats of one language: which has the packages of the other, and how that is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The text, of which state, and where it was written (None: nowhere).

    `lacking` is what whoever takes the text will not get, `left_out` what is there for development alone; `locked`
    says that it was frozen for this; `beside` is the lock that was written next to a research object.
    """

    environment: str
    form: str
    text: str
    snapshot: Snapshot
    path: Path | None = None
    beside: Path | None = None
    lacking: tuple[Unpinned, ...] = ()
    left_out: tuple[Package, ...] = ()
    locked: bool = False
    elsewhere: Elsewhere | None = None
    remarks: tuple[str, ...] = ()

    @property
    def sha256(self) -> str:
        """The digest of the text as it is written, in hexadecimal."""
        return sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """A state, with hashes where `lock` is set; `new` says that it was frozen just now."""

    state: Snapshot
    lock: Snapshot | None = None
    new: bool = False


def export(store: Store, name: str, order: Order, *, actor: Actor, on_line: OnLine | None = None) -> Exported:
    """Write the environment `name` down as it was ordered, and into the file if one is named.

    Formats with hashes take them from the last freeze where that was of this very state, and else have the environment
    frozen first; a state of the past has them only if the last freeze was of it.

    Raises InvalidInput for what does not go together and for a target that is no plain file; CommandFailed where the
    index is needed and does not answer.
    """
    _possible(order)
    form = order.form
    stands = order.point.snapshot if order.point else store.environment(name)
    _refuse_other(name, form, stands.kind, both=bool(stands.halves[1:]))
    place = place_for(order.target, FORMATS[form].filename) if order.target else None
    taken = _taken(store, name, order, actor=actor, on_line=on_line)
    snapshot, remarks = _half(form, _for(form, taken, None if order.point else store.environment(name)))
    ground = _ground(store, name, taken.state) if form in IMAGES else None
    elsewhere: Elsewhere | None = None
    if order.platforms and form in CONDA:
        found = everywhere(store.environment(name), snapshot, order.platforms, on_line=on_line)
        dump_all = CondaLock().dump_all if form == "conda-lock" else RattlerLock().dump_all
        said = _Said(text=dump_all(found.snapshots), remarks=found.remarks)
    elif order.platforms:
        elsewhere = universal(store.environment(name), snapshot, order.platforms, on_line=on_line)
        cut = elsewhere.tailored
        said = _Said(text=cut.requirements() if form == "requirements" else cut.toml())
    elif form == "rocrate":
        said = _research(snapshot, place.parent if place else Path.cwd(), order)
    elif form == "yaml" and (order.builds or order.from_history):
        said = _Said(text=_yaml(store.environment(name), snapshot, order))
    else:
        said = _Said(text=(image_format(form, ground=ground) if ground else FORMATS[form]).dump(snapshot))
    beside = _lock_beside(snapshot, place) if place and form == "rocrate" else None
    if place:
        _write(place, said.text)
    return Exported(
        environment=name,
        form=form,
        text=said.text,
        snapshot=snapshot,
        path=place,
        beside=beside,
        lacking=tuple(Unpinned(package=each, reason=reason(each)) for each in lacking(form, snapshot)),
        left_out=_left_out(form, taken),
        locked=taken.new,
        elsewhere=elsewhere,
        remarks=(*remarks, *said.remarks),
    )


def _half(form: str, snapshot: Snapshot) -> tuple[Snapshot, tuple[str, ...]]:
    """What a format of one language says of an environment that speaks Python and R, and what it leaves out."""
    if not snapshot.r_version or form not in HALVES:
        return snapshot, ()
    other, rest = HALVES[form]
    half = snapshot.halves[1 if form == "renv" else 0]
    return half, (f"{form} has no place for its {rest} packages; those are in: --format {other}",)


def _refuse_other(name: str, form: str, kind: Kind, *, both: bool) -> None:
    """Raise InvalidInput for a format that has no words for that kind of environment."""
    if both and form == "rocrate":
        raise InvalidInput(
            f"{name!r} speaks Python and R, and a crate has one lock",
            hint=f"all that it has, with hashes: venvoy export {name} --format lock",
        )
    if both and form == "renv":
        return
    called = {"venv": "a venv", "conda": "a conda environment", "r": "an R environment"}[kind]
    if form in CONDA and kind != "conda":
        hint = "yaml and renv are for R" if kind == "r" else "yaml and pylock are for all"
        raise InvalidInput(f"{name!r} is {called}: {form} is for conda environments", hint=hint)
    if form in PYTHON and kind == "r":
        raise InvalidInput(f"{name!r} is {called}: {form} is for Python", hint="its lock: --format renv")
    if form == "renv" and kind != "r":
        raise InvalidInput(f"{name!r} is {called}: {form} is for R", hint=f"its lock: --format {LOCKS[kind].name}")


def _ground(store: Store, name: str, state: Snapshot) -> Ground | None:
    """What an image recipe of that state begins from, where the environment is in a container."""
    if not store.exists(name):
        return None
    env = store.environment(name)
    if env.container and state.stands_on and state.stands_on.digest != env.container.image.digest:
        env = on_image(store, env, state.stands_on.digest)
    return ground_of(store, env)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Said:
    text: str
    remarks: tuple[str, ...] = ()


def _yaml(env: Environment, snapshot: Snapshot, order: Order) -> str:
    if not order.from_history:
        return EnvironmentYml(builds=True).dump(snapshot)
    conda = asked_of(env) if env.runtime == "conda" else (f"python={snapshot.language_version}", "pip")
    wish = Wish(
        name=env.name, channels=env.channels or ("conda-forge",), conda=tuple(sorted(conda)), requirements=env.packages
    )
    return written(wish)


def _possible(order: Order) -> None:
    form = order.form
    if form not in FORMATS:
        raise InvalidInput(f"there is no format {form!r}", hint=f"there is: {', '.join(FORMATS)}")
    if order.platforms and form not in ANYWHERE:
        raise InvalidInput(f"{form} is for one platform", hint=f"{', '.join(sorted(ANYWHERE))} can be for several")
    if (order.builds or order.from_history) and form != "yaml":
        raise InvalidInput(f"--builds and --from-history are for yaml, not {form}")
    if order.from_history and order.point:
        raise InvalidInput("what was asked for at an earlier point is not known in the words of then")
    if (order.notebooks or order.inputs) and form != "rocrate":
        raise InvalidInput(f"{form} says nothing of notebooks and files", hint="rocrate does, and archive takes them")
    if order.inputs and not order.notebooks:
        raise InvalidInput("inputs are those of a notebook's run", hint="name the notebook, too: --notebook FILE")


def _taken(store: Store, name: str, order: Order, *, actor: Actor, on_line: OnLine | None) -> _Taken:
    point = order.point
    state = point.snapshot if point else observe(store, store.environment(name))
    if order.form == "yaml":
        return _Taken(state=state)
    kept = _kept(store, name, state)
    if kept or order.form in UNHASHED:
        return _Taken(state=state, lock=kept)
    if point:
        raise InvalidInput(
            f"no hashes are known of {point.label}",
            hint="only the last freeze has them; yaml and lock need none\n"
            f"or go back to it, and freeze it there: venvoy restore --name {name} --to POINT",
        )
    lock = locked_now(store, store.environment(name), actor=actor, on_line=on_line)
    return _Taken(state=state, lock=lock, new=True)


def _kept(store: Store, name: str, state: Snapshot) -> Snapshot | None:
    """The lock of the last freeze with its time, if it is of that very state."""
    history = store.history(name)
    file = history.folder / LOCKS[state.kind].filename
    now = digest(state)
    times = [each.at for each in history.entries() if each.event == "freeze" and each.snapshot == now]
    if not (times and file.is_file()):
        return None
    lock = read_lock(file, environment=name, platform=state.platform)
    return replace(lock, taken=times[-1]) if lock.state == now else None


def _for(form: str, taken: _Taken, env: Environment | None) -> Snapshot:
    """What is written down: the lock, or the whole state with what the lock knows of it."""
    if taken.lock is None:
        return taken.state
    if form == "lock":
        known = {(each.ecosystem, each.name): each for each in taken.lock.packages if each.origin == "index"}
        packages = tuple(_filled(each, known.get((each.ecosystem, each.name))) for each in taken.state.packages)
        return replace(taken.state, packages=packages)
    if form in IMAGES and not taken.lock.platform.startswith("linux"):
        raise InvalidInput(
            f"an image is one of Linux, and the files of this lock are for {taken.lock.platform}",
            hint="resolve it for Linux: venvoy export --format requirements --platform linux-x86_64",
        )
    return replace(taken.lock, image=public_image(env))


def _filled(package: Package, known: Package | None) -> Package:
    if known is None or package.origin != "index":
        return package
    return replace(package, url=known.url, sha256=known.sha256)


def _left_out(form: str, taken: _Taken) -> tuple[Package, ...]:
    if taken.lock is None or form in UNHASHED:
        return ()
    there = {each.name for each in taken.lock.packages}
    return tuple(each for each in taken.state.packages if each.name not in there)


# --- a research object -----------------------------------------------------------------------------------------------


def _research(snapshot: Snapshot, folder: Path, order: Order) -> _Said:
    runs = [_ran(each, folder) for each in order.notebooks]
    given = tuple(_part(each, folder) for each in order.inputs)
    remarks = tuple(
        f"{ran.notebook.path} says that its last run was in another state of its environment"
        for ran, state in runs
        if state and state != snapshot.state
    )
    return _Said(text=RoCrate().dump(snapshot, tuple(ran for ran, _ in runs), given), remarks=remarks)


def _ran(notebook: Path, folder: Path) -> tuple[Ran, str]:
    """The run that the notebook's file shows, and the digest of the state that it says it used ("" for none)."""
    try:
        said = json.loads(_text(notebook))
        cells = [each for each in said["cells"] if each["cell_type"] == "code"]
        if not any(each.get("execution_count") for each in cells):
            raise InvalidInput(f"{notebook} was never run, or its outputs were cleared", hint="run it, and save it")
        times = [at for each in cells for at in _times(each.get("metadata", {}).get("execution", {}))]
        state = said.get("metadata", {}).get("venvoy", {}).get("snapshot", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{notebook} is not a notebook: {error!r:.100}") from error
    began, ended = (min(times), max(times)) if times else (None, None)
    return Ran(notebook=_part(notebook, folder), began=began, ended=ended), str(state)


def _times(said: Mapping[str, Any]) -> list[datetime]:
    """When a cell began and ended, as Jupyter notes it where it is told to record the timing."""
    found = [datetime.fromisoformat(said[key]) for key in said if key.endswith(("execute_input", "execute_reply"))]
    return [each for each in found if each.tzinfo]


def _part(file: Path, folder: Path) -> Part:
    try:
        inside = file.resolve().relative_to(folder.resolve())
        content = file.read_bytes()
    except ValueError as error:
        raise InvalidInput(
            f"{file} is not in the folder of the research object ({folder})",
            hint="write it into the folder that has all of them: -o FOLDER/ro-crate-metadata.json",
        ) from error
    except OSError as error:
        raise InvalidInput(f"cannot read {file}: {error.strerror}") from error
    return Part(path=inside.as_posix(), size=len(content), sha256=sha256(content).hexdigest())


def _lock_beside(snapshot: Snapshot, place: Path) -> Path | None:
    """Put the lock next to the research object that names it; None where it is there already."""
    form = LOCKS[snapshot.kind]
    lock = place.parent / form.filename
    text = form.dump(snapshot)
    if lock.exists() and _text(lock) == text:
        return None
    if lock.exists():
        raise InvalidInput(f"{lock} is another lock than this environment's", hint="choose another folder for it")
    _write(lock, text)
    return lock


# --- files -----------------------------------------------------------------------------------------------------------


def _write(place: Path, text: str) -> None:
    try:
        files.replace(place, text)
    except OSError as error:
        raise InvalidInput(f"cannot write {place}: {error.strerror}") from error


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error
