"""A Dockerfile that builds the environment from a public image, every hash checked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InvalidInput
from ..model import Ground, Image, Package, Snapshot
from . import r_image, system_packages
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
VENV = "/opt/venv"
"""Where the packages of an environment in a container lie in an image that is built of it, for all that is in it."""
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
_VERSION_OF_INDEX = re.compile(r"[0-9][\w.+!-]*", re.ASCII)
_NAME_ON_INDEX = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", re.ASCII)
_VERSION = re.compile(r"\d+\.\d+(?:\.\d+(?:(?:a|b|rc)\d+)?)?")


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """One file, without a context: the list of packages is printed into the image by plain RUN instructions.

    Here-documents would read better, but only BuildKit and new versions of Buildah know them; `RUN printf` is built
    alike by Docker with and without BuildKit, by Podman, Buildah and Kaniko. Nothing in it names a syntax to download.

    With a `ground` it begins from that image, and the packages come on top of what is in it. `loosely` takes by its
    version what has no hash yet.
    """

    name: str = "dockerfile"
    filename: str = "Dockerfile"
    ground: Ground | None = None
    loosely: bool = False

    def dump(self, snapshot: Snapshot) -> str:
        ground = self.ground
        lines = [
            *_original(ground),
            *head(snapshot, f"docker build -t {tag(snapshot)} {_context(ground)}", loosely=self.loosely),
            *(load(ground.image) if ground else []),
            *([] if ground and ground.image.dockerfile else [f"FROM {_from(snapshot, ground)}"]),
            *own_sources(snapshot),
            *(["USER root"] if ground else []),
            *(["USER root", f"ENV PATH={PREFIX}/bin:$PATH"] if snapshot.kind == "conda" else []),
            *map(alone, snapshot.halves),
            *steps(snapshot, ground, loosely=self.loosely),
            _USER if ground else "RUN useradd --create-home --non-unique --uid 1000 user",
            "USER 1000",
            "WORKDIR /home/user",
            *(["ENTRYPOINT []"] if ground else []),
            f'CMD ["{interpreter(snapshot)}"]',
        ]
        return "\n".join(lines) + "\n"


def own_sources(snapshot: Snapshot) -> list[str]:
    """The instructions by which other sources of packages are told than those that everybody has."""
    return [
        line
        for each in snapshot.halves
        for line in (
            f"# {index_of(each)} of your own is told with --build-arg {variable(each)}=URL; the hashes stay.",
            f"ARG {variable(each)}",
        )
    ]


def index_of(snapshot: Snapshot) -> str:
    """What packages come from, as its people call it."""
    return "A repository" if snapshot.kind == "r" else "An index"


def variable(snapshot: Snapshot) -> str:
    """The variable that names one's own."""
    return r_image.REPOSITORY if snapshot.kind == "r" else "PIP_INDEX_URL"


def alone(snapshot: Snapshot) -> str:
    """What keeps to the packages of the image, and finds them."""
    return f"ENV R_LIBS={r_image.LIBRARY}" if snapshot.kind == "r" else "ENV PYTHONNOUSERSITE=1"


_USER = (
    "RUN useradd --create-home --non-unique --uid 1000 user || adduser -D -u 1000 user || mkdir -p /home/user && "
    "chown 1000 /home/user"
)
"""The image may be of any system, and have such a user already."""


def head(snapshot: Snapshot, build: str, *, loosely: bool = False) -> list[str]:
    """Comments on what it is, how it is built, and what is not in it."""
    said = f"{snapshot.environment}: {snapshot.speech} on {snapshot.platform}, by venvoy"
    by_version = [*unlocked(snapshot), *r_image.unlocked(snapshot)] if loosely else []
    missing = [f"#   {named(each)}" for each in left_out(snapshot) if each not in by_version]
    built = [f"#   {plain(each.name)}" for each in hashed(snapshot) if _is_source(each)]
    return [
        f"# {plain(said)}",
        f"# build it: {build}",
        *(["# Not in it, for it cannot be fetched again by anybody:", *missing] if missing else []),
        *(["# Built from source here, by tools that no hash is known of:", *built] if built else []),
    ]


def load(image: Image) -> list[str]:
    """Comments on how the image is had that everything begins from, where no registry gives it by its digest."""
    here = image.kept
    if image.dockerfile:
        return []
    if image.registered:
        return [f"# {plain(image.reference)}, as it was:"]
    if not image.reference.startswith("/"):
        return ["# By its name alone: the registry's digest of the image is not known."]
    name = plain(shlex.quote(image.reference.rpartition("/")[2]))
    check = [f"# It begins from a file, {name}{f', with the sha256 {image.sha256}' if image.sha256 else ''}."]
    if image.reference.endswith(".sif"):
        unpack = f"apptainer build --sandbox base {name} && tar -C base -c . | docker import - {here}"
        return [*check, f"# Unpack it, once: {unpack}"]
    if image.file:  # what Docker calls it is not known: the digest is that of the SIF which was made of it
        named = f'"$(docker load --quiet --input {name} | sed "s/^[^:]*: //")"'
        return [*check, f"# Load it, once: docker tag {named} {here}"]
    return [*check, f"# Load it, once: docker load --input {name} && docker tag {image.digest[7:]} {here}"]


def base_name(image: Image) -> str:
    """What FROM says for an image: the name that is surest to mean the same."""
    name = image.registered or (image.kept if image.reference.startswith(("/", "sha256:")) else image.reference)
    if not _IMAGE.fullmatch(name):
        raise InvalidInput(f"{name!r} is not the name of an image")
    return name


def _original(ground: Ground | None) -> list[str]:
    """The Dockerfile that the image itself was built of; its first line may have to stay the first."""
    return [*ground.image.dockerfile.rstrip("\n").split("\n"), ""] if ground and ground.image.dockerfile else []


def _context(ground: Ground | None) -> str:
    if ground and ground.image.dockerfile:
        return f"-f Dockerfile {plain(shlex.quote(ground.image.reference.rpartition('/')[0] or '/'))}"
    return "- < Dockerfile"


def _from(snapshot: Snapshot, ground: Ground | None) -> str:
    return f"{_platform(snapshot)}{base_name(ground.image) if ground else image(snapshot)}"


def grounded(ground: Ground) -> list[str]:
    """The instructions between the image and the packages of its language: its system's packages, and a venv.

    The venv is on top of the image's own packages, as the environment's is, and is filled by the image's own pip.
    """
    said = ground.python
    if not re.fullmatch(r"/[\w./+-]+", said, re.ASCII):
        raise InvalidInput(f"{said!r} is no path of an interpreter in an image")
    return [
        *of_system(ground),
        f"RUN {said} -m pip --version || {said} -m ensurepip",
        f"RUN {said} -m venv --system-site-packages --without-pip {VENV}",
        f"ENV PATH={VENV}/bin:$PATH",
    ]


def of_system(ground: Ground) -> list[str]:
    """The instruction that installs the packages of the image's system, none where there are none."""
    words = [system_packages.pinned(each) for each in ground.system]
    by_system = system_packages.installing(ground.system[0].ecosystem, words) if words else []
    return [f"RUN {by_system[0]}", *by_system[1:]] if by_system else []


def unlocked(snapshot: Snapshot) -> list[Package]:
    """The packages of an index that no hash is known of, sorted."""
    return [
        each
        for each in sorted(snapshot.of("pypi"))
        if each.origin == "index" and not each.sha256 and _VERSION_OF_INDEX.fullmatch(each.version)
        and _NAME_ON_INDEX.fullmatch(each.name)
    ]  # fmt: skip


def steps(snapshot: Snapshot, ground: Ground | None = None, *, loosely: bool = False) -> list[str]:
    """The RUN instructions that install the packages, also for whoever translates them into another language."""
    if snapshot.r_version:
        first, second = snapshot.halves
        return [*steps(first, ground, loosely=loosely), *steps(second, loosely=loosely)]
    if snapshot.kind == "r":
        return _of_r(snapshot, ground, loosely=loosely)
    lines = [f"{requirement(each)} --hash=sha256:{each.sha256}" for each in hashed(snapshot)]
    by_conda = explicit_lines(snapshot)
    found = grounded(ground) if ground else []
    found += [f"RUN mkdir -p {LISTED.rpartition('/')[0]}"] if lines or by_conda else []
    found += _printed(by_conda, EXPLICIT)
    if by_conda:
        found.append(
            f"RUN micromamba install --yes --prefix {PREFIX} --file {EXPLICIT} && micromamba clean --all --yes"
        )
    found += _printed(lines, LISTED)
    by_pip = INSTALL.replace("python ", f"{python(snapshot)} ")
    if ground:
        # What the image has already in that very version is for the venv to have, too.
        by_pip += " --ignore-installed"
    if lines:
        found.append(f"RUN {by_pip} --require-hashes -r {LISTED}")
    if by_version := unlocked(snapshot) if loosely else []:
        words = [f"    '{each.name}=={each.version}'" for each in by_version]
        found += ["# By version alone: `venvoy freeze` looks their hashes up.", f"RUN {by_pip} \\"]
        found += [f"{each} \\" for each in words[:-1]] + words[-1:]
    # The commit is the hash of what it names, which git checks; pip knows no other for a repository.
    from_git = (repository(each) for each in sorted(snapshot.of("pypi")))
    return found + [f"RUN {by_pip} '{line}'" for line in from_git if line]


def _of_r(snapshot: Snapshot, ground: Ground | None, *, loosely: bool) -> list[str]:
    found = [*(of_system(ground) if ground else []), f"RUN mkdir -p {LISTED.rpartition('/')[0]} {r_image.LIBRARY}"]
    if lines := r_image.lines(snapshot, loosely=loosely):
        found += [*_printed(r_image.INSTALL.splitlines(), r_image.SCRIPT), *_printed(lines, r_image.LISTED)]
        found.append(f"RUN Rscript --vanilla {r_image.SCRIPT}")
    return found


def explicit_lines(snapshot: Snapshot) -> list[str]:
    """The conda packages as an explicit list, every file with its hash; none where there is no conda package."""
    if snapshot.kind != "conda":
        return []
    return [line for line in Explicit().dump(snapshot).splitlines() if not line.startswith("#")]


def python(snapshot: Snapshot) -> str:
    """The interpreter in the image, as a shell without anybody's settings finds it."""
    return f"{PREFIX}/bin/python" if snapshot.kind == "conda" else "python"


def interpreter(snapshot: Snapshot) -> str:
    """What the image starts."""
    return "R" if snapshot.kind == "r" else python(snapshot)


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
    if snapshot.r_version:
        raise InvalidInput(
            f"{snapshot.environment!r} speaks Python and R, and no public image is known to have both",
            hint=f"name one that has: venvoy configure {snapshot.environment} --set base_image=IMAGE",
        )
    if snapshot.kind == "conda":
        return MICROMAMBA
    if snapshot.kind == "r":
        return r_image.image(snapshot.language_version)
    version = _VERSION.match(snapshot.language_version)
    if not version:
        raise InvalidInput(f"there is no public image of Python {snapshot.language_version!r}")
    builds = any(_is_source(each) for each in hashed(snapshot)) or any(map(repository, snapshot.packages))
    return f"docker.io/library/python:{version[0]}{'' if builds else '-slim'}"


def left_out(snapshot: Snapshot) -> tuple[Package, ...]:
    """The packages that the image will lack."""
    by_conda = {each for each in snapshot.of("conda") if is_pinned(each)} | set(r_image.hashed(snapshot))
    return tuple(each for each in unhashed(snapshot) if each not in by_conda and not repository(each))


def tag(snapshot: Snapshot) -> str:
    """The environment's name as an image may have it."""
    return image_tag(snapshot.environment)


def image_tag(name: str) -> str:
    """A name as an image may have it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "environment"


def tied(snapshot: Snapshot) -> list[str]:
    """The names of the packages whose files are for one kind of machine alone."""
    files = ((each, each.url.partition("#")[0]) for each in snapshot.packages)
    return [each.name for each, file in files if file.endswith(".whl") and not file.endswith("-any.whl")] + [
        each.name for each in snapshot.of("conda") if each.subdir != "noarch"
    ]


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
