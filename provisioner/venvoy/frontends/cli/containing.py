"""The options that say what an environment in a container gets."""

from __future__ import annotations

from dataclasses import dataclass, field

import click

from ...actions.contain import Wanted
from ...actions.detect import AUTO
from ...actions.place import HOST
from ...containers import NETWORKS, mount, resources
from ...model import Mount, Resources
from .options import gathered


@dataclass(frozen=True, slots=True, kw_only=True)
class Contained:
    """What was said of a container on the command line; false where nothing was."""

    image: str | None = None
    resources: Resources = field(default_factory=Resources)
    mounts: tuple[Mount, ...] = ()
    home: bool = True

    def __bool__(self) -> bool:
        return self != Contained()


def _contained(
    image: str | None, mounts: tuple[str, ...], gpus: str | None, cpus: float | None, memory: str | None,
    shm_size: str | None, network: str | None, devices: tuple[str, ...], *, no_home: bool,
) -> Contained:  # fmt: skip
    return Contained(
        image=image,
        resources=resources(
            {
                "gpus": gpus,
                "cpus": cpus,
                "memory": memory,
                "shm_size": shm_size,
                "network": network,
                "devices": devices,
            }
        ),
        mounts=tuple(map(mount, mounts)),
        home=not no_home,
    )


container_options = gathered(
    "contained",
    _contained,
    click.option("--image", metavar="IMAGE", help="Containers: a name, a SIF, an archive, a layout or a Dockerfile."),
    click.option("--gpus", metavar="WHICH", help="Containers: all, or 0,1."),
    click.option("--cpus", type=float, metavar="N", help="Containers: how many processors, as in 2 or 0.5."),
    click.option("--memory", metavar="SIZE", help="Containers: no more memory than that, as in 4g."),
    click.option("--shm-size", metavar="SIZE", help="Containers: how large /dev/shm is, as in 1g."),
    click.option("--network", type=click.Choice(NETWORKS), help="Containers: which network kernels and runs have."),
    click.option("--device", "devices", multiple=True, metavar="PATH", help="Containers: a device, as in /dev/dri."),
    click.option("--mount", "mounts", multiple=True, metavar="SRC:DST[:ro]", help="Containers: see a folder inside."),
    click.option("--no-home", is_flag=True, help="Containers: do not see the home folder inside."),
)
"""Add them; the command is given one `contained`."""


def wanted_of(runtime: str | None, contained: Contained) -> Wanted | None:
    """What the command line says of where an environment is to be made, None where it says nothing."""
    if runtime in HOST and contained:
        raise click.UsageError("--image, --mount, --network and limits are for containers: --runtime auto")
    if runtime is None and not contained:
        return None
    return Wanted(
        runtime=runtime or AUTO,
        image=contained.image,
        resources=contained.resources,
        mounts=contained.mounts,
        home=contained.home,
    )
