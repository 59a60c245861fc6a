"""Reading what is installed: 50, 200 and 500 distributions, against the freezes of uv and pip."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from side_by_side import compare, own_home

from venvoy import settings
from venvoy.actions.create import Plan, create
from venvoy.actions.observe import observe
from venvoy.managers import uv
from venvoy.model import Actor, Environment
from venvoy.store import Store

SOURCE = ("jupyterlab",)
"""Real metadata to make distributions from: what this brings along has long and short ones."""


def main() -> None:
    with own_home() as home:
        store = Store(settings.current())
        actor = Actor(kind="command", command="benchmark")
        real = _real_metadata(home)
        for count in (50, 200, 500):
            env = create(store, Plan(name=f"with-{count}"), actor=actor)
            _fill(env, real, count)
            python = str(env.python)
            assert len(observe(store, env).packages) == count + 1
            compare(
                f"snapshot of {count} distributions",
                {
                    "venvoy observe": lambda env=env: observe(store, env),
                    "uv pip freeze": lambda python=python: _quiet(uv.program(), "pip", "freeze", "--python", python),
                    "pip freeze": lambda python=python: _quiet(python, "-m", "pip", "freeze"),
                },
                rounds=7,
            )


def _real_metadata(home: Path) -> list[Path]:
    folder = home / "real"
    command = [uv.program(), "pip", "install", "-q", "--system-certs", "--target", folder, "--python", "3.11", *SOURCE]
    subprocess.run(command, check=True)
    return sorted(folder.glob("*.dist-info"))


def _fill(env: Environment, real: list[Path], count: int) -> None:
    """Copies of real metadata under names of their own, none requiring the others."""
    site = next(env.prefix.glob("lib/python*/site-packages"))
    for number in range(count):
        source = real[number % len(real)]
        name = f"copied{number}"
        target = site / f"{name}-1.0.dist-info"
        shutil.copytree(source, target)
        head, _, body = (target / "METADATA").read_text("utf-8").partition("\n\n")
        lines = [line for line in head.splitlines() if not line.startswith(("Name:", "Version:"))]
        renamed = "\n".join([f"Name: {name}", "Version: 1.0", *lines])
        (target / "METADATA").write_text(f"{renamed}\n\n{body}", "utf-8")
        (target / "direct_url.json").unlink(missing_ok=True)


def _quiet(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


if __name__ == "__main__":
    main()
