"""The options that commands share, and what every command begins with."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ... import settings
from ...actions.asked import without_secrets
from ...errors import RuntimeUnavailable
from ...formats.platforms import PLATFORMS
from ...formats.subdirs import LOCKED
from ...inventory import conda_meta
from ...model import Actor, Environment
from ...settings import DEFAULT_NAME
from ...store import Store, checked_name
from .output import Output, output_of, usage_error

Decorated = Callable[..., Any]
LONGEST = 500
"""How much of a command line goes into the record, in characters."""

FILE = click.Path(path_type=Path)


def output(function: Decorated) -> Decorated:
    """Add --output; the command is given an `Output` as `out`."""
    option = click.option(
        "--output",
        "out",
        type=click.Choice(["text", "json"]),
        default="text",
        callback=output_of,
        help="For people, or for programs (JSON on stdout; the rest on stderr).",
    )
    return option(function)


def named(function: Decorated) -> Decorated:
    """Take the environment's name by position or as --name; the command is given one `name`."""

    @functools.wraps(function)
    def with_name(*args: Any, position: str | None, option: str | None, **kwargs: Any) -> Any:
        return function(*args, name=one_name(position, option, usual=DEFAULT_NAME), **kwargs)

    argument = click.argument("position", metavar="[NAME]", required=False, shell_complete=environment_names)
    return name_option(argument(with_name))


def platform_option(help: str) -> Callable[[Decorated], Decorated]:  # noqa: A002  # click's own name
    """Add --platform, several times or "all"; the command is given them as `platforms`."""
    names = dict.fromkeys((*LOCKED, *PLATFORMS, "all"))
    return click.option("--platform", "platforms", multiple=True, type=click.Choice(list(names)), help=help)


def gathered(name: str, gather: Callable[..., Any], *options: Decorated) -> Callable[[Decorated], Decorated]:
    """Add options that belong together; the command is given what `gather` makes of them as one argument.

    The parameters of `gather` are called as the options are.
    """
    taken = tuple(inspect.signature(gather).parameters)

    def decorate(function: Decorated) -> Decorated:
        @functools.wraps(function)
        def with_one(*args: Any, **kwargs: Any) -> Any:
            said = {each: kwargs.pop(each) for each in taken}
            return function(*args, **{name: gather(**said)}, **kwargs)

        for option in reversed(options):
            with_one = option(with_one)
        return with_one

    return decorate


def name_option(function: Decorated) -> Decorated:
    """Add --name alone."""
    option = click.option(
        "--name",
        "option",
        metavar="NAME",
        callback=_possible_name,
        shell_complete=environment_names,
        help="The environment, by name.",
    )
    return option(function)


def one_name(position: str | None, option: str | None, *, usual: str | None = None) -> str | None:
    """The name that was given in either way, or the usual one. Raises InvalidInput for an empty one."""
    if None not in (position, option) and position != option:
        raise click.UsageError(f"two names are given: {position!r} and --name {option!r}")
    said = position if option is None else option
    return usual if said is None else said or checked_name(said)


def _possible_name(ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    return value if value or value is None or ctx.resilient_parsing else checked_name(value)


def environment_names(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """What a shell completes a name to."""
    return [name for name in current_store().names() if name.startswith(incomplete)]


def current_store() -> Store:
    """The folders of the user who runs this."""
    return Store(settings.current())


def actor(out: Output) -> Actor:
    """This very command, as the record names it; it may be the sidebar that has started it."""
    track = out.invocation.track
    job = track.job if track else None
    if job is not None and job.origin == "sidebar":
        return Actor(kind="sidebar", notebook=job.notebook, command=_short(job.command))
    return Actor(kind="command", command=_short(without_secrets(shlex.join(["venvoy", *out.invocation.words]))))


def _short(said: str) -> str:
    return said if len(said) <= LONGEST else f"{said[: LONGEST - 1]}…"


def patient(store: Store, name: str, out: Output) -> None:
    """Tell the user when somebody else is at work in an environment, before we wait for it."""
    out.concerns(name)
    if store.busy(name):
        out.say(f"another process is at work in {name!r}; waiting for it …")


def usable(env: Environment) -> Environment:
    """The environment, if its interpreter is there: without it a program would be found elsewhere on PATH.

    A conda prefix may have none, and is all the same there.
    """
    if env.container:
        return env  # its interpreter is the image's
    if os.access(env.interpreter, os.X_OK) or (env.runtime == "conda" and conda_meta.is_prefix(env.prefix)):
        return env
    raise RuntimeUnavailable(
        f"the interpreter of {env.name!r} is gone ({env.interpreter})",
        hint=f"see what is broken: venvoy check {env.name}\nmend it: venvoy repair {env.name}",
    )


def agreed(question: str, *, hint: str) -> bool:
    """Ask at the terminal; elsewhere nobody could answer."""
    if not sys.stdin.isatty():
        raise usage_error("there is no terminal to ask at", hint=hint)
    try:
        return click.confirm(question, err=True)
    except click.Abort:
        click.echo(err=True)  # ends the line with the question
        raise
