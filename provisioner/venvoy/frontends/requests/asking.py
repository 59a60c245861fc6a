"""What every request has: who asks, how its words are read, and what they can be completed to."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NoReturn

from ...actions.loaded import Module, Restart
from ...errors import InvalidInput, NotPermitted
from ...model import Actor, Environment
from ...store import Store
from ..views.running import restart_data, restart_sentence
from ..views.view import View

Options = argparse.Namespace
Progress = Callable[[str], None]
Answer = Callable[["Context", Options, Progress], View]
Offer = Callable[["Context"], Iterable[str]]

EVERY = 0.25
"""Seconds between two reports of how far something has come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks: the environment that the request is about, the actor for the record, and the kernel that it comes from.

    `folder` is what relative paths are relative to, `modules` what the kernel has loaded, and `restart` says why it
    must be restarted.
    """

    store: Store
    env: Environment
    actor: Actor
    notebook: str = ""
    folder: Path = field(default_factory=Path.cwd)
    modules: tuple[Module, ...] = ()
    restart: Callable[[], Restart] = Restart

    def file(self, said: str) -> Path:
        """The path that somebody means. Raises NotPermitted for one that lies in another environment's folders."""
        path = (self.folder / Path(said).expanduser()).absolute()
        real = path.resolve()
        for place in (self.store.environments_folder, self.store.settings.projects):
            inside = real.relative_to(place.resolve()).parts if real.is_relative_to(place.resolve()) else ()
            if inside and inside[0] != self.env.name:
                raise NotPermitted(
                    f"{said} belongs to another environment",
                    hint=f"this kernel's is {self.env.name!r}; choose a path outside",
                )
        return path

    def target(self, said: str) -> Path:
        """The same for a file that will be written. Raises NotPermitted also for venvoy's own folders of this one."""
        path = self.file(said)
        real = path.resolve()
        if real.is_relative_to(self.store.settings.home.resolve()):
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

    `offers` has for arguments, by their name, what they can be completed to.
    """

    name: str
    answer: Answer
    parser: argparse.ArgumentParser
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


def parser(name: str, help_: str) -> argparse.ArgumentParser:
    """A parser that raises InvalidInput instead of ending the process."""
    formatter: Any = lambda prog: argparse.HelpFormatter(prog, width=100)  # noqa: E731  # whatever the server's terminal is
    return _Parser(
        prog=f"%env-{name}", description=help_, add_help=False, allow_abbrev=False, formatter_class=formatter
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
