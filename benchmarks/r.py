"""R: kernels and their cells beside stock IRkernel, and reading a library beside `installed.packages()`."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_client.manager import start_new_kernel
from kernel_start import started
from side_by_side import compare, own_home

from venvoy import inventory, settings
from venvoy.actions.create import Plan, create
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.model import Actor, Environment
from venvoy.store import Store

CELLS = 50
"""How many cells a round has."""
Run = Callable[[str], None]


def main() -> None:
    with own_home() as home:
        store = Store(settings.current())
        env = create(store, Plan(name="ours", language="r"), actor=Actor(kind="command", command="benchmark"))
        kernel = kernel_of(store, env)
        kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel.encrypts))
        rscript = str(env.base)
        _stock_kernel(home, rscript)
        title = f"R {env.r_version}, IRkernel {kernel.version}"
        ways = {"venvoy": lambda: started("venvoy-ours"), "stock kernelspec": lambda: started("stock")}
        compare(f"kernel start, {title}", ways, rounds=9)
        with _kernel("venvoy-ours") as ours, _kernel("stock") as stock:
            each = {"venvoy": lambda: _cells(ours, "1"), "stock kernelspec": lambda: _cells(stock, "1")}
            compare(f"a cell that installs nothing, {title}", each, rounds=9)
            asked = {"env_status()": lambda: ours("env_status()"), "sessionInfo()": lambda: ours("sessionInfo()")}
            compare("an answer in a notebook", asked, rounds=15)
        for count in (50, 200, 500):
            _libraries(env, rscript, count)


def _libraries(env: Environment, rscript: str, count: int) -> None:
    _fill(env, rscript, count)
    assert len(inventory.packages(env.prefix)) == count
    scan = f"invisible(installed.packages('{env.library}', noCache = TRUE))"
    timed = f"cat(system.time({scan})[['elapsed']])"
    compare(
        f"a library of {count} packages",
        {
            "venvoy": lambda: inventory.packages(env.prefix),
            "installed.packages() in a running R": lambda: float(_printed(rscript, "--vanilla", "-e", timed)),
            "Rscript -e 'installed.packages()'": lambda: _printed(rscript, "--vanilla", "-e", scan),
        },
        rounds=7,
    )


def _fill(env: Environment, rscript: str, count: int) -> None:
    """Copies of the DESCRIPTIONs of R's own packages, under names of their own."""
    base = Path(_printed(rscript, "--vanilla", "-e", "cat(.Library)"))
    real = sorted(each.parent.parent for each in base.glob("*/Meta/package.rds"))
    for number in range(count):
        source, target = real[number % len(real)], env.library / f"copied{number}"
        if not target.exists():
            shutil.copytree(source / "Meta", target / "Meta")
            said = (source / "DESCRIPTION").read_text("utf-8")
            (target / "DESCRIPTION").write_text(said.replace(f"Package: {source.name}\n", f"Package: {target.name}\n"))


def _stock_kernel(home: Path, rscript: str) -> None:
    folder = home / "jupyter" / "kernels" / "stock"
    folder.mkdir(parents=True)
    argv = [str(Path(rscript).with_name("R")), "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "stock", "language": "R"}))


@contextmanager
def _kernel(name: str) -> Iterator[Run]:
    manager, client = start_new_kernel(kernel_name=name)

    def run(code: str) -> None:
        client.execute_interactive(code, timeout=60, output_hook=lambda _message: None)

    try:
        yield run
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def _cells(run: Run, code: str) -> float:
    began = time.perf_counter()
    for _ in range(CELLS):
        run(code)
    return (time.perf_counter() - began) / CELLS


def _printed(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
