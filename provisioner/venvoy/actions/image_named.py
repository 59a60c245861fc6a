"""What the words of `--image` name: a file, a folder, or an image of a registry."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ..errors import InvalidInput

_SIF = b"SIF_MAGIC"


def file_named(wanted: str) -> Path | None:
    """The file or folder that `wanted` is the path of, None where it is a name. Raises InvalidInput for neither.

    A folder that happens to be called as an image is taken only where an image is in it; a Dockerfile in it counts.
    """
    if not wanted.isprintable() or not wanted.strip():
        raise InvalidInput(f"{wanted!r} is neither a file nor the name of an image")
    path = Path(os.path.abspath(os.path.expanduser(wanted)))  # noqa: PTH100, PTH111  # never fail
    pointed = wanted.startswith(("/", "./", "../", "~"))
    if os.path.isfile(path):  # noqa: PTH113  # False for a name that is too long
        return path
    if os.path.isdir(path):  # noqa: PTH112
        if any((path / each).is_file() for each in ("index.json", "manifest.json")):
            return path
        if (path / "Dockerfile").is_file():
            return path / "Dockerfile"
        if pointed:
            raise InvalidInput(
                f"there is no image in the folder {path}: no OCI layout (index.json), and no Dockerfile",
                hint="name an archive, a SIF, a Dockerfile, or a folder that was saved as an OCI layout",
            )
        return None
    if os.path.exists(path) and pointed:  # noqa: PTH110
        raise InvalidInput(f"{path} is neither a file nor a folder")
    if pointed or re.search(r"\.(sif|simg|tar|tgz|tar\.(gz|zst|xz)|def)$", wanted):
        raise InvalidInput(f"there is no file {path}", hint="names of images do not begin with /, ./ or ~")
    return None


def is_sif(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return _SIF in stream.read(64)
    except OSError:
        return False


def is_recipe(path: Path) -> bool:
    """Whether it is a Dockerfile: by its name, or because its first instruction is one."""
    if not path.is_file():
        return False
    if re.fullmatch(r"(?i)(docker|container)file(\..+)?|.+\.(docker|container)file", path.name):
        return True
    try:
        with path.open("rb") as stream:
            start = stream.read(4096).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    lines = [line.strip() for line in start.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    return bool(lines) and re.match(r"(?i)(from|arg)\s", lines[0]) is not None


def recipe_text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {path}: {error}") from error
