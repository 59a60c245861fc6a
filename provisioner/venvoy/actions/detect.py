"""Which container runtimes are here, whether they can be used, and which one is taken by which rule."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from .. import process
from ..errors import CommandFailed, RuntimeUnavailable
from ..model import Command, Engine
from ..settings import variables
from .machine import Machine, this_machine

PATIENCE = 2.0
"""Seconds that a runtime has to answer; a daemon that is dead answers never."""
ON_CLUSTERS: tuple[Engine, ...] = ("apptainer", "singularity", "podman", "docker")
ELSEWHERE: tuple[Engine, ...] = ("docker", "podman", "apptainer", "singularity")
AUTO = "auto"
_SIF_LEAST: Mapping[Engine, tuple[int, int]] = {"apptainer": (1, 1), "singularity": (3, 10)}
"""The first that have `--mount`, and limits for users."""
_SIF_VERSION = re.compile(r"(?P<program>apptainer|singularity(?:-ce|-pro)?)(?: version)? (?P<version>\d\S*)")


class Run(Protocol):
    """`process.run`, as far as it is needed here."""

    def __call__(self, command: Command, *, timeout: float | None = None) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What of the machine decides over runtimes; `current` reads it."""

    uid: int
    user: str
    environ: Mapping[str, str]
    root: Path = Path("/")

    def read(self, path: str) -> str:
        """The text of a file of the system, "" where it cannot be read."""
        try:
            return (self.root / path).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def there(self, path: str) -> bool:
        return os.path.exists(self.root / path)  # noqa: PTH110  # False, not an error, where we may not look

    def owns(self, path: str) -> bool:
        """Whether a file of the system belongs to the user."""
        try:
            return (self.root / path.lstrip("/")).stat().st_uid == self.uid
        except OSError:
            return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One runtime by the name of its command.

    `engine` is which program it really is: a `docker` may be Podman. `path` is None where there is none. What cannot be
    used says why (`problem`) and what mends it (`cure`); `remarks` are what works less well than it could.
    """

    name: Engine
    engine: Engine
    path: Path | None = None
    version: str = ""
    problem: str = ""
    cure: str = ""
    rootless: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        return self.path is not None and not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Which runtime is taken, None where none can be, and the rule that says so."""

    runtime: Found | None
    rule: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """The machine, and every runtime that venvoy knows in the order in which they are preferred here."""

    machine: Machine
    runtimes: tuple[Found, ...]

    def named(self, name: str) -> Found:
        """Raises RuntimeUnavailable for one that venvoy does not know."""
        try:
            return next(each for each in self.runtimes if each.name == name)
        except StopIteration:
            known = ", ".join(each.name for each in self.runtimes)
            raise RuntimeUnavailable(f"there is no container runtime {name!r}", hint=f"there is: {known}") from None


def current() -> Here:
    import pwd  # noqa: PLC0415  # reads the directory of users, on some clusters over the network

    uid = os.getuid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = ""
    return Here(uid=uid, user=user, environ=variables())


def detect(
    here: Here | None = None,
    *,
    machine: Machine | None = None,
    run: Run = process.run,
    which: Callable[[str], str | None] = shutil.which,
) -> Detected:
    """Look for all of them side by side; none holds the others up, and none for longer than PATIENCE."""
    here, machine = here or current(), machine or this_machine()
    order = ON_CLUSTERS if machine.cluster else ELSEWHERE
    paths = {name: which(name) for name in order}
    programs = {name: (_LOOKS[name], os.path.realpath(path)) if path else name for name, path in paths.items()}
    asked = {program: name for name, program in reversed(programs.items())}  # by the first of its names
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        answers = pool.map(lambda name: _looked_at(name, paths[name], here=here, run=run), asked.values())
        found = dict(zip(asked, answers, strict=True))
    return Detected(machine=machine, runtimes=tuple(_named(found[programs[name]], name, paths[name]) for name in order))


def _named(found: Found, name: Engine, path: str | None) -> Found:
    """The answer of a program under another of its names: `singularity` is Apptainer wherever that is installed."""
    return replace(found, name=name, path=Path(path) if path else None)


def choose(detected: Detected, wanted: str = AUTO, *, usual: str = AUTO) -> Choice:
    """Take the one that is wanted, else the one that is `usual` by the user's settings, or the first that can be used.

    Raises RuntimeUnavailable for a wanted one that cannot be used.
    """
    for named, by in ((wanted, "--runtime"), (usual, "VENVOY_RUNTIME")):
        if named != AUTO:
            return Choice(runtime=usable(detected.named(named)), rule=f"named by {by}")
    where = f"on a cluster ({detected.machine.scheduler or 'by its name and modules'})"
    rule = f"the first that can be used, {where if detected.machine.cluster else 'elsewhere than on a cluster'}, of "
    rule += ", ".join(each.name for each in detected.runtimes)
    return Choice(runtime=next((each for each in detected.runtimes if each.usable), None), rule=rule)


def usable(found: Found) -> Found:
    """The same. Raises RuntimeUnavailable, with the cure, where it cannot be used."""
    if not found.usable:
        raise RuntimeUnavailable(f"{found.name} cannot be used: {found.problem}", hint=found.cure)
    return found


def _looked_at(name: Engine, path: str | None, *, here: Here, run: Run) -> Found:
    found = Found(name=name, engine=name)
    if path is None:
        return replace(found, problem="not found", cure=_INSTALL[name])
    found = replace(found, path=Path(path))
    try:
        return _LOOKS[name](found, here, run)
    except RuntimeUnavailable as error:
        return replace(found, problem=error.message, cure=f"look at {path}")


_INSTALL: Mapping[Engine, str] = {
    "docker": "install it: https://docs.docker.com/engine/install/ (needs root, and a daemon)",
    "podman": "install it: https://podman.io/docs/installation (users need no root)",
    "apptainer": "install it: https://apptainer.org/docs/admin/main/installation.html (users need no root)",
    "singularity": "install it: https://docs.sylabs.io/guides/latest/admin-guide/installation.html",
}

# --- Docker and Podman -----------------------------------------------------------------------------------------------


def _docker(found: Found, here: Here, run: Run) -> Found:
    if elsewhere := _elsewhere(here):
        problem = f"its daemon is on another machine ({elsewhere}), which sees none of this one's folders"
        return replace(found, problem=problem, cure="use venvoy there, or: unset DOCKER_HOST DOCKER_CONTEXT")
    try:
        said = _json(run(Command(argv=(str(found.path), "version", "--format", "{{json .}}")), timeout=PATIENCE))
    except CommandFailed as error:
        return _silent(found, here, error)
    client, server = _map(said.get("Client")), _map(said.get("Server"))
    if "APIVersion" in client:  # Docker's own word is ApiVersion
        return _podman(replace(found, engine="podman"), here, run)
    found = replace(found, version=str(server.get("Version") or client.get("Version") or ""))
    return _served(found, here, server) if server else replace(found, problem="no daemon answers it", cure=_start(here))


def _served(found: Found, here: Here, server: Mapping[str, object]) -> Found:
    """What the daemon that answers is."""
    if "Docker Desktop" in str(_map(server.get("Platform")).get("Name", "")):
        problem = "Docker Desktop has its containers in a virtual machine, which the sockets of kernels do not reach"
        return replace(found, problem=problem, cure="take Docker Engine or Podman of a Linux, or --runtime venv")
    components = server.get("Components")
    names = [str(_map(each).get("Name", "")) for each in components] if isinstance(components, list) else []
    found = replace(found, rootless="rootlesskit" in names)
    if any("podman" in each.lower() for each in names):
        if here.uid and here.owns(_host(here).removeprefix("unix://")):
            problem = "its daemon is your own Podman's service, which it cannot tell whose the files are"
            return replace(found, problem=problem, cure="take --runtime podman, or: unset DOCKER_HOST DOCKER_CONTEXT")
        return replace(found, remarks=("its daemon is Podman's service",))
    return found


def _elsewhere(here: Here) -> str:
    """The address of a daemon that is not on this machine, "" where it is."""
    host = _host(here)
    kind, _, address = host.partition("://")
    if kind not in ("tcp", "http", "https", "ssh") or re.match(r"(localhost|127\.|\[::1\])", address):
        return ""
    return host


def _host(here: Here) -> str:
    """Where the daemon is, as its user has said it, "" for the usual place."""
    return here.environ.get("DOCKER_HOST", "") or _of_context(here)


def _of_context(here: Here) -> str:
    """Where the context that is chosen leads."""
    folder = here.environ.get("DOCKER_CONFIG") or f"{here.environ.get('HOME', '')}/.docker"
    folder = folder.lstrip("/")
    name = here.environ.get("DOCKER_CONTEXT") or str(_json(here.read(f"{folder}/config.json")).get("currentContext"))
    digest = hashlib.sha256(name.encode()).hexdigest()  # Docker's own way to name the folder
    said = _json(here.read(f"{folder}/contexts/meta/{digest}/meta.json"))
    return str(_map(_map(said.get("Endpoints")).get("docker")).get("Host", ""))


def _silent(found: Found, here: Here, error: CommandFailed) -> Found:
    said = f"{error.message}\n{error.hint}".lower()
    host = here.environ.get("DOCKER_HOST", "")
    if "permission denied" in said:
        join = f"sudo usermod -aG docker {here.user or 'YOU'}, then log in anew; that group is as mighty as root"
        return replace(found, problem="you have no permission on the daemon's socket", cure=join)
    if "did not end" in said:
        return replace(found, problem=f"its daemon does not answer within {PATIENCE:g} seconds", cure=_start(here))
    if host:
        return replace(found, problem=f"no daemon answers at {host}", cure="mend or unset DOCKER_HOST")
    if "cannot connect" in said or "daemon running" in said or "error during connect" in said:
        return replace(found, problem="its daemon does not run", cure=_start(here))
    last = error.hint.strip().splitlines()[-1:] or [error.message]
    return replace(found, problem=last[0], cure=f"look: {found.path} version")


def _start(here: Here) -> str:
    if here.there("run/systemd/system"):
        return "start it: sudo systemctl start docker"
    return "start it: sudo service docker start"


def _podman(found: Found, here: Here, run: Run) -> Found:
    """Its `info` would know more, and takes ten times as long; what it knows can be seen from here."""
    if here.uid and (lacking := _without_root(found, here)):
        return lacking
    try:
        said = _json(run(Command(argv=(str(found.path), "version", "--format", "json")), timeout=PATIENCE))
    except CommandFailed as error:
        if "did not end" in error.message:
            problem = f"it does not answer within {PATIENCE:g} seconds"
            return replace(found, problem=problem, cure=f"look: {found.path} info")
        last = error.hint.strip().splitlines()[-1:] or [error.message]
        return replace(found, problem=last[0], cure=f"look: {found.path} info")
    found = replace(found, version=str(_map(said.get("Client")).get("Version", "")), rootless=here.uid != 0)
    if not here.there("sys/fs/cgroup/cgroup.controllers"):
        if here.there("sys/fs/cgroup/unified") and _runs_by_crun(here):
            problem = "crun cannot start containers where cgroups of both versions are mounted"
            return replace(found, problem=problem, cure='set runtime = "runc" below [engine] in containers.conf')
        if here.uid:
            return replace(found, remarks=(_NO_LIMITS,))
    return found


_NO_LIMITS = "limits of memory and processors do not hold: without root that takes cgroup v2"


def _runs_by_crun(here: Here) -> bool:
    """Whether Podman would take crun, which it prefers, for want of another word."""
    files = ("usr/share/containers/containers.conf", "etc/containers/containers.conf")
    home = here.environ.get("HOME", "").lstrip("/")
    said = [found[1] for each in (*files, f"{home}/.config/containers/containers.conf")
            if (found := re.search(r'^\s*runtime\s*=\s*"(\w+)"', here.read(each), re.MULTILINE))]  # fmt: skip
    return said[-1] == "crun" if said else shutil.which("crun", path=here.environ.get("PATH")) is not None


def _without_root(found: Found, here: Here) -> Found | None:
    """What stands in a user's way, None where nothing does."""
    if problem := _no_namespaces(here):
        return replace(found, problem=problem[0], cure=problem[1])
    if not shutil.which("newuidmap", path=here.environ.get("PATH")):
        return replace(found, problem="newuidmap is missing", cure="install it: sudo apt-get install uidmap")
    listed = here.read("etc/nsswitch.conf")
    if re.search(r"^\s*subid:\s*(?!files\s*$)\S", listed, re.MULTILINE):
        return None  # the ranges are somewhere else, and Podman knows where
    owners = (here.user, str(here.uid))
    for file in ("etc/subuid", "etc/subgid"):
        ranges = [line.split(":") for line in here.read(file).splitlines()]
        if not any(each[0] in owners and len(each) == 3 for each in ranges):
            give = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {here.user or 'YOU'}"
            return replace(
                found,
                problem=f"you have no range of user numbers in /{file}",
                cure=f"{give}; then: podman system migrate",
            )
    return None


# --- Apptainer and Singularity ---------------------------------------------------------------------------------------


def _sif(found: Found, here: Here, run: Run) -> Found:
    try:
        printed = run(Command(argv=(str(found.path), "--version")), timeout=PATIENCE)
    except CommandFailed as error:
        last = error.hint.strip().splitlines()[-1:] or [error.message]
        return replace(found, problem=last[0], cure=f"look: {found.path} --version")
    answer = _SIF_VERSION.search(printed)
    if not answer:
        return replace(found, problem="it is another program of that name", cure=f"look at {found.path}")
    real: Engine = "apptainer" if answer["program"] == "apptainer" else "singularity"
    found = replace(found, engine=real, version=answer["version"], rootless=here.uid != 0)
    least = _SIF_LEAST[real]
    if tuple(map(int, re.findall(r"\d+", found.version)[:2])) < least:
        words = ".".join(map(str, least))
        return replace(found, problem=f"it is older than {words}", cure="ask for a newer one (module avail apptainer)")
    remarks = []
    if here.uid and not _starter(found):
        if problem := _no_namespaces(here):
            return replace(found, problem=problem[0], cure=problem[1])
        if not here.there("dev/fuse"):
            remarks.append("without /dev/fuse an image is unpacked at every start: make a folder of it (sandbox)")
    if here.uid and not here.there("sys/fs/cgroup/cgroup.controllers"):
        remarks.append(_NO_LIMITS)
    return replace(found, remarks=tuple(remarks))


def _starter(found: Found) -> bool:
    """Whether it was installed with a helper that is root (setuid), which needs no user namespaces."""
    assert found.path is not None  # noqa: S101  # it answered
    tree = found.path.resolve().parent.parent
    places = (
        f"{where}/{each}/bin/starter-suid" for where in ("libexec", "lib/*") for each in ("apptainer", "singularity")
    )
    return any(file.stat().st_mode & 0o4000 for place in places for file in tree.glob(place))


def _no_namespaces(here: Here) -> tuple[str, str] | None:
    """Why users cannot have user namespaces, and what mends it; None where they can."""
    if here.read("proc/sys/user/max_user_namespaces") == "0":
        return ("user namespaces are switched off", "ask for: sudo sysctl -w user.max_user_namespaces=15000")
    if here.read("proc/sys/kernel/unprivileged_userns_clone") == "0":
        return ("user namespaces are for root alone", "ask for: sudo sysctl -w kernel.unprivileged_userns_clone=1")
    return None


_LOOKS: Mapping[Engine, Callable[[Found, Here, Run], Found]] = {
    "docker": _docker,
    "podman": _podman,
    "apptainer": _sif,
    "singularity": _sif,
}

# --- what they say ---------------------------------------------------------------------------------------------------


def _json(text: str) -> Mapping[str, object]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _map(said: object) -> Mapping[str, object]:
    return said if isinstance(said, dict) else {}
