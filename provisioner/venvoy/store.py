"""Where things lie on disk: the only room that knows the folder layout and config.yaml."""

from __future__ import annotations

import contextlib
import glob
import io
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import cancelling, containers, files
from .containers import ENGINES, NETWORKS
from .errors import EnvironmentNotFound, InvalidInput, VenvoyError
from .history import History
from .jobs import Jobs
from .model import Container, Environment, Image, Language, Repository
from .settings import Settings

SECOND_OF_R = "-r"
"""Ends the name of the R kernel of an environment that has a Python kernel, too."""
NEXT = ".next"
"""Ends the names of files that wait for their generation to be swapped in."""
NOTE = ".note"
"""Ends the names of copies of config.yaml that say where a build works, or worked."""
KEPT = ".kept"
"""Ends the names of copies that belong to a generation which was replaced and stays for going back to it."""
GENERATION = re.compile(r"[0-9]{8}T[0-9]{6}-[0-9a-f]{6}")
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class Store:
    """The folders of one user: environments, payloads and projects.

    ```
    HOME/environments/NAME/  config.yaml  requirements.txt  requirements-dev.txt  prefix -> .prefix-GENERATION
                             images/DIGEST.json  Dockerfile  (of containers) compose.yaml  apptainer.def
    HOME/payloads/ABI/DIGEST/
    HOME/scratch/            what is being made and carried; empty when nobody works
    HOME/jobs/ID/            see `jobs`
    PROJECTS/NAME/           see `history.History`
    ```
    """

    settings: Settings

    @property
    def environments_folder(self) -> Path:
        return self.settings.home / "environments"

    @property
    def payloads(self) -> Path:
        return self.settings.home / "payloads"

    @property
    def bases(self) -> Path:
        """What interpreters said of themselves, one file each."""
        return self.settings.home / "bases"

    @property
    def images(self) -> Path:
        """The SIFs that were made here, each with a note of what it was made of."""
        return self.settings.home / "images"

    @property
    def jobs(self) -> Jobs:
        """What takes long, and what took long lately."""
        return Jobs(self.settings.home / "jobs")

    @property
    def identity(self) -> str:
        """What tells these folders from all others, also from those of the same user: eight hexadecimal digits."""
        file = self.settings.home / "identity"
        with contextlib.suppress(FileNotFoundError):
            return file.read_text("utf-8").strip()
        with files.locked(self.settings.home / ".identity.lock"):
            if not file.exists():
                files.replace(file, f"{secrets.token_hex(4)}\n")
        return file.read_text("utf-8").strip()

    def folder(self, name: str) -> Path:
        """The folder of the environment of that name, whether it is there or not. Raises InvalidInput."""
        return self.environments_folder / checked_name(name)

    def project(self, name: str) -> Path:
        """The folder where the environment's record lies."""
        return self.settings.projects / checked_name(name)

    def history(self, name: str) -> History:
        return History(self.project(name))

    def names(self) -> tuple[str, ...]:
        """The names of all environments, sorted."""
        return tuple(sorted(file.parent.name for file in self.environments_folder.glob("*/config.yaml")))

    def exists(self, name: str) -> bool:
        self._roll_forward(name)
        return (self.folder(name) / "config.yaml").exists()

    def namesake(self, name: str) -> str | None:
        """Another environment whose name differs by case alone: kernels and some file systems take both for one."""
        return next((each for each in self.names() if each != name and each.lower() == name.lower()), None)

    def environment(self, name: str) -> Environment:
        """Read one environment. Raises EnvironmentNotFound; InvalidInput with file and line for a wrong config.yaml."""
        self._roll_forward(name)
        file = self.folder(name) / "config.yaml"
        try:
            text = file.read_text("utf-8")
        except FileNotFoundError:
            raise EnvironmentNotFound(
                f"no environment is named {name!r}",
                hint=f"make it: venvoy init {name}\nsee them all: venvoy list",
            ) from None
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{file} is not UTF-8: {error}") from error
        return self._environment(name, text, file)

    def salvaged(self, name: str) -> Environment:
        """The environment, or what is known of one whose config.yaml is wrong: enough to remove or replace it.

        Whatever that file says, a prefix counts as ours only where it is a link to a generation that lies beside it.
        Raises EnvironmentNotFound.
        """
        try:
            return self.environment(name)
        except InvalidInput:
            return self._wreck(name)

    def _wreck(self, name: str) -> Environment:
        folder = self.folder(name)
        said = _words(folder / "config.yaml")
        prefixes = (folder / str(said.get("prefix", "prefix")), folder / "prefix")
        found = ((each, _generation_at(each)) for each in prefixes)
        prefix, generation = next((each for each in found if each[1]), (folder / "prefix", None))
        language, runtime = said.get("language"), said.get("runtime")
        return Environment(
            name=name,
            prefix=prefix,
            language="r" if language == "r" else "python",
            runtime="conda" if runtime == "conda" else "venv",
            generation=generation,
            created=datetime.fromtimestamp(0, UTC),
        )

    def at(self, prefix: Path) -> Environment | None:
        """The environment whose prefix is that folder, or None; one that cannot be read is passed over."""
        wanted = prefix.resolve()
        for name in self.names():
            with contextlib.suppress(EnvironmentNotFound, InvalidInput):
                env = self.environment(name)
                if env.prefix.resolve() == wanted:
                    return env
        return None

    def save(self, env: Environment) -> None:
        """Write config.yaml; what the user wrote beside our keys (comments, order) stays."""
        file = self.folder(env.name) / "config.yaml"
        previous = file.read_text("utf-8") if file.exists() else ""
        files.replace(file, _dump(env, previous, file.parent))

    def image_notes(self, name: str) -> tuple[Image, ...]:
        """Every image that the environment stands on, stood on, or can be taken back to. Raises InvalidInput."""
        found = sorted((self.folder(name) / "images").glob("*.json"))
        return tuple(containers.image(_image_note(each)) for each in found)

    def note(self, name: str, image: Image) -> None:
        """Keep what is known of an image, for going back to it."""
        text = json.dumps(containers.image_written(image), indent=1, sort_keys=True)
        files.replace(_note_of(self.folder(name), image.digest), f"{text}\n")

    def begin(self, env: Environment) -> None:
        """Note what is about to be built, so that wherever it lies it is found again should the build be cut short."""
        files.replace(self._beside(env, NOTE), _dump(env, "", self.folder(env.name)))

    def commit(self, env: Environment, texts: Mapping[str, str], *, keep: bool = False) -> None:
        """Swap an environment's new generation in, with its config.yaml and `texts` (file name to content).

        Everything is written beside first; turning the link `prefix` is the one step that decides. A crash before it
        leaves the old environment, a crash after it the new one, which the next look finishes (`_roll_forward`).
        What the old one leaves behind is for `tidy`; with `keep` it stays, whole, as the first of `kept`.
        """
        if not generation_folder(env.prefix, env.generation or "").is_dir():
            raise VenvoyError(
                f"what {env.name!r} was to stand on is gone: another command was quicker", hint="look, then try again"
            )
        cancelling.too_late()  # what is committed is recorded as well
        folder = self.folder(env.name)
        config = folder / "config.yaml"
        previous = config.read_text("utf-8") if config.exists() else ""
        if previous:
            try:
                old = self._environment(env.name, previous, config)
            except InvalidInput:
                previous = ""  # nothing of it can be kept; what it stood on is found by `salvaged`
            else:
                if keep:
                    self._keep(old, previous)
                else:
                    files.replace(self._beside(old, NOTE), previous)
        if env.container:
            self.note(env.name, env.container.image)
        for file, text in texts.items():
            files.replace(folder / f"{file}.{env.generation}{NEXT}", text)
        files.replace(self._beside(env, NEXT), _dump(env, previous, folder))
        if env.prefix.is_dir() and not env.prefix.is_symlink():
            env.prefix.rename(generation_folder(env.prefix, new_generation()))
        files.link(env.prefix, generation_folder(env.prefix, env.generation or "").name)
        self._roll_forward(env.name)

    def kept(self, name: str) -> tuple[Environment, ...]:
        """The generations that stay for going back to them, the one that was left last first.

        The packages of each lie in its `generation_folder`, written for the prefix that it has in common with all.
        """
        current = self.salvaged(name) if self.exists(name) else None
        return self._kept(current) if current else ()

    def texts(self, kept: Environment) -> dict[str, str]:
        """The requirements files of a kept generation, by name."""
        suffix = f".{kept.generation}{KEPT}"
        found = sorted(self.folder(kept.name).glob(f"requirements*{suffix}"))
        return {each.name.removesuffix(suffix): each.read_text("utf-8") for each in found}

    def let_go(self, kept: Environment) -> None:
        """Remove a kept generation; the caller holds the environment."""
        files.remove(self._beside(kept, KEPT))
        files.remove(generation_folder(kept.prefix, kept.generation or ""))
        for file in self.folder(kept.name).glob(f"*.{kept.generation}{KEPT}"):
            files.remove(file)

    def _keep(self, old: Environment, config: str) -> None:
        for file in self.folder(old.name).glob("requirements*.txt"):
            files.replace(file.with_name(f"{file.name}.{old.generation}{KEPT}"), file.read_bytes())
        files.replace(self._beside(old, KEPT), config)

    def _kept(self, current: Environment) -> tuple[Environment, ...]:
        found = self.folder(current.name).glob(f"config.yaml.*{KEPT}")
        notes = sorted(found, key=lambda note: note.stat().st_mtime_ns, reverse=True)
        return tuple(
            kept
            for note in notes
            for kept in self._noted(note)
            if kept.prefix == current.prefix
            and kept.generation != current.generation
            and generation_folder(kept.prefix, kept.generation or "").is_dir()
        )

    def leftovers(self, name: str) -> tuple[Path, ...]:
        """What a build left behind, an interrupted one or the one before, in the order in which it can be removed.

        These are generations that nothing points to, links of prefixes that were given up, and files never committed.
        """
        folder = self.folder(name)
        current = self.salvaged(name) if self.exists(name) else None
        kept = {each.generation or "" for each in self._kept(current)} if current else set()
        trees = set(_unused(folder / "prefix", current))
        if current and current.generation:
            trees.update(_unused(current.prefix, current))
        for built in (each for note in folder.glob("config.yaml.*") for each in self._noted(note)):
            if current is None or built.generation != current.generation:
                trees.update(_remains(built))
        if current:
            trees -= {generation_folder(current.prefix, each) for each in kept}
        patterns = (f"*{NOTE}", f"*{NEXT}", f"*{KEPT}", ".*.partial")
        loose = {each for pattern in patterns for each in folder.glob(pattern)}
        loose = {each for each in loose if not any(each.name.endswith(f".{one}{KEPT}") for one in kept)}
        return (*sorted(trees), *sorted(loose - trees))

    def tidy(self, name: str) -> None:
        """Remove the leftovers; the caller holds the environment."""
        for leftover in self.leftovers(name):
            files.remove(leftover)

    def _beside(self, env: Environment, suffix: str) -> Path:
        return self.folder(env.name) / f"config.yaml.{env.generation}{suffix}"

    def _roll_forward(self, name: str) -> None:
        """Finish a commit whose link was turned already.

        Any process may do so at any time: each file carries its generation's name, so nothing of a later commit is met.
        """
        folder = self.folder(name)
        for pending in folder.glob(f"config.yaml.*{NEXT}"):
            try:
                env = self._environment(name, pending.read_text("utf-8"), pending)
            except FileNotFoundError:
                continue
            generation = generation_folder(env.prefix, env.generation or "")
            if generation.is_dir() and not os.path.lexists(env.prefix):
                with contextlib.suppress(FileExistsError):  # another process finishes the same commit
                    env.prefix.symlink_to(generation.name)
            if _link_target(env.prefix) != generation.name:
                continue
            suffix = f".{env.generation}{NEXT}"
            for file in (*folder.glob(f"requirements*{suffix}"), pending):
                with contextlib.suppress(FileNotFoundError):
                    file.replace(file.with_name(file.name.removesuffix(suffix)))

    def remove(self, name: str) -> None:
        """Forget an environment, its config.yaml last; its record in the project folder stays."""
        folder = self.folder(name)
        for each in sorted(folder.glob("*"), key=lambda each: each.name == "config.yaml"):
            files.remove(each)
        files.remove(folder)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A private folder, on the disk where environments lie, that is gone afterwards.

        What one who was killed has left is removed by the next who needs one.
        """
        above = files.private(self.settings.home / "scratch")
        for left in above.glob("*.lock"):
            if not files.is_locked(left):
                files.remove(left.with_suffix(""))
                files.remove(left)
        folder = above / secrets.token_hex(6)
        with files.locked(above / f"{folder.name}.lock"):
            try:
                yield files.private(folder)
            finally:
                files.remove(folder)
                files.remove(above / f"{folder.name}.lock")

    @contextmanager
    def held(self, name: str, *, timeout: float = 600) -> Iterator[None]:
        """Keep everybody else from changing the environment while it is built, installed into or removed."""
        with files.locked(self._lock(name), timeout=timeout):
            yield

    def again(self, env: Environment) -> Environment:
        """The same as it stands by now: who has waited for it may find another image, or another prefix.

        Raises EnvironmentNotFound, and VenvoyError where it is not even of its kind any more.
        """
        now = self.environment(env.name)
        if (now.runtime, now.prefix, set(now.languages)) != (env.runtime, env.prefix, set(env.languages)):
            raise VenvoyError(f"{env.name!r} was replaced while this waited for it", hint="look, then try again")
        return replace(
            env,
            container=now.container,
            generation=now.generation,
            python_version=now.python_version,
            r_version=now.r_version,
        )

    def busy(self, name: str) -> bool:
        """Whether somebody holds the environment right now."""
        return files.is_locked(self._lock(name))

    def _lock(self, name: str) -> Path:
        return self.environments_folder / f".{checked_name(name)}.lock"

    def _noted(self, note: Path) -> Iterator[Environment]:
        """The generation that a copy of config.yaml speaks of."""
        with contextlib.suppress(FileNotFoundError, InvalidInput):
            env = self._environment(note.parent.name, note.read_text("utf-8"), note)
            if env.generation:
                yield env

    def _environment(self, name: str, text: str, file: Path) -> Environment:
        return _environment(name, text, file, self.settings)


def generation_folder(prefix: Path, generation: str) -> Path:
    """Where a generation of `prefix` really lies: a hidden sibling that the link points to."""
    return prefix.with_name(f".{prefix.name}-{generation}")


def reached_by(folder: Path, generation: str) -> Path:
    """The prefix by which a generation is reached once it is the current one: that which its files are written for."""
    return folder.with_name(folder.name.removeprefix(".").removesuffix(f"-{generation}"))


def new_generation() -> str:
    """A name that no generation had before."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _unused(prefix: Path, current: Environment | None) -> Iterator[Path]:
    """The generations of a prefix that is ours alone, and its link, which the current environment does not stand on."""
    used = _link_target(prefix)
    if current is None or current.prefix != prefix:
        if used is not None:
            yield prefix
        used = None
    elif not os.path.lexists(prefix):  # only the link is lost
        used = generation_folder(prefix, current.generation or "").name
    start = f".{prefix.name}-"
    for path in prefix.parent.glob(f"{glob.escape(start)}*"):
        if GENERATION.fullmatch(path.name.removeprefix(start)) and path.name != used:
            yield path


def _remains(built: Environment) -> Iterator[Path]:
    """What is there of one generation, and of links to it; its prefix may be another environment's by now."""
    generation = generation_folder(built.prefix, built.generation or "")
    if generation.exists():
        yield generation
    partials = built.prefix.parent.glob(f".{glob.escape(built.prefix.name)}.*.partial")
    yield from (link for link in (built.prefix, *partials) if _link_target(link) == generation.name)


def _link_target(prefix: Path) -> str | None:
    return os.readlink(prefix) if prefix.is_symlink() else None


def _generation_at(prefix: Path) -> str | None:
    """The generation that the link leads to, None where it is no link to one."""
    name = (_link_target(prefix) or "").removeprefix(f".{prefix.name}-")
    return name if GENERATION.fullmatch(name) else None


def _words(file: Path) -> Mapping[str, Any]:
    """What a config.yaml says that may be wrong in any way; nothing where it is no mapping."""
    from ruamel.yaml.error import YAMLError  # noqa: PLC0415  # see _yaml

    try:
        said = _yaml().load(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, YAMLError):
        return {}
    return said if isinstance(said, dict) else {}


def checked_name(name: str) -> str:
    """Return `name` if an environment may be called so. Raises InvalidInput."""
    if not NAME.fullmatch(name):
        raise InvalidInput(
            f"{name!r} is no name for an environment",
            hint="letters, digits, '-', '_' and '.' (not first or last), 64 at most, as in my-project",
        )
    return name


def _text(value: object) -> bool:
    return isinstance(value, str)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


_REPOSITORY = re.compile(r"([A-Za-z][\w.-]*)=((?:https?|file)://[^\s\"'\\]+)", re.ASCII)


def _repositories(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) and _REPOSITORY.fullmatch(each) for each in value)


def _repository(said: str) -> Repository:
    name, _, url = said.partition("=")
    return Repository(name=name, url=url.rstrip("/"))


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _word(value: object) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


KEYS: dict[str, tuple[Callable[[object], bool], str, bool]] = {
    "name": (_text, "a string", True),
    "language": (lambda value: value in ("python", "r"), "python or r", False),
    "also": (lambda value: value == ["r"], "the list [r]", False),
    "runtime": (lambda value: value in ("venv", "conda", *ENGINES), f"one of venv, conda, {', '.join(ENGINES)}", False),
    "python_version": (_text, "a string such as '3.12.1' (in quotes)", True),
    "r_version": (_text, "a string such as '4.4.1' (in quotes)", False),
    "base": (_text, "the path of an interpreter", False),
    "base_image": (_text, "the name of an image", True),
    "prefix": (_text, "a path", True),
    "generation": (_text, "a string", False),
    "created": (lambda value: isinstance(value, str | datetime), "a time such as 2026-11-03T14:02:00Z", True),
    "platform": (
        lambda value: isinstance(value, dict) and set(value) == {"system", "architecture"},
        "the keys system and architecture",
        True,
    ),
    "channels": (_texts, "a list of channels", False),
    "repositories": (_repositories, "a list of NAME=ADDRESS, as in CRAN=https://cloud.r-project.org", False),
    "conda_packages": (_texts, "a list of match specs", False),
    "read_only": (_flag, "true or false", False),
    "record": (_flag, "true or false", False),
    "packages": (_texts, "a list of requirements", True),
    "r_packages": (_texts, "a list of R packages", False),
    "dev_packages": (_texts, "a list of requirements", True),
    "env_file": (_texts, "a list of paths", False),
    "image": (_text, "the name of an image", False),
    "image_digest": (_text, "the digest of an image", False),
    "image_file": (_text, "the path of an image", False),
    "image_path": (_text, "the PATH of an image", False),
    "image_registered": (_text, "NAME@sha256:…, as a registry has it", False),
    "system_packages": (_texts, "a list of packages of the image's system", False),
    "image_made_of": (_text, "the digest of an image", False),
    "engine": (lambda value: value in ENGINES, f"one of {', '.join(ENGINES)}", False),
    "rootless": (_flag, "true or false", False),
    "gpus": (_word, "all, or numbers", False),
    "cpus": (lambda value: isinstance(value, int | float), "a number", False),
    "memory": (_word, "a size such as 4g", False),
    "shm_size": (_word, "a size such as 1g", False),
    "network": (lambda value: value in NETWORKS, f"one of {', '.join(NETWORKS)}", False),
    "devices": (_texts, "a list of devices", False),
    "mounts": (_texts, "a list of mounts, SRC:DST or SRC:DST:ro", False),
    "home": (_flag, "true or false", False),
    "writable": (_flag, "true or false", False),
}
"""The keys of config.yaml: what each must be, how that is said, and whether it must be there."""


def _environment(name: str, text: str, file: Path, settings: Settings) -> Environment:
    said = _checked(text, file)
    if said["name"] != name:
        raise InvalidInput(f"{file}: name is {said['name']!r}, but the folder is {name!r}")
    return Environment(
        name=name,
        prefix=file.parent / said["prefix"],
        language=said.get("language", "python"),
        also=_also(said, file),
        runtime=said.get("runtime", "venv"),
        python_version=said["python_version"],
        r_version=said.get("r_version", ""),
        base=Path(said["base"]) if "base" in said else None,
        base_image=said["base_image"],
        generation=said.get("generation"),
        created=_time(said["created"], file),
        system=said["platform"]["system"],
        architecture=said["platform"]["architecture"],
        read_only=said.get("read_only", False),
        record=said.get("record", True),
        channels=tuple(said.get("channels", ())),
        repositories=tuple(_repository(each) for each in said.get("repositories", ())),
        conda_packages=tuple(said.get("conda_packages", ())),
        packages=tuple(said["packages"]),
        r_packages=tuple(said.get("r_packages", ())),
        dev_packages=tuple(said["dev_packages"]),
        env_file=tuple(Path(each) for each in said.get("env_file", ())),
        container=_container(said, file, settings),
    )


def _also(said: Mapping[str, Any], file: Path) -> tuple[Language, ...]:
    """R beside Python: no other pair lives in one prefix, nor does this one in a conda prefix."""
    if "also" not in said:
        return ()
    if said.get("language", "python") != "python" or said.get("runtime") == "conda":
        raise InvalidInput(f"{file}: also must not be there but beside language python, in a venv or a container")
    return ("r",)


def _container(said: Mapping[str, Any], file: Path, settings: Settings) -> Container | None:
    if said.get("runtime") not in ENGINES:
        return None
    try:
        note = _note_of(file.parent, containers.image(said).digest)
        known = {**(_image_note(note) if note.exists() else {}), **said}
        return containers.container(known, folder=file.parent, home=settings.user_home, users=settings.home / "users")
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error.message}", hint=error.hint) from error


def _note_of(folder: Path, digest: str) -> Path:
    return folder / "images" / f"{digest.partition(':')[2]}.json"


def _image_note(file: Path) -> Mapping[str, Any]:
    try:
        said = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}") from error
    if not isinstance(said, dict) or not all(
        _texts(value) if key == "system_packages" else _text(value) for key, value in said.items()
    ):
        raise InvalidInput(f"{file} is no note of an image", hint=f"without it: rm {file}")
    return said


def _checked(text: str, file: Path) -> Mapping[str, Any]:
    from ruamel.yaml.error import MarkedYAMLError, YAMLError  # noqa: PLC0415  # see _yaml

    name = file.parent.name
    mend = f"mend it: venvoy configure {name} --edit\nor make it anew: venvoy init {name} --force"
    try:
        said = _yaml().load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        raise InvalidInput(f"{file}, line {line}: {error.problem or error.context}", hint=mend) from error
    except YAMLError as error:
        raise InvalidInput(f"{file}: {error}", hint=mend) from error
    if not isinstance(said, dict):
        raise InvalidInput(f"{file}, line 1: must be a mapping", hint=mend)
    for key, value in said.items():
        line = said.lc.key(key)[0] + 1  # type: ignore[attr-defined]  # ruamel's CommentedMap
        if key not in KEYS:
            raise InvalidInput(f"{file}, line {line}: unknown key {key!r}", hint=f"{mend}\nknown: {', '.join(KEYS)}")
        accepts, form, _ = KEYS[key]
        if not accepts(value):
            raise InvalidInput(f"{file}, line {line}: {key} must be {form}, not {value!r}", hint=mend)
    if missing := [key for key, (_, _, required) in KEYS.items() if required and key not in said]:
        raise InvalidInput(f"{file}: the key {missing[0]!r} is missing", hint=mend)
    return said


def _time(value: str | datetime, file: Path) -> datetime:
    try:
        at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except ValueError as error:
        raise InvalidInput(f"{file}: created must be a time such as 2026-11-03T14:02:00Z, not {value!r}") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _dump(env: Environment, previous: str, folder: Path) -> str:
    yaml = _yaml()
    document = yaml.load(previous) if previous else yaml.load("{}")
    document.fa.set_block_style()
    values: dict[str, Any] = {
        "name": env.name,
        "language": env.language,
        "also": list(env.also) or None,
        "runtime": env.runtime,
        "python_version": env.python_version,
        "r_version": env.r_version or None,
        "base": str(env.base) if env.base else None,
        "base_image": env.base_image,
        "prefix": str(env.prefix.relative_to(folder) if env.prefix.is_relative_to(folder) else env.prefix),
        "generation": env.generation,
        "created": env.created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "platform": {"system": env.system, "architecture": env.architecture},
        "read_only": env.read_only or None,
        "record": None if env.record else False,
        "channels": list(env.channels) or None,
        "repositories": [f"{each.name}={each.url}" for each in env.repositories] or None,
        "conda_packages": list(env.conda_packages) or None,
        "packages": list(env.packages),
        "r_packages": list(env.r_packages) or None,
        "dev_packages": list(env.dev_packages),
        "env_file": [str(each) for each in env.env_file] or None,
        **containers.written(env.container),
    }
    for key, value in values.items():
        if value is None:
            document.pop(key, None)
        elif isinstance(value, list) and isinstance(document.get(key), list):
            _fill(document[key], value)
        elif key not in document or document[key] != value:
            document[key] = value
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _fill(listed: Any, values: list[str]) -> None:
    """Make the document's list equal to `values`; what stays keeps the comment beside it."""
    for position in reversed(range(len(listed))):
        if listed[position] not in values:
            del listed[position]
    for position, value in enumerate(values):
        if position == len(listed) or listed[position] != value:
            listed.insert(position, value)
    del listed[len(values) :]
    if values:
        listed.fa.set_block_style()


def _yaml() -> Any:
    # ruamel takes 40 ms to import and `venvoy --help` needs none of it.
    from ruamel.yaml import YAML  # noqa: PLC0415

    yaml = YAML(typ="rt", pure=True)
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 4096
    return yaml
