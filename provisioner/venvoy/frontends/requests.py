"""One table of what a notebook (and later the sidebar) may ask for, about its own environment only."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..actions.changes import changes
from ..actions.freeze import freeze
from ..actions.observe import observe
from ..actions.status import status
from ..errors import InvalidInput, VenvoyError
from ..model import Actor, Environment
from ..session import Message, Say
from ..store import Store
from .views.record import frozen_view, history_view, status_view
from .views.view import View

Options = argparse.Namespace
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Who asks: the environment that the request is about, and the actor for the record."""

    store: Store
    env: Environment
    actor: Actor


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise InvalidInput(f"{self.prog}: {message}", hint=self.format_usage().strip())


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One thing that may be asked for. `progress` is said at once where the answer may take longer than a blink."""

    answer: Callable[[Context, Options, Progress], View]
    parser: argparse.ArgumentParser
    progress: str = ""


def _freeze(context: Context, _options: Options, progress: Progress) -> View:
    frozen = freeze(context.store, context.env, actor=context.actor, on_line=progress)
    return frozen_view(context.env.name, frozen)


def _status(context: Context, _options: Options, _progress: Progress) -> View:
    seen = observe(context.store, context.env)
    return status_view(context.env.name, status(context.store.history(context.env.name), seen))


def _history(context: Context, options: Options, _progress: Progress) -> View:
    found = changes(context.store.history(context.env.name))
    return history_view(context.env.name, found, last=options.last or None)


def _parser(verb: str, help_: str) -> argparse.ArgumentParser:
    return _Parser(prog=f"%env-{verb}", description=help_, add_help=False, allow_abbrev=False)


def _history_parser() -> argparse.ArgumentParser:
    parser = _parser("history", "Show every change of this environment, with when and who.")
    parser.add_argument("--last", type=int, default=0, metavar="N", help="only the last N entries")
    return parser


VERBS: Mapping[str, Verb] = {
    "freeze": Verb(
        answer=_freeze,
        parser=_parser("freeze", "Lock what is installed now, every package with its url and hash, into pylock.toml."),
        progress="Looking every installed package up on the index …",
    ),
    "status": Verb(
        answer=_status, parser=_parser("status", "Say how this environment stands against its last freeze.")
    ),
    "history": Verb(answer=_history, parser=_history_parser()),
}


def answer(context: Context, request: Message, say: Say) -> None:
    """Answer one request through `say`: progress first where it takes long, then the answer or the error."""
    try:
        verb = VERBS.get(str(request.get("verb")))
        if verb is None:
            raise InvalidInput(f"nothing is called {request.get('verb')!r}", hint=f"there is: {', '.join(VERBS)}")
        words = [str(each) for each in request.get("words", ())]
        say({"answer": _said(_answered(verb, context, words, say))})
    except VenvoyError as error:
        say({"error": error.message, "hint": error.hint})


def _answered(verb: Verb, context: Context, words: list[str], say: Say) -> View:
    if "--help" in words or "-h" in words:
        return View(data={"help": verb.parser.format_help()}, head=verb.parser.format_help().strip())
    options = verb.parser.parse_args(words)
    if verb.progress:
        say({"progress": verb.progress})
    return verb.answer(context, options, lambda line: say({"progress": line}))


def _said(view: View) -> dict[str, Any]:
    return {"data": view.data, "text": view.text, "html": view.html}
