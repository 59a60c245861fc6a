"""An Apptainer (Singularity) definition: the Dockerfile's steps, translated by spython."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import InvalidInput
from ..model import Snapshot
from .dockerfile import LISTED, explicit_lines, head, image, python, steps, tag
from .requirements import hashed

_SECTIONS = ["%post", "%environment", "%runscript", "%startscript"]
_LISTING = "printf '%s\\n' \\"


@dataclass(frozen=True, slots=True)
class ApptainerDef:
    """What spython makes of the Dockerfile's steps, looked over: a definition without a hash is never given out."""

    name: str = "apptainer"
    filename: str = "apptainer.def"

    def dump(self, snapshot: Snapshot) -> str:
        translated = _translated(
            [
                f"FROM {image(snapshot)}",
                # The user's home is there inside, and with it what `pip install --user` left in it.
                "ENV PYTHONNOUSERSITE=1",
                *steps(snapshot),
                f'ENTRYPOINT ["{python(snapshot)}"]',
            ]
        )
        _check(translated, snapshot)
        name = tag(snapshot)
        return "\n".join([*head(snapshot, f"apptainer build {name}.sif apptainer.def"), *translated]) + "\n"


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
            re.sub(r"^(?=PYTHONNOUSERSITE=)", "export ", line)
            for line in written.splitlines()
            if not line.startswith("Stage:")
        ]
    )


def _cut(lines: list[str]) -> list[str]:
    """The same with a %post for each part of a long list; Apptainer puts sections of one name together again."""
    first = lines.index(_LISTING) if _LISTING in lines else 0
    parts = (["%post", line] if line == _LISTING and at > first else [line] for at, line in enumerate(lines))
    return [line for part in parts for line in part]


def _check(lines: list[str], snapshot: Snapshot) -> None:
    """What was translated is what was meant: these sections, every hash, and pip told to keep to them."""
    listed = [line for line in lines if line.lstrip().startswith("'") and "--hash=sha256:" in line]
    enforced = sum("--require-hashes" in line and line.endswith(LISTED) for line in lines)
    wanted = hashed(snapshot)
    if (
        list(dict.fromkeys(line for line in lines if line.startswith("%"))) != _SECTIONS
        or lines[:2] != ["Bootstrap: docker", f"From: {image(snapshot)}"]
        or [line.partition("--hash=sha256:")[2][:64] for line in listed] != [each.sha256 for each in wanted]
        or enforced != bool(wanted)
        or not {f"'{line}' \\" for line in explicit_lines(snapshot)} <= {line.strip() for line in lines}
    ):
        raise InvalidInput("spython gave a definition that is not what was meant", hint="export it as a Dockerfile")
