"""What every request has: who asks, how its words are read, and what they can be completed to."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn, Protocol

from ... import cancelling
from ...actions.loaded import Module, Restart
from ...errors import InvalidInput, NotPermitted
from ...model import Actor, Environment, Language, OnProgress
from ...model import Progress as Measure
from ...process import OnLine
from ...store import Store
from ..meter import Meter
from ..tracking import Track
from ..views.running import restart_data, restart_sentence
from ..views.view import View

Options = argparse.Namespace
Answer = Callable[["Context", Options, "Progress"], View]
Offer = Callable[["Context"], Iterable[str]]
Said = Callable[[str, Options, "Places"], Sequence[str]]
"""A verb as words of the command line, about an environment of that name."""

EVERY = 0.25
"""Seconds between two reports of how far something has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Tells whoever asked, line by line, that work goes on; who watches from elsewhere (`track`) sees it as well.

    Raises Cancelled where that somebody has cancelled it.
    """

    say: OnLine
    track: Track | None = None

    def __call__(self, line: str) -> None:
        cancelling.look()
        if self.track:
            self.track.begin()
            self.track.say(line)
        self.say(line)

    @property
    def measured(self) -> OnProgress:
        """Is told how far it has come."""
        return Meter(self.say, every=EVERY, tell=self._measure)

    def _measure(self, progress: Measure, rate: float | None, remaining: float | None) -> None:
        cancelling.look()
        if self.track:
            self.track.measure(progress, rate, remaining)


class Places(Protocol):
    """What the paths in a request mean. Each raises NotPermitted, or InvalidInput."""

    def file(self, said: str) -> Path:
        """One that is read."""

    def target(self, said: str) -> Path:
        """One that will be written."""

    def made(self, filename: str) -> Path:
        """Where to write what whoever asks will fetch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks: the environment that the request is about, the actor for the record, and the kernel that it comes from.

    `folder` is what relative paths are relative to, `within` what no path may lead out of, where there is such a
    folder; `modules` is what the kernel, of that `language`, has loaded, and `restart` says why it must be restarted.
    """

    store: Store
    env: Environment
    actor: Actor
    language: Language = "python"
    notebook: str = ""
    folder: Path = field(default_factory=Path.cwd)
    within: Path | None = None
    modules: tuple[Module, ...] = ()
    restart: Callable[[], Restart] = Restart

    @property
    def half(self) -> Environment:
        """The environment in the kernel's language."""
        return self.env.speaking(self.language) if self.env.speaks(self.language) else self.env

    def file(self, said: str) -> Path:
        """The path that somebody means. Raises NotPermitted for one that lies in another environment's folders."""
        path = (self.folder / Path(said).expanduser()).absolute()
        if self.within and not Path(os.path.normpath(path)).is_relative_to(self.within):
            raise NotPermitted(f"{said} leads out of {self.within}", hint="choose a path in it")
        return own(self.store, self.env.name, path, said)

    def target(self, said: str) -> Path:
        """The same for a file that will be written. Raises NotPermitted also for venvoy's own folders of this one."""
        return writable(self.store, self.file(said), said)


def own(store: Store, name: str, path: Path, said: str) -> Path:
    """The absolute `path`. Raises NotPermitted for one in the folders of another environment than that of the name."""
    real = path.resolve()
    for place in (store.environments_folder, store.settings.projects):
        inside = real.relative_to(place.resolve()).parts if real.is_relative_to(place.resolve()) else ()
        if inside and inside[0] != name:
            raise NotPermitted(
                f"{said} belongs to another environment", hint=f"this kernel's is {name!r}; choose a path outside"
            )
    return path


def writable(store: Store, path: Path, said: str) -> Path:
    """The `path` of a file to be written. Raises NotPermitted for one in venvoy's folders, InvalidInput for none."""
    if path.resolve().is_relative_to(store.settings.home.resolve()):
        raise NotPermitted(f"{said} lies where venvoy keeps its own files", hint="choose a path outside")
    if path.is_dir():
        raise InvalidInput(f"{path} is a folder", hint="name a file in it")
    if not path.parent.is_dir():
        raise InvalidInput(f"there is no folder {path.parent}", hint="make it first, or name another")
    return path


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {message}", hint=self.format_usage().strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing that may be asked for. `progress` is said at once where the answer may take longer than a blink.

    `answer` is what a notebook gets; None where only the sidebar may ask. `command` says it on the command line, by
    which the sidebar has it done; None for what it is answered at once. `offers` has for arguments, by their name, what
    they can be completed to.
    """

    name: str
    parser: argparse.ArgumentParser
    answer: Answer | None = None
    command: Said | None = None
    progress: str = ""
    offers: Mapping[str, Offer] = field(default_factory=dict)

    def completed(self, context: Context, words: list[str], text: str) -> tuple[str, ...]:
        """What may be written in place of `text`, behind `words`."""
        actions = self.parser._actions  # noqa: SLF001  # argparse tells its options in no other way
        by_option = {option: action for action in actions for option in action.option_strings}
        last = by_option.get(words[-1]) if words else None
        if last is not None and last.nargs != 0:
            return _fitting(self._offered(context, last), text)
        if text.startswith("-"):
            unused = [each for each in actions if each.option_strings and not set(each.option_strings) & set(words)]
            return _fitting([*(option for each in unused for option in each.option_strings), "--help"], text)
        for action in actions:
            if not action.option_strings:
                return _fitting(self._offered(context, action), text)
        return ()

    def _offered(self, context: Context, action: argparse.Action) -> Iterable[str]:
        return self.offers[action.dest](context) if action.dest in self.offers else ()


def parser(name: str, help_: str, *, magic: bool = True) -> argparse.ArgumentParser:
    """A parser that raises InvalidInput instead of ending the process."""
    formatter: Any = lambda prog: argparse.HelpFormatter(prog, width=100)  # noqa: E731  # whatever the server's terminal is
    return _Parser(
        prog=f"%env-{name}" if magic else name,
        description=help_,
        add_help=False,
        allow_abbrev=False,
        formatter_class=formatter,
    )


def with_restart(view: View, context: Context) -> View:
    """The view with what a running kernel does not have of the environment as it is now."""
    restart = context.restart()
    sentence = restart_sentence(restart)
    head = f"{view.head}\n{sentence}" if sentence else view.head
    return replace(view, data=view.data | {"restart": restart_data(restart)}, head=head)


def with_lines(view: View, *lines: str, **data: Any) -> View:
    """The view with more to say, and more data for programs."""
    return replace(view, data=view.data | data, head="\n".join([view.head, *(each for each in lines if each)]))


def _fitting(words: Iterable[str], text: str) -> tuple[str, ...]:
    return tuple(each for each in words if each.startswith(text))
