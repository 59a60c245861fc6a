"""The command lines that the documentation promises, each typed as it is written there."""

import shlex

import pytest


@pytest.fixture
def researcher(user):
    user.write("analysis.py", "import sys\nprint(sys.prefix, sys.argv[1:])\n")
    return user


def typed(user, line, **variables):
    program, *words = shlex.split(line)
    assert program == "venvoy"
    return user(*words, **variables)


def test_the_language_is_a_runtime_and_python_version_is_python(researcher):
    ran = typed(researcher, "venvoy init --runtime python --python-version 3.12 --name my-project")

    assert ran.code == 0, ran
    assert researcher.store.environment("my-project").python_version.startswith("3.12.")
    assert researcher.store.environment("my-project").runtime == "venv"


def test_configure_shows_the_settings_and_their_file(researcher):
    typed(researcher, "venvoy init --name my-project")

    ran = typed(researcher, "venvoy configure --name my-project")

    file = researcher.store.folder("my-project") / "config.yaml"
    assert ran.code == 0
    assert ran.out == f"# {file}\n{file.read_text()}"


def test_a_command_runs_in_the_named_environment(researcher):
    typed(researcher, "venvoy init --name my-research")

    ran = typed(researcher, 'venvoy run --name my-research --command "python analysis.py"')

    assert (ran.code, ran.out) == (0, f"{researcher.store.environment('my-research').prefix} []\n")


def test_one_user_s_day_with_the_default_environment(researcher):
    prefix = researcher.store.folder("venvoy-env") / "prefix"

    assert typed(researcher, "venvoy create").code == 0
    assert typed(researcher, "venvoy init").code == 4
    assert typed(researcher, "venvoy init --force").code == 0
    assert "venvoy-env" in typed(researcher, "venvoy list").out
    assert typed(researcher, "venvoy check --output text").code == 1  # no kernel could be fetched without an index
    assert typed(researcher, "venvoy install").code == 0
    assert typed(researcher, "venvoy install --name venvoy-env ipykernel").code == 0
    assert typed(researcher, "venvoy check --output text").out == "venvoy-env: all is well.\n"
    assert typed(researcher, "venvoy activate").out == f". {prefix}/bin/activate\n"
    assert typed(researcher, "venvoy run --script analysis.py --args --validate").out == f"{prefix} ['--validate']\n"
    assert typed(researcher, "venvoy run --command /bin/bash", stdin="echo $VIRTUAL_ENV").out == f"{prefix}\n"
    assert typed(researcher, "venvoy run", stdin="which python").out == f"{prefix}/bin/python\n"
    assert typed(researcher, "venvoy cleanup --yes").code == 0
    assert typed(researcher, "venvoy list").out == "No environments yet. Make one: venvoy init NAME\n"


def test_bash_as_a_command_is_an_interactive_shell(ada):
    with ada.terminal("run", "--command", "/bin/bash") as terminal:
        terminal.until("(venvoy-env) ")
        terminal.type("echo interactive: $-\n")
        flags = terminal.until("(venvoy-env) ").rpartition("interactive: ")[2]
        terminal.type("exit\n")

        assert terminal.end() == 0
    assert "i" in flags.split()[0]
