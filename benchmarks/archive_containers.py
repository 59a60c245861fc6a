"""A container environment with its image, packed and made again, against `docker save | zstd` and `apptainer build`.

python benchmarks/archive_containers.py IMAGE, a docker-archive that Docker, Podman and Apptainer can load.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from side_by_side import compare, own_home
from stack import run, venvoy

ROUNDS = 3
NAME = "docker.io/venvoy-benchmark/python:latest"
SQUASH = ("--mksquashfs-args", "-comp zstd -Xcompression-level 3")


def main(image: Path | None = None) -> None:
    image = image or _image()
    with own_home() as home:
        network = ("--network", "host")
        _own(image, home)
        venvoy("init", "ours", "--runtime", "docker", "--image", NAME, "--no-home", *network)
        digest = _digest(home)
        _archive(home, digest)
        _podman(home, digest)
        _apptainer(home)
        run("docker", "rmi", "--force", digest)


def _image() -> Path:
    """The image of the tests, made of Debian's packages where it is not there."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "containers"))
    from images import made

    return made("python:3.11").file


def _own(image: Path, home: Path) -> None:
    """The image under a digest of its own, so that it can be taken away again without anybody missing it."""
    loaded = subprocess.run(["docker", "load", "--quiet", "--input", image], check=True, capture_output=True, text=True)
    (home / "Dockerfile").write_text(
        f"FROM {loaded.stdout.split()[-1]}\nLABEL org.venvoy.benchmark={home.name}\n", "utf-8"
    )
    run("docker", "build", "--tag", NAME, home)


def _digest(home: Path) -> str:
    text = (home / "venvoy/environments/ours/config.yaml").read_text("utf-8")
    return next(line.split(": ", 1)[1] for line in text.splitlines() if line.startswith("image_digest: "))


def _archive(home: Path, digest: str) -> None:
    ours, theirs = home / "ours.venvoy.tar.zst", home / "theirs.tar.zst"

    def saved() -> None:
        run("sh", "-c", f"docker save {digest} | zstd -q -3 -T0 -f -o {theirs}")

    compare(
        "one file with the image",
        {"venvoy archive": lambda: venvoy("archive", "ours", "-o", ours), "docker save | zstd -3": saved},
        rounds=ROUNDS,
        unit="s",
    )
    for name, file in (("venvoy archive", ours), ("docker save | zstd -3", theirs)):
        print(f"  size {name:36} {file.stat().st_size / 1e6:8.1f} MB")


def _podman(home: Path, digest: str) -> None:
    kept = f"venvoy/kept:{digest.partition(':')[2][:32]}"
    wanted = ("--runtime", "podman", "--name", "again", "--no-home", "--network", "none", "--force")

    def forgotten() -> None:
        """An image that is there would not be loaded."""
        run("sh", "-c", f"podman rmi --force {digest} >/dev/null 2>&1 || true")

    def ours() -> None:
        forgotten()
        venvoy("import-archive", home / "ours.venvoy.tar.zst", *wanted)

    def theirs() -> None:
        forgotten()
        run("sh", "-c", f"zstd -dqc {home}/theirs.tar.zst | podman load")

    compare(
        "from it, in Podman", {"venvoy import-archive": ours, "zstd -d | podman load": theirs}, rounds=ROUNDS, unit="s"
    )
    run("sh", "-c", f"podman rmi {kept} >/dev/null 2>&1 || true")


def _apptainer(home: Path) -> None:
    plain, sif = home / "theirs.tar", home / "theirs.sif"
    wanted = ("--runtime", "apptainer", "--name", "again", "--no-home", "--network", "none", "--force")

    def built(*words: str) -> None:
        run("zstd", "-dqf", home / "theirs.tar.zst", "-o", plain)
        run("apptainer", "build", "--force", *words, sif, f"docker-archive:{plain}")

    compare(
        "from it, in Apptainer",
        {
            "venvoy import-archive": lambda: venvoy("import-archive", home / "ours.venvoy.tar.zst", *wanted),
            "zstd -d, apptainer build": built,
            "zstd -d, apptainer build with zstd": lambda: built(*SQUASH),
        },
        rounds=ROUNDS,
        unit="s",
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
