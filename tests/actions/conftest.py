"""What tests of actions need: real environments, made quickly and without any index."""

import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from layered import layered

from venvoy.actions.detect import detect
from venvoy.actions.relocate import relocate
from venvoy.model import Environment

TOOL = {"tool/__init__.py": "def main(): print('a tool')\n", "tool/deep/part.py": ""}


@pytest.fixture
def light(wheelhouse):
    """A wheelhouse whose pip is no more than a name, and a marker in two versions."""
    wheelhouse.add("pip", "99.0")
    for version in ("1.0", "2.0"):
        wheelhouse.add("marker", version)
    return wheelhouse


@pytest.fixture
def python(pythons) -> str:
    """An interpreter by its path, so that nobody has to look for one."""
    return str(next(pythons[each] for each in ("3.12", "3.11", "3.13") if each in pythons))


@pytest.fixture
def init(make, python) -> Callable[..., Environment]:
    """Make the environment `demo`: `init("six==1.0", force=True)`."""
    return lambda *requirements, **said: make("demo", *requirements, **{"python": python, **said})


@pytest.fixture(scope="session")
def shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def tooled(shelf, settings, store, init, light) -> Environment:
    """An environment in which all is well: tool needs marker and has a script. It is built once, and then copied."""
    light.add("tool", requires=("marker>=1",), scripts={"tool": "tool:main"}, files=TOOL)
    kept = shelf / "home"
    if not kept.exists():
        env = init("tool")
        shutil.copytree(settings.home / "environments", kept / "environments", symlinks=True)
        shutil.copytree(settings.projects, kept / "projects")
        (kept / "prefix").write_text(str(env.prefix))
        return env
    shutil.copytree(kept / "environments", settings.home / "environments", symlinks=True)
    shutil.copytree(kept / "projects", settings.projects)
    env = store.environment("demo")
    relocate(env.prefix, ((kept / "prefix").read_text(),), env.prefix)
    return env


@pytest.fixture
def listed(tmp_path) -> Callable[..., Path]:
    """Write a requirements file."""

    def written(*lines: str, name: str = "listed.txt") -> Path:
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
        return tmp_path / name

    return written


# --- containers


@pytest.fixture(scope="session")
def of_layers(tmp_path_factory, image_file) -> Iterator[Callable[..., Path]]:
    """Make an image that nobody else has: `of_layers("old", {"etc/one": b"1"}, on="python:3.11")`; it goes at the end."""
    made: dict[str, tuple[Path, str]] = {}
    own = f"OF_TEST={secrets.token_hex(8)}"

    def layered_once(name: str, files: Mapping[str, bytes], *, on: str = "") -> Path:
        if name not in made:
            file = tmp_path_factory.mktemp("image") / f"{name}.tar"
            made[name] = file, layered(file, files, on=image_file(on) if on else None, variables=(own,))
        return made[name][0]

    yield layered_once
    for file, digest in made.values():
        file.unlink(missing_ok=True)
        for each in (found for found in detect().runtimes if found.usable and found.name in ("docker", "podman")):
            forget = [each.name, "rmi", "--force", digest.removeprefix("sha256:")]
            subprocess.run(forget, check=False, capture_output=True)


@pytest.fixture
def runtime(detected):
    """A container runtime by its name, where it can be used here."""

    def named(name):
        found = detected.named(name)
        if not found.usable:
            pytest.skip(f"{name} cannot be used here: {found.problem}")
        return found

    return named
