"""`venvoy activate`: the line is read by real shells, also where the path has spaces and quotes in it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ODD = """it's "odd" & $HOME"""


@pytest.fixture(scope="module")
def odd(new_user):
    """Somebody whose environment lies in a folder that every shell would trip over."""
    user = new_user("odd")
    user.done("init", "demo", "--prefix", user.work / ODD)
    return user


def read_by(shell, script, user):
    program = shutil.which(shell) or pytest.skip(f"not obtainable: no {shell} on this machine")
    ran = subprocess.run(
        [program, "-c", script], env=dict(user.variables), cwd=user.work, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran
    return ran.stdout


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "dash"])
def test_the_line_activates_in_a_posix_shell(odd, shell):
    line = odd.done("activate", "demo", "--shell", "sh" if shell == "dash" else shell)

    said = read_by(shell, f'{line}printf \'%s|\' "$VIRTUAL_ENV" "$(command -v python)" "$VIRTUAL_ENV_PROMPT"', odd)

    prefix, python, prompt = said.split("|")[:3]
    assert Path(prefix).samefile(odd.work / ODD)
    assert Path(python).parent.samefile(odd.work / ODD / "bin")
    assert prompt == "demo"


def test_the_line_activates_in_fish(odd):
    line = odd.done("activate", "demo", "--shell", "fish")

    said = read_by("fish", f"{line}printf '%s|' \"$VIRTUAL_ENV\" (command -v python)", odd)

    prefix, python = said.split("|")[:2]
    assert Path(prefix).samefile(odd.work / ODD)
    assert Path(python).parent.samefile(odd.work / ODD / "bin")


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        ("bash", 'eval "$(venvoy activate demo)" && deactivate && eval "$(venvoy activate demo)" && command -v python'),
        ("zsh", 'eval "$(venvoy activate demo)" && command -v python'),
        ("fish", "venvoy activate demo --shell fish | source; command -v python"),
    ],
)
def test_the_lines_of_the_help_work_as_they_are_written(ada, shell, script):
    assert read_by(shell, script, ada) == f"{ada.store.folder('demo') / 'prefix/bin/python'}\n"


def test_powershell_and_cmd_get_their_own_words(odd):
    quoted = str(odd.work / ODD).replace("'", "''")

    assert odd.done("activate", "demo", "--shell", "powershell") == f". '{quoted}/bin/activate.ps1'\n"
    assert odd.done("activate", "demo", "--shell", "cmd") == f'call "{odd.work / ODD}/bin/activate.bat"\n'


def test_without_shell_the_user_s_own_is_taken(ada):
    assert ada.json("activate", "demo", SHELL="/usr/bin/fish")["shell"] == "fish"
    assert ada.json("activate", "demo", SHELL="/bin/bash")["line"].startswith(". /")
    assert ada("activate", "demo", SHELL="/bin/tcsh").code == 5


def test_a_venv_without_the_script_is_told_and_not_sourced(bob):
    (bob.store.folder("demo") / "prefix/bin/activate.bat").unlink()

    ran = bob("activate", "demo", "--shell", "cmd")

    assert (ran.code, ran.out) == (5, "")
    assert "venvoy run demo" in ran.err


def test_at_a_terminal_the_user_is_told_what_to_do_with_the_line(ada):
    with ada.terminal("activate", "demo") as terminal:
        assert terminal.end() == 0
    assert 'eval "$(venvoy activate demo)"' in terminal.shown
