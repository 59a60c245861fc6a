"""Fetch the wheels that the test channel is made of: an ipykernel and all it needs here, some packages everywhere.

    python tests/conda/wheels.py FOLDER

FOLDER gets one folder for each of conda's platforms.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import uv
from packaging.utils import parse_wheel_filename

from venvoy import fetch

FOR = "3.12"
EVERYWHERE = ("click", "jinja2")
HERE = ("ipykernel", "packaging", "six==1.16.0", "six==1.17.0")
PLATFORMS = {
    "linux-64": ("x86_64-manylinux_2_28", r"(many)?linux.*_x86_64"),
    "linux-aarch64": ("aarch64-manylinux_2_28", r"(many)?linux.*_aarch64"),
    "osx-64": ("x86_64-apple-darwin", r"macosx_.*_(x86_64|universal2)"),
    "osx-arm64": ("aarch64-apple-darwin", r"macosx_.*_(arm64|universal2)"),
    "win-64": ("x86_64-pc-windows-msvc", r"win_amd64"),
}


def main() -> None:
    folder = Path(sys.argv[1])
    wanted = []
    for subdir, (platform, pattern) in PLATFORMS.items():
        names = (*EVERYWHERE, *HERE) if subdir == "linux-64" else EVERYWHERE
        (folder / subdir).mkdir(parents=True, exist_ok=True)
        for url, sha256 in _files(names, platform, pattern):
            file = folder / subdir / url.rpartition("/")[2]
            wanted.append(fetch.Wanted(urls=(url,), file=file, sha256=sha256))
    if missed := fetch.fetch(wanted):
        sys.exit(f"{missed[0].wanted.file.name}: {missed[0].reason}")


def _files(names: tuple[str, ...], platform: str, pattern: str) -> Iterator[tuple[str, str]]:
    """The url and hash of the wheel of everything that is needed there; versions of one package are asked for apart."""
    doubled = [each for each in names if "==" in each]
    rounds = [tuple(each for each in names if each not in doubled), *((each,) for each in doubled)]
    for each in rounds:
        asked = [
            uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--format", "pylock.toml", "--only-binary",
            ":all:", "--python", sys.executable, "--python-platform", platform, "--python-version", FOR, "-",
        ]  # fmt: skip
        text = "".join(f"{name}\n" for name in each)
        variables = {**os.environ, "UV_SYSTEM_CERTS": "1", "UV_PREVIEW_FEATURES": "pylock"}
        said = subprocess.run(asked, input=text, capture_output=True, text=True, check=True, env=variables).stdout
        for package in tomllib.loads(said)["packages"]:
            wheel = next(one for one in package["wheels"] if _fits(one["url"].rpartition("/")[2], pattern))
            yield wheel["url"], wheel["hashes"]["sha256"]


def _fits(name: str, pattern: str) -> bool:
    abi = FOR.replace(".", "")
    return any(
        (tag.platform == "any" or re.fullmatch(pattern, tag.platform))
        and (
            tag.interpreter in ("py3", "py2.py3", f"cp{abi}")
            or (tag.abi == "abi3" and tag.interpreter.startswith("cp3"))
        )
        and tag.abi in ("none", "abi3", f"cp{abi}")
        for tag in parse_wheel_filename(name)[3]
    )


if __name__ == "__main__":
    main()
