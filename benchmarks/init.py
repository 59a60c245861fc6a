"""An environment with 20 packages, installed and recorded, against `python -m venv` and pip; caches warm for both."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from side_by_side import compare, own_home

from venvoy import settings
from venvoy.actions.bases import interpreter
from venvoy.actions.create import Plan, create
from venvoy.model import Actor
from venvoy.store import Store

PACKAGES = (
    "attrs", "certifi", "charset-normalizer", "click", "colorama", "filelock", "idna", "iniconfig", "jinja2",
    "markupsafe", "networkx", "packaging", "platformdirs", "pluggy", "pygments", "pytest", "requests", "six", "tqdm",
    "urllib3",
)  # fmt: skip


def main() -> None:
    with own_home() as home:
        store = Store(settings.current())
        listed = home / "requirements.txt"
        listed.write_text("\n".join(PACKAGES), "utf-8")
        python = interpreter(store, "3.11").path
        actor = Actor(kind="command", command="benchmark")
        plan = Plan(name="ours", python=str(python), requirements=listed, force=True)
        compare(
            "init with 20 packages",
            {
                "venvoy init": lambda: create(store, plan, actor=actor),
                "python -m venv + pip install": lambda: _by_hand(python, home / "theirs", listed),
            },
            rounds=5,
            unit="s",
        )


def _by_hand(python: Path, folder: Path, listed: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([python, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "-q", "-r", listed], check=True, capture_output=True)


if __name__ == "__main__":
    main()
