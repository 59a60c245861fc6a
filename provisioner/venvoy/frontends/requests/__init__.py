"""One table of what a notebook (and later the sidebar) may ask for, about its own environment only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import InvalidInput, VenvoyError
from ...session import Message, Say
from ..views.view import View
from . import carrying, returning, standing
from .asking import Context, Verb

__all__ = ["VERBS", "Context", "answer", "completed"]

VERBS: Mapping[str, Verb] = {each.name: each for each in (*standing.VERBS, *returning.VERBS, *carrying.VERBS)}


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


def completed(context: Context, name: str, words: list[str], text: str) -> tuple[str, ...]:
    """What may be written in place of `text` behind the `words` of a verb; nothing for a verb that there is not."""
    verb = VERBS.get(name)
    return verb.completed(context, words, text) if verb else ()


def _answered(verb: Verb, context: Context, words: list[str], say: Say) -> View:
    if "--help" in words or "-h" in words:
        return View(data={"help": verb.parser.format_help()}, head=verb.parser.format_help().strip())
    options = verb.parser.parse_args(words)
    if verb.progress:
        say({"progress": verb.progress})
    return verb.answer(context, options, lambda line: say({"progress": line}))


def _said(view: View) -> dict[str, Any]:
    return {"data": view.data, "text": view.text, "html": view.html}
