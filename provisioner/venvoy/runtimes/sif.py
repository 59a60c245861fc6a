"""Environments in images of Apptainer and Singularity: one file, or a folder, that is never written to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import RuntimeUnavailable
from ..model import Command, Container, Environment, Job, is_among
from . import inside
from .oci import mount_words

_OWN = ("PATH", "HOME", "LD_LIBRARY_PATH", "TMPDIR", "APPTAINER_CACHEDIR", "APPTAINER_TMPDIR", "APPTAINER_CONFIGDIR",
        "SINGULARITY_CACHEDIR", "SINGULARITY_TMPDIR")  # fmt: skip
"""What the program itself, and the Python that starts it, need of their caller's variables.

Those that would add mounts or flags are not among them; the libraries' is not handed on to the image.
"""
_FOR_LIMITS = ("DBUS_SESSION_BUS_ADDRESS", "XDG_RUNTIME_DIR")
"""By which the system is asked to hold a container to its limits where that is not root's."""
_SQUASH = "-comp zstd -Xcompression-level 3"
"""Five times as quick to make as with gzip, and quicker to start from."""

_CLIENTS = ("APPTAINER*", "SINGULARITY*", "LANG", "LD_*", "TMPDIR", "XDG_*", "GODEBUG", "GOGC", "GOMAXPROCS",
            "GOMEMLIMIT", "GOTRACEBACK")  # fmt: skip
"""What would change what the program does, were it set for a job: mounts and flags among them; LANG stays with it."""
_PROGRAMS = ("APPTAINERENV", "SINGULARITYENV")
"""Begin the names by which each of them sets a variable inside."""
_FIXED = ("PATH", "HOME")
"""What is the same for all jobs, in every runtime."""
_READ_BY_A_SHELL = str.maketrans({each: f"\\{each}" for each in "\\$`"})

_RIGHTS = ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP",
           "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT")  # fmt: skip
"""What root has in a container of Docker, too: enough for any package manager."""


@dataclass(frozen=True, slots=True)
class SifRuntime:
    """The image's files under the user's own rights; nothing runs that was not started here."""

    name: str
    user: int

    def command(self, env: Environment, job: Job) -> Command:
        """Raises RuntimeUnavailable for what it cannot give."""
        container = inside.container_of(env)
        said = inside.variables(env, job)
        if (gpus := container.resources.gpus) not in ("", "all"):
            said["CUDA_VISIBLE_DEVICES"] = gpus  # it shows all of them, and programs keep to this
        before = ":".join((*map(str, job.search), f"{inside.PREFIX}/bin"))
        behind = ":".join(map(str, job.tools))
        argv = (
            *(self.name, "--quiet", "exec", "--pid", "--no-mount", "cwd"),
            *_home(container),
            *_apart(container),
            *self._root(container, env),
            *self._network(container, job),
            *self._limits(container),
            *(word for each in inside.mounts(env, job) for word in ("--mount", mount_words(each))),
            *(("--pwd", str(job.cwd)) if job.cwd else ("--pwd", "/")),
            str(container.image.file),
            *(inside.inside(env, each) for each in job.argv),
        )
        # Their own ways to set a variable split it at commas or have a shell read it; what they inherit stays whole.
        theirs = {name for name in said if is_among(name, _CLIENTS)}
        variables: dict[str, str | None] = {
            name: value for name, value in said.items() if name not in (*theirs, *_FIXED)
        }
        for program in _PROGRAMS:
            variables |= {f"{program}_{name}": said[name].translate(_READ_BY_A_SHELL) for name in sorted(theirs)}
            variables[f"{program}_PREPEND_PATH"] = before
            variables[f"{program}_APPEND_PATH"] = behind or None
        return Command(
            argv=argv,
            cwd=Path("/"),
            variables=variables | inside.taken(job),
            dropped=job.dropped,
            copied={f"{program}_LANG": "LANG" for program in _PROGRAMS},
            kept=(*inside.PASSED, *_OWN, *(_FOR_LIMITS if self._asks_for_limits(container) else ())),
            stdin=job.stdin,
        )

    def deliver(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """The process that was started passes each signal on, once."""
        return

    def build(
        self, source: str, file: Path, *, folder: Path = Path("/"), said: Mapping[str, str] | None = None
    ) -> Command:
        """Make a SIF of what `source` says: docker://NAME, docker-archive:FILE, a definition or a folder.

        What a definition names is looked for from `folder`; its steps have the variables that are `said`.
        """
        argv = (self.name, "build", "--force", str(file), source)
        variables = {f"{program}_{name}": value for program in _PROGRAMS for name, value in (said or {}).items()}
        variables["APPTAINER_MKSQUASHFS_ARGS"] = _SQUASH  # as an option those would refuse it that do not know it
        return Command(argv=argv, cwd=folder, variables=variables, together=True)

    def unpack(self, file: Path, start: int, folder: Path) -> Command:
        """Lay the files of an image, which begin at that byte of it, into a new folder.

        By what both programs unpack with themselves: their own way gives up at an owner that cannot be set.
        """
        words = ("-no-progress", "-no-xattrs", "-offset", str(start), "-dest", str(folder), str(file))
        return Command(argv=("unsquashfs", *words), cwd=Path("/"))

    def parts(self, file: Path) -> Command:
        """List the objects that an image is put together of."""
        return Command(argv=(self.name, "sif", "list", str(file)), cwd=Path("/"))

    def change(self, folder: Path, script: str) -> Command:
        """Run lines of shell, as root, in an image that lies there as a folder, and have it keep what they write.

        That is what a %post of theirs is, which wants more rights than a root in a container of its own may have.
        """
        rights = ("--fakeroot",) if self.user else ("--add-caps", ",".join(f"CAP_{each}" for each in _RIGHTS))
        argv = (self.name, "--quiet", "exec", "--contain", "--writable", "--no-home", "--pwd", "/", *rights)
        words = (str(folder), "/bin/sh", "-c", script)
        return Command(argv=(*argv, *words), cwd=Path("/"), kept=(*inside.PASSED, *_OWN), together=True)

    def part(self, file: Path, number: int) -> Command:
        """Print one of the objects that an image is put together of, by its number."""
        return Command(argv=(self.name, "sif", "dump", str(number), str(file)), cwd=Path("/"))

    def inspect(self, file: Path) -> Command:
        """Say what was noted in an image when it was made, as JSON."""
        return Command(argv=(self.name, "inspect", "--json", str(file)), cwd=Path("/"))

    def state(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """Its end is that of the process that was started."""
        return

    def stop(self, label: str) -> None:  # noqa: ARG002  # the Protocol's signature
        """Nothing stays: the container is the process that was started, and ends with it."""
        return

    def _root(self, container: Container, env: Environment) -> Iterator[str]:
        if container.writable:
            raise RuntimeUnavailable(
                f"{self.name} does not let the image's own files be changed",
                hint=f"leave them as they are: venvoy configure {env.name} --set writable=false",
            )
        yield from ()

    def _network(self, container: Container, job: Job) -> tuple[str, ...]:
        match container.resources.network:
            case "none" if not job.online:
                return ("--net", "--network", "none")
            case "bridge" if self.user:
                raise RuntimeUnavailable(
                    f"{self.name} gives users no network of their own (bridge)", hint="take network: host, or none"
                )
            case "bridge":
                return ("--net", "--network", "bridge")
        return ()

    def _asks_for_limits(self, container: Container) -> bool:
        resources = container.resources
        return bool(self.user) and (resources.cpus is not None or resources.memory is not None)

    def _limits(self, container: Container) -> Iterator[str]:
        resources = container.resources
        if resources.cpus is not None:
            yield from ("--cpus", f"{resources.cpus:g}")
        if resources.memory is not None:
            yield from ("--memory", str(resources.memory), "--memory-swap", str(resources.memory))
        if resources.shm_size is not None:
            raise RuntimeUnavailable(
                f"{self.name} has the machine's own /dev/shm", hint="leave shm_size away; the machine's is shared"
            )
        if resources.gpus:
            yield "--nv"


def _home(container: Container) -> tuple[str, ...]:
    """Its HOME cannot be set by a variable."""
    if container.home is None:
        return ("--no-home", "--home", "/tmp:/tmp")  # noqa: S108  # as everywhere without a home
    return ("--home", f"{container.home}:{container.home}")


def _apart(container: Container) -> tuple[str, ...]:
    """Temporary folders of its own: those of the machine have the sessions of kernels in them where users have none."""
    if not container.apart:
        return ()
    return ("--contain", *(("--workdir", str(container.home)) if container.home else ()))
