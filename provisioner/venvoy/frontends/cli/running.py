"""`venvoy run` and `venvoy activate`: work inside an environment from a terminal."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

from ... import files, process, settings
from ...actions.activation import Activation, activated, activation
from ...actions.asked import asked_in
from ...actions.check_container import refuse_hindered
from ...actions.machine import time_zone
from ...actions.note import note
from ...actions.permission import seen, within_policy
from ...actions.start_of import start_of
from ...actions.variables import variables_from
from ...containers import mount
from ...errors import InvalidInput, NotPermitted, VenvoyError
from ...history import Entry
from ...model import Environment, Job
from ...store import Store
from ..views.running import activation_view, ran_view
from . import shells
from .options import FILE, actor, current_store, named, output, usable
from .output import Output, usage_error

_SHELL = "/bin/sh"
_NOT_STARTED = (125, 255)
"""What Docker and Podman, Apptainer and Singularity exit with when they could not start; programs may do so, too."""


class _RunCommand(click.Command):
    """Leaves alone what belongs to the program: all behind `--`, and behind `--args`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ours, mark, rest = _split(args)
        ctx.params |= {"argv": rest if mark == "--" else None, "arguments": rest if mark == "--args" else None}
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- PROGRAM [ARGUMENT]...]"]


def _split(words: list[str]) -> tuple[list[str], str, tuple[str, ...]]:
    """Our own words, the first mark behind which the program's begin ("" without one), and those."""
    at = next((index for index, word in enumerate(words) if word in ("--", "--args")), len(words))
    return words[:at], "".join(words[at : at + 1]), tuple(words[at + 1 :])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    """What is to be run; nothing at all opens a shell. `shell` is one that was asked for by its name."""

    argv: tuple[str, ...] = ()
    shell: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)


@click.command(cls=_RunCommand)
@named
@click.option("--command", "line", metavar="TEXT", help="A line for the shell (/bin/sh).")
@click.option(
    "--script",
    type=click.Path(exists=True, dir_okay=False),
    metavar="FILE",
    help="A Python file of yours, or an R one.",
)
@click.option("--args", "_", metavar="...", expose_value=False, help="All that follows goes to the script.")
@click.option("--env-file", type=FILE, multiple=True, metavar="FILE", help="More variables (.env).")
@click.option(
    "--cwd", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="DIR", help="Run it there."
)
@click.option("--mount", "mounts", multiple=True, metavar="SRC:DST[:ro]", help="Containers: see a folder inside, too.")
@output
def run(
    name: str,
    line: str | None,
    script: str | None,
    env_file: tuple[Path, ...],
    cwd: Path | None,
    mounts: tuple[str, ...],
    out: Output,
    argv: tuple[str, ...] | None,
    arguments: tuple[str, ...] | None,
) -> int:
    """Run a program, or a shell, in an environment.

    The exit code is the program's (128 + n for one that signal n ended). Without a program your own shell is opened.
    What the program installs is recorded when it ends.
    """
    store = current_store()
    policy = settings.policy()
    env = within_policy(usable(store.environment(name)), policy)
    wish = _wish(env, line, script, arguments, argv, cwd=cwd)
    variables = _variables(env, env_file)
    if mounts and not env.container:
        raise InvalidInput(
            f"{name!r} is no container: it sees all folders under their own names", hint="leave --mount away"
        )
    also = seen(map(mount, mounts), policy)
    if gone := next((each.source for each in also if not each.source.exists()), None):
        raise InvalidInput(f"{gone}, which is to be seen inside, is not there", hint=f"make it: mkdir -p {gone}")
    with _started(env, wish, out) as start:
        folder = cwd.absolute() if cwd else Path.cwd() if env.container else None
        job = Job(
            argv=start.argv,
            variables={**_clocks(env), **variables, **start.variables},
            cwd=folder,
            mounts=also,
            terminal="tty" if sys.stdin.isatty() and sys.stdout.isatty() else "pipe",
        )
        with _stdout_for_us(out):
            code = process.attend(start_of(env, activated(store, env, job), policy))
    if env.container and code in _NOT_STARTED:
        refuse_hindered(store, env)
    entry = _recorded(store, env, wish, code, out)
    if out.json:
        out.show(ran_view(name, argv=start.argv, exit_code=code, entry=entry))
    return code


@click.command
@named
@click.option(
    "--shell", type=click.Choice(["bash", "zsh", "fish", "sh", "powershell", "cmd"]), help="By default $SHELL's."
)
@output
def activate(name: str, shell: str | None, out: Output) -> None:
    """Print what activates an environment in this shell.

    \b
    bash, zsh:   eval "$(venvoy activate NAME)"
    fish:        venvoy activate NAME | source
    PowerShell:  venvoy activate NAME --shell powershell | Invoke-Expression
    """  # noqa: D301  # \b is click's mark for lines that stay as they are
    store = current_store()
    env = usable(store.environment(name))
    if env.container:
        raise InvalidInput(f"{name!r} is a container, which no shell outside can enter", hint=f"venvoy run {name}")
    kind = shell or Path(os.environ.get("SHELL") or _SHELL).name
    line = (
        shells.activation_line(env, kind)
        if _has_scripts(env)
        else shells.written_out(env, _activation(store, env), kind)
    )
    out.show(activation_view(name, shell=kind, line=line))
    if sys.stdout.isatty() and not out.json:
        out.say(f"(it acts when the shell reads it: {_reading(name, kind)})")


def _has_scripts(env: Environment) -> bool:
    """Whether the prefix brings what activates it, as a venv does."""
    return env.runtime != "conda" and env.language == "python"


def _activation(store: Store, env: Environment) -> Activation:
    return activation(store, env) if env.runtime == "conda" else Activation()


def _reading(name: str, shell: str) -> str:
    if shell == "fish":
        return f"venvoy activate {name} | source"
    return f'eval "$(venvoy activate {name})"' if shell in shells.POSIX else "copy it"


def _wish(
    env: Environment,
    line: str | None,
    script: str | None,
    arguments: tuple[str, ...] | None,
    argv: tuple[str, ...] | None,
    *,
    cwd: Path | None,
) -> _Wish:
    """Read the three ways to say what to run, of which at most one may be used."""
    if sum(each is not None for each in (line, script, argv)) > 1:
        raise click.UsageError("--command, --script and -- PROGRAM cannot be combined")
    if arguments is not None and script is None:
        raise usage_error("--args belongs to --script", hint="venvoy run NAME --script FILE --args ...")
    if line is not None:
        return _Wish(argv=(_SHELL, "-c", line), shell=shells.named(line))
    if script is not None:
        place = str(Path(script).absolute()) if cwd else script
        return _Wish(argv=(env.interpreter.name, place, *(arguments or ())))
    return _Wish(argv=argv or ())


def _variables(env: Environment, more: tuple[Path, ...]) -> dict[str, str]:
    """The variables of the environment's files and of those on the command line, as far as the policy has it."""
    if settings.policy().env_files:
        return variables_from((*env.env_file, *more))
    if more:
        raise NotPermitted("files of variables are not permitted here", hint="set them in your shell: A=1 venvoy run")
    return {}


def _clocks(env: Environment) -> dict[str, str | None]:
    """An image's clocks are set as its maker's were."""
    return {"TZ": time_zone(os.environ)} if env.container else {}


@contextmanager
def _started(env: Environment, wish: _Wish, out: Output) -> Iterator[_Start]:
    """What to start; a shell gets a folder of start-up files for as long as it runs."""
    if wish.argv and not wish.shell:
        yield _Start(argv=wish.argv)
        return
    if env.container:  # its shells are the image's
        yield _Start(argv=wish.argv or (_SHELL, "-c", "[ ! -x /bin/bash ] || exec /bin/bash; exec /bin/sh"))
        return
    shell = wish.shell or shells.of_user(os.environ)
    with tempfile.TemporaryDirectory(prefix="venvoy-") as folder:
        opening = shells.opening(shell, env, folder=Path(folder), variables=os.environ)
        for file, text in opening.files.items():
            files.replace(Path(folder, file), text)
        if sys.stderr.isatty():
            out.say(f"{env.name}: {env.language_name} {env.language_version}; leave it with exit")
        yield _Start(argv=opening.argv, variables=opening.variables)


@contextmanager
def _stdout_for_us(out: Output) -> Iterator[None]:
    """With --output json stdout is for the answer alone, and what the program prints goes to stderr."""
    if not out.json:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def _recorded(store: Store, env: Environment, wish: _Wish, code: int, out: Output) -> Entry | None:
    """Write down what the program changed; what it did is done, so nothing here may change its exit code."""
    said = (wish.argv[-1] if wish.argv[:2] == (_SHELL, "-c") else shlex.join(wish.argv),)
    asked = asked_in(said) if code == 0 and wish.argv else ()
    try:
        with store.held(env.name, timeout=5):
            entry = note(store, store.environment(env.name), actor=actor(out), asked=asked)
    except TimeoutError:
        return None  # whoever is at work there records it
    except (VenvoyError, OSError) as error:
        out.warn(f"what changed in {env.name!r} could not be recorded: {error}")
        return None
    if entry and entry.event == "change":
        out.say(f"{env.name}: what changed is on record (venvoy history {env.name} --last 1)")
    return entry
