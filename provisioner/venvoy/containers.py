"""How people say what an environment's container gets: in config.yaml, on a command line, in a policy."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .errors import InvalidInput
from .model import Container, Engine, Image, Mount, Network, Resources

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_LARGEST = 1 << 63
"""Engines count bytes in so many bits."""
_GPUS = re.compile(r"all|\d+(,\d+)*|GPU-[0-9a-f-]+(,GPU-[0-9a-f-]+)*")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
NETWORKS: tuple[Network, ...] = ("none", "host", "bridge")
ENGINES: tuple[Engine, ...] = ("docker", "podman", "apptainer", "singularity")


def mount(said: str, *, folder: Path | None = None) -> Mount:
    """Read "SRC:DST", "SRC:DST:ro" or "SRC", which is seen under its own path; a relative SRC is meant from `folder`.

    SRC may have colons in it where DST is given. Raises InvalidInput.
    """
    rest, _, mode = said.rpartition(":")
    if not rest or mode not in ("ro", "rw"):
        rest, mode = said, "rw"
    source, given, target = rest.rpartition(":")
    source = source if given else rest
    path = Path(os.path.expanduser(source))  # noqa: PTH111  # leaves a user whom nobody knows as it is
    path = path if path.is_absolute() else (folder or Path.cwd()) / path
    target = target if given else str(path)
    if (
        not source
        or not target.startswith("/")
        or ".." in Path(target).parts
        or target == "/"
        or "\n" in said
        or "\0" in said
    ):
        raise InvalidInput(
            f"{said!r} is no mount: it needs an absolute path below / inside the container",
            hint="write it as SRC:DST or SRC:DST:ro, as in /scratch/data:/workspace/data",
        )
    return Mount(source=path, target=str(Path(target)), read_only=mode == "ro")


def mount_text(said: Mount) -> str:
    """As `mount` reads it."""
    return f"{said.source}:{said.target}{':ro' if said.read_only else ''}"


def size(said: str | int) -> int:
    """Read bytes as the runtimes do: "512m", "4g", "4GB", "1.5GiB", 1048576; a k is 1024. Raises InvalidInput."""
    found = SIZE.fullmatch(str(said).strip())
    value = float(found[1]) * _UNITS[found[2].lower()] if found else 0
    if not 1 <= value < _LARGEST:
        raise InvalidInput(f"{said!r} is no size", hint="write it as 512m or 4g")
    return int(value)


def size_text(said: int) -> str:
    """The shortest form that `size` reads as the same number."""
    for unit in "tgmk":
        if said % _UNITS[unit] == 0:
            return f"{said // _UNITS[unit]}{unit}"
    return str(said)


def resources(said: Mapping[str, Any]) -> Resources:
    """Read the keys of `Resources` as people write them; others are not looked at. Raises InvalidInput."""
    gpus = "" if said.get("gpus") is None else str(said["gpus"])
    if gpus and not _GPUS.fullmatch(gpus):
        raise InvalidInput(f"gpus cannot be {gpus!r}", hint="write it as all, 0 or 0,1")
    network = said.get("network")
    if network not in (None, *NETWORKS):
        raise InvalidInput(f"network cannot be {network!r}", hint=f"there is: {', '.join(NETWORKS)}")
    cpus = said.get("cpus")
    if cpus is not None and (isinstance(cpus, bool) or not isinstance(cpus, int | float) or not 0.01 <= cpus < 1e6):
        raise InvalidInput(f"cpus cannot be {cpus!r}", hint="write how many there are to be: 2 or 0.5")
    devices = said.get("devices") or ()
    if not isinstance(devices, list | tuple):
        raise InvalidInput(f"devices must be a list, not {devices!r}", hint="write them as [/dev/fuse]")
    if odd := [
        each for each in devices if not (isinstance(each, str) and re.fullmatch(r"/dev(/(?!\.)[\w.-]+)+", each))
    ]:
        raise InvalidInput(f"{odd[0]!r} is no device", hint="write it as /dev/fuse")
    return Resources(
        gpus=gpus,
        cpus=float(cpus) if cpus is not None else None,
        memory=size(said["memory"]) if said.get("memory") is not None else None,
        shm_size=size(said["shm_size"]) if said.get("shm_size") is not None else None,
        network=network,
        devices=tuple(devices),
    )


def matches(reference: str, patterns: Iterable[str]) -> bool:
    """Whether a name of an image is among those of shell patterns; names are compared as registries know them."""
    # "*" goes on over "/", and "/shared/../tmp/image.sif" does not lie in /shared.
    return ".." not in Path(reference).parts and any(fnmatchcase(whole(reference), whole(each)) for each in patterns)


def whole(reference: str) -> str:
    """The full name of an image: "python" is "docker.io/library/python"."""
    host, _, rest = reference.partition("/")
    if reference.startswith(("/", "sha256:")):
        return reference  # a file, or an image that is called by nothing but its digest
    if not rest:
        return f"docker.io/library/{reference}"
    return reference if "." in host or ":" in host or host == "localhost" else f"docker.io/{reference}"


def container(said: Mapping[str, Any], *, folder: Path, home: Path, users: Path) -> Container:
    """Read what config.yaml says of an environment in `folder`, for a user with that home; `users` as in `Container`.

    Raises InvalidInput.
    """
    return Container(
        image=image(said),
        engine=said.get("engine", said["runtime"]),
        rootless=said.get("rootless", False),
        resources=resources(said),
        mounts=tuple(mount(each, folder=folder) for each in said.get("mounts", ())),
        home=home if said.get("home", True) else None,
        users=users if needs_users(said.get("engine", said["runtime"]), rootless=said.get("rootless", False)) else None,
        writable=said.get("writable", False),
    )


def image(said: Mapping[str, Any]) -> Image:
    """Read the keys that `image_written` writes; others are not looked at. Raises InvalidInput."""
    if not isinstance(said.get("image"), str):
        raise InvalidInput("image must be the name of an image")
    if not _DIGEST.fullmatch(str(said.get("image_digest", ""))):
        raise InvalidInput("image_digest must be sha256: and 64 hexadecimal digits")
    return Image(
        reference=said["image"],
        digest=said["image_digest"],
        file=Path(said["image_file"]) if said.get("image_file") else None,
        search=said.get("image_path", ""),
        made_of=said.get("image_made_of", ""),
        registered=said.get("image_registered", ""),
        sha256=said.get("image_sha256", ""),
        dockerfile=said.get("image_dockerfile", ""),
        origin=said.get("image_origin", ""),
        system_packages=tuple(said.get("system_packages", ())),
    )


def image_written(said: Image) -> dict[str, Any]:
    """All that is known of an image; what is not there is not in it."""
    values = {
        "image": said.reference,
        "image_digest": said.digest,
        "image_file": str(said.file) if said.file else None,
        "image_path": said.search,
        "image_made_of": said.made_of,
        "image_registered": said.registered,
        "image_sha256": said.sha256,
        "image_dockerfile": said.dockerfile,
        "image_origin": said.origin,
        "system_packages": list(said.system_packages),
    }
    return {key: value for key, value in values.items() if value}


def usual_network(engine: Engine) -> Network:
    """What a container of that engine has where nobody says."""
    return "host" if engine in ("apptainer", "singularity") else "bridge"


def needs_users(engine: Engine, *, rootless: bool) -> bool:
    """Whether the user has a number inside that nothing there has a name for; the other engines give it one."""
    return engine == "docker" and not rootless and os.getuid() != 0


_KEYS = (
    "image", "image_digest", "image_file", "image_path", "image_made_of", "image_registered", "system_packages",
    "engine", "rootless", "gpus", "cpus", "memory", "shm_size", "network", "devices", "mounts", "home", "writable",
)  # fmt: skip


def written(said: Container | None) -> dict[str, Any]:
    """The keys of config.yaml, None for those that need not be there; `container` reads the same."""
    values: dict[str, Any] = {}
    if said is not None:
        has = said.resources
        values = image_written(said.image) | {
            "engine": said.engine,
            "rootless": said.rootless or None,
            "gpus": has.gpus or None,
            "cpus": has.cpus,
            "memory": has.memory and size_text(has.memory),
            "shm_size": has.shm_size and size_text(has.shm_size),
            "network": has.network,
            "devices": list(has.devices) or None,
            "mounts": [mount_text(each) for each in said.mounts] or None,
            "home": None if said.home else False,
            "writable": said.writable or None,
        }
    return {key: values.get(key) for key in _KEYS}
