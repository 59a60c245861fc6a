"""One table of what a notebook and the sidebar may ask for, about one environment only."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from typing import Any

from ... import cancelling
from ...errors import InvalidInput, VenvoyError
from ...session import Message, Say, listed
from ..tracking import Track
from ..views.view import View
from . import carrying, making, returning, standing
from .asking import Answer, Context, Places, Progress, Verb
from .in_r import helped, in_r, told

__all__ = ["MAGICS", "VERBS", "Context", "Places", "Verb", "answer", "completed"]

VERBS: Mapping[str, Verb] = {
    each.name: each for each in (*standing.VERBS, *returning.VERBS, *carrying.VERBS, *making.VERBS)
}
MAGICS: Mapping[str, Verb] = {name: verb for name, verb in VERBS.items() if verb.answer}
"""Those that a notebook may ask for."""


def answer(context: Context, request: Message, say: Say) -> None:
    """Answer one request through `say`: progress first where it takes long, then the answer or the error.

    Where the request says that its language is R, magics are named as R's functions.
    """
    of_r = request.get("language") == "r"
    try:
        verb = MAGICS.get(str(request.get("verb")))
        if verb is None or verb.answer is None:
            raise InvalidInput(f"nothing is called {request.get('verb')!r}", hint=f"there is: {', '.join(MAGICS)}")
        words = [str(each) for each in listed(request, "words")]
        if of_r and "--help" in words:
            view = View(data={"help": helped(verb)}, head=helped(verb))
        else:
            view = _answered(verb, verb.answer, context, words, say)
        say({"answer": _said(in_r(view, MAGICS) if of_r else view)})
    except VenvoyError as error:
        message, hint = (told(each, MAGICS) if of_r else each for each in (error.message, error.hint))
        say({"error": message, "hint": hint})


def completed(context: Context, name: str, words: list[str], text: str) -> tuple[str, ...]:
    """What may be written in place of `text` behind the `words` of a verb; nothing for a verb that there is not."""
    verb = MAGICS.get(name)
    return verb.completed(context, words, text) if verb else ()


def _answered(verb: Verb, answers: Answer, context: Context, words: list[str], say: Say) -> View:
    if "--help" in words or "-h" in words:
        return View(data={"help": verb.parser.format_help()}, head=verb.parser.format_help().strip())
    options = verb.parser.parse_args(words)
    with cancelling.scope() as cancel:
        track = _track(verb, context, words, cancel) if verb.command else None
        progress = Progress(say=lambda line: say({"progress": line}), track=track)
        if verb.progress:
            progress(verb.progress)
        return _tracked(track, answers, context, options, progress) if track else answers(context, options, progress)


def _track(verb: Verb, context: Context, words: list[str], cancel: Callable[[], None]) -> Track:
    return Track(
        verb=verb.name,
        origin="cell",
        jobs=lambda: context.store.jobs,
        environment=context.env.name,
        notebook=context.notebook,
        magic=shlex.join([f"%env-{verb.name}", *words]),
        on_cancel=cancel,
    )


def _tracked(track: Track, answers: Answer, context: Context, options: Any, progress: Progress) -> View:
    try:
        view = answers(context, options, progress)
        track.result(view.data)
        track.succeed()
    except cancelling.Cancelled:
        track.interrupt()
        raise VenvoyError(f"{track.magic} was {track.cancelled}", hint="nothing is left half done") from None
    except VenvoyError as error:
        track.fail(type(error).__name__, error.message, error.hint)
        raise
    except (TimeoutError, OSError) as error:
        track.fail("Busy" if isinstance(error, TimeoutError) else "OSError", str(error), "")
        raise
    finally:
        track.close()
    return view


def _said(view: View) -> dict[str, Any]:
    return {"data": view.data, "text": view.text, "html": view.html}
