"""compose.yaml: the environment's image, built from what stands in the file itself, and the project folder in it."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..errors import InvalidInput
from ..model import Ground, Snapshot
from .dockerfile import Dockerfile, head, tag


@dataclass(frozen=True, slots=True)
class DockerCompose:
    """One file: the Dockerfile stands in it (`dockerfile_inline`, Docker Compose 2.17 and podman-compose 1.1)."""

    name: str = "docker-compose"
    filename: str = "compose.yaml"
    ground: Ground | None = None
    loosely: bool = False

    def dump(self, snapshot: Snapshot) -> str:
        # Compose puts variables in where it sees a $, also here; two of them are one.
        dockerfile = Dockerfile(ground=self.ground, loosely=self.loosely).dump(snapshot)
        if odd := [each for each in dockerfile if not (each.isprintable() or each in "\n\t")]:
            raise InvalidInput(f"YAML has no place for the {odd[0]!r} of the image's own Dockerfile")
        inline = [f"        {line}" for line in dockerfile.replace("$", "$$").rstrip("\n").split("\n")]
        service = snapshot.language
        lines = [
            *head(snapshot, "docker compose build")[:1],
            f"# docker compose run --rm {service:<18} an interpreter in the folder that this file lies in",
            f"# docker compose run --rm {service} {'Rscript analysis.R' if service == 'r' else 'python analysis.py'}",
            f'name: "{tag(snapshot)}"',
            "services:",
            f"  {service}:",
            "    build:",
            *_context(self.ground),
            f"      dockerfile_inline: |{'2' if dockerfile[0].isspace() else ''}",
            *inline,
            "    working_dir: /home/user/project",
            "    volumes:",
            "      - type: bind",
            "        source: .",
            "        target: /home/user/project",
            "    # Files that it writes are those of user 1000, the first of most machines. Yours is: id -u",
            '    user: "1000"',
            "    init: true",
            "    stdin_open: true",
            "    tty: true",
        ]
        return "\n".join(lines) + "\n"


def _context(ground: Ground | None) -> list[str]:
    """The folder that the image's own Dockerfile takes files from."""
    if ground is None or not ground.image.dockerfile:
        return []
    folder = ground.image.reference.rpartition("/")[0] or "/"
    return [f"      context: {json.dumps(folder.replace('$', '$$'))}"]
