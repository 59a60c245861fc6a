"""Put wheels into a prefix without any interpreter, for one that is only to be looked at, or run elsewhere.

Source: PyPA's binary distribution format ("Installing a wheel") and "Recording installed projects".
"""

from __future__ import annotations

import base64
import configparser
import csv
import hashlib
import io
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO

from ..errors import InvalidInput

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, UnicodeError, ValueError, NotImplementedError, configparser.Error)
_INSTALLER = b"venvoy\n"
_SCRIPT = """\
#!{python}
import sys
from {module} import {first}
if __name__ == "__main__":
    sys.exit({call}())
"""
_ENTRY = re.compile(r"(?P<module>[\w.]+)\s*:\s*(?P<call>[\w.]+)\s*(\[.*\])?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The Python that a prefix is for: its path and its version where it will run, and the prefix's own path there."""

    path: str
    version: str
    prefix: str

    @property
    def minor(self) -> str:
        return ".".join(self.version.split(".")[:2])


def spread(wheels: Iterable[Path], prefix: Path, python: Interpreter) -> None:
    """Make `prefix`, a new folder, a venv on that interpreter with those wheels in it; nothing is executed.

    Raises InvalidInput for what is no wheel, for a name that leads out of the prefix, and for more than the disk has.
    """
    site = prefix / "lib" / f"python{python.minor}" / "site-packages"
    site.mkdir(parents=True)
    programs = prefix / "bin"
    programs.mkdir()
    for name in ("python", "python3"):
        (programs / name).symlink_to(python.path)
    settings = {"home": str(PurePosixPath(python.path).parent), "include-system-site-packages": "true",
                "version": python.version}  # fmt: skip
    (prefix / "pyvenv.cfg").write_text("".join(f"{key} = {value}\n" for key, value in settings.items()), "utf-8")
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                _Wheel(archive, prefix, site, python).install()
        except _BROKEN as error:
            raise InvalidInput(f"{wheel.name} is no wheel, or damaged: {error}") from error
        except KeyError as error:
            raise InvalidInput(f"{wheel.name} is no wheel: {error}") from error
        except InvalidInput as error:
            raise InvalidInput(f"{wheel.name} is refused: {error.message}") from error
        except OSError as error:
            raise InvalidInput(f"{wheel.name} cannot be unpacked: {error}") from error


@dataclass(frozen=True, slots=True)
class _Wheel:
    """One wheel on its way into `prefix`."""

    archive: zipfile.ZipFile
    prefix: Path
    site: Path
    python: Interpreter

    def install(self) -> None:
        entries = [each for each in self.archive.infolist() if not each.is_dir()]
        need, free = sum(each.file_size for each in entries), shutil.disk_usage(self.prefix).free
        if need > free:
            raise InvalidInput(f"it unpacks to {need} bytes, and {free} are free")
        [info] = {name for each in entries if (name := each.filename.partition("/")[0]).endswith(".dist-info")}
        rows = [self._put(each, info) for each in entries if each.filename != f"{info}/RECORD"]
        rows += [self._script(name, target) for name, target in self._entry_points(info)]
        rows.append(self._write(self.site / info / "INSTALLER", _INSTALLER))
        text = io.StringIO()
        written = csv.writer(text, lineterminator="\n")
        written.writerows([*sorted(rows), (f"{info}/RECORD", "", "")])
        (self.site / info / "RECORD").write_text(text.getvalue(), "utf-8")

    def _put(self, entry: zipfile.ZipInfo, info: str) -> tuple[str, str, str]:
        target, script = self._target(entry.filename, info)
        target.parent.mkdir(parents=True, exist_ok=True)
        hashed = hashlib.sha256()
        with self.archive.open(entry) as source, target.open("xb") as stream:
            first = source.readline(1 << 16) if script else b""
            read = len(first)
            if first.startswith(b"#!python"):
                first = f"#!{self._own_python()}".encode() + b"\n"
            put = len(first)
            for block in chain((first,), _blocks(source)):
                hashed.update(block)
                stream.write(block)
            size = stream.tell()
        if size - put + read != entry.file_size:
            raise InvalidInput(f"{entry.filename!r} is not what it announces")
        mode = entry.external_attr >> 16
        target.chmod(0o755 if script or mode & stat.S_IXUSR else 0o644)
        return self._row(target, hashed.digest(), size)

    def _target(self, name: str, info: str) -> tuple[Path, bool]:
        """Where a member goes, and whether it is a script."""
        parts = _parts(name)
        data = f"{info.removesuffix('.dist-info')}.data"
        if parts[0] != data:
            return self.site.joinpath(*parts), False
        if len(parts) < len((data, "kind", "name")):
            raise InvalidInput(f"{name!r} is of no kind")
        project = info.partition("-")[0]
        places = {
            "purelib": self.site,
            "platlib": self.site,
            "scripts": self.prefix / "bin",
            "data": self.prefix,
            "headers": self.prefix / "include" / "site" / f"python{self.python.minor}" / project,
        }
        if parts[1] not in places:
            raise InvalidInput(f"{name!r} is of no kind")
        return places[parts[1]].joinpath(*parts[2:]), parts[1] == "scripts"

    def _entry_points(self, info: str) -> Iterator[tuple[str, str]]:
        name = f"{info}/entry_points.txt"
        if name not in self.archive.namelist():
            return
        said = configparser.ConfigParser(delimiters=("=",), interpolation=None)
        said.optionxform = str  # type: ignore[assignment,method-assign]  # names keep their capitals
        said.read_string(self.archive.read(name).decode("utf-8"))
        for section in ("console_scripts", "gui_scripts"):
            if said.has_section(section):
                yield from said.items(section)

    def _script(self, name: str, target: str) -> tuple[str, str, str]:
        found = _ENTRY.fullmatch(target.strip())
        if found is None or len(_parts(name)) != 1:
            raise InvalidInput(f"its program {name!r} leads nowhere")
        first = found["call"].partition(".")[0]
        text = _SCRIPT.format(python=self._own_python(), module=found["module"], first=first, call=found["call"])
        row = self._write(self.prefix / "bin" / name, text.encode())
        (self.prefix / "bin" / name).chmod(0o755)
        return row

    def _own_python(self) -> str:
        return f"{self.python.prefix}/bin/python"

    def _write(self, target: Path, content: bytes) -> tuple[str, str, str]:
        target.unlink(missing_ok=True)
        target.write_bytes(content)
        return self._row(target, hashlib.sha256(content).digest(), len(content))

    def _row(self, target: Path, digest: bytes, size: int) -> tuple[str, str, str]:
        encoded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return os.path.relpath(target, self.site), f"sha256={encoded}", str(size)


def _parts(name: str) -> tuple[str, ...]:
    parts = tuple(name.split("/"))
    if any(each in ("", ".", "..") for each in parts) or "\\" in name or "\0" in name:
        raise InvalidInput(f"the name {name[:200]!r} leads out of it")
    return parts


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    while block := source.read(1 << 20):
        yield block
