"""What the benchmarks of locking and carrying share: an environment of some sixty distributions, and programs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from venvoy import settings
from venvoy.actions.bases import interpreter
from venvoy.actions.create import Plan, create
from venvoy.model import Actor, Environment
from venvoy.store import Store

WISHES = ("fastapi", "ipykernel", "matplotlib", "numpy", "pandas", "requests", "scikit-learn", "uvicorn")
PYTHON = "3.11"


def stack(home: Path) -> tuple[Store, Environment]:
    """Make it, with everything from the index."""
    listed = home / "requirements.txt"
    listed.write_text("\n".join(WISHES), "utf-8")
    store = Store(settings.current())
    python = interpreter(store, PYTHON).path
    plan = Plan(name="ours", python=str(python), requirements=listed)
    return store, create(store, plan, actor=Actor(kind="command", command="benchmark"))


def tools(home: Path, *names: str) -> Path:
    """A venv with the newest of other people's programs; returns its folder of programs."""
    subprocess.run([sys.executable, "-m", "venv", home / "tools"], check=True)
    run(home / "tools/bin/pip", "install", "--upgrade", "pip", *names)
    return home / "tools" / "bin"


def venvoy(*words: str | Path, **variables: str) -> None:
    """Run the program as a user does."""
    run(Path(sys.executable).with_name("venvoy"), *words, **variables)


def run(*words: str | Path, **variables: str) -> None:
    """Run anything; what it prints is shown only when it fails."""
    ran = subprocess.run(
        [*map(str, words)], env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"{words[0]} failed:\n{ran.stdout}{ran.stderr}")
