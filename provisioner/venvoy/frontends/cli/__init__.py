"""The command line. This module knows every command by name and imports one only when it is used."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import click

from ... import __version__, cancelling
from ...errors import VenvoyError
from .ending import orderly_end
from .output import OF_THE_DISK, Invocation, report


class _Lazy(NamedTuple):
    """Where a command is written, and its line in the help."""

    place: str
    help: str


SECTIONS: Mapping[str, Mapping[str, _Lazy]] = {
    "Environments": {
        "init": _Lazy("environments:init", "Make an environment, with its kernel in Jupyter."),
        "adopt": _Lazy("environments:adopt", "Take a venv or a conda prefix that is there already, as it is."),
        "list": _Lazy("environments:listed", "Show all environments."),
        "show": _Lazy("environments:show", "Show one environment and what is installed in it."),
        "configure": _Lazy("configuring:configure", "Show or change the settings of an environment."),
        "delete": _Lazy("environments:delete", "Remove an environment; its record stays."),
    },
    "Packages": {
        "install": _Lazy("packages:install", "Install packages into an environment."),
        "remove": _Lazy("packages:remove", "Take packages out of an environment."),
    },
    "Running": {
        "run": _Lazy("running:run", "Run a program, or a shell, in an environment."),
        "activate": _Lazy("running:activate", "Print what activates an environment in this shell."),
    },
    "The record": {
        "status": _Lazy("record:status", "Say how an environment stands against its last freeze."),
        "history": _Lazy("record:history", "Show every change of an environment, with when and who."),
        "diff": _Lazy("record:diff", "Compare two states of the record, of files, or now."),
        "freeze": _Lazy("record:freeze", "Lock what is installed, every package with its url and hash."),
        "restore": _Lazy("restoring:restore", "Make an environment from a file, or go back to a state."),
        "undo": _Lazy("restoring:undo", "Take back the last change of an environment."),
        "prune": _Lazy("record:prune", "Remove what is only kept for going back."),
    },
    "Carrying away": {
        "archive": _Lazy("carrying:archive", "Carry an environment away in one file."),
        "export": _Lazy("carrying:export", "Write an environment in another format, or pack it."),
        "build": _Lazy("building:build", "Build an image of an environment that needs nothing of venvoy."),
        "import-archive": _Lazy("importing:import_archive", "Make an environment from an archive."),
        "verify": _Lazy("proof:verify", "Say in levels how far an environment is what its lock says."),
        "stamp": _Lazy("notebooks:stamp", "Write into notebooks which environment they were run in."),
    },
    "Health": {
        "check": _Lazy("health:check", "Find and name what is broken."),
        "repair": _Lazy("health:repair", "Mend what can be mended, and say what was done."),
        "package-managers": _Lazy(
            "package_managers:package_managers", "Show which package managers are here, and what for."
        ),
        "runtime-info": _Lazy(
            "runtime_info:runtime_info", "Show which container runtimes are here, and which one is taken."
        ),
    },
    "First steps": {
        "quickstart": _Lazy("first_steps:quickstart", "See the main job done once on a real notebook."),
        "completion": _Lazy("first_steps:completion", "Print what makes a shell complete venvoy's words."),
    },
}
COMMANDS: Mapping[str, _Lazy] = {name: lazy for section in SECTIONS.values() for name, lazy in section.items()}
LONG: Mapping[str, str] = {
    **{each: each for each in ("init", "install", "remove", "freeze", "restore", "undo", "archive", "export")},
    **{each: each for each in ("build", "verify", "repair", "configure")},
    "import-archive": "import",
}
"""The commands that may take long, with what they are called where everybody sees them."""
ALIASES: Mapping[str, str] = {"create": "init", "cleanup": "delete", "add": "install"}


class _Venvoy(click.Group):
    """Loads a command when it is asked for, and turns every way to fail into words and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click's signature
        lazy = COMMANDS.get(ALIASES.get(cmd_name, cmd_name))
        if lazy is None:
            return None
        module, _, attribute = lazy.place.partition(":")
        command: click.Command = getattr(import_module(f".{module}", __name__), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        word = args[0]
        if word not in COMMANDS and word not in ALIASES and not word.startswith("-") and not ctx.resilient_parsing:
            from difflib import get_close_matches

            near = get_close_matches(word, [*COMMANDS, *ALIASES], n=1)
            ctx.fail(f"there is no command {word!r}" + (f"; is it {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click's signature
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(16), lazy.help) for name, lazy in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [CompletionItem(name, help=lazy.help) for name, lazy in COMMANDS.items() if name.startswith(incomplete)]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            code = super().invoke(ctx)
            if (error := cancelling.owed()) and not (ctx.obj.track and ctx.obj.track.cancelled):
                raise error
        except KeyboardInterrupt:
            raise _Interrupted from None
        return code

    def main(  # type: ignore[override]  # click overloads it by its standalone_mode
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> None:
        """Run a command and exit with its code: what it returned, or that of the error that ended it."""
        words = tuple(sys.argv[1:] if args is None else args)
        invocation = Invocation(words=words)
        extra = {name: value for name, value in extra.items() if name != "standalone_mode"}
        with orderly_end(invocation), _tracked(invocation):
            try:
                code = super().main(list(words), prog_name, standalone_mode=False, obj=invocation, **extra)
            except (VenvoyError, TimeoutError, click.ClickException, click.Abort) as error:
                code = report(error, invocation)
            except OSError as error:
                if error.errno not in OF_THE_DISK:
                    raise
                code = report(error, invocation)
            sys.exit(code if isinstance(code, int) else 0)


class _Interrupted(click.ClickException):
    exit_code = 130

    def __init__(self) -> None:
        super().__init__("interrupted")


class _Cancelled(click.ClickException):
    exit_code = 128 + signal.SIGTERM

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}; nothing is left half done")


@contextmanager
def _tracked(invocation: Invocation) -> Iterator[None]:
    """Have everybody see of a command that takes long how far it has come, and how it ended."""
    verb = ALIASES.get(invocation.words[0], invocation.words[0]) if invocation.words else ""
    if verb not in LONG:
        yield
        return
    from .tracked import track_of

    track = invocation.track = track_of(LONG[verb], invocation.words)
    try:
        yield
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
        cancelling.too_late()
        if code == _Cancelled.exit_code and track.cancelled:
            report(_Cancelled(track.cancelled), invocation)
        elif code > 128:
            track.interrupt(code)
        else:
            track.succeed(code)
        raise
    except BaseException as error:
        track.fail(type(error).__name__, str(error), "", 1)
        raise
    finally:
        track.close()


@click.group(
    cls=_Venvoy,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Every command has --help, and --output json for scripts (export and archive: --json).\n\n"
    "Without a name it acts on 'venvoy-env'. create, add and cleanup are other words for init, install and delete.",
)
@click.version_option(__version__, "-V", "--version", message="venvoy %(version)s")
@click.pass_context
def venvoy(ctx: click.Context) -> None:
    """Named environments that are a Jupyter kernel, a record and a lock."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
