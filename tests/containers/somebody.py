"""A user of this machine who is not root: programs run as them, in a folder and a home of their own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import uv

import venvoy

NAME = "researcher"


class NotHere(Exception):
    """Nobody can be had on this machine, and why."""


@dataclass(frozen=True, kw_only=True)
class Somebody:
    """`python` is an interpreter that they may run, `variables` are all that their programs are told."""

    name: str
    uid: int
    folder: Path
    python: str
    variables: Mapping[str, str]

    def run(self, *argv: str | Path, **more: str) -> str:
        """What a program of theirs prints; it must end well."""
        given = [f"{name}={value}" for name, value in {**self.variables, **more}.items()]
        as_them = ["runuser", "-u", self.name, "--", "env", "-i", *given, *argv]
        done = subprocess.run(as_them, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def own(self) -> None:
        """Make theirs what somebody else has put into their folder."""
        subprocess.run(
            ["chown", "--recursive", f"{self.uid}:{pwd.getpwnam(self.name).pw_gid}", self.folder], check=True
        )


@contextmanager
def somebody() -> Iterator[Somebody]:
    """Raises NotHere."""
    try:
        who = pwd.getpwnam(NAME)
    except KeyError:
        raise NotHere(f"no user {NAME!r} on this machine") from None
    if os.getuid() or not shutil.which("runuser"):
        raise NotHere("only root can become somebody else")
    python = _python()
    # A Unix socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="vu", dir="/tmp"))
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder / "home"),
        "VENVOY_HOME": str(folder / "home/.venvoy"),
        "XDG_RUNTIME_DIR": str(folder / "run"),
        "XDG_DATA_HOME": str(Path(who.pw_dir, ".local/share")),
        "XDG_CONFIG_HOME": str(Path(who.pw_dir, ".config")),
        "JUPYTER_DATA_DIR": str(folder / "home/jupyter/data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "home/jupyter/runtime"),
        "USER": NAME,
    }
    with ExitStack() as gone:
        gone.callback(shutil.rmtree, folder, ignore_errors=True)
        for private in (folder, folder / "home", folder / "run"):
            private.mkdir(mode=0o700, exist_ok=True)
        variables["PYTHONPATH"] = gone.enter_context(_code())
        they = Somebody(name=NAME, uid=who.pw_uid, folder=folder, python=python, variables=variables)
        they.own()
        yield they


def _python() -> str:
    """An interpreter of our version that they may run, too."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    for each in (sys.executable, f"/usr/bin/{version}", f"/usr/local/bin/{version}"):
        if _may(each, "-c", ""):
            return each
    raise NotHere(f"no {version} that others may run")


def _may(*argv: str) -> bool:
    return subprocess.run(["runuser", "-u", NAME, "--", *argv], capture_output=True, check=False).returncode == 0


@contextmanager
def _code() -> Iterator[str]:
    """The PYTHONPATH by which they have venvoy and what it needs: where we have it, or copies, as of a clone in /root."""
    ours, others = Path(venvoy.__file__).parents[1], Path(sysconfig.get_paths()["purelib"])
    if _may("test", "-x", str(ours), "-a", "-x", str(others)):
        yield f"{ours}:{others}"
        return
    with tempfile.TemporaryDirectory(prefix="venvoy-tests-", dir="/var/tmp") as copies:
        Path(copies).chmod(0o755)
        # uv looks for its program where that lies beside the packages of a venv
        copied = {each: Path(copies, each.relative_to(sys.prefix)) for each in (others, Path(uv.find_uv_bin()).parent)}
        # and venvoy for its kernelspecs beside itself
        copied |= {each: Path(copies, each.name) for each in (ours, ours.parent / "kernelspecs")}
        for place, to in copied.items():
            shutil.copytree(place, to, symlinks=True, copy_function=_linked)
        yield f"{copied[ours]}:{copied[others]}"


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # on another file system
        shutil.copy2(source, target, follow_symlinks=False)
