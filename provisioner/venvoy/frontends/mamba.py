"""`conda`, `mamba` and `micromamba` for kernels where the user has none: the few commands that notebooks use.

They act on one prefix, the active one, and on the channels of its environment; what they change is recorded by whoever
attends the kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .. import inventory, settings
from ..actions import conda
from ..actions.install import refuse_read_only
from ..engine.request import Request
from ..errors import InvalidInput, VenvoyError
from ..formats.environment_yml import EnvironmentYml, written
from ..model import Environment, Package, Snapshot, Wish
from ..store import Store
from .meter import Meter

_INSTALL, _REMOVE, _UPDATE = ("install",), ("remove", "uninstall"), ("update", "upgrade")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    program, *words = sys.argv[1:] if argv is None else argv
    try:
        return _run(program, _parser(program).parse_intermixed_args(words), words)
    except VenvoyError as error:
        sys.stderr.write(f"{program} (venvoy's): {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="venvoy's own, for where no real one is installed.",
        epilog="environments are made, listed and deleted by: venvoy init, venvoy list, venvoy delete",
    )
    parser.add_argument("command", choices=[*_INSTALL, *_REMOVE, *_UPDATE, "list", "info", "env"])
    parser.add_argument("specs", nargs="*", help="match specs; for env: export")
    parser.add_argument("-c", "--channel", action="append", default=[])
    parser.add_argument("--override-channels", action="store_true")
    parser.add_argument("-p", "--prefix")
    parser.add_argument("-n", "--name")
    parser.add_argument("-f", "--file", action="append", default=[], help="a file of match specs")
    parser.add_argument("-y", "--yes", action="store_true")
    parser.add_argument("-q", "--quiet", action="store_true")
    parser.add_argument("-d", "--dry-run", action="store_true")
    parser.add_argument("-a", "--all", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--offline", action="store_true")
    parser.add_argument("--no-builds", action="store_true")
    parser.add_argument("--from-history", action="store_true")
    parser.add_argument("--version", action="version", version=f"{program} of venvoy")
    return parser


def _run(program: str, said: argparse.Namespace, words: Sequence[str]) -> int:
    prefix, env = _place(said)
    if said.command == "list":
        _list(prefix, said)
    elif said.command == "info":
        told = {"active_prefix": str(prefix), "channels": list(_source(said, prefix, env).channels)}
        _print(said, told)
        if not said.json:
            sys.stdout.write(f"active prefix: {prefix}\nchannels: {', '.join(told['channels'])}\n")
    elif said.command == "env":
        _export(prefix, env, said)
    else:
        return _change(prefix, env, said, shlex.join((program, *words)))
    return 0


def _place(said: argparse.Namespace) -> tuple[Path, Environment | None]:
    """The prefix that is meant, and the environment that it is of. Raises InvalidInput."""
    active = os.environ.get("CONDA_PREFIX", "")
    store = Store(settings.current())
    if said.name and said.name != os.environ.get("CONDA_DEFAULT_ENV"):
        if not store.exists(said.name):
            raise InvalidInput(
                f"no environment is named {said.name!r}", hint=f"make it: venvoy init --runtime conda {said.name}"
            )
        active = str(store.environment(said.name).prefix)
    prefix = Path(said.prefix or active)
    if not str(said.prefix or active):
        raise InvalidInput("no conda environment is active", hint="name one: --prefix DIR, or venvoy run NAME")
    if not inventory.conda_meta.is_prefix(prefix):
        raise InvalidInput(f"{prefix} is no conda prefix", hint="make one: venvoy init --runtime conda NAME")
    return prefix, store.at(prefix)


def _source(said: argparse.Namespace, prefix: Path, env: Environment | None) -> Any:
    own = () if said.override_channels or env is None else env.channels
    return conda.source((*said.channel, *own), offline=said.offline, prefix=prefix)


def _change(prefix: Path, env: Environment | None, said: argparse.Namespace, command: str) -> int:
    if env is not None:
        refuse_read_only(env)
    specs = (*said.specs, *(line for file in said.file for line in _lines(Path(file))))
    if not specs and not said.all:
        raise InvalidInput(f"{said.command} what? No package is named")
    request = Request(
        verb="change",
        prefix=str(prefix),
        source=_source(said, prefix, env),
        specs=specs if said.command in _INSTALL else (),
        names=tuple(each.lower() for each in specs) if said.command in _REMOVE else (),
        update=("*",) if said.all else tuple(each.lower() for each in specs) if said.command in _UPDATE else (),
        dry=True,
        command=command,
    )
    planned = conda.ask(request, doing=f"cannot {said.command}")
    if not said.json and not said.quiet:
        _tell(planned)
    done = planned
    if not said.dry_run:
        if not _agreed(said, planned):
            sys.stderr.write("nothing was changed\n")
            return 1
        meter = None if said.quiet or said.json else Meter(_say, every=2)
        done = conda.ask(replace(request, dry=False), doing=f"cannot {said.command}", on_progress=meter)
        for each in done["scripts"]:
            sys.stderr.write(f"{each}: its own script was not run (venvoy install --link-scripts runs it)\n")
    _print(said, {"success": True, "prefix": str(prefix), "dry_run": said.dry_run, "actions": _actions(done)})
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _agreed(said: argparse.Namespace, planned: dict[str, Any]) -> bool:
    """A notebook has nobody to ask; at a terminal conda asks, and so do we."""
    nothing = not (planned["added"] or planned["removed"])
    in_kernel = "VENVOY_ENVIRONMENT" in os.environ  # where IPython gives it a terminal with nobody at it
    if nothing or said.yes or said.json or said.quiet or in_kernel or not sys.stdin.isatty():
        return True
    return input("Proceed ([y]/n)? ").strip().lower() in ("", "y", "yes")


def _tell(planned: dict[str, Any]) -> None:
    before = {each["name"]: each for each in planned["removed"]}
    after = {each["name"]: each for each in planned["added"]}
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        sign = "~" if old and new else "-" if old else "+"
        told = [f"{each['version']} {each['build']}" for each in (old, new) if each]
        sys.stdout.write(f"  {sign} {name:24} {' -> '.join(told)}\n")
    if not (before or after):
        sys.stdout.write("# All requested packages already installed.\n")
    sys.stdout.flush()


def _actions(done: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """As conda's own answer names them."""

    def told(packages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [
            {
                "name": each["name"],
                "version": each["version"],
                "build_string": each["build"],
                "base_url": each["channel"].rpartition("/")[0],
                "channel": each["channel"].rpartition("/")[2],
                "dist_name": f"{each['name']}-{each['version']}-{each['build']}",
            }
            for each in packages
        ]

    return {"LINK": told(done["added"]), "UNLINK": told(done["removed"])}


def _list(prefix: Path, said: argparse.Namespace) -> None:
    wanted = [each.lower() for each in said.specs]
    packages = [each for each in inventory.packages(prefix) if not wanted or any(one in each.name for one in wanted)]
    if said.json:
        sys.stdout.write(json.dumps([_listed(each) for each in packages], indent=2) + "\n")
        return
    sys.stdout.write(
        f"# packages in environment at {prefix}:\n#\n# Name                    Version          Build  Channel\n"
    )
    for each in packages:
        told = _listed(each)
        sys.stdout.write(f"{told['name']:25} {told['version']:16} {told['build_string']:>6}  {told['channel']}\n")


def _listed(package: Package) -> dict[str, str]:
    by_pip = package.ecosystem == "pypi"
    return {
        "name": package.name,
        "version": package.version,
        "build_string": "pypi_0" if by_pip else package.build,
        "channel": "pypi" if by_pip else package.channel.rpartition("/")[2],
        "base_url": "https://conda.anaconda.org/pypi" if by_pip else package.channel,
    }


def _export(prefix: Path, env: Environment | None, said: argparse.Namespace) -> None:
    if said.specs != ["export"]:
        raise InvalidInput("of `env` there is only `env export` here", hint="venvoy init, list and delete do the rest")
    packages = inventory.packages(prefix)
    name = env.name if env else prefix.name
    channels = env.channels if env else conda.channels()
    if said.from_history:
        records = inventory.conda_meta.records(prefix)
        text = written(Wish(name=name, channels=channels, conda=tuple(each.spec for each in records if each.spec)))
    else:
        state = Snapshot(
            environment=name,
            taken=datetime.now(UTC),
            base="",
            language_version="",
            platform="",
            channels=channels,
            packages=packages,
        )
        text = EnvironmentYml(builds=not said.no_builds).dump(state)
    sys.stdout.write(text)


def _lines(file: Path) -> list[str]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read {file}: {error}") from error
    return [each.strip() for each in lines if each.strip() and not each.lstrip().startswith(("#", "@"))]


def _print(said: argparse.Namespace, answer: dict[str, Any]) -> None:
    if said.json:
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
