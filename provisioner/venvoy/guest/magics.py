"""The magics: each asks whoever attends this kernel, and shows the answer."""

import os
import re
import shlex
import sys

from . import wire

MAGICS = {
    "freeze": "Lock what is installed now, every package with its url and hash.",
    "status": "Say how this environment stands against its last freeze.",
    "history": "Show every change of this environment, with when and who.",
    "diff": "Compare two states of this environment.",
    "export": "Write this environment down in a format of the field.",
    "restore": "Take this environment back to an earlier state.",
    "undo": "Take back the last change of this environment.",
    "archive": "Pack this environment, with its wheels and this notebook, into one file.",
    "info": "Say what this environment is, where it lies, and what this kernel runs on.",
}
_VERB = "|".join(MAGICS)
# `env-diff if x else y` is Python, `env-diff 3 now` is not.
_PYTHON = r"(?!(?:if|else|for|and|or|in|is|not)\b)"
_BARE = re.compile(
    r"^(?P<space>\s*)env-(?P<verb>%s)(?P<rest>(?:\s+(?:-{1,2}|[~./'\"#]+)?%s\w.*)?)\s*$" % (_VERB, _PYTHON)
)
_QUESTION = re.compile(
    r"^(?P<space>\s*)(?:%?env[-_](?P<before>{0})\s*\?{{1,2}}|\?{{1,2}}\s*%?env[-_](?P<after>{0}))\s*$".format(_VERB)
)


class Attendant:
    """Whoever attends this kernel, as its magics know them; `modules` are the kernel's loaded ones."""

    PATIENCE = 2.0
    """Seconds that somebody who presses the tab key waits at most."""

    def __init__(self, folder, modules):
        self.folder, self.modules = folder, modules
        # Where the notebook lies: a kernel starts there, and a cell may go elsewhere.
        self.cwd = os.getcwd()

    def ask(self, verb, words, count):
        """Ask for a verb; the answers come as they are said."""
        request = {"verb": verb, "words": words, "count": count, "cwd": self.cwd, "modules": self.modules.told()}
        return wire.ask(self.folder, request)

    def complete(self, verb, words, text):
        """What may stand where `text` begins, behind `words`."""
        request = {"complete": verb, "words": words, "text": text}
        for said in wire.ask(self.folder, request, patience=self.PATIENCE):
            if "answer" in said:
                return said["answer"]
        return []


def offer(shell, attendant):
    """Register `%env-freeze`, `%env_freeze` and their like, and `%uv`, which does for `%pip` where there is no pip."""
    for verb, help_ in MAGICS.items():
        magic = _magic(shell, attendant, verb, help_)
        shell.register_magic_function(magic, "line", "env-%s" % verb)
        shell.register_magic_function(magic, "line", "env_%s" % verb)
    _complete_with(shell, _completer(attendant))
    shell.register_magic_function(_uv(shell), "line", "uv")
    shell.register_magic_function(_pip(shell), "line", "pip")
    # First of all: IPython's own automagic would read `env-freeze --x` as `%env -freeze=--x` and set a variable.
    shell.input_transformers_cleanup.insert(0, lambda lines: understood(lines, shell.user_ns))


def numbered(shell, result):
    """The number that the user sees of the cell with that result; None stands for the cell that runs now.

    IPython 9 counts on before it runs a cell, and older ones after it; these give a result no number where the cell is
    not kept in their history, and then they do not count on.
    """
    result = result or getattr(shell.displayhook, "exec_result", None)
    count = getattr(result, "execution_count", None)
    return shell.execution_count if count is None else count


class Answer(dict):
    """What a magic returns: the data as a dict, shown as a table; the cell that asked has shown it already."""

    def __init__(self, answer, shell):
        super().__init__(answer["data"])
        self._bundle = {"text/plain": answer["text"], "text/html": answer["html"]}
        self._shell, self._shown_by = shell, numbered(shell, None)

    def __repr__(self):
        return self._bundle["text/plain"]

    def _ipython_display_(self):
        if self._shown_by != numbered(self._shell, None):
            self.show()
        self._shown_by = None

    def show(self):
        """Display it, as HTML where that can be seen."""
        from IPython.display import display

        display(self._bundle, raw=True)


def _magic(shell, attendant, verb, help_):
    def magic(line):
        return _asked(shell, attendant.ask(verb, _words(line), numbered(shell, None)))

    magic.__name__ = "env_%s" % verb
    magic.__doc__ = "%s\n\nMore: %%env-%s --help" % (help_, verb)
    return magic


def _completer(attendant):
    """Answers the tab key: what the `text` that ends a line may become, or nothing where the line is no magic."""
    magic = re.compile(r"^(?:\s*|[\w.,\s]+=\s*)%%?env[-_](%s)\s(.*)$" % _VERB)

    def completer(line, text):
        written = magic.match(line)
        if not written:
            return []
        try:
            verb, before = written.groups()
            return attendant.complete(verb, shlex.split(before[: len(before) - len(text)]), text)
        except (OSError, ValueError):
            return []  # nobody answers, or a quote is open: no reason to disturb somebody who types

    return completer


def _complete_with(shell, completer):
    """Have IPython ask it, before its own completers where they would offer Python's names beside."""
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:  # before IPython 8.6

        def asked(_shell, event):
            return completer(event.text_until_cursor, event.symbol)

        for verb in MAGICS:
            for name in ("env-%s" % verb, "env_%s" % verb):
                shell.set_hook("complete_command", asked, str_key="%%%s" % name)
        return

    @context_matcher(identifier="venvoy")
    def matcher(context):
        found = completer(context.text_until_cursor, context.token)
        return {"completions": [SimpleCompletion(each, type="magic") for each in found], "suppress": bool(found)}

    shell.Completer.custom_matchers.append(matcher)


def _words(line):
    try:
        return shlex.split(line)
    except ValueError as error:
        raise _error("cannot read %r: %s" % (line, error)) from None


def _asked(shell, answers):
    """Show progress from the first moment, and then the answer.

    Progress is one output that is updated and in the end emptied. The answer is an output of its own, because the
    consoles show no updates.
    """
    from IPython.display import display

    progress = None
    try:
        for said in answers:
            if "answer" in said:
                answer = Answer(said["answer"], shell)
                break
            if "error" in said:
                raise _error("\n".join(part for part in (said["error"], said.get("hint")) if part))
            bundle = _meter(said["progress"])
            if progress is None:
                progress = display(bundle, raw=True, display_id=True)
            else:
                progress.update(bundle, raw=True)
    except OSError as error:
        raise _error("whoever records this environment cannot be reached: %s" % error) from None
    finally:
        if progress is not None:
            progress.update(_meter(""), raw=True)
    answer.show()
    return answer


def _meter(text):
    from html import escape

    return {"text/plain": text, "text/html": "<div>%s</div>" % escape(text) if text else ""}


def _error(text):
    """An error that is shown as its text alone, without a traceback."""
    from IPython.core.error import UsageError

    return UsageError(text)


def _uv(shell):
    def uv(line):
        """Run uv on this environment, as `%pip` runs pip."""
        words = line.split(None, 2)
        if words[:1] == ["pip"] and len(words) > 1:
            words.insert(2, "--python=%s" % shlex.quote(sys.executable))
        shell.system("uv %s" % " ".join(words))

    return uv


def _pip(shell):
    from importlib.util import find_spec

    stock = shell.find_line_magic("pip")

    def pip(line):
        """Run pip on this environment, or uv where it has no pip."""
        if find_spec("pip"):
            stock(line)
        else:
            shell.run_line_magic("uv", "pip %s" % line)

    return pip


def understood(lines, names):
    """Read a bare `env-freeze` as the magic, and `%env-freeze?` as a wish for its help.

    `names` are those that the user has given: somebody's own variables `env` and `freeze` make it a subtraction.
    """
    cell = "".join(lines)
    if not re.search(r"env[-_](?:%s)" % _VERB, cell) or cell.lstrip().startswith("%%"):
        return lines
    quoted = _inside_strings(lines)
    return [line if number in quoted else _line(line, cell, names) for number, line in enumerate(lines, 1)]


def _line(line, cell, names):
    asked = _QUESTION.match(line)
    if asked:
        return "%s%%env-%s --help\n" % (asked.group("space"), asked.group("before") or asked.group("after"))
    bare = _BARE.match(line)
    if bare and not (_bound("env", cell, names) and _bound(bare.group("verb"), cell, names)):
        return "%s%%env-%s%s\n" % (bare.group("space"), bare.group("verb"), bare.group("rest"))
    return line


def _bound(name, cell, names):
    return name in names or re.search(r"\b%s\s*(?:=(?!=)|,|:=|\bin\b)|\bas\s+%s\b" % (name, name), cell)


def _inside_strings(lines):
    """The numbers of the lines that begin inside a string of several lines."""
    import io
    import tokenize

    found = set()
    try:
        for token in tokenize.generate_tokens(io.StringIO("".join(lines)).readline):
            if token.type not in (tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER):
                found.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, SyntaxError):
        pass  # other magics of the cell are no Python; what came before them has been seen
    return found
