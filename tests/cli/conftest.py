"""A user with folders of their own, who types real commands, at a terminal or not."""

import errno
import fcntl
import functools
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import pytest

from venvoy import settings as venvoy_settings
from venvoy.actions.detect import Detected, Found
from venvoy.containers import ENGINES
from venvoy.store import Store

VENVOY = Path(sys.executable).with_name("venvoy")
LEAKS = (
    "CONDA", "PIP_", "UV_", "VENVOY", "XDG_", "VIRTUAL_ENV", "PYTEST", "NO_COLOR", "PS1", "ZDOTDIR", "VISUAL", "EDITOR",
    "PROMPT_COMMAND", "ENV", "BASH_ENV",
)  # fmt: skip


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it said where."""

    code: int
    out: str
    err: str


@dataclass
class Terminal:
    """A program at a terminal of 24 lines and 200 columns, of which it is the only session."""

    argv: tuple[str, ...]
    variables: Mapping[str, str]
    cwd: Path
    shown: str = ""
    at: int = 0

    def __enter__(self) -> Self:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, b"\x18\x00\xc8\x00" + b"\x00" * 4)
        self.child = subprocess.Popen(
            self.argv,
            env=dict(self.variables),
            cwd=self.cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  # one system call, no locks
        )
        os.close(slave)
        return self

    def __exit__(self, *_raised: object) -> None:
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        os.close(self.master)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, text: str, timeout: float = 30) -> str:
        """What was shown up to `text`, from where the last `until` stopped."""
        deadline = time.monotonic() + timeout
        while (found := self.shown.find(text, self.at)) < 0:
            if time.monotonic() > deadline or not self._read(deadline):
                pytest.fail(f"{text!r} was not shown, but: {self.shown[self.at :]!r}")
        before, self.at = self.shown[self.at : found], found + len(text)
        return before

    def end(self, timeout: float = 30) -> int:
        """The exit code, once the program has ended and all that it showed is read."""
        deadline = time.monotonic() + timeout
        # What it started in the background may hold the terminal open for longer (fish looks for manual pages).
        while self.child.poll() is None and time.monotonic() < deadline:
            self._read(time.monotonic() + 0.05)
        while self._read(time.monotonic()):
            pass
        return self.child.wait(0)

    def _read(self, deadline: float) -> bool:
        if not select.select([self.master], [], [], max(0, deadline - time.monotonic()))[0]:
            return False
        try:
            said = os.read(self.master, 65536)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return False
        self.shown += said.decode("utf-8", "replace")
        return bool(said)


@dataclass(frozen=True)
class User:
    """Runs the real program; everything lies in `home`, and the working folder is `home/work`."""

    home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        return self.home / "work"

    @property
    def store(self) -> Store:
        return Store(venvoy_settings.current(self.variables))

    @property
    def kernels(self) -> Path:
        return self.home / "jupyter/data/kernels"

    def __call__(self, *words: str | Path, stdin: str = "", **variables: str) -> Ran:
        ran = subprocess.run(
            [VENVOY, *words],
            input=stdin,
            env={**self.variables, **variables},
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        return Ran(ran.returncode, ran.stdout, ran.stderr)

    def done(self, *words: str | Path, **variables: str) -> str:
        """What a command that must succeed printed on stdout."""
        ran = self(*words, **variables)
        assert ran.code == 0, ran
        return ran.out

    def json(self, *words: str | Path, **variables: str) -> Any:
        """The answer of a command for programs; anything else on stdout would not be JSON."""
        command, *others = words
        return json.loads(self(command, "--output", "json", *others, **variables).out)

    def start(self, *words: str | Path, **variables: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [VENVOY, *words],
            env={**self.variables, **variables},
            cwd=self.work,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def terminal(self, *words: str, **variables: str) -> Terminal:
        return Terminal((str(VENVOY), *words), {**self.variables, **variables}, self.work)

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        file = self.work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file


@pytest.fixture(scope="session")
def shelf(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, pip_wheel: Path) -> Path:
    """Wheels that environments are made from without an index: alpha (1.0 and 2.0, needs beta), ipykernel, more."""
    folder = tmp_path_factory.mktemp("shelf")
    shutil.copy(pip_wheel, folder)
    found = next(each for each in request.config.pluginmanager.get_plugins() if hasattr(each, "Wheelhouse"))
    wheels = found.Wheelhouse(folder)
    wheels.add("alpha", "1.0", requires=("beta",), scripts={"alpha-say": "alpha:say"})
    wheels.add("alpha", "2.0", requires=("beta",))
    for name in ("beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa"):
        wheels.add(name)
    wheels.add("marker", "3.0")  # the test channel has older ones
    # An environment that has its own is lent none, so nothing needs to be fetched for these tests.
    wheels.add("ipykernel", "7.4.0")
    (folder / "uv.toml").write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    return folder


@pytest.fixture(scope="session")
def new_user(
    tmp_path_factory: pytest.TempPathFactory, shelf: Path, _shared: Path, _machine: Mapping[str, str]
) -> Iterator[Callable[[str], User]]:
    """Make a user; `new_user("ada")`."""
    runtime = Path(tempfile.mkdtemp(prefix="vv", dir="/tmp"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEAKS)}
    machine = {name: value for name, value in _machine.items() if name not in ("UV_CONFIG_FILE", "PIP_CONFIG_FILE")}

    folders = kept["PATH"].split(os.pathsep)

    def made(name: str) -> User:
        home = tmp_path_factory.mktemp(name)
        for folder in ("work", "tmp"):
            (home / folder).mkdir()
        (home / ".venvoy").mkdir()
        (_shared / "bases").mkdir(parents=True, exist_ok=True)
        (home / ".venvoy/bases").symlink_to(_shared / "bases")
        own = {
            # uv asks each of pyenv's shims for its Python: that takes a second and finds no more.
            "PATH": os.pathsep.join([str(VENVOY.parent), *(each for each in folders if not each.endswith("/shims"))]),
            "HOME": str(home),
            "TMPDIR": str(home / "tmp"),
            "VENVOY_HOME": str(home / ".venvoy"),
            "VENVOY_PROJECTS": str(home / "venvoy-projects"),
            "JUPYTER_DATA_DIR": str(home / "jupyter/data"),
            "JUPYTER_RUNTIME_DIR": str(home / "jupyter/runtime"),
            "XDG_RUNTIME_DIR": str(runtime),
            "SHELL": "/bin/bash",
            "TERM": "xterm-256color",
            "LC_ALL": "C.UTF-8",
            "UV_CONFIG_FILE": str(shelf / "uv.toml"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(shelf),
            "PIP_CONFIG_FILE": os.devnull,
        }
        return User(home, {**kept, **machine, **own})

    yield made
    shutil.rmtree(runtime, ignore_errors=True)


@pytest.fixture
def user(new_user: Callable[[str], User]) -> User:
    """Somebody who has nothing yet."""
    return new_user("user")


@pytest.fixture(scope="session")
def ada(new_user: Callable[[str], User]) -> User:
    """Somebody whose environments `demo` (alpha 1.0, ipykernel) and `venvoy-env` are looked at and not changed."""
    ada = new_user("ada")
    listed = ada.write("requirements.txt", "alpha==1.0\nipykernel\n")
    for name in ("demo", "venvoy-env"):
        ada.done("init", name, "--requirements", listed)
    return ada


@pytest.fixture(scope="session")
def bob(new_user: Callable[[str], User]) -> User:
    """Somebody whose environment `demo` (alpha 1.0, ipykernel) each test adds a package of its own to, and no more."""
    bob = new_user("bob")
    bob.done("init", "demo", "--requirements", bob.write("requirements.txt", "alpha==1.0\nipykernel\n"))
    return bob


@pytest.fixture(scope="session")
def _contained(
    detected: Detected, image: Callable[[Found, str], str], new_user: Callable[[str], User]
) -> Callable[[str], User]:
    """Somebody whose environment `demo` is in a container of that runtime."""

    @functools.cache
    def made(runtime: str) -> User:
        engine = detected.named(runtime)
        if not engine.usable:
            pytest.skip(f"{runtime} cannot be used here: {engine.problem}")
        user = new_user(f"cleo-{runtime}")
        machine = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "PIP_"))}
        index = {"PIP_NO_INDEX": "", "UV_CONFIG_FILE": os.environ.get("UV_CONFIG_FILE", os.devnull)}
        user.done("init", "demo", "--runtime", runtime, "--image", image(engine, "python:3.11"), **machine | index)
        return user

    return made


def _each(*runtimes: str) -> list[Any]:
    """Each of them, all tests of one in the same worker."""
    return [pytest.param(each, marks=pytest.mark.xdist_group(f"run-{each}")) for each in runtimes]


def _nothing_left(user: User, runtime: str) -> None:
    if runtime in ("docker", "podman"):
        argv = [runtime, "ps", "--all", "--format", "{{.Names}} {{.Mounts}}", "--no-trunc"]
        assert str(user.home) not in subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=_each(*ENGINES))
def cleo(request: pytest.FixtureRequest, _contained: Callable[[str], User]) -> Iterator[User]:
    """Somebody whose environment `demo` is in a container of each runtime in turn; none is there afterwards."""
    user = _contained(request.param)
    yield user
    _nothing_left(user, request.param)


@pytest.fixture(params=["venv", *_each(*ENGINES)])
def somebody(request: pytest.FixtureRequest, _contained: Callable[[str], User]) -> Iterator[User]:
    """Somebody whose environment `demo` is on this machine, or in a container of each runtime."""
    user = request.getfixturevalue("ada") if request.param == "venv" else _contained(request.param)
    yield user
    _nothing_left(user, request.param)


@pytest.fixture
def own(user: User) -> User:
    """Somebody with an environment `demo` (alpha 1.0, ipykernel) to do anything with."""
    user.done("init", "demo", "--requirements", user.write("requirements.txt", "alpha==1.0\nipykernel\n"))
    return user
