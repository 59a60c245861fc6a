"""How each shell is opened inside an environment, and with which line it activates one."""

from __future__ import annotations

import os
import pwd
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...actions.activation import Activation
from ...errors import InvalidInput
from ...model import Environment
from ...runtimes.host import activation

LAST_RESORTS = ("/bin/bash", "/bin/sh")
POSIX = ("sh", "dash", "ksh", "mksh", "ash", "bash", "zsh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A shell's start. `files` (name to content) belong into the folder that it was made for."""

    argv: tuple[str, ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


def of_user(variables: Mapping[str, str]) -> Path:
    """The user's shell, if it is there, or one that is."""
    said = (variables.get("SHELL", ""), pwd.getpwuid(os.getuid()).pw_shell, *LAST_RESORTS)
    return Path(next((each for each in said if each and os.access(each, os.X_OK)), LAST_RESORTS[-1]))


def opening(shell: Path, env: Environment, *, folder: Path, variables: Mapping[str, str]) -> Opening:
    """How to open `shell` with a prompt that names the environment.

    The user's own start-up files are read first, so that whatever they put in front of PATH comes behind the
    environment. `variables` are the caller's.
    """
    if shell.name == "bash":
        return Opening(argv=(str(shell), "--rcfile", str(folder / "bashrc")), files={"bashrc": _bashrc(env)})
    if shell.name == "zsh":
        own = variables.get("ZDOTDIR", "")
        return Opening(
            argv=(str(shell),),
            variables={"ZDOTDIR": str(folder)},
            files={".zshenv": _zshenv(env, folder=folder, own=own), ".zshrc": _zshrc(env, folder=folder)},
        )
    if shell.name == "fish":
        return Opening(argv=(str(shell), "--init-command", _fish_commands(env)))
    return Opening(argv=(str(shell),), variables={"PS1": f"{_prefix(env)}$ "})


def named(command: str) -> Path | None:
    """The shell that a command line opens and does nothing else with ("/bin/bash", "zsh"), or None."""
    try:
        words = shlex.split(command)
    except ValueError:
        return None
    if len(words) != 1 or Path(words[0]).name not in ("bash", "zsh", "fish"):
        return None
    return Path(words[0])


def activation_line(env: Environment, shell: str) -> str:
    """The line that activates the environment in a running shell of that kind, quoted as that shell reads it.

    Raises InvalidInput for a shell that is not known, or for which the venv brings no script.
    """
    if shell in POSIX:
        return f". {shlex.quote(_script(env, 'activate'))}"
    if shell == "fish":
        return f"source {_fish(_script(env, 'activate.fish'))}"
    if shell in ("powershell", "pwsh"):
        return f". {_powershell(_script(env, 'activate.ps1', 'Activate.ps1'))}"
    if shell == "cmd":
        return f'call "{_script(env, "activate.bat")}"'
    raise InvalidInput(
        f"there is no line for {shell or 'a shell without a name'!r}",
        hint="name one: --shell bash, zsh, fish, sh, powershell or cmd",
    )


def written_out(env: Environment, found: Activation, shell: str) -> str:
    """The same for a prefix of conda or R, which has no script of its own: what activating it changes, written out.

    `deactivate` takes that away again. Raises InvalidInput for a shell that is not known.
    """
    variables = {**activation(env), **found.variables}
    gone = [name for name, value in variables.items() if value is None]
    there = {name: value for name, value in variables.items() if value is not None}
    before = [str(each) for each in (*found.search, env.prefix / "bin")]
    behind = [str(each) for each in found.tools]
    if shell in POSIX:
        path = ":".join([*(shlex.quote(each) for each in before), '"$PATH"', *map(shlex.quote, behind)])
        restored = f'export PATH="$_VENVOY_PATH"; unset _VENVOY_PATH {" ".join(there)}; unset -f deactivate'
        lines = [
            'export _VENVOY_PATH="$PATH"',
            *(f"export {name}={shlex.quote(value)}" for name, value in there.items()),
            *(f"unset {name}" for name in gone),
            f"export PATH={path}",
            f"deactivate() {{ {restored}; }}",
        ]
    elif shell == "fish":
        path = " ".join([*map(_fish, before), "$PATH", *map(_fish, behind)])
        erased = "; ".join(f"set -e {name}" for name in ("_VENVOY_PATH", *there))
        lines = [
            "set -gx _VENVOY_PATH $PATH",
            *(f"set -gx {name} {_fish(value)}" for name, value in there.items()),
            *(f"set -e {name}" for name in gone),
            f"set -gx PATH {path}",
            f"function deactivate; set -gx PATH $_VENVOY_PATH; {erased}; functions -e deactivate; end",
        ]
    else:
        raise InvalidInput(
            f"there are no lines for {shell or 'a shell without a name'!r} that activate {env.name!r}",
            hint=f"name one: --shell bash, zsh, fish or sh\nor a shell in it: venvoy run {env.name}",
        )
    return "\n".join(lines)


def _script(env: Environment, *names: str) -> str:
    """Where the venv's own script lies; the tools that make venvs do not agree on its name."""
    found = (env.prefix / "bin" / name for name in names)
    script = next((each for each in found if each.exists()), None)
    if script is None:
        raise InvalidInput(
            f"the venv of {env.name!r} has no {names[0]}", hint=f"a shell in it all the same: venvoy run {env.name}"
        )
    return str(script)


def _prefix(env: Environment) -> str:
    return f"({env.name}) "


def _bashrc(env: Environment) -> str:
    return f"""\
[ -r ~/.bashrc ] && . ~/.bashrc
{_posix_variables(env)}
hash -r
_venvoy_prompt() {{
  case "${{PS1-}}" in *{shlex.quote(_prefix(env))}*) ;; *) PS1={shlex.quote(_prefix(env))}"${{PS1-}}" ;; esac
}}
PROMPT_COMMAND="${{PROMPT_COMMAND-}}"$'\\n'_venvoy_prompt
"""


def _zshenv(env: Environment, *, folder: Path, own: str) -> str:
    """Reads the user's .zshenv, which may move ZDOTDIR, and makes zsh come back to us for .zshrc."""
    return f"""\
{f"ZDOTDIR={shlex.quote(own)}" if own else "unset ZDOTDIR"}
[[ -r ${{ZDOTDIR:-$HOME}}/.zshenv ]] && . ${{ZDOTDIR:-$HOME}}/.zshenv
if [[ -o interactive ]]; then
  _venvoy_zdotdir=${{ZDOTDIR-}}
  ZDOTDIR={shlex.quote(str(folder))}
else
{_posix_variables(env)}
fi
"""


def _zshrc(env: Environment, *, folder: Path) -> str:
    """Leaves no trace of our folder: history and completion files belong where the user has them."""
    return f"""\
if [[ -n $_venvoy_zdotdir ]]; then ZDOTDIR=$_venvoy_zdotdir; else unset ZDOTDIR; fi
unset _venvoy_zdotdir
[[ ${{HISTFILE-}} == {shlex.quote(str(folder))}/* ]] && HISTFILE=${{ZDOTDIR:-$HOME}}/${{HISTFILE:t}}
[[ -r ${{ZDOTDIR:-$HOME}}/.zshrc ]] && . ${{ZDOTDIR:-$HOME}}/.zshrc
{_posix_variables(env)}
rehash
_venvoy_prompt() {{ [[ $PROMPT == *{shlex.quote(_prefix(env))}* ]] || PROMPT={shlex.quote(_prefix(env))}$PROMPT }}
precmd_functions+=(_venvoy_prompt)
"""


def _posix_variables(env: Environment) -> str:
    lines = [f"export {name}={shlex.quote(value)}" for name, value in activation(env).items()]
    return "\n".join(
        [
            *lines,
            f'export PATH={shlex.quote(str(env.prefix / "bin"))}:"$PATH"',
            "unset PYTHONHOME PYTHONPATH",
        ]
    )


def _fish_commands(env: Environment) -> str:
    lines = [f"set -gx {name} {_fish(value)}" for name, value in activation(env).items()]
    return "\n".join(
        [
            *lines,
            f"set -gx PATH {_fish(str(env.prefix / 'bin'))} $PATH",
            "set -e PYTHONHOME",
            "set -e PYTHONPATH",
            "functions -c fish_prompt _venvoy_prompt",
            # The user's prompt goes first, because it may show the last command's status.
            "function fish_prompt",
            "    set -l shown (_venvoy_prompt)",
            f"    echo -n {_fish(_prefix(env))}",
            r"    string join \n $shown",
            "end",
        ]
    )


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(text: str) -> str:
    """PowerShell takes typographic quotes for quotes, too."""
    return "'" + re.sub("(['‘’‚‛])", r"\1\1", text) + "'"  # noqa: RUF001
