"""A lock with url and hash of what is installed, against `pip lock` and `uv pip compile` of the same exact versions."""

from __future__ import annotations

import subprocess

import uv
from side_by_side import compare, own_home
from stack import run, stack, tools, venvoy


def main() -> None:
    with own_home() as home:
        _, env = stack(home)
        pip = tools(home) / "pip"
        exact = home / "exact.txt"
        said = subprocess.run(
            [uv.find_uv_bin(), "pip", "freeze", "--python", env.python], check=True, capture_output=True, text=True
        )
        exact.write_text(said.stdout, "utf-8")
        print(f"{len(said.stdout.splitlines())} distributions")
        compiled = ("pip", "compile", "--no-deps", "--python", env.python, "--format", "pylock.toml", exact)
        compare(
            "freeze",
            {
                "venvoy freeze": lambda: venvoy("freeze", "ours"),
                "uv pip compile of the exact list": lambda: run(
                    uv.find_uv_bin(), *compiled, "-o", home / "pylock.uv.toml"
                ),
                "pip lock of the exact list": lambda: run(
                    pip, "lock", "--no-deps", "-r", exact, "-o", home / "pylock.toml"
                ),
            },
            rounds=5,
            unit="s",
        )


if __name__ == "__main__":
    main()
