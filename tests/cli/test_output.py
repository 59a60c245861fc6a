"""What goes where: JSON alone on stdout, all else on stderr, colours and moving lines only at a terminal."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from venvoy import errors
from venvoy.actions import check
from venvoy.frontends.cli import ALIASES, COMMANDS, venvoy

DOCS = Path(__file__).parents[2] / "docs"


# --- help


def test_every_command_s_help_begins_with_its_line_in_the_list():
    for name, lazy in COMMANDS.items():
        shown = CliRunner().invoke(venvoy, [name, "--help"])
        assert shown.exit_code == 0
        assert lazy.help in shown.output, name


def test_the_list_of_commands_is_shown_without_importing_one():
    heavy = {"rich", "ruamel", "jupyter_core", "jupyter_client", "packaging", "filelock", "venvoy.store"}
    program = (
        "import sys; from click.testing import CliRunner; from venvoy.frontends.cli import venvoy\n"
        "assert 'restore' in CliRunner().invoke(venvoy, ['--help']).output\n"
        f"print(sorted({heavy!r} & set(sys.modules)))"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_aliases_are_the_commands_they_stand_for():
    for alias, name in ALIASES.items():
        assert (
            CliRunner()
            .invoke(venvoy, [alias, "--help"])
            .output.endswith(CliRunner().invoke(venvoy, [name, "--help"]).output.partition("\n")[2])
        )


def test_a_wrong_command_is_told_the_right_one():
    ran = CliRunner().invoke(venvoy, ["instal"])

    assert ran.exit_code == 2
    assert "there is no command 'instal'; is it 'install'?" in ran.stderr
    assert ran.stdout == ""


# --- errors


def test_an_error_is_also_an_object_when_json_is_wanted(ada):
    ran = ada("show", "nobody", "--output", "json")
    wrong = ada("show", "--output=json", "--colour")
    theirs = ada("run", "nobody", "--", "--output", "json")

    assert json.loads(ran.out)["error"]["kind"] == "EnvironmentNotFound"
    assert json.loads(ran.out)["error"]["exit_code"] == ran.code == 3
    assert ran.err.startswith("venvoy: no environment is named 'nobody'")
    assert json.loads(wrong.out)["error"]["kind"] == "UsageError"
    assert wrong.code == 2
    assert (theirs.code, theirs.out) == (3, "")


def test_what_nobody_expected_is_not_swallowed(own):
    own.store.environments_folder.chmod(0o700)
    (own.store.project("demo") / ".venvoy/log.jsonl").unlink()
    (own.store.project("demo") / ".venvoy/log.jsonl").mkdir()

    ran = own("history", "demo")

    assert ran.code == 1
    assert "IsADirectoryError" in ran.err


def test_the_page_of_exit_codes_names_every_kind_with_its_code():
    told = dict(re.findall(r"^\| (\d+) \| `(\w+)`", (DOCS / "exit-codes.md").read_text(), re.MULTILINE))

    kinds = {each.__name__: each.exit_code for each in vars(errors).values() if isinstance(each, type)}
    assert {name: int(code) for code, name in told.items() if name in kinds} == kinds


# --- terminals


def test_at_a_terminal_work_is_one_moving_line_that_is_gone_afterwards(bob):
    with bob.terminal("install", "demo", "delta") as terminal:
        assert terminal.end() == 0

    assert "Installing into 'demo'" in terminal.shown
    assert "\x1b[?25l" in terminal.shown  # the cursor is hidden while the line moves
    assert terminal.shown.rstrip().splitlines()[-1].split()[:2] == ["+", "delta"]


def test_elsewhere_work_is_plain_lines_on_stderr(bob):
    ran = bob("install", "demo", "epsilon")

    assert ran.err.splitlines()[0] == "Installing into 'demo' …"
    assert " + epsilon==1.0" in ran.err.splitlines()
    assert "\x1b" not in ran.out + ran.err


def test_colours_can_be_declined(ada):
    with ada.terminal("show", "nobody") as coloured:
        coloured.end()
    with ada.terminal("show", "nobody", NO_COLOR="1") as plain:
        plain.end()

    assert "\x1b[31m\x1b[1mvenvoy:\x1b[0m no environment" in coloured.shown
    assert "venvoy: no environment" in plain.shown
    assert "\x1b[3" not in plain.shown


def test_a_table_at_a_terminal_has_the_same_words(ada):
    with ada.terminal("show", "demo") as terminal:
        terminal.end()

    words = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", terminal.shown).split()
    assert words == ada.done("show", "demo").split()


def test_stdout_in_a_file_gets_no_moving_line_also_when_stderr_is_a_terminal(bob):
    with bob.terminal("run", "demo", "--command", f"{sys.executable} -m venvoy install demo zeta > answer") as terminal:
        assert terminal.end() == 0

    assert (bob.work / "answer").read_text().startswith("demo: 1 package changed.")
    assert "\x1b" not in (bob.work / "answer").read_text()
    assert "Installing into 'demo'" in terminal.shown


# --- the documented JSON

EMPTY = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'


def documented():
    found = re.findall(r"^```json ([\w-]+)\n(.*?)^```", (DOCS / "json.md").read_text(), re.MULTILINE | re.DOTALL)
    return {name: json.loads(text) for name, text in found}


def filled(shape):
    """The example with every `…name` replaced by what that stands for."""
    if isinstance(shape, str) and shape.startswith("…") and len(shape) > 1:
        return filled(documented()[shape[1:]])
    if isinstance(shape, dict):
        return {key: filled(value) for key, value in shape.items()}
    return [filled(each) for each in shape] if isinstance(shape, list) else shape


def differing(example, actual, at="$"):
    """Where the keys or the types of an answer are not those of the example; null may stand for anything."""
    if example is None or actual is None:
        return
    if type(example) is not type(actual):
        yield f"{at}: {actual!r} is not like {example!r}"
    elif isinstance(example, dict):
        known = at.endswith(".actor")  # has the keys that are known
        if not set(actual) <= set(example) or (not known and set(actual) != set(example)):
            yield f"{at}: {sorted(actual)} is not {sorted(example)}"
        for key in set(example) & set(actual):
            yield from differing(example[key], actual[key], f"{at}.{key}")
    elif isinstance(example, list) and example:
        for number, each in enumerate(actual):
            yield from differing(example[min(number, len(example) - 1)], each, f"{at}[{number}]")


def test_the_documented_shapes_are_what_the_program_prints(own):
    answers = {
        "error": own.json("show", "nobody"),
        "package-managers": own.json("package-managers"),
        "init": own.json("init", "other", "--requirements", "requirements.txt"),
        "install": own.json("install", "demo", "gamma", "alpha==2.0"),
        "freeze": own.json("freeze", "demo"),
        "restore": own.json("restore", own.store.project("demo") / "environment.yml", "again"),
        "delete": own.json("delete", "again", "--yes"),
        "list": own.json("list"),
        "list-images": own.json("list", "--images"),
        "prune-images": own.json("prune", "--images", "--dry-run"),
        "runtime-info": own.json("runtime-info"),
        "show": own.json("show", "demo"),
        "configure": own.json("configure", "demo"),
        "run": own.json("run", "demo", "--", "python", "-c", "1"),
        "activate": own.json("activate", "demo"),
        "history": own.json("history", "demo"),
        "history-check": own.json("history", "demo", "--check"),
        "diff": own.json("diff", "demo", "1"),
        "undo-dry-run": own.json("undo", "demo", "--dry-run"),
        "undo": own.json("undo", "demo"),
        "prune": own.json("prune", "demo", "--keep", "0", "--yes"),
        "export": json.loads(own.done("export", "demo", "--format", "yaml", "--json")),
        "export-archive": json.loads(own.done("export", "demo", "--format", "archive", "--json")),
        "import-archive": own.json("import-archive", "demo.venvoy.tar.zst", "--name", "carried"),
        "verify": own.json("verify", "carried"),
        "stamp": own.json("stamp", own.write("n.ipynb", EMPTY), "--name", "demo"),
        "completion": own.json("completion", "bash"),
    }
    own.done("remove", "demo", "alpha")
    answers["status"] = own.json("status", "demo")
    (own.store.folder("demo") / "prefix/bin/python").unlink()
    (own.store.folder("other") / "config.yaml").unlink()
    answers["check"] = own.json("check")
    answers["repair"] = own.json("repair", "demo")

    wrong = [line for name, answer in answers.items() for line in differing(filled(documented()[name]), answer, name)]
    assert wrong == []
    assert any(each["findings"] for each in answers["check"]["environments"])
    assert answers["check"]["orphans"]
    elsewhere = {"quickstart", "build", "import-archive-folder"}  # where what they need is made
    assert set(documented()) - set(answers) == {"environment", "package", "changes", "finding", *elsewhere}


def test_every_code_of_a_finding_is_documented():
    text = (DOCS / "json.md").read_text()
    ours = ("config-wrong", "kernelspec-missing", "kernelspec-stale", "kernelspec-other")
    codes = {*re.findall(r"^\| `([a-z-]+)` \|", check.__doc__, re.MULTILINE), *ours}

    assert len(codes) > 20
    assert [each for each in sorted(codes) if f"`{each}`" not in text] == []


@pytest.mark.parametrize("name", ["environment", "package", "changes", "finding"])
def test_what_recurs_is_used(name):
    assert f'"…{name}"' in (DOCS / "json.md").read_text()


def test_a_runtime_that_is_named_and_cannot_be_used_hides_none_of_the_others(user):
    dead = {"DOCKER_HOST": "unix:///nonexistent/docker.sock", "VENVOY_RUNTIME": "docker"}

    ran, told = user("runtime-info", **dead), user("runtime-info", "--output", "json", **dead)

    assert (ran.code, told.code) == (6, 6)
    assert "containers: docker cannot be used: no daemon answers at unix:///nonexistent/docker.sock" in ran.out
    assert all(name in ran.out for name in ("podman", "apptainer", "singularity"))
    said = json.loads(told.out)
    assert (said["chosen"], said["rule"], len(said["runtimes"])) == (None, None, 4)
