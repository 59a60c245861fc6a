"""What of the machine's resources a runtime can give here: asked before a container is made, and before each launch."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import RuntimeUnavailable
from ..model import Engine, Resources
from ..settings import variables
from .detect import Here

_GPUS = ("dev/nvidiactl", "dev/nvidia0", "dev/dxg")
_BUS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
_CDI = ("etc/cdi", "var/run/cdi", "run/cdi")
_TOOLKIT = ("nvidia-container-cli", "nvidia-container-runtime", "nvidia-ctk")
_INSTALL = "install NVIDIA's container toolkit: https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/"


def refuse_impossible(
    resources: Resources, *, engine: Engine, rootless: bool, name: str = "", here: Here | None = None
) -> None:
    """Raise RuntimeUnavailable for what an engine would ignore or fail at; `name` is the environment's, if any."""
    here = here or Here(uid=os.getuid(), user="", environ=variables())
    if resources.gpus:
        _gpus(engine, here, name)
    if (resources.memory is not None or resources.cpus is not None) and rootless and here.uid:
        _limits(resources, engine, here, name)


def _gpus(engine: Engine, here: Here, name: str) -> None:
    if not any(map(here.there, _GPUS)):
        raise RuntimeUnavailable(
            "GPUs are wanted, and this machine has none of NVIDIA's (there is no /dev/nvidiactl)",
            hint=_without("gpus", name),
        )
    if engine == "docker" and not any(shutil.which(each, path=here.environ.get("PATH")) for each in _TOOLKIT):
        raise RuntimeUnavailable("Docker cannot give GPUs without NVIDIA's container toolkit", hint=_INSTALL)
    if engine == "podman" and not any(_has_devices(here.root / each) for each in _CDI):
        raise RuntimeUnavailable(
            "Podman cannot give GPUs that no file in /etc/cdi describes",
            hint=f"write it: sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml\nor {_INSTALL}",
        )


def _has_devices(folder: Path) -> bool:
    return folder.is_dir() and any(each.suffix in (".yaml", ".json") for each in folder.iterdir())


def _limits(resources: Resources, engine: Engine, here: Here, name: str) -> None:
    wanted = {"memory": resources.memory is not None, "cpu": resources.cpus is not None}
    words = " and ".join(each for each, said in (("memory", wanted["memory"]), ("processors", wanted["cpu"])) if said)
    key = "memory" if wanted["memory"] else "cpus"
    if not here.there("sys/fs/cgroup/cgroup.controllers"):
        raise RuntimeUnavailable(
            f"{engine} cannot limit {words} here: without root that takes cgroup v2, and this machine has v1",
            hint=_without(key, name),
        )
    if engine in ("apptainer", "singularity") and not all(map(here.environ.get, _BUS)):
        raise RuntimeUnavailable(
            f"{engine} cannot limit {words} here: without root the system's own manager does it, which is not reached"
            f" ({' and '.join(each for each in _BUS if not here.environ.get(each))} not set)",
            hint=f"ask for the memory and processors of the job instead, or {_without(key, name)}",
        )
    own = f"sys/fs/cgroup/user.slice/user-{here.uid}.slice/user@{here.uid}.service/cgroup.controllers"
    given = here.read(own).split()
    if lacking := [each for each, said in wanted.items() if said and here.there(own) and each not in given]:
        raise RuntimeUnavailable(
            f"{engine} cannot limit {words} here: the system leaves users no controller of {' and '.join(lacking)}",
            hint=f"have it delegated (systemd: Delegate= of user@.service), or {_without(key, name)}",
        )


def _without(key: str, name: str) -> str:
    return f"do without: venvoy configure {name} --set {key}=" if name else f"do without: leave --{key} away"
