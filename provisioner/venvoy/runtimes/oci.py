"""Environments in containers of Docker and Podman, and of whatever takes the same words."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import RuntimeUnavailable
from ..model import HANDED_ON, UNIQUE, Command, Container, Environment, Job, Mount, Network, Resources, is_among
from . import inside, owner

FOR_STEPS = (*(each for each in inside.PASSED if each.lower().endswith("_proxy")), "PIP_INDEX_URL", "VENVOY_REPOSITORY")
"""What the steps of a build get of the caller's variables.

The history of an image names all of them that its Dockerfile declares (`ARG`); of proxies, which need no declaration,
nothing is kept.
"""
ABSENT = re.compile(r"no such (image|object)|not known|not found", re.IGNORECASE)
"""How Docker and Podman say that they do not have an image."""
OWNER = "org.venvoy"
"""Begins the labels of all that is ours."""
_CLIENTS = (
    "PATH", "HOME", "TMPDIR", "LD_*", "XDG_*", "SSL_CERT_DIR", "SSL_CERT_FILE", "SSH_AUTH_SOCK", "NOTIFY_SOCKET",
    "GOCOVERDIR", "GODEBUG", "GOGC", "GOMAXPROCS", "GOMEMLIMIT", "GOTRACEBACK", "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_API_VERSION", "DOCKER_CERT_PATH", "DOCKER_CONFIG", "DOCKER_CONTENT_TRUST", "DOCKER_CONTENT_TRUST_SERVER",
    "DOCKER_CONTEXT", "DOCKER_DEFAULT_PLATFORM", "DOCKER_HOST", "DOCKER_TLS", "DOCKER_TLS_VERIFY",
    "CONTAINERS_*CONF*", "CONTAINER_CONNECTION", "CONTAINER_HOST", "CONTAINER_SSHKEY", "PODMAN_CONNECTIONS_CONF",
    "PODMAN_USERNS", "REGISTRY_AUTH_FILE", "STORAGE_DRIVER", "STORAGE_OPTS",
)  # fmt: skip
"""The variables by which Docker's or Podman's command would do something else; none of them is a secret's place."""


@dataclass(frozen=True, slots=True)
class OciRuntime:
    """A container for every job: nothing in it stays but what is in a mount.

    `user` and `group` are our own numbers, `groups` those of all groups that we are in.
    """

    name: str
    user: int
    group: int
    groups: tuple[int, ...] = ()

    def command(self, env: Environment, job: Job) -> Command:
        """Raises RuntimeUnavailable for what the engine cannot give."""
        container = inside.container_of(env)
        mounts = inside.mounts(env, job)
        program, *rest = job.argv
        said = inside.variables(env, job) | {"PATH": ":".join(inside.search(env, job))}
        said["HOME"] = str(container.home or "/tmp")  # noqa: S108  # the container's own
        name = job.label or f"venvoy-{UNIQUE}"
        argv = (
            # What is said goes to whoever started it; a log would fill the engine's disk.
            # Podman's `rm --force` would wait ten seconds for a program that ignores SIGTERM.
            *(self.name, "run", "--init", "--pull", "never", "--log-driver=none", "--stop-timeout=1"),
            *_named(env, job, name),
            *_stdin(job),
            *self._user(container),
            *_network(container.resources, job),
            *_limits(container),
            *_root(container, {each.target for each in mounts}),
            *(word for each in mounts for word in ("--mount", mount_words(each))),
            HANDED_ON,
            *(word for each in _set(said) for word in ("--env", each)),
            *(("--workdir", str(job.cwd)) if job.cwd else ()),
            *("--entrypoint", inside.inside(env, program)),
            container.image.digest,
            *(inside.inside(env, each) for each in rest),
        )
        handed = {name: value for name, value in said.items() if not _is_clients(name)} | inside.taken(job)
        return Command(
            argv=argv,
            cwd=Path("/"),
            variables=handed,
            dropped=job.dropped,
            handed_on=tuple(name for name in inside.PASSED if name not in said),
            stdin=job.stdin,
            # A client that is killed leaves its container running.
            last=self.stop(name).argv,
            deliver=self.deliver(name).argv,
        )

    def deliver(self, label: str) -> Command:
        """Send a signal to the container of that label; its number is put for `{}`.

        The client passes signals on, but ends by itself at the third.
        """
        return Command(argv=(self.name, "kill", "--signal", "{}", label), cwd=Path("/"))

    def state(self, label: str) -> Command:
        """Say how the container of that label is or how it ended, as JSON."""
        return self._words("inspect", "--type", "container", "--format", "{{json .State}}", label)

    def ours(self) -> Command:
        """List the numbers of the containers that venvoy has made, running or not."""
        return self._words("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={OWNER}.owner")

    def described(self, containers: Iterable[str]) -> Command:
        """Say what those containers are, as JSON; of one that is gone meanwhile nothing is said, and it fails."""
        return self._words("inspect", "--type", "container", *containers)

    def inspect(self, *images: str) -> Command:
        """Say what images are, as JSON."""
        return self._words("image", "inspect", *images)

    def pull(self, image: str) -> Command:
        return self._words("pull", image)

    def load(self, file: Path) -> Command:
        return self._words("load", "--input", str(file))

    def save(self, image: str, file: Path) -> Command:
        return self._words("save", "--output", str(file), image)

    def tag(self, image: str, name: str) -> Command:
        return self._words("tag", image, name)

    def build(
        self,
        folder: Path,
        recipe: Path,
        told: Path | None = None,
        *,
        network: Network | None = None,
        tags: tuple[str, ...] = (),
    ) -> Command:
        """Build an image of a Dockerfile; its digest is written into `told`. Only a network of the host is its own."""
        words = (
            "build",
            "--force-rm",
            *("--file", str(recipe)),
            *(("--iidfile", str(told)) if told else ()),
            *(("--network", "host") if network == "host" else ()),
            *(word for each in tags for word in ("--tag", each)),
            *(word for each in FOR_STEPS for word in ("--build-arg", each)),
            str(folder),
        )
        return replace(self._words(*words), variables={"BUILDKIT_PROGRESS": "plain"}, together=True)

    def build_for(
        self,
        folder: Path,
        recipe: Path,
        platforms: tuple[str, ...],
        tag: str,
        *,
        push: bool = False,
        network: Network | None = None,
    ) -> Command:
        """Build images for several platforms under one name; Docker's buildx sends them to their registry at once."""
        several = ",".join(platforms)
        own = (
            ("build", "--force-rm", "--jobs", "1", "--manifest", tag)
            if self.name == "podman"
            else ("buildx", "build", "--tag", tag, "--push" if push else "--load")
        )
        words = (
            *own,
            *("--platform", several),
            *("--file", str(recipe)),
            *(("--network", "host") if network == "host" else ()),
            *(word for each in FOR_STEPS for word in ("--build-arg", each)),
            str(folder),
        )
        return replace(self._words(*words), together=True)

    def push(self, tag: str, *, several: bool = False) -> Command:
        """Send an image to the registry of its name."""
        words = ("manifest", "push", "--all", tag, f"docker://{tag}") if several else ("push", tag)
        return replace(self._words(*words), together=True)

    def asked(self, *words: str) -> Command:
        """Ask the program anything."""
        return self._words(*words)

    def endpoint(self) -> Command:
        """Say where Docker's daemon is, by the context that counts."""
        return self._words("context", "inspect", "--format", "{{.Endpoints.docker.Host}}")

    def named(self, pattern: str) -> Command:
        """List the digests of the images that have a name of that pattern ("localhost/venvoy/*"), one a line."""
        return self._words("image", "ls", "--quiet", "--no-trunc", "--filter", f"reference={pattern}")

    def forget(self, image: str) -> Command:
        """Remove a name, and the image when it was the last and no container needs it."""
        return self._words("rmi", image)

    def _words(self, *words: str) -> Command:
        return Command(argv=(self.name, *words), cwd=Path("/"))

    def stop(self, label: str) -> Command:
        """End and remove the container of that label, whatever state it is in."""
        return Command(argv=(self.name, "rm", "--force", "--volumes", label), cwd=Path("/"))

    def _user(self, container: Container) -> tuple[str, ...]:
        """Files that are made in mounts belong to whoever started the container, whomever the image names."""
        numbers = f"{self.user}:{self.group}"
        if container.engine == "podman" and container.rootless:
            return ("--userns", "keep-id", "--user", numbers)
        if container.rootless:  # to a Docker without root the user is root inside
            return ("--user", "0:0")
        others = (str(each) for each in self.groups if self.user and each != self.group)
        return ("--user", numbers, *(word for each in others for word in ("--group-add", each)))


def _named(env: Environment, job: Job, name: str) -> Iterator[str]:
    yield from ("--name", name, *(() if job.label else ("--rm",)))
    for key, value in sorted({"environment": env.name, "owner": str(owner.ourselves()), **job.labels}.items()):
        yield from ("--label", f"{OWNER}.{key}={value}")


def _stdin(job: Job) -> tuple[str, ...]:
    if job.terminal == "tty":
        return ("--interactive", "--tty")
    return ("--interactive",) if job.terminal == "pipe" or job.stdin is not None else ()


def _network(resources: Resources, job: Job) -> tuple[str, ...]:
    if resources.network is None or (job.online and resources.network == "none"):
        return ()
    return ("--network", resources.network)


def _limits(container: Container) -> Iterator[str]:
    resources, engine = container.resources, container.engine
    if resources.cpus is not None:
        yield from ("--cpus", f"{resources.cpus:g}")
    if resources.memory is not None:
        # Without the second a container may swap as much again.
        yield from ("--memory", str(resources.memory), "--memory-swap", str(resources.memory))
    if resources.shm_size is not None:
        yield from ("--shm-size", str(resources.shm_size))
    for each in resources.devices:
        yield from ("--device", each)
    if not resources.gpus:
        return
    if engine == "docker":
        yield from ("--gpus", "all" if resources.gpus == "all" else f'"device={resources.gpus}"')
    else:
        for each in resources.gpus.split(","):
            yield from ("--device", f"nvidia.com/gpu={each}")


_SCRATCH = (("--volume", "/tmp"), ("--volume", "/var/tmp"), ("--tmpfs", "/run"))  # noqa: S108  # the container's own
"""Volumes without a name go with the container; they lie on a disk, where tmpfs would take of the memory."""


def _root(container: Container, mounted: Collection[str]) -> tuple[str, ...]:
    """The image's own files stay as they are: what is written there would be lost with the container."""
    scratch = (word for option, folder in _SCRATCH if folder not in mounted for word in (option, folder))
    fixed = () if container.writable else ("--read-only", *scratch)
    # Labels of SELinux would have to be set on the user's own folders; the container is as confined without.
    return (*fixed, "--security-opt", "label=disable", "--security-opt", "no-new-privileges")


def mount_words(mount: Mount) -> str:
    """As both read it: one line of CSV, so that a path may have commas, colons, quotes and spaces in it."""
    words = ["type=bind", f"src={mount.source}", f"dst={mount.target}", *(["readonly"] if mount.read_only else [])]
    if any(character in word for word in words for character in "\n\r\0"):
        raise RuntimeUnavailable(f"{str(mount.source)!r} cannot be mounted: its name has a line break in it")
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()


def _set(said: Mapping[str, str]) -> Iterator[str]:
    """The variables inside: by name alone, so that no value is on a command line, but for those of the client's own."""
    for name, value in said.items():
        yield f"{name}={value}" if _is_clients(name) else name


def _is_clients(name: str) -> bool:
    """Whether it would change what the client does, which has our variables and hands them on."""
    return is_among(name, _CLIENTS)
