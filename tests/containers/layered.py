"""Add a layer to an image of `images.py`, or make one of a single layer: real images for what the usual ones never are."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import images


def layered(file: Path, files: Mapping[str, bytes], *, on: Path | None = None, variables: tuple[str, ...] = ()) -> str:
    """Write a docker-archive of `files` (path to content) laid over the image in the archive `on`; returns its digest."""
    folder = file.parent
    layers = [] if on is None else [_layer_of(on, folder / f".{file.stem}.base")]
    own = folder / f".{file.stem}.layer"
    with tarfile.open(own, "w", format=tarfile.GNU_FORMAT) as archive:
        for path, content in sorted(files.items()):
            entry = tarfile.TarInfo(path.lstrip("/"))
            entry.size, entry.mode = len(content), 0o755 if "/bin/" in path else 0o644
            archive.addfile(entry, io.BytesIO(content))
    recipe = images.Recipe("", (), ("/bin/sh",), variables)
    digest = images.pack(file, f"venvoy-test/{file.stem}:1", recipe, *layers, own)
    for each in (*layers, own):
        each.unlink()
    return digest


def _layer_of(archive: Path, target: Path) -> Path:
    with tarfile.open(archive) as opened:
        (layer,) = json.loads(opened.extractfile("manifest.json").read())[0]["Layers"]
        with opened.extractfile(layer) as stream, target.open("wb") as written:
            while chunk := stream.read(1 << 20):
                written.write(chunk)
    return target
