"""The magics: each asks whoever attends this kernel, and shows the answer."""

import re
import shlex
import sys

from . import wire

MAGICS = {
    "freeze": "Lock what is installed now, every package with its url and hash, into pylock.toml.",
    "status": "Say how this environment stands against its last freeze.",
    "history": "Show every change of this environment, with when and who.",
}
_BARE = re.compile(r"^(?P<space>\s*)env-(?P<verb>%s)(?P<rest>(?:\s+-{1,2}\w.*)?)\s*$" % "|".join(MAGICS))
_QUESTION = re.compile(
    r"^(?P<space>\s*)%?env-(?P<verb>{0})\s*\?+\s*$|^(?P<space2>\s*)\?+\s*%?env-(?P<verb2>{0})\s*$".format(
        "|".join(MAGICS)
    )
)


def offer(shell, folder):
    """Register `%env-freeze`, `%env_freeze` and their like, and `%uv`."""
    for verb, help_ in MAGICS.items():
        magic = _magic(folder, verb, help_)
        shell.register_magic_function(magic, "line", "env-%s" % verb)
        shell.register_magic_function(magic, "line", "env_%s" % verb)
    shell.register_magic_function(_uv(shell), "line", "uv")
    # First of all: IPython's own automagic would read `env-freeze --x` as `%env -freeze=--x` and set a variable.
    shell.input_transformers_cleanup.insert(0, lambda lines: _understood(shell, lines))


class Answer(dict):
    """What a magic returns: the data as a dict, shown as a table."""

    def __init__(self, answer):
        super().__init__(answer["data"])
        self._text, self._html = answer["text"], answer["html"]
        self._shown = False

    def __repr__(self):
        return self._text

    def _repr_pretty_(self, printer, cycle):
        printer.text(self._text)

    def _repr_html_(self):
        return self._html

    def _ipython_display_(self):
        # The magic has shown it already when the cell's last expression is the magic itself.
        if self._shown:
            from IPython.display import display

            display({"text/plain": self._text, "text/html": self._html}, raw=True)
        self._shown = True


def _magic(folder, verb, help_):
    def magic(line):
        words = shlex.split(line)
        return _asked(folder, verb, words)

    magic.__name__ = "env_%s" % verb
    magic.__doc__ = "%s\n\nMore: %%env-%s --help" % (help_, verb)
    return magic


def _asked(folder, verb, words):
    """Ask, show progress from the first moment, and leave the answer in its place."""
    from IPython.display import display

    shown = None
    for said in wire.ask(folder, {"verb": verb, "words": words}):
        if "progress" in said:
            bundle = {"text/plain": said["progress"]}
        elif "answer" in said:
            answer = Answer(said["answer"])
            bundle = {"text/plain": answer._text, "text/html": answer._html}
        else:
            from IPython.core.error import UsageError

            raise UsageError("\n".join(part for part in (said["error"], said.get("hint")) if part))
        if shown is None:
            shown = display(bundle, raw=True, display_id=True)
        else:
            shown.update(bundle, raw=True)
    return answer


def _uv(shell):
    def uv(line):
        """Run uv on this environment, as `%pip` runs pip."""
        words = line.split()
        if words[:2] in (["pip", "uninstall"], ["pip", "install"]) or words[:2] == ["pip", "sync"]:
            words.insert(2, "--python=%s" % shlex.quote(sys.executable))
        shell.system("uv %s" % " ".join(words))

    return uv


def _understood(shell, lines):
    """Read a bare `env-freeze` as the magic, and `%env-freeze?` as a wish for its help."""
    if not lines or "env-" not in "".join(lines):
        return lines
    return [_line(shell, line) for line in lines]


def _line(shell, line):
    asked = _QUESTION.match(line)
    if asked:
        space = asked.group("space") or asked.group("space2") or ""
        return "%s%%env-%s --help\n" % (space, asked.group("verb") or asked.group("verb2"))
    bare = _BARE.match(line)
    # Somebody's own variables `env` and `freeze` make it a subtraction.
    if bare and not ("env" in shell.user_ns and bare.group("verb") in shell.user_ns):
        return "%s%%env-%s%s\n" % (bare.group("space"), bare.group("verb"), bare.group("rest"))
    return line
