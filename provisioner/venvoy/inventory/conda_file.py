"""What a conda package file says of itself: the index.json in a `.conda` (CEP 35) or `.tar.bz2`."""

from __future__ import annotations

import io
import json
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import zstandard

from ..errors import InvalidInput

_INDEX = "info/index.json"
_LARGEST = 50_000_000
"""Bytes of the part with the metadata, unpacked; the largest on conda-forge have a tenth of that."""
# RuntimeError: a link that leads to itself, a compression or a password that zipfile does not know.
_BROKEN = (
    OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, struct.error, zlib.error,
    tarfile.TarError, zipfile.BadZipFile, zstandard.ZstdError,
)  # fmt: skip


def index(file: Path) -> Mapping[str, object]:
    """The index.json of the package. Raises InvalidInput for a file that is none."""
    try:
        text = _of_conda(file) if file.suffix == ".conda" else _of_tar(file)
        said = json.loads(text)
    except _BROKEN as error:
        raise InvalidInput(f"{file} is no conda package: {error}") from error
    if not isinstance(said, dict):
        raise InvalidInput(f"{file} is no conda package: its {_INDEX} is no mapping")
    return said


def _of_conda(file: Path) -> bytes:
    with zipfile.ZipFile(file) as archive:
        [name] = [each for each in archive.namelist() if each.startswith("info-") and each.endswith(".tar.zst")]
        with archive.open(name) as part:
            packed = part.read(_LARGEST)
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as stream:
        unpacked = stream.read(_LARGEST)
    with tarfile.open(fileobj=io.BytesIO(unpacked)) as tar:
        return _read(tar)


def _of_tar(file: Path) -> bytes:
    with tarfile.open(file, "r:bz2") as tar:
        return _read(tar)


def _read(tar: tarfile.TarFile) -> bytes:
    found = tar.extractfile(_INDEX)
    if found is None:
        raise KeyError(_INDEX)
    return found.read(_LARGEST)
