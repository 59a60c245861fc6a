"""What tests of actions need: real environments, made quickly and without any index."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

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
