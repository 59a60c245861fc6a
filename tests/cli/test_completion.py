"""Shells complete commands, options and the names of environments."""

import shutil
import subprocess

import pytest


def answers(user, words):
    ran = user(_VENVOY_COMPLETE="bash_complete", COMP_WORDS=" ".join(["venvoy", *words]), COMP_CWORD=str(len(words)))
    return [line.partition(",")[2] for line in ran.out.splitlines()]


def test_commands_options_and_names_are_completed(ada):
    assert answers(ada, ["re"]) == ["remove", "restore", "repair"]
    assert answers(ada, ["init", "--fo"]) == ["--force"]
    assert answers(ada, ["show", "d"]) == ["demo"]
    assert answers(ada, ["run", "--name", "v"]) == ["venvoy-env"]
    assert answers(ada, ["install", ""]) == ["demo", "venvoy-env"]


def test_names_are_completed_also_where_an_environment_is_broken(own):
    (own.store.folder("demo") / "config.yaml").write_text("%")

    assert answers(own, ["show", ""]) == ["demo"]


def test_bash_completes_with_the_printed_script(ada):
    script = """
        eval "$(venvoy completion bash)"
        COMP_WORDS=(venvoy show d); COMP_CWORD=2
        _venvoy_completion venvoy
        echo "${COMPREPLY[@]}"
    """

    ran = subprocess.run(["bash", "-c", script], env=dict(ada.variables), capture_output=True, text=True, check=True)
    assert ran.stdout == "demo\n"


def test_zsh_completes_at_a_terminal(ada, tmp_path):
    zsh = shutil.which("zsh") or pytest.skip("not obtainable: no zsh on this machine")
    (tmp_path / ".zshrc").write_text(
        'autoload -U compinit; compinit -u; eval "$(venvoy completion zsh)"; PROMPT="> "\n'
    )

    with ada.terminal("run", "demo", SHELL=zsh, HOME=str(tmp_path)) as terminal:
        terminal.until("(demo) > ")
        terminal.type("echo got-$(venvoy show de\t > /dev/null)$?\n")
        terminal.until("got-0")
        terminal.type("exit\n")
        terminal.end()


def test_fish_completes_with_the_printed_script(ada):
    fish = shutil.which("fish") or pytest.skip("not obtainable: no fish on this machine")
    asked = "complete --do-complete 'venvoy show d'; complete --do-complete 'venvoy adop'"
    script = f"venvoy completion fish | source; {asked}"

    ran = subprocess.run([fish, "-c", script], env=dict(ada.variables), capture_output=True, text=True, check=True)
    assert [line.split("\t")[0] for line in ran.stdout.splitlines()] == ["demo", "adopt"]
