"""What an image says of itself (`guest/image.sh`): its system's packages, its interpreters and what these have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import InvalidInput
from ..model import Base, Contents, Ecosystem, Package
from .dist_info import canonical


def read(text: str) -> Contents:
    """Read what the script printed. Raises InvalidInput where it did not come to its end."""
    parts = _parts(text)
    if "end" not in parts:
        raise InvalidInput("the image did not say all about itself")
    python, *listed = parts["python"] or [""]
    rscript, *by_r = parts["r"] or [""]
    packages = (
        *_dpkg(parts["dpkg"]), *_apk(parts["apk"]), *_rpm(parts["rpm"]), *_listed("".join(listed)), *_r(by_r[1:]),
    )  # fmt: skip
    return Contents(
        machine="".join(parts["machine"][:1]),
        system=_system(parts["os-release"]),
        libc=_libc(parts["libc"]),
        python=_python(python),
        rscript=rscript,
        r_version="".join(by_r[:1]),
        packages=tuple(sorted(set(packages))),
    )


def _parts(text: str) -> Mapping[str, list[str]]:
    parts: dict[str, list[str]] = {
        each: [] for each in ("machine", "os-release", "libc", "dpkg", "apk", "rpm", "python", "r")
    }
    name = ""
    for line in text.splitlines():
        if line.startswith("== "):
            name = line[3:]
            parts.setdefault(name, [])
        elif name and line.strip():
            parts[name].append(line)
    return parts


def _system(lines: list[str]) -> str:
    said = dict(line.split("=", 1) for line in lines if "=" in line)
    return said.get("PRETTY_NAME", "").strip("\"'")


def _libc(lines: list[str]) -> str:
    text = "\n".join(lines)
    if found := re.search(r"musl libc.*?Version (\d+\.\d+(?:\.\d+)?)", text, re.DOTALL):
        return f"musl-{found[1]}"
    found = re.search(r"(\d+\.\d+)\s*$", lines[0]) if lines else None
    return f"glibc-{found[1]}" if found else ""


def _dpkg(lines: list[str]) -> Iterator[Package]:
    for line in lines:
        status, *rest = line.split("\t")
        if status.startswith("ii") and len(rest) == 3:
            yield _package("deb", *rest)


def _apk(lines: list[str]) -> Iterator[Package]:
    for line in lines:
        if found := re.fullmatch(r"(\S+)-(\d\S*-r\d+)", line.strip()):
            yield _package("apk", found[1], found[2])


def _rpm(lines: list[str]) -> Iterator[Package]:
    for line in lines:
        name, *rest = line.split("\t")
        if len(rest) == 3 and name != "gpg-pubkey":
            epoch, version, machine = rest
            yield _package("rpm", name, version if epoch in ("(none)", "0") else f"{epoch}:{version}", machine)


def _package(ecosystem: Ecosystem, name: str, version: str, machine: str = "") -> Package:
    return Package(ecosystem=ecosystem, name=name, version=version, build=machine)


def _python(text: str) -> Base | None:
    if not text:
        return None
    try:
        said = json.loads(text)
        return Base(path=Path(said.pop("path")), **said)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"the image's Python does not say what it is: {text:.200}") from error


def _listed(text: str) -> Iterator[Package]:
    """What `guest/distributions.py` printed; nothing where it could not."""
    if not text:
        return
    try:
        for ecosystem, name, version, build in json.loads(text):
            named = canonical(name) if ecosystem == "pypi" else name
            yield Package(ecosystem=ecosystem, name=named, version=version, build=build)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidInput(f"the image's Python does not say what it has: {text:.200}") from error


def _r(lines: list[str]) -> Iterator[Package]:
    for line in lines:
        name, _, version = line.partition("\t")
        if version:
            yield Package(ecosystem="cran", name=name, version=version)
