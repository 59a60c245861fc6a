"""compose.yaml: the environment's image, built from what stands in the file itself, and the project folder in it."""

from __future__ import annotations

from dataclasses import dataclass

from ..model import Snapshot
from .dockerfile import Dockerfile, head, tag


@dataclass(frozen=True, slots=True)
class DockerCompose:
    """One file: the Dockerfile stands in it (`dockerfile_inline`, Docker Compose 2.17 and podman-compose 1.1)."""

    name: str = "docker-compose"
    filename: str = "compose.yaml"

    def dump(self, snapshot: Snapshot) -> str:
        # Compose puts variables in where it sees a $, also here; two of them are one.
        inline = [f"        {line}" for line in Dockerfile().dump(snapshot).replace("$", "$$").splitlines()]
        lines = [
            *head(snapshot, "docker compose build")[:1],
            "# docker compose run --rm python            an interpreter in the folder that this file lies in",
            "# docker compose run --rm python python analysis.py",
            f'name: "{tag(snapshot)}"',
            "services:",
            "  python:",
            "    build:",
            "      dockerfile_inline: |",
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
