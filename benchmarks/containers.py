"""Kernels in containers: from start_kernel to the kernel_info reply, beside the bare runtime plus a stock local kernel.

What a user would wait for without us is the runtime itself, running `python -c pass` in the same image, and a kernel
that starts. The images are those of the tests, made of Debian's packages.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from kernel_start import started, stock_kernel
from side_by_side import compare, own_home

from venvoy import settings
from venvoy.actions.bases import interpreter
from venvoy.actions.contain import Wanted, contain
from venvoy.actions.create import Plan, create
from venvoy.actions.detect import Found, detect
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Container
from venvoy.settings import Policy
from venvoy.store import Store

ROUNDS = 15
PYTHON = "3.11"


def main() -> None:
    sys.path.append(str(Path(__file__).parent.parent / "tests" / "containers"))
    import images

    archive = images.made(f"python:{PYTHON}").file
    actor = Actor(kind="command", command="benchmark")
    with own_home() as home:
        store = Store(settings.current())
        stock = create(store, Plan(name="stock", python=interpreter(store, PYTHON).version), actor=actor)
        stocked = False
        for found in detect().runtimes:
            if not found.usable or found.name == "singularity":
                continue
            kind, container = contain(store, Wanted(runtime=found.name, image=str(archive)), Policy())
            env = create(store, Plan(name=found.name, runtime=kind, container=container), actor=actor)
            kernel = kernel_of(store, env)
            kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))
            if not stocked:
                stock_kernel(stock, home, kernel.version)
                stocked = True
            compare(
                f"kernel start in {found.name} {found.version}, Python {PYTHON}, ipykernel {kernel.version}",
                {
                    "venvoy": lambda name=found.name: started(f"venvoy-{name}"),
                    "bare run + stock local kernel": lambda found=found, container=container: (
                        bare(found, container) + started("stock")
                    ),
                },
                rounds=ROUNDS,
            )


def bare(found: Found, container: Container) -> float:
    """Seconds that the runtime takes for a Python that does nothing."""
    if found.engine in ("docker", "podman"):
        argv = [found.name, "run", "--rm", container.image.digest, "python3", "-c", "pass"]
    else:
        argv = [found.name, "exec", str(container.image.file), "python3", "-c", "pass"]
    began = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
