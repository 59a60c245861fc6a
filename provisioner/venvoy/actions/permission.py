"""What the administrator's policy allows of an environment, and what a runtime can give it here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path

from .. import runtimes
from ..containers import NETWORKS, matches, size_text, usual_network
from ..errors import NotPermitted
from ..model import Container, Environment, Job, Mount, Network, Resources
from ..runtimes.inside import NOWHERE, PREFIX, container_of
from ..settings import Limits, Policy
from .detect import Here
from .limits import refuse_impossible


def permitted(env: Environment, policy: Policy) -> None:
    """Raise NotPermitted unless the policy allows the environment's place."""
    if policy.prefixes is None:
        return
    prefix = env.prefix.resolve()
    if not any(prefix.is_relative_to(folder.resolve()) for folder in policy.prefixes):
        allowed = ", ".join(map(str, policy.prefixes))
        raise NotPermitted(
            f"environments outside {allowed} may not run here: {env.name!r} lies in {prefix}",
            hint="make it in an allowed folder: venvoy init NAME --prefix DIR",
        )


def within_policy(env: Environment, policy: Policy, *, here: Here | None = None) -> Environment:
    """The environment as it may run: what its config.yaml says cannot be more than the policy allows.

    Only the name of its image is looked at (`permitted_image` asks the engine). Raises NotPermitted, and
    RuntimeUnavailable for limits that would not hold on this machine.
    """
    if env.container is None:
        return env
    container = bounded(env.container, policy)
    if policy.mounts is not None and env.prefix != NOWHERE:
        prefix = Mount(source=env.prefix, target=PREFIX, read_only=env.read_only)
        own = _mounts(prefix, policy, f"or make {env.name!r} anew in an allowed folder: --prefix DIR")
        container = replace(container, mounts=(*own, *container.mounts))
    possible(env.runtime, container, here=here)
    return replace(env, container=container)


def online(env: Environment, policy: Policy) -> Environment:
    """The environment, within the policy, for a job that needs a network whatever is said. Raises NotPermitted."""
    container = container_of(env)
    if policy.networks is None or container.resources.network != "none":
        return env
    usual = usual_network(container.engine)
    network = next((each for each in (usual, *NETWORKS) if each in policy.networks and each != "none"), None)
    if network is None:
        raise NotPermitted(
            "this needs a network, and containers have none here",
            hint="take an image that has what is needed, or what is kept already: venvoy restore … --offline",
        )
    return replace(env, container=replace(container, resources=replace(container.resources, network=network)))


def seen(mounts: Iterable[Mount], policy: Policy) -> tuple[Mount, ...]:
    """What a single run is to see, as far as the policy has it. Raises NotPermitted."""
    return tuple(found for each in mounts for found in _mounts(each, policy))


def working_folder(env: Environment, folder: Path, policy: Policy) -> tuple[Mount, ...]:
    """How the folder that a job runs in is mounted where there is a policy for it, else none. Raises NotPermitted."""
    if env.container is None or policy.mounts is None or folder == Path("/"):
        return ()
    return _mounts(Mount(source=folder, target=str(folder)), policy)


def bounded(container: Container, policy: Policy) -> Container:
    """How a container is run within the policy.

    What is for reading alone is mounted so, the network is said, and limits that nobody asked for are those of the
    policy. Raises NotPermitted for the rest, with what is allowed.
    """
    _image(container, policy)
    mounts = seen(container.mounts, policy)
    if container.home is not None and policy.mounts is not None:
        home = Mount(source=container.home, target=str(container.home))
        mounts = (*mounts, *_mounts(home, policy, "--no-home leaves it out"))
    has = _resources(container.resources, policy.resources)
    return replace(container, mounts=mounts, resources=replace(has, network=_network(container, policy)))


def possible(runtime: str, container: Container, *, here: Here | None = None) -> None:
    """Raise RuntimeUnavailable, with the reason, for what the runtime cannot give a container here."""
    refuse_impossible(container.resources, engine=container.engine, rootless=container.rootless, here=here)
    runtimes.get(runtime).command(_on_paper(runtime, container), Job(argv=("true",)))


def _on_paper(runtime: str, container: Container) -> Environment:
    return Environment(
        name="NAME", prefix=NOWHERE, runtime=runtime, created=datetime.fromtimestamp(0, UTC), container=container
    )


def _image(container: Container, policy: Policy) -> None:
    if policy.images is not None and not matches(container.image.reference, policy.images):
        raise NotPermitted(
            f"the image {container.image.reference} may not be used here",
            hint=_hint(", ".join(policy.images), "--image"),
        )


def _network(container: Container, policy: Policy) -> Network | None:
    """The network, said where there is a policy for it: what an engine takes by itself is its user's to configure."""
    if policy.networks is None:
        return container.resources.network
    network = container.resources.network or usual_network(container.engine)
    if network not in ("none", *policy.networks):
        allowed = ", ".join(policy.networks)
        raise NotPermitted(f"the network {network} may not be used here", hint=_hint(allowed, "--network"))
    return network


def _mounts(mount: Mount, policy: Policy, otherwise: str = "") -> tuple[Mount, ...]:
    """The same, for reading alone where it must be, and what of it the policy names apart.

    Links in its path lead to what is meant, and it is that which is mounted.
    """
    if policy.mounts is None:
        return (mount,)
    source = mount.source.resolve()
    # Of a folder that is named twice the stricter word counts.
    said = sorted(policy.mounts, key=lambda each: each.read_only)
    rules = {each.folder.resolve(): mount.read_only or each.read_only for each in said}
    above = [each for each in rules if source.is_relative_to(each)]
    if not above:
        allowed = ", ".join(f"{each.folder}{':ro' if each.read_only else ''}" for each in policy.mounts)
        hint = _hint(allowed or "none", "--mount")
        raise NotPermitted(
            f"{mount.source} may not be seen in a container here", hint=f"{hint}\n{otherwise}" if otherwise else hint
        )
    nearest = max(above, key=lambda each: len(each.parts))
    below = (each for each in sorted(rules) if each != source and each.is_relative_to(source) and each.exists())
    return (
        replace(mount, source=source, read_only=rules[nearest]),
        *(
            Mount(source=each, target=str(Path(mount.target, each.relative_to(source))), read_only=rules[each])
            for each in below
        ),
    )


def _resources(has: Resources, most: Limits) -> Resources:
    if most.memory is not None and has.memory is not None and has.memory > most.memory:
        raise NotPermitted(
            f"{size_text(has.memory)} of memory is too much here", hint=_hint(size_text(most.memory), "--memory")
        )
    if most.cpus is not None and has.cpus is not None and has.cpus > most.cpus:
        raise NotPermitted(f"{has.cpus:g} processors are too many here", hint=_hint(f"{most.cpus:g}", "--cpus"))
    if most.gpus is not None and "all" not in most.gpus:
        asked = has.gpus.split(",") if has.gpus else []
        if odd := [each for each in asked if each not in most.gpus]:
            raise NotPermitted(
                f"gpus: {odd[0]} may not be used here", hint=_hint(",".join(most.gpus) or "none", "--gpus")
            )
    if most.devices is not None:
        for each in has.devices:
            if not any(fnmatchcase(each, pattern) for pattern in most.devices):
                raise NotPermitted(
                    f"the device {each} may not be used here", hint=_hint(", ".join(most.devices) or "none", "--device")
                )
    return replace(has, memory=has.memory or most.memory, cpus=has.cpus or most.cpus)


def _hint(allowed: str, option: str) -> str:
    if option == "--image":
        return f"allowed: {allowed}"
    key = {"--mount": "mounts", "--device": "devices"}.get(option, option.removeprefix("--"))
    return f"allowed: {allowed}; of an environment that is there: venvoy configure NAME --set {key}=…"
