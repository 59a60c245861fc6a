"""A Dockerfile that builds the environment from a public image, every hash checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..model import Package, Snapshot
from .explicit import Explicit
from .pylock import is_pinned
from .requirements import hashed, named, plain, repository, requirement
from .requirements import left_out as unhashed

LISTED = "/usr/local/share/venvoy/requirements.txt"
EXPLICIT = "/usr/local/share/venvoy/explicit.txt"
"""Where the image itself says what is in it."""
PREFIX = "/opt/conda"
"""The prefix of micromamba's own image."""
MICROMAMBA = "docker.io/mambaorg/micromamba:1.5.8"
INSTALL = "PIP_ROOT_USER_ACTION=ignore python -m pip install --no-cache-dir --no-deps"
# One argument of a program may be 128 KiB long on Linux, and what stands behind RUN is one argument of the shell; a
# section of a definition may be 64 KiB long (Apptainer reads it with Go's bufio.Scanner).
_LONGEST = 30_000
_ARCHITECTURES: Mapping[str, str] = {
    "x86_64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
}
_IMAGE = re.compile(r"[A-Za-z0-9][\w./:@-]*", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+(?:(?:a|b|rc)\d+)?)?")


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """One file, without a context: the list of packages is printed into the image by plain RUN instructions.

    Here-documents would read better, but only BuildKit and new versions of Buildah know them; `RUN printf` is built
    alike by Docker with and without BuildKit, by Podman, Buildah and Kaniko. Nothing in it names a syntax to download.
    """

    name: str = "dockerfile"
    filename: str = "Dockerfile"

    def dump(self, snapshot: Snapshot) -> str:
        lines = [
            *head(snapshot, f"docker build -t {tag(snapshot)} - < Dockerfile"),
            f"FROM {_platform(snapshot)}{image(snapshot)}",
            "# An index of your own is told with --build-arg PIP_INDEX_URL=URL; the hashes stay.",
            "ARG PIP_INDEX_URL",
            *(["USER root", f"ENV PATH={PREFIX}/bin:$PATH"] if snapshot.kind == "conda" else []),
            "ENV PYTHONNOUSERSITE=1",
            *steps(snapshot),
            "RUN useradd --create-home --non-unique --uid 1000 user",
            "USER 1000",
            "WORKDIR /home/user",
            f'CMD ["{python(snapshot)}"]',
        ]
        return "\n".join(lines) + "\n"


def head(snapshot: Snapshot, build: str) -> list[str]:
    """Comments on what it is, how it is built, and what is not in it."""
    said = f"{snapshot.environment}: Python {snapshot.language_version} on {snapshot.platform}, by venvoy"
    missing = [f"#   {named(each)}" for each in left_out(snapshot)]
    built = [f"#   {plain(each.name)}" for each in hashed(snapshot) if _is_source(each)]
    return [
        f"# {plain(said)}",
        f"# build it: {build}",
        *(["# Not in it, for it cannot be fetched again by anybody:", *missing] if missing else []),
        *(["# Built from source here, by tools that no hash is known of:", *built] if built else []),
    ]


def steps(snapshot: Snapshot) -> list[str]:
    """The RUN instructions that install the packages, also for whoever translates them into another language."""
    lines = [f"{requirement(each)} --hash=sha256:{each.sha256}" for each in hashed(snapshot)]
    by_conda = explicit_lines(snapshot)
    found = [f"RUN mkdir -p {LISTED.rpartition('/')[0]}"] if lines or by_conda else []
    found += _printed(by_conda, EXPLICIT)
    if by_conda:
        found.append(
            f"RUN micromamba install --yes --prefix {PREFIX} --file {EXPLICIT} && micromamba clean --all --yes"
        )
    found += _printed(lines, LISTED)
    by_pip = INSTALL.replace("python ", f"{python(snapshot)} ")
    if lines:
        found.append(f"RUN {by_pip} --require-hashes -r {LISTED}")
    # The commit is the hash of what it names, which git checks; pip knows no other for a repository.
    from_git = (repository(each) for each in sorted(snapshot.of("pypi")))
    return found + [f"RUN {by_pip} '{line}'" for line in from_git if line]


def explicit_lines(snapshot: Snapshot) -> list[str]:
    """The conda packages as an explicit list, every file with its hash; none where there is no conda package."""
    if snapshot.kind != "conda":
        return []
    return [line for line in Explicit().dump(snapshot).splitlines() if not line.startswith("#")]


def python(snapshot: Snapshot) -> str:
    """The interpreter in the image, as a shell without anybody's settings finds it."""
    return f"{PREFIX}/bin/python" if snapshot.kind == "conda" else "python"


def _printed(lines: Sequence[str], file: str) -> list[str]:
    found: list[str] = []
    for part in _parts(lines):
        found += ["RUN printf '%s\\n' \\", *(f"    '{line}' \\" for line in part), f"    >> {file}"]
    return found


def image(snapshot: Snapshot) -> str:
    """The public image: the snapshot's own, or the official one of its Python.

    The slim one where every file is a wheel; the whole one, with compilers and git, where something must be built.
    Raises InvalidInput for a name that no image can have.
    """
    if snapshot.image:
        if not _IMAGE.fullmatch(snapshot.image):
            raise InvalidInput(f"{snapshot.image!r} is not the name of an image")
        return snapshot.image
    if snapshot.kind == "conda":
        return MICROMAMBA
    version = _VERSION.match(snapshot.language_version)
    if not version:
        raise InvalidInput(f"there is no public image of Python {snapshot.language_version!r}")
    builds = any(_is_source(each) for each in hashed(snapshot)) or any(map(repository, snapshot.packages))
    return f"docker.io/library/python:{version[0]}{'' if builds else '-slim'}"


def left_out(snapshot: Snapshot) -> tuple[Package, ...]:
    """The packages that the image will lack."""
    by_conda = {each for each in snapshot.of("conda") if is_pinned(each)}
    return tuple(each for each in unhashed(snapshot) if each not in by_conda and not repository(each))


def tag(snapshot: Snapshot) -> str:
    """The environment's name as an image may have it."""
    return re.sub(r"[^a-z0-9]+", "-", snapshot.environment.lower()).strip("-") or "environment"


def _platform(snapshot: Snapshot) -> str:
    # The files are those of one architecture; elsewhere the image is emulated, and not refused hash by hash.
    architecture = _ARCHITECTURES.get(snapshot.platform.rpartition("-")[2])
    return f"--platform=linux/{architecture} " if architecture else ""


def _is_source(package: Package) -> bool:
    return not package.url.partition("#")[0].endswith(".whl")


def _parts(lines: Sequence[str]) -> Iterator[list[str]]:
    part: list[str] = []
    for line in lines:
        if part and sum(map(len, part)) + len(line) > _LONGEST:
            yield part
            part = []
        part.append(line)
    if part:
        yield part
