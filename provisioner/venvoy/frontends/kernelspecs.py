"""Real kernelspecs, one for each environment, in the user's Jupyter data folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

from .. import files
from ..errors import EnvironmentExists, KernelUnusable
from ..model import Environment, Finding
from ..settings import Settings, current
from ..store import SECOND_OF_R, Store

KEY = "venvoy"
_COLOURS = ("#1b5e7d", "#6a3d7c", "#2e6b3a", "#8a4b16", "#7a2e3b", "#38508c", "#4d5b26", "#5a4636")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What belongs into one kernelspec folder: file name to content."""

    folder: Path
    texts: dict[str, str]


def spec_name(env_name: str) -> str:
    """The kernel's name: Jupyter allows letters, digits, '-', '_' and '.', and ignores case on some systems."""
    return f"venvoy-{env_name.lower()}"


def kernel_name(env: Environment) -> str:
    """The same of the environment in the language that it speaks: R beside Python has a name of its own."""
    return f"{spec_name(env.name)}{SECOND_OF_R if _second(env) else ''}"


def spec(store: Store, env: Environment, *, encrypts: bool) -> Spec:
    """The kernelspec of an environment, in the language that it speaks; equal environments give equal bytes."""
    template = json.loads(_templates(env.language).joinpath("kernel.json").read_text("utf-8"))
    said = _filled(template, {"interpreter": sys.executable, "name": env.name})
    said["env"] = _moved(store)
    said["metadata"][KEY] = {"environment": env.name}
    if env.also:
        said["display_name"] = f"{env.name}, {env.language_name} (venvoy)"
    if _second(env):
        said["argv"] += ["--language", env.language]
        said["metadata"][KEY]["language"] = env.language
    if env.container and env.language == "python":
        # A signal to a container reaches its first process alone; this way what the kernel has started ends, too.
        said["interrupt_mode"] = "message"
    if encrypts:
        said["metadata"]["supported_encryption"] = ["curve"]
    return Spec(
        folder=_kernels() / kernel_name(env),
        texts={"kernel.json": json.dumps(said, indent=1) + "\n", "logo-svg.svg": _logo(env)},
    )


def half(env: Environment, language: object) -> Environment:
    """The half of the environment that a kernel is of, by the `language` that its kernelspec names.

    Raises KernelUnusable where the environment does not speak that any more.
    """
    spoken = next((each for each in env.languages if each == (language or env.language)), None)
    if spoken is None:
        raise KernelUnusable(
            f"{env.name!r} speaks {env.language_name} alone: it has no kernel for {language!r}",
            hint=f"have Jupyter's list right: venvoy configure {env.name}",
        )
    return env.speaking(spoken)


def write(wanted: Spec) -> Path:
    """Put the kernelspec where Jupyter looks; nothing is touched when it is there already."""
    for name, text in wanted.texts.items():
        file = wanted.folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            files.replace(file, text)
    return wanted.folder


def known(store: Store, env: Environment) -> str | None:
    """The name of the kernel, if Jupyter has one for the environment."""
    folder = _kernels() / kernel_name(env)
    return folder.name if (folder / "kernel.json").exists() and not _another(store, folder.name) else None


def refuse_another(store: Store, kernel: str) -> None:
    """Raise EnvironmentExists where the kernel of that name is that of an environment in another VENVOY_HOME."""
    if home := _another(store, kernel):
        raise EnvironmentExists(_theirs(kernel, home), hint=_mend(kernel, home))


def remove(store: Store, env_name: str) -> None:
    """Take the kernelspecs of an environment away; one that is not ours, or of another VENVOY_HOME, is left alone."""
    for folder in _folders(store, env_name):
        files.remove(folder)


def forget(store: Store, env: Environment) -> None:
    """Take those away that are for a language which the environment does not speak any more."""
    spoken = {kernel_name(each) for each in env.halves}
    for folder in _folders(store, env.name):
        if folder.name not in spoken:
            files.remove(folder)


def finding(store: Store, wanted: Spec, env: Environment) -> Finding | None:
    """What is wrong with the kernelspec as it lies there, or None."""
    kernel = wanted.folder.name
    if home := _another(store, kernel):
        message, mend = _theirs(kernel, home), _mend(kernel, home)
        return Finding(code="kernelspec-other", message=message, mend=mend, severity="warning")
    mend = f"venvoy repair {env.name}"
    if not (wanted.folder / "kernel.json").exists():
        return Finding(code="kernelspec-missing", message=f"Jupyter has no kernel for {env.name!r}", mend=mend)
    for name, text in wanted.texts.items():
        file = wanted.folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            return Finding(code="kernelspec-stale", message=f"{file} is not as it should be", mend=mend)
    return None


def orphans(store: Store) -> Iterator[Path]:
    """Kernelspecs of this store whose environment is gone; those of another VENVOY_HOME are for that to judge."""
    for folder in sorted(_kernels().glob("venvoy-*")):
        name = _environment_of(folder)
        if name is not None and _is_of(store, folder) and not store.exists(name):
            yield folder


def _another(store: Store, kernel: str) -> Path | None:
    """The other VENVOY_HOME that has an environment to which the kernel of that name belongs."""
    folder = _kernels() / kernel
    name = _environment_of(folder)
    if name is None or _is_of(store, folder):
        return None
    home = _home_of(store, folder)
    return home if name in Store(replace(store.settings, home=home)).names() else None


def _theirs(kernel: str, home: Path) -> str:
    name = _environment_of(_kernels() / kernel)
    return f"Jupyter's kernel {kernel} is that of {name!r} in another VENVOY_HOME, {home}"


def _mend(kernel: str, home: Path) -> str:
    name = _environment_of(_kernels() / kernel)
    return f"make this one by another name, or let the other go: VENVOY_HOME={home} venvoy delete {name}"


def _is_of(store: Store, folder: Path) -> bool:
    return _home_of(store, folder).resolve() == store.settings.home.resolve()


def _home_of(store: Store, folder: Path) -> Path:
    """The VENVOY_HOME that a kernelspec of ours was written for."""
    try:
        said = json.loads((folder / "kernel.json").read_text("utf-8"))["env"]["VENVOY_HOME"]
    except (OSError, ValueError, KeyError, TypeError):
        return _usual(store).home
    return Path(str(said))


def _second(env: Environment) -> bool:
    """Whether it is the half of an environment that has a kernel of another language, too, which bears its name."""
    return bool(env.also) and env.language == "r"


def _folders(store: Store, env_name: str) -> Iterator[Path]:
    usual = _kernels() / spec_name(env_name)
    for folder in (usual, usual.with_name(f"{usual.name}{SECOND_OF_R}")):
        said = _environment_of(folder)
        if (said == env_name or (folder == usual and said is not None)) and _is_of(store, folder):
            yield folder


def _kernels() -> Path:
    return Path(jupyter_data_dir()) / "kernels"


def _environment_of(folder: Path) -> str | None:
    try:
        said: dict[str, Any] = json.loads((folder / "kernel.json").read_text("utf-8"))
        name = said["metadata"][KEY]["environment"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return name if isinstance(name, str) else None


def _templates(language: str) -> Traversable:
    inside = package_files("venvoy").joinpath("kernelspecs", language)
    if inside.is_dir():
        return inside
    return Path(__file__).parents[3] / "kernelspecs" / language  # an editable install reads them where they are made


def _filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, str):
        return re.sub(r"\{(interpreter|name)\}", lambda found: words[found[1]], value)
    if isinstance(value, list):
        return [_filled(each, words) for each in value]
    if isinstance(value, dict):
        return {key: _filled(each, words) for key, each in value.items()}
    return value


def _moved(store: Store) -> dict[str, str]:
    """The variables without which a client started elsewhere would look for the environment in another place."""
    plain = _usual(store)
    places = {
        "VENVOY_HOME": (store.settings.home, plain.home),
        "VENVOY_PROJECTS": (store.settings.projects, plain.projects),
    }
    return {name: str(here) for name, (here, usual) in places.items() if here != usual}


def _usual(store: Store) -> Settings:
    """Where things lie for who has said nothing of it."""
    return current({"HOME": str(store.settings.user_home)})


def _logo(env: Environment) -> str:
    words = [word for word in re.split(r"[-_.]+", env.name) if word]
    monogram = (words[0][0] + words[1][0] if len(words) > 1 else env.name[:2]).upper()
    colour = _COLOURS[int(sha256(env.name.encode()).hexdigest(), 16) % len(_COLOURS)]
    template = _templates(env.language).joinpath("logo.svg").read_text("utf-8")
    return template.replace("{monogram}", monogram).replace("{colour}", colour).replace("{name}", env.name)
