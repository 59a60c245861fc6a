"""Make the images that the tests run, of Debian's packages alone: no registry is asked.

    python tests/containers/images.py [--cache FOLDER] [NAME:TAG ...]

Each is a deterministic docker-archive: the same packages give the same bytes, and so the same digest in every runtime.
An archive is made anew where its recipe has changed; it prints one line of JSON for each: name, file and digest.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CACHE = Path("/var/cache/venvoy-tests")
EPOCH = "1700000000"
CREATED = "2023-11-14T22:13:20Z"


@dataclass(frozen=True)
class Recipe:
    """A suite of Debian, and what of it is in the image."""

    suite: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    variables: tuple[str, ...] = ()


_PYTHON = ("python3-minimal", "python3-venv", "python3-pip", "ca-certificates")
_R = ("r-base-core", "ca-certificates")
RECIPES: Mapping[str, Recipe] = {
    "python:3.9": Recipe("bullseye", (*_PYTHON, "python3-distutils"), ("python3",)),
    "python:3.11": Recipe("bookworm", (*_PYTHON, "python3-distutils"), ("python3",)),
    "python:3.13": Recipe("trixie", _PYTHON, ("python3",)),
    "r:4.2": Recipe("bookworm", _R, ("R", "--no-save")),
    "r:4.5": Recipe("trixie", _R, ("R", "--no-save")),
}
_LEFT_OUT = ("man", "doc", "locale", "info", "lintian")
_COMPILE = "env PYTHONHASHSEED=0 python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3 /usr/lib/python3.9"
_HOOKS = (
    'rm -rf "$1"/var/cache/apt/archives/*.deb "$1"/var/cache/apt/*.bin "$1"/var/lib/apt/lists/*',
    'rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED "$1"/var/cache/ldconfig/aux-cache "$1"/var/log/*.log "$1"/var/log/apt/*',
    # Before 3.11 sets are written into .pyc files in the order of their hashes.
    f'if [ -x "$1"/usr/bin/python3.9 ]; then chroot "$1" {_COMPILE} || true; fi',
    'ln -sf python3 "$1"/usr/bin/python; [ -e "$1"/usr/bin/python3 ] || rm "$1"/usr/bin/python',
    ': >"$1"/etc/machine-id; echo "127.0.0.1 localhost" >"$1"/etc/hosts; : >"$1"/etc/resolv.conf',
)


@dataclass(frozen=True)
class Made:
    """An image as a file, and the digest by which Docker and Podman call it."""

    name: str
    file: Path
    digest: str


def made(name: str, cache: Path = CACHE) -> Made:
    """The image of that name, made now where it is not there yet."""
    file = cache / f"{name.replace(':', '-')}.tar"
    note = file.with_suffix(".json")
    key = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()
    try:
        said = json.loads(note.read_text())
        if said["key"] == key and file.exists():
            return Made(name, file, said["digest"])
    except (OSError, ValueError, KeyError):
        pass
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        rootfs = Path(folder, "rootfs.tar")
        _bootstrap(RECIPES[name], rootfs, cache / "debs")
        digest = pack(file, f"venvoy-test/{name}", RECIPES[name], rootfs)
    note.write_text(json.dumps({"key": key, "digest": digest}))
    return Made(name, file, digest)


def _bootstrap(recipe: Recipe, rootfs: Path, kept: Path) -> None:
    debs = kept / recipe.suite
    debs.mkdir(parents=True, exist_ok=True)
    # What is kept is checked by apt against the signed lists like what is fetched.
    bring = (
        f'mkdir -p "$1"/var/cache/apt/archives && cp -n {debs}/*.deb "$1"/var/cache/apt/archives/ 2>/dev/null || true'
    )
    keep = f'cp -n "$1"/var/cache/apt/archives/*.deb {debs}/ 2>/dev/null || true'
    argv = [
        "mmdebstrap", "--quiet", "--variant=minbase", "--mode=root", f"--include={','.join(recipe.packages)}",
        "--skip=download/empty", "--skip=essential/unlink", f"--setup-hook={bring}",
        '--aptopt=Apt::Install-Recommends "false"', '--aptopt=Acquire::Languages "none"', '--aptopt=APT::Sandbox::User "root"',
        *(f"--dpkgopt=path-exclude=/usr/share/{each}/*" for each in _LEFT_OUT),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        *(f"--customize-hook={each}" for each in (keep, *_HOOKS)),
        recipe.suite, str(rootfs), f"deb {_mirror()} {recipe.suite} main",
    ]  # fmt: skip
    ran = subprocess.run(
        argv, env={"PATH": _PATH, "SOURCE_DATE_EPOCH": EPOCH}, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise SystemExit(f"mmdebstrap {recipe.suite}: {ran.stderr[-3000:]}")


_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _mirror() -> str:
    """The mirror that this machine's apt uses."""
    argv = ["apt-get", "indextargets", "--format", "$(SITE)", "Created-By: Packages"]
    sites = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    return next(each for each in sites if each.rstrip("/").endswith("/debian"))


def pack(file: Path, tag: str, recipe: Recipe, *layers: Path) -> str:
    """Write a docker-archive of root file systems; returns the image's digest. The same bytes give the same bytes."""
    digests = [_sha256(each) for each in layers]
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}[_machine()],
        "os": "linux",
        "created": CREATED,
        "config": {
            "Env": [f"PATH={_PATH}", "LANG=C.UTF-8", *recipe.variables],
            "Cmd": recipe.command,
            "WorkingDir": "/",
        },
        "history": [{"created": CREATED, "created_by": "tests/containers/images.py"} for _ in layers],
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each}" for each in digests]},
    }
    text = _json(config)
    digest = hashlib.sha256(text).hexdigest()
    manifest = [{"Config": f"{digest}.json", "RepoTags": [tag], "Layers": [f"{each}/layer.tar" for each in digests]}]
    aside = file.with_suffix(".partial")
    with tarfile.open(aside, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in ((f"{digest}.json", text), ("manifest.json", _json(manifest))):
            archive.addfile(_entry(name, len(content)), io.BytesIO(content))
        for layer, each in zip(layers, digests, strict=True):
            with layer.open("rb") as stream:
                archive.addfile(_entry(f"{each}/layer.tar", layer.stat().st_size), stream)
    aside.replace(file)
    return f"sha256:{digest}"


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry


def _json(said: object) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _machine() -> str:
    import platform

    return platform.machine()


def every(names: tuple[str, ...], cache: Path) -> Iterator[Made]:
    """Two at a time: each waits for the network half of its time."""
    with ThreadPoolExecutor(2) as pool:
        yield from pool.map(partial(made, cache=cache), names)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make the images that the tests run.")
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--cache", type=Path, default=CACHE)
    said = parser.parse_args()
    for each in every(tuple(said.names), said.cache):
        print(json.dumps({"name": each.name, "file": str(each.file), "digest": each.digest}))
