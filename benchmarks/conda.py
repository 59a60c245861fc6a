"""Conda environments against what a user would pick: made and restored against uv from the Python index, the kernel
against the prefix's own kernelspec. The channel is one of this machine, made of the same wheels; caches are warm.
"""

from __future__ import annotations

import functools
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kernel_start import started
from side_by_side import compare, own_home

from venvoy import settings
from venvoy.actions.bases import interpreter
from venvoy.actions.create import Plan, create
from venvoy.actions.freeze import freeze
from venvoy.actions.launch import kernel_of
from venvoy.actions.restore import restore
from venvoy.frontends import kernelspecs
from venvoy.managers import uv
from venvoy.model import Actor
from venvoy.store import Store

SCRIPTS = Path(__file__).parents[1] / "tests" / "conda"
MINOR = "3.12"
WANTED = ("ipykernel", "jinja2", "click", "packaging")
ROUNDS = 7


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        pass


@contextmanager
def channel(home: Path, python: Path) -> Iterator[None]:
    """A channel of real packages, and a configuration that has it for conda-forge."""
    folder, wheels = home / "channel", home / "wheels"
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    run = functools.partial(subprocess.run, check=True, env={**os.environ, "PATH": path})
    run([sys.executable, SCRIPTS / "wheels.py", wheels])
    run([python, "-m", "pip", "download", "-q", "--no-deps", "-d", wheels / "linux-64", "pip"])
    run([sys.executable, SCRIPTS / "channel.py", folder, "--python", python, "--wheels", wheels])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        mirror = f"http://127.0.0.1:{server.server_address[1]}"
        condarc = home / "condarc"
        condarc.write_text(json.dumps({"channels": ["conda-forge"], "mirrored_channels": {"conda-forge": [mirror]}}))
        os.environ.update(CONDARC=str(condarc), RATTLER_CACHE_DIR=str(home / "rattler"))
        yield
        server.shutdown()


def main() -> None:
    actor = Actor(kind="command", command="benchmark")
    with own_home() as home:
        store = Store(settings.current())
        python = interpreter(store, MINOR).path
        with channel(home, python):
            plan = Plan(name="ours", runtime="conda", python=MINOR, specs=WANTED, force=True)
            ours = create(store, plan, actor=actor)
            lock = freeze(store, ours, actor=actor).path
            theirs = home / "theirs"
            listed = home / "requirements.txt"
            listed.write_text("\n".join((*WANTED, "pip")))
            _by_uv(python, theirs, listed)
            frozen = home / "frozen.txt"
            frozen.write_text(subprocess.check_output([uv.program(), "pip", "freeze", "--python", theirs], text=True))
            compare(
                f"an environment with {len(WANTED)} packages and what they need, Python and all, recorded",
                {
                    "venvoy init --runtime conda": lambda: create(store, plan, actor=actor),
                    "uv venv + uv pip install": lambda: _by_uv(python, theirs, listed),
                },
                rounds=ROUNDS,
                unit="s",
            )
            compare(
                "the same from its lock, compared at the end",
                {
                    "venvoy restore conda-lock.yml": lambda: restore(store, lock, name="copy", actor=actor, force=True),
                    "uv venv + uv pip install (pins)": lambda: _by_uv(python, theirs, frozen),
                },
                rounds=ROUNDS,
                unit="s",
            )
            kernel = kernel_of(store, ours)
            kernelspecs.write(kernelspecs.spec(store, ours, encrypts=kernel.encrypts))
            folder = home / "jupyter" / "kernels" / "stock"
            folder.mkdir(parents=True)
            argv = [str(ours.python), "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            (folder / "kernel.json").write_text(
                json.dumps({"argv": argv, "display_name": "stock", "language": "python"})
            )
            compare(
                f"kernel start in the conda prefix, its own ipykernel {kernel.version}",
                {"venvoy": lambda: started("venvoy-ours"), "stock kernelspec": lambda: started("stock")},
                rounds=15,
            )


def _by_uv(python: Path, folder: Path, listed: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    variables = {**os.environ, "UV_SYSTEM_CERTS": "1"}
    for words in (("venv", "--python", python, folder), ("pip", "install", "--python", folder, "-r", listed)):
        subprocess.run([uv.program(), *words], check=True, capture_output=True, env=variables)


if __name__ == "__main__":
    main()
