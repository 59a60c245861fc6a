"""From start_kernel to the kernel_info reply: our kernelspec against the stock one, on the same venv."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path

from jupyter_client.manager import KernelManager
from side_by_side import compare, own_home

from venvoy import settings
from venvoy.actions.bases import interpreters
from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.managers import uv
from venvoy.model import Actor, Environment
from venvoy.store import Store

ROUNDS = 15


def main() -> None:
    with own_home() as home:
        store = Store(settings.current())
        wanted = next(base.minor for base in interpreters(store) if base.minor in ("3.12", "3.11", "3.13"))
        actor = Actor(kind="command", command="benchmark")
        ours = create(store, Plan(name="ours", python=wanted), actor=actor)
        kernel = kernel_of(store, ours)
        kernelspecs.write(kernelspecs.spec(store, ours, encrypts=kernel.encrypts))
        stock = create(store, Plan(name="stock", python=wanted), actor=actor)
        stock_kernel(stock, home, kernel.version)
        compare(
            f"kernel start, Python {wanted}, ipykernel {kernel.version}",
            {"venvoy": lambda: started("venvoy-ours"), "stock kernelspec": lambda: started("stock")},
            rounds=ROUNDS,
        )


def stock_kernel(env: Environment, home: Path, version: str) -> None:
    subprocess.run(
        [uv.program(), "pip", "install", "-q", "--system-certs", "--compile-bytecode", "--python", env.python,
         f"ipykernel=={version}"],
        check=True,
    )  # fmt: skip
    folder = home / "jupyter" / "kernels" / "stock"
    folder.mkdir(parents=True)
    argv = [str(env.python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "stock", "language": "python"}))


def started(name: str) -> float:
    """Seconds to readiness; ending the kernel is not counted."""
    manager = KernelManager(kernel_name=name)
    began = time.perf_counter()
    manager.start_kernel(stderr=subprocess.DEVNULL) if name == "stock" else manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    taken = time.perf_counter() - began
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return taken


if __name__ == "__main__":
    main()
