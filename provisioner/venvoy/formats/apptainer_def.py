"""An Apptainer (Singularity) definition: the Dockerfile's steps, translated by spython."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import InvalidInput
from ..model import Ground, Image, Snapshot
from . import r_image
from .dockerfile import (
    LISTED,
    alone,
    base_name,
    explicit_lines,
    head,
    image,
    index_of,
    interpreter,
    load,
    steps,
    tag,
    variable,
)
from .requirements import hashed, plain

_SECTIONS = ["%post", "%environment", "%runscript", "%startscript"]
_BASE = "base"
"""Stands for the image in what spython is given: it would take a path apart."""
_INDEX = "# {index} of your own is told by the variable APPTAINERENV_{variable}; the hashes stay."
_LISTING = "printf '%s\\n' \\"


@dataclass(frozen=True, slots=True)
class ApptainerDef:
    """What spython makes of the Dockerfile's steps, looked over: a definition without a hash is never given out."""

    name: str = "apptainer"
    filename: str = "apptainer.def"
    ground: Ground | None = None
    loosely: bool = False

    def dump(self, snapshot: Snapshot) -> str:
        begin = _begin(self.ground.image) if self.ground else _Begin("docker", image(snapshot))
        translated = _translated(
            [
                f"FROM {_BASE}",
                # The user's home is there inside, and with it what `pip install --user` left in it.
                *map(alone, snapshot.halves),
                *(line for line in steps(snapshot, self.ground, loosely=self.loosely) if not line.startswith("#")),
                f'ENTRYPOINT ["{interpreter(snapshot)}"]',
            ]
        )
        _check(translated, snapshot, loosely=self.loosely)
        written = [f"Bootstrap: {begin.agent}", f"From: {begin.source}", *translated[2:]]
        indexes = [_INDEX.format(index=index_of(each), variable=variable(each)) for each in snapshot.halves]
        build = f"apptainer build {tag(snapshot)}.sif apptainer.def"
        said = [*head(snapshot, build, loosely=self.loosely), *indexes, *begin.remarks]
        return "\n".join([*said, *written]) + "\n"


class _Begin(NamedTuple):
    """Which agent gets the image from where, and what is to be known of that."""

    agent: str
    source: str
    remarks: tuple[str, ...] = ()


def _begin(image: Image) -> _Begin:
    """Apptainer takes an image that no registry gives from a file: a SIF, or what Docker and Podman save."""
    if image.file is not None:
        return _Begin("localimage", plain(str(image.file)), (f"# The file's sha256: {image.digest[7:]}",))
    if image.registered or not (image.dockerfile or image.reference.startswith(("/", "sha256:"))):
        return _Begin("docker", base_name(image), tuple(load(image)))
    save = f"docker save --output base.tar {image.kept}"
    return _Begin(
        "docker-archive", "base.tar", (f"# Its image, {image.digest}, comes from a file; write that: {save}",)
    )


def _translated(dockerfile: list[str]) -> list[str]:
    """The lines of the definition that spython makes.

    What it does not understand is not handed to it: it takes `--platform` for the image, USER for a `su` that never
    ends, CMD for words behind a shell, and ARG for a mistake. In %post it forgets to export what ENV sets.
    """
    # 30 ms to import, and it is for this alone.
    from spython.main.parse.parsers import DockerParser  # noqa: PLC0415
    from spython.main.parse.writers import SingularityWriter  # noqa: PLC0415

    parser = DockerParser(None)
    parser.lines = dockerfile
    written: str = SingularityWriter(parser.parse()).convert()
    return _cut(
        [
            re.sub(r"^(?=(PYTHONNOUSERSITE|PATH|R_LIBS)=)", "export ", line)
            for line in written.splitlines()
            if not line.startswith("Stage:")
        ]
    )


def _cut(lines: list[str]) -> list[str]:
    """The same with a %post for each part of a long list; Apptainer puts sections of one name together again."""
    first = lines.index(_LISTING) if _LISTING in lines else 0
    parts = (["%post", line] if line == _LISTING and at > first else [line] for at, line in enumerate(lines))
    return [line for part in parts for line in part]


def _listed(snapshot: Snapshot, *, loosely: bool) -> list[str]:
    """What is printed into the image to be read there by conda, or by R."""
    by_r = r_image.lines(snapshot, loosely=loosely) if snapshot.halves[-1].kind == "r" else []
    if by_r:
        return [*by_r, *r_image.INSTALL.splitlines()]
    return explicit_lines(snapshot)


def _check(lines: list[str], snapshot: Snapshot, *, loosely: bool = False) -> None:
    """What was translated is what was meant: these sections, every hash, and pip told to keep to them."""
    listed = [line for line in lines if line.lstrip().startswith("'") and "--hash=sha256:" in line]
    enforced = sum("--require-hashes" in line and line.endswith(LISTED) for line in lines)
    wanted = hashed(snapshot)
    if (
        list(dict.fromkeys(line for line in lines if line.startswith("%"))) != _SECTIONS
        or lines[:2] != ["Bootstrap: docker", f"From: {_BASE}"]
        or [line.partition("--hash=sha256:")[2][:64] for line in listed] != [each.sha256 for each in wanted]
        or enforced != bool(wanted)
        or not {f"'{line}' \\" for line in _listed(snapshot, loosely=loosely)} <= {line.strip() for line in lines}
    ):
        raise InvalidInput("spython gave a definition that is not what was meant", hint="export it as a Dockerfile")
