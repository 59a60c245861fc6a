"""Lock a conda environment for other platforms, at the versions that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..engine.request import Request, name_in
from ..errors import CommandFailed, InvalidInput
from ..formats.platforms import PLATFORMS
from ..formats.subdirs import LOCKED, platform_of, subdir_of
from ..managers import conda as engine
from ..model import Environment, Package, Snapshot
from ..process import OnLine
from . import conda
from .create import asked_of
from .universal import ALL, universal

NAMES: Mapping[str, str] = {
    "linux-64": "linux-x86_64",
    "linux-aarch64": "linux-aarch64",
    "osx-64": "macos-x86_64",
    "osx-arm64": "macos-arm64",
    "win-64": "windows-x86_64",
}
"""From conda's name of a platform to the one of `formats.platforms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Everywhere:
    """A state for each platform, this one's first, and what of it is otherwise than here, a sentence each."""

    snapshots: tuple[Snapshot, ...]
    remarks: tuple[str, ...] = ()


def everywhere(
    env: Environment, locked: Snapshot, names: Sequence[str], *, on_line: OnLine | None = None
) -> Everywhere:
    """Solve for the platforms of those names, or "all" of them, beside the one of the lock.

    Everything has the version that it has here, wherever that can be had; else what was asked for has it, else what
    was asked for is asked for again, and that is told. Raises InvalidInput for an unknown platform, CommandFailed where
    nothing fits.
    """
    if env.runtime != "conda":
        raise InvalidInput(
            f"{env.name!r} is a venv: its lock is for one platform",
            hint=f"a text for several: venvoy export {env.name} --format pylock --platform all",
        )
    here = subdir_of(locked.platform)
    others = [each for each in _subdirs(names) if each != here]
    if on_line:
        on_line(f"Solving for {', '.join(others)} …")
    by_pip = _by_pip(env, locked, others, on_line)
    snapshots, remarks = [locked], []
    for subdir in others:
        packages, remark = _solved(env, locked, subdir)
        remarks += [f"{subdir}: {remark}"] if remark else []
        python = next((each.version for each in packages if each.name == "python"), "")
        snapshots.append(
            replace(
                locked,
                base="",
                state="",
                language_version=python,
                platform=platform_of(subdir),
                packages=tuple(sorted((*packages, *by_pip.get(subdir, ())))),
            )
        )
    return Everywhere(snapshots=tuple(snapshots), remarks=tuple(remarks))


def _subdirs(names: Sequence[str]) -> tuple[str, ...]:
    ours = {name: subdir for subdir, name in NAMES.items()}
    wanted = [ours.get(each, each) for each in names]
    if unknown := [each for each in wanted if each not in (*LOCKED, ALL)]:
        raise InvalidInput(f"there is no platform {unknown[0]!r}", hint=f"there is: {', '.join(LOCKED)}, {ALL}")
    return LOCKED if ALL in wanted else tuple(dict.fromkeys(wanted))


def _solved(env: Environment, locked: Snapshot, subdir: str) -> tuple[list[Package], str]:
    """The packages there, and what of them is otherwise than here."""
    by_conda = locked.of("conda")
    wishes = asked_of(env)
    asked = {name_in(each) for each in wishes} or {each.name for each in by_conda if each.direct}
    same = tuple(f"{each.name}=={each.version}" for each in by_conda if each.name in asked)
    held = tuple(f"{each.name}=={each.version}" for each in by_conda)
    source = conda.source(env.channels, prefix=env.prefix)
    tries = (
        # What is here may be against a pin; the same elsewhere is still the same.
        (same, held, replace(source, pinned=()), ""),
        (same, (), source, "what came along has other versions than here"),
        (wishes, (), source, "what was asked for has other versions than here"),
    )
    refused: CommandFailed | None = None
    for specs, constraints, way, remark in tries:
        request = Request(
            verb="solve",
            source=way,
            specs=specs,
            constraints=constraints,
            platforms=(subdir,),
        )
        try:
            said = conda.ask(request, doing=f"cannot lock {env.name!r} for {subdir}")[subdir]
        except CommandFailed as error:
            refused = refused or error
            continue
        found = [engine.package(each) for each in said]
        return [replace(each, direct=each.name in asked) for each in found], remark
    raise refused or CommandFailed(f"cannot lock {env.name!r} for {subdir}")


def _by_pip(
    env: Environment, locked: Snapshot, subdirs: Sequence[str], on_line: OnLine | None
) -> Mapping[str, tuple[Package, ...]]:
    """What of the Python index each platform gets."""
    own = locked.of("pypi")
    if not own or not subdirs:
        return {}
    found = universal(env, replace(locked, packages=own), [NAMES[each] for each in subdirs], on_line=on_line)
    return {each: found.tailored.packages(PLATFORMS[NAMES[each]]) for each in subdirs}
