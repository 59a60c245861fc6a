"""Real kernelspecs, one for each environment, in the user's Jupyter data folder."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir

from .. import files
from ..model import Environment, Finding
from ..store import Store

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


def spec(store: Store, env: Environment, *, encrypts: bool) -> Spec:
    """The kernelspec of an environment; equal environments give equal bytes."""
    template = json.loads(_templates(env.language).joinpath("kernel.json").read_text("utf-8"))
    said = _filled(template, {"interpreter": sys.executable, "name": env.name})
    said["env"] = _moved(store)
    said["metadata"][KEY] = {"environment": env.name}
    if encrypts:
        said["metadata"]["supported_encryption"] = ["curve"]
    return Spec(
        folder=_kernels() / spec_name(env.name),
        texts={"kernel.json": json.dumps(said, indent=1) + "\n", "logo-svg.svg": _logo(env)},
    )


def write(wanted: Spec) -> Path:
    """Put the kernelspec where Jupyter looks; nothing is touched when it is there already."""
    for name, text in wanted.texts.items():
        file = wanted.folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            files.replace(file, text)
    return wanted.folder


def remove(env_name: str) -> None:
    """Take the kernelspec of an environment away; one that is not ours is left alone."""
    folder = _kernels() / spec_name(env_name)
    if _environment_of(folder) is not None:
        files.remove(folder)


def finding(wanted: Spec, env: Environment) -> Finding | None:
    """What is wrong with the kernelspec as it lies there, or None."""
    mend = f"venvoy repair {env.name}"
    if not (wanted.folder / "kernel.json").exists():
        return Finding(code="kernelspec-missing", message=f"Jupyter has no kernel for {env.name!r}", mend=mend)
    for name, text in wanted.texts.items():
        file = wanted.folder / name
        if not file.exists() or file.read_text("utf-8") != text:
            return Finding(code="kernelspec-stale", message=f"{file} is not as it should be", mend=mend)
    return None


def orphans(store: Store) -> Iterator[Path]:
    """Kernelspecs of ours whose environment is gone."""
    for folder in sorted(_kernels().glob("venvoy-*")):
        name = _environment_of(folder)
        if name is not None and not store.exists(name):
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
    from ..settings import current

    plain = current({"HOME": str(store.settings.user_home)})
    places = {
        "VENVOY_HOME": (store.settings.home, plain.home),
        "VENVOY_PROJECTS": (store.settings.projects, plain.projects),
    }
    return {name: str(here) for name, (here, usual) in places.items() if here != usual}


def _logo(env: Environment) -> str:
    words = [word for word in re.split(r"[-_.]+", env.name) if word]
    monogram = (words[0][0] + words[1][0] if len(words) > 1 else env.name[:2]).upper()
    colour = _COLOURS[int(sha256(env.name.encode()).hexdigest(), 16) % len(_COLOURS)]
    template = _templates(env.language).joinpath("logo.svg").read_text("utf-8")
    return template.replace("{monogram}", monogram).replace("{colour}", colour).replace("{name}", env.name)
