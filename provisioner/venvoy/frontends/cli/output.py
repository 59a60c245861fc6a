"""What goes where: the answer to stdout, all else to stderr; colours and moving lines only on a terminal."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import TYPE_CHECKING, Any, TextIO

import click

from ...errors import CommandFailed, VenvoyError

if TYPE_CHECKING:  # both take long to import
    from rich.live import Live

    from ...model import OnProgress
    from ...process import OnLine
    from ..tracking import Track
    from ..views.view import View


@dataclass(kw_only=True)
class Invocation:
    """One run of the program: its words, and which lines of other programs the user has seen already.

    `track` is there for commands that may take long.
    """

    words: tuple[str, ...]
    seen: set[str] = field(default_factory=set)
    track: Track | None = None

    @property
    def wants_json(self) -> bool:
        """Told from the words alone, because what they mean may be the very thing that is wrong."""
        ours = list(takewhile(lambda word: word not in ("--", "--args"), self.words))
        # These have --json, because their --output is a file.
        carries = ours[:1] in (["export"], ["archive"]) and "--json" in ours
        return carries or "--output=json" in ours or ("--output", "json") in pairwise(ours)


@dataclass(kw_only=True)
class Output:
    """Speaks for one command; `json` is whether the answer is for a program."""

    json: bool = False
    invocation: Invocation
    _live: Live | None = None

    def show(self, view: View) -> None:
        """Print the answer."""
        if self.invocation.track:
            self.invocation.track.result(view.data)
        if self.json:
            click.echo(json.dumps(view.data, indent=2))
        elif sys.stdout.isatty() and view.rows:
            _show_table(view)
        else:
            click.echo(view.text)

    def say(self, line: str) -> None:
        """Tell the user something that was not asked for."""
        self._note(line)
        with self._still():
            click.echo(line, err=True)

    def concerns(self, name: str) -> None:
        """Say, for whoever watches from elsewhere, which environment the command is about."""
        if self.invocation.track:
            self.invocation.track.concerns(name)

    def line(self, line: str) -> None:
        """Print one line of an answer that comes bit by bit; what moved before it is over."""
        with self._still(over=True):
            click.echo(line, err=self.json)

    def warn(self, message: str, *, hint: str = "") -> None:
        """Tell the user of something that did not keep the command from doing its work."""
        self.say("\n".join([f"{_signed('warning', 'yellow')} {message}", *_indented(hint)]))

    @contextmanager
    def progress(self, first: str) -> Iterator[OnLine]:
        """Show that work goes on: on a terminal one line that changes, elsewhere a line for each that is handed in."""
        with self._moving(first) as shown:
            yield self._noted(shown)

    @contextmanager
    def measured(self, first: str) -> Iterator[tuple[OnLine, OnProgress]]:
        """The same for work that says how far it has come; elsewhere than on a terminal every few seconds."""
        from ..meter import Meter

        track = self.invocation.track
        with self._moving(first) as shown:
            every = 0.1 if sys.stderr.isatty() else 5
            yield self._noted(shown), Meter(shown, every=every, tell=track.measure if track else None)

    def _noted(self, shown: OnLine) -> OnLine:
        def heard(line: str) -> None:
            self._begin()
            self._note(line)
            shown(line)

        return heard

    def _begin(self) -> None:
        if self.invocation.track:
            self.invocation.track.begin()

    def _note(self, line: str) -> None:
        if self.invocation.track:
            self.invocation.track.say(line)

    @contextmanager
    def _moving(self, first: str) -> Iterator[OnLine]:
        if first:
            self._begin()
            self._note(first)
        if not sys.stderr.isatty():
            if first:
                click.echo(first, err=True)
            yield self._plain
            return
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner
        from rich.text import Text

        console = Console(stderr=True)
        # stdout may be a file while stderr is the terminal: rich must not take one for the other.
        live = self._live = Live(Spinner("dots"), console=console, transient=True, redirect_stdout=False)

        def shown(line: str) -> None:
            text = Text(line.strip())
            text.truncate(console.width - 4, overflow="ellipsis")
            if text:
                live.update(Spinner("dots", text))
                live.start(refresh=True)

        try:
            shown(first)
            yield shown
        finally:
            live.stop()
            self._live = None

    def _plain(self, line: str) -> None:
        self.invocation.seen.add(line.strip())
        click.echo(line.rstrip(), err=True)

    @contextmanager
    def _still(self, *, over: bool = False) -> Iterator[None]:
        """Take the moving line away while something else is written."""
        live = self._live
        moving = live is not None and live.is_started
        if live is not None:
            live.stop()
        yield
        if live is not None and moving:
            if over:
                from rich.spinner import Spinner

                live.update(Spinner("dots"))
            live.start()


_ROOM = "make room, then try again: venvoy prune, venvoy prune --images, uv cache prune"
_RIGHTS = "you may not write there"
OF_THE_DISK = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EROFS: _RIGHTS,
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: "the disk or its server fails; look at the system's log",
}
"""What the system says of a disk, and not of a fault of ours, and what mends it."""


def report(error: Exception, invocation: Invocation) -> int:
    """Tell of an error on stderr, and on stdout too where JSON was asked for; returns the exit code."""
    kind, message, hint, code = _told(error)
    if invocation.track:
        if kind == "Interrupted":
            invocation.track.interrupt(code)
        else:
            invocation.track.fail(kind, message, hint, code)
    if invocation.wants_json:
        said = {"kind": kind, "message": message, "hint": hint or None, "exit_code": code}
        click.echo(json.dumps({"error": said}, indent=2))
    if isinstance(error, CommandFailed):
        hint = "\n".join(line for line in hint.splitlines() if line.strip() not in invocation.seen)
    click.echo("\n".join([f"{_signed('venvoy', 'red')} {message}", *_indented(hint)]), err=True)
    return code


def _told(error: Exception) -> tuple[str, str, str, int]:
    """The kind, the message, the hint and the exit code of what ended a command."""
    if isinstance(error, VenvoyError):
        return type(error).__name__, error.message, error.hint, error.exit_code
    if isinstance(error, TimeoutError):
        return "Busy", str(error), "another venvoy or kernel is at work in it; wait for that, then try again", 1
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return "OSError", f"{where}{error.strerror}", OF_THE_DISK.get(error.errno or 0, ""), 1
    if isinstance(error, click.UsageError):
        return "UsageError", error.format_message(), _usage(error), error.exit_code
    if isinstance(error, click.ClickException):
        return "Interrupted", error.format_message(), "", error.exit_code
    return "Interrupted", "interrupted", "", 130


def _usage(error: click.UsageError) -> str:
    hint = getattr(error, "hint", "")
    ctx = error.ctx
    return hint or (f"{ctx.get_usage()}\nmore: {ctx.command_path} --help" if ctx else "")


def _signed(word: str, colour: str) -> str:
    return click.style(f"{word}:", fg=colour, bold=True) if _coloured(sys.stderr) else f"{word}:"


def _coloured(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _indented(hint: str) -> list[str]:
    return [f"  {line}" for line in hint.splitlines()]


def _show_table(view: View) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in view.columns:
        table.add_column(Text(column), overflow="fold")
    for row in view.rows:
        table.add_row(*map(Text, row))
    console.print(Text(view.head), soft_wrap=True)
    console.print()
    console.print(table)


def usage_error(message: str, *, hint: str) -> click.UsageError:
    """A wrong word on the command line, with a hint of its own in place of the usage line."""
    error = click.UsageError(message)
    error.hint = hint  # type: ignore[attr-defined]  # read in `_usage`
    return error


def output_of(ctx: click.Context, _param: click.Parameter, value: str) -> Any:
    """What the option --output gives to a command."""
    invocation = ctx.find_root().obj
    known = invocation if isinstance(invocation, Invocation) else Invocation(words=())
    return Output(json=value == "json", invocation=known)
