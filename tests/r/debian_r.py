"""Real R packages: what this machine's R has of renv, or else as Debian has it; and sources of CRAN, as Debian keeps them."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import images

_SUITE = "trixie"
"""The first that has renv."""


def renv(rscript: Path, cache: Path) -> Path | None:
    """A library with renv in it, None where none can be had."""
    asked = [rscript, "--vanilla", "-e", "cat(dirname(find.package('renv', quiet = TRUE)))"]
    found = subprocess.run(asked, check=True, capture_output=True, text=True).stdout
    if found:
        return Path(found)
    kept = cache / "renv"
    if not kept.exists():
        with _got("download", "r-cran-renv") as folder:
            packages = sorted(folder.glob("*.deb"))
            if not packages:
                return None
            subprocess.run(["dpkg-deb", "-x", packages[0], folder / "tree"], check=True)
            kept.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", folder / "tree/usr/lib/R/site-library", kept], check=True)
    return kept


def sources(cache: Path, *names: str) -> tuple[Path, ...]:
    """The sources of these packages of CRAN, as CRAN calls and gave them; none where they cannot be had."""
    kept = cache / "r-sources"
    kept.mkdir(parents=True, exist_ok=True)
    missing = [each for each in names if not list(kept.glob(f"{each}_*.tar.gz"))]
    if missing:
        with _got("source", "--download-only", *(f"r-cran-{each.lower()}" for each in missing)) as folder:
            for file in folder.glob("*.orig.tar.gz"):
                _keep(file, kept)
    return tuple(file for each in names for file in kept.glob(f"{each}_*.tar.gz"))


def _keep(file: Path, kept: Path) -> None:
    with tarfile.open(file) as tar:
        member = next(each for each in tar if each.name.count("/") == 1 and each.name.endswith("/DESCRIPTION"))
        stream = tar.extractfile(member)
        said = dict(
            line.split(": ", 1) for line in (stream.read().decode() if stream else "").splitlines() if ": " in line
        )
    if member.name == f"{said['Package']}/DESCRIPTION":
        (kept / f"{said['Package']}_{said['Version']}.tar.gz").write_bytes(file.read_bytes())


@contextmanager
def _got(*words: str) -> Iterator[Path]:
    """The folder into which apt has put what it has of that in the suite; this machine's lists of packages stay."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("lists/partial", "archives/partial", "tree"):
            (folder / each).mkdir(parents=True)
        lines = (f"{kind} {images._mirror()} {_SUITE} main\n" for kind in ("deb", "deb-src"))
        (folder / "sources.list").write_text("".join(lines))
        options = {
            "Dir::Etc::sourcelist": folder / "sources.list", "Dir::Etc::sourceparts": "-",
            "Dir::State::lists": folder / "lists", "Dir::Cache": folder, "APT::Sandbox::User": "root",
        }  # fmt: skip
        apt = ["apt-get", "-q", *(f"-o{option}={value}" for option, value in options.items())]
        for each in (("update",), words):
            subprocess.run([*apt, *each], cwd=folder, capture_output=True, check=False)
        yield folder
