"""Environments, seen one by one and in a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...actions.status import State, Status
from ...formats.origins import public
from ...model import Diff, Environment, Package, Snapshot
from .data import contents_data, diff_data, diff_rows, environment_data, image_lines, package_data, packages_rows
from .view import Data, View, counted, moment, size_of

_EXAMPLES = {"python": "numpy", "r": "dplyr"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a list says of one environment; `environment` and `state` are None where that could not be read."""

    name: str
    environment: Environment | None = None
    packages: int | None = None
    state: State | None = None
    kernel: str | None = None
    problem: str = ""


def made_view(env: Environment, *, project: Path, kernel: str | None) -> View:
    head = [
        f"{env.name}: {env.speech} in {env.prefix}",
        f"kernel in Jupyter: {kernel or 'none yet'}",
        f"record: {project}",
        "",
        *([] if env.read_only else [f"venvoy install {env.name} {_EXAMPLES[env.language]:7} # packages"]),
        *([f"venvoy install {env.name} --r {_EXAMPLES['r']} # R packages"] if env.also else []),
        f"venvoy run {env.name}             # a shell in it",
    ]
    return View(
        data={"environment": environment_data(env), "project": str(project), "kernel": kernel}, head="\n".join(head)
    )


def environments_view(seen: Sequence[Glance]) -> View:
    return View(
        data={"environments": [glance_data(each) for each in seen]},
        head=f"{counted(len(seen), 'environment')}." if seen else "No environments yet. Make one: venvoy init NAME",
        columns=("name", "python", "runtime", "packages", "state", "kernel"),
        rows=tuple(_glance_row(each) for each in seen),
    )


def environment_view(
    env: Environment,
    *,
    folder: Path,
    project: Path,
    kernel: str | None,
    status: Status,
    size: int,
    problem: str,
) -> View:
    packages = status.snapshot.packages
    counts = f"{counted(len(packages), 'package')}, {size_of(size)}"
    speaks = status.snapshot.speech
    head = [
        f"{env.name}: {speaks}, {env.runtime}, {counts}. {status.sentence}",
        f"packages in: {env.prefix}{_adopted(env)}",
        f"settings in: {folder}",
        f"record in: {project}",
        *_stands_on(env, status.snapshot),
        f"made: {moment(env.created)} on {env.system} {env.architecture}",
        f"kernel in Jupyter: {kernel or 'none'}",
    ]
    if env.env_file:
        head.append(f"variables from: {', '.join(map(str, env.env_file))}")
    return View(
        data={
            "environment": environment_data(env),
            "folder": str(folder),
            "project": str(project),
            "kernel": kernel,
            "state": status.state,
            "size": size,
            "problem": problem or None,
            "base": contents_data(status.snapshot),
            "packages": [package_data(each) for each in packages],
        },
        head="\n".join(head),
        columns=("package", "version", "", "origin"),
        rows=tuple((*row, _origin(each)) for row, each in zip(packages_rows(status.snapshot), packages, strict=True)),
    )


def deleted_view(env: Environment, *, project: Path, record: bool) -> View:
    what = "forgotten; its folder is as it was" if env.adopted else "deleted"
    return View(
        data={"deleted": env.name, "adopted": env.adopted, "project": None if record else str(project)},
        head=f"{env.name}: {what}" + ("." if record else f". Its record is kept in {project}."),
    )


def changed_view(name: str, difference: Diff) -> View:
    head = f"{name}: {counted(len(difference), 'package')} changed." if difference else f"{name}: nothing changed."
    return View(
        data={"environment": name, "changes": diff_data(difference)},
        head=head,
        columns=("", "package", "before", "now"),
        rows=diff_rows(difference),
    )


def configured_view(env: Environment, *, file: Path, content: str, kernel: str | None) -> View:
    return View(
        data={"environment": environment_data(env), "file": str(file), "content": content, "kernel": kernel},
        head=f"# {file}\n{content.rstrip()}",
    )


def glance_data(seen: Glance) -> Data:
    return {
        "name": seen.name,
        "environment": environment_data(seen.environment) if seen.environment else None,
        "package_count": seen.packages,
        "state": seen.state,
        "kernel": seen.kernel,
        "problem": seen.problem or None,
    }


def _glance_row(seen: Glance) -> tuple[str, ...]:
    env = seen.environment
    return (
        seen.name,
        ", ".join(f"{'R ' if each.language == 'r' else ''}{each.language_version}" for each in env.halves)
        if env
        else "?",
        f"{env.runtime}{', adopted' if env.adopted else ''}" if env else "?",
        "?" if seen.packages is None else str(seen.packages),
        (seen.problem if env else f"cannot be read: venvoy check {seen.name}") or seen.state or "?",
        seen.kernel or "none",
    )


def _stands_on(env: Environment, snapshot: Snapshot) -> list[str]:
    return [*_base(env, snapshot), *(f"packages from: {public(each.url)}" for each in env.repositories)]


def _base(env: Environment, snapshot: Snapshot) -> list[str]:
    if env.runtime == "conda":
        return [f"channels: {', '.join(env.channels)}"]
    if env.container:
        return [f"{label}: {text}" for label, text in image_lines(env, snapshot)]
    return [f"interpreter: {env.base}"]


def _adopted(env: Environment) -> str:
    return (" (adopted, read only)" if env.read_only else " (adopted)") if env.adopted else ""


def _origin(package: Package) -> str:
    if package.ecosystem == "conda":
        return f"conda {package.channel.rpartition('/')[2]} {package.build}".strip()
    return "" if package.origin == "index" else f"{package.origin} {package.url}".strip()
