"""Tell from an installer's command line what was asked for by name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement

from ..inventory.dist_info import canonical
from ..model import Asked

LONGEST = 500
"""Characters of a command that are kept."""
_VERBS: dict[str, Literal["install", "remove"]] = {
    "install": "install", "add": "install", "upgrade": "install", "update": "install",
    "uninstall": "remove", "remove": "remove",
}  # fmt: skip
_TOOLS = {"pip": {"install", "uninstall"}, "uv pip": {"install", "uninstall"}, "uv": {"add", "remove"}}
_CONDA = {"install", "update", "upgrade", "remove", "uninstall"}
_WRAPPERS = frozenset({"sudo", "env", "time", "nohup", "nice", "command", "exec", "stdbuf"})
_WITH_VALUE = frozenset(
    {
        "-C", "-P", "-c", "-e", "-f", "-i", "-p", "-r", "--abi", "--allow-insecure-host", "--build-constraint",
        "--cache-dir", "--cert", "--channel", "--client-cert", "--config-file", "--config-setting",
        "--config-settings", "--constraint", "--constraints", "--default-index", "--directory", "--editable",
        "--exclude-newer", "--extra", "--extra-index-url", "--file", "--find-links", "--fork-strategy",
        "--global-option", "--group", "--implementation", "--index", "--index-strategy", "--index-url",
        "--keyring-provider", "--link-mode", "--log", "--no-binary", "--no-binary-package",
        "--no-build-isolation-package", "--no-build-package", "--only-binary", "--optional", "--override",
        "--overrides", "--password", "--platform", "--prefix", "--prerelease", "--progress-bar", "--project",
        "--proxy", "--python", "--python-platform", "--python-version", "--refresh-package", "--reinstall-package",
        "--report", "--requirement", "--requirements", "--resolution", "--retries", "--resume-retries", "--solver",
        "--src", "--timeout", "--token", "--torch-backend", "--trusted-host", "--upgrade-package",
        "--upgrade-strategy", "--use-feature", "--user-agent",
    }
)  # fmt: skip
_ELSEWHERE = frozenset({"-n", "-t", "--download-only", "--dry-run", "--name", "--root", "--target"})
"""Options by which nothing comes into this environment."""
_LITERAL = re.compile(r"""(['"])(.*?)\1""")
_LIST = re.compile(r"""\[(?:[^\[\]'"]|"[^"]*"|'[^']*')*\]""")
_CALLED = re.compile(
    r"\b(?:run|call|check_call|check_output|Popen|system|popen|getoutput|getstatusoutput|run_line_magic)\s*\("
    r"""\s*[rf]?(?P<first>(['"]).*?\2)(?:\s*,\s*(?P<second>(['"]).*?\4))?"""
)
_PREFIX = re.compile(r"^\s*(?:[\w.]+\s*=\s*(?=[!%]))?(?:[!%]+\s*)?(?:(?:sx|system)\s+)?")
_ASSIGNED = re.compile(r"[A-Za-z_]\w*=.*", re.DOTALL)
_PYTHON = re.compile(r"(?:python|pypy)[0-9.]*|.*sys\.executable.*")
_PIP = re.compile(r"pip[0-9.]*")
_MATCH_SPEC = re.compile(r"(?:[\w./:-]+::)?(?P<name>[A-Za-z0-9_][\w.-]*)(?:[\s=<>!~\[].*)?")
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s'",;&]+)"""
_TELLING = "auth|credential|api_?key|access_?key|passwd|password|secret|token|_pat|_pw"
_SECRETS = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        # user:password@ (the password may hold any letter but a space), token@
        (r"(?<=://)[^\s/@:'\"]*:(?![0-9]+[/?#\s'\"])[^\s'\"]*@|(?<=://)[^\s/'\"]+@", "***@"),
        (r"\b(bearer|basic)\s+[\w.~+/=-]+", r"\1 ***"),
        (r"([?&][\w.-]*(?:auth|cred|key|pass|secret|sig|token)[\w.-]*=)[^\s&'\"]+", r"\1***"),
        (rf"\b(\w*(?:{_TELLING})\w*\s*=\s*)[\w.]+(?:::[\w.]+)?\((?:{_VALUE}|[\s,])*\)", r"\1***"),
        (rf"\b(\w*(?:{_TELLING})\w*['\"]?\s*(?:=(?!=)|:)\s*){_VALUE}", r"\1***"),
        (rf"(--(?:password|passwd|token|api-key|secret)[\s=]+){_VALUE}", r"\1***"),
        (r"(?<=\s)(-u|--user|--proxy-user)([\s=]+)[^\s'\":]+:\S+", r"\1\2***"),
        (r"\b(?:gh[opsur]_|github_pat_|glpat-|hf_|pypi-ag)[\w-]+", "***"),
    )
)


def asked_in(commands: Iterable[str]) -> tuple[Asked, ...]:
    """Read shell lines, magics and Python calls (as in `subprocess.run([...])`); others are passed over.

    A command with several installers in it gives one Asked for each; what is installed into another place gives none.
    """
    return tuple(asked for command in commands for asked in _asked(command))


def without_secrets(command: str) -> str:
    """The command with what looks like a password, a token or a key taken out."""
    for pattern, instead in _SECRETS:
        command = pattern.sub(instead, command)
    return command


def _asked(command: str) -> Iterator[Asked]:
    told = without_secrets(command.strip())[:LONGEST]
    for words in _simple_commands(command.replace("\\\n", " ")):
        tool, rest = _tool(words)
        verb = next((word for word in rest if not word.startswith("-")), "")
        if verb not in _TOOLS.get(tool, _CONDA if tool else ()):
            continue
        arguments = rest[rest.index(verb) + 1 :]
        if not _ELSEWHERE.isdisjoint(word.partition("=")[0] for word in arguments):
            continue
        names = tuple(sorted(set(_names(arguments, conda=tool not in _TOOLS))))
        yield Asked(tool=tool, verb=_VERBS[verb], names=names, command=told)


def _simple_commands(text: str) -> Iterator[list[str]]:
    """The words of each program start in it, without redirections."""
    for line in text.splitlines():
        lists = [[word for _, word in _LITERAL.findall(each[0])] for each in _LIST.finditer(line)]
        if listed := [words for words in lists if not _VERBS.keys().isdisjoint(words)]:
            yield from listed
        elif called := _CALLED.search(line):
            inner = " ".join(each[1:-1] for each in called.group("first", "second") if each)
            yield from _split(inner)
        else:
            yield from _split(_PREFIX.sub("", line, count=1))


def _split(line: str) -> Iterator[list[str]]:
    words: list[str] = []
    tokens = iter(_tokens(line))
    for token in tokens:
        if token.startswith("#"):
            break
        if set(token) <= set("<>&") and set(token) & set("<>"):
            if words and words[-1].isdigit():  # "2>" of "2>&1"
                words.pop()
            next(tokens, None)
        elif set(token) <= set("();|&"):
            yield words
            words = []
        else:
            words.append(token)
    yield words


def _tokens(line: str) -> list[str]:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        return list(lexer)
    except ValueError:  # a quote without its other half
        return line.split()


def _tool(words: list[str]) -> tuple[str, list[str]]:
    """The installer that the words start, "" for any other program, and what it is given."""
    wrapped = False
    while words and (words[0] in _WRAPPERS or _ASSIGNED.fullmatch(words[0]) or (wrapped and words[0].startswith("-"))):
        wrapped = wrapped or words[0] in _WRAPPERS
        words = words[1:]
    if words and (words[0] == "-m" or _PYTHON.fullmatch(PurePath(words[0]).name)):
        words = words[words.index("-m") + 1 :] if "-m" in words else []
    if not words:
        return "", []
    program, rest = PurePath(words[0].lstrip("%!")).name, words[1:]
    if _PIP.fullmatch(program):
        return "pip", rest
    if program in ("conda", "mamba", "micromamba"):
        return program, rest
    if program != "uv":
        return "", []
    plain = [word for word in rest if not word.startswith("-")]
    if plain[:1] == ["pip"]:
        return "uv pip", rest[rest.index("pip") + 1 :]
    return "uv", rest


def _names(arguments: list[str], *, conda: bool) -> Iterator[str]:
    words = iter(arguments)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-") and (name := _conda_name(word) if conda else _name(word)):
            yield name.lower() if conda else canonical(name)


def _name(word: str) -> str:
    """The package that a word of pip's names, "" where it names none (a folder, a url without a name)."""
    if "://" in word and " @ " not in word:
        address, _, fragment = word.partition("#")
        egg = re.search(r"(?:^|&)egg=([\w.-]+)", fragment)
        return egg[1] if egg else _wheel_name(address)
    if word.endswith(".whl"):
        return _wheel_name(word)
    try:
        return Requirement(word).name
    except InvalidRequirement:
        return ""


def _wheel_name(path: str) -> str:
    return PurePath(path.partition("?")[0]).name.partition("-")[0] if path.partition("?")[0].endswith(".whl") else ""


def _conda_name(word: str) -> str:
    found = _MATCH_SPEC.fullmatch(word)
    return found["name"] if found else ""
