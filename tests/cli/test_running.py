"""`venvoy run`: exit code, signals, stdin and terminal are the program's; a shell's prompt names the environment."""

import shutil
import signal

import pytest

VALUE = "xyzzy-plugh-plover"
COUNTS = """
import signal, sys, time
seen = []
signal.signal(int(sys.argv[1]), lambda *_: seen.append(1))
print('ready', flush=True)
while not seen: time.sleep(0.01)
time.sleep(0.3); print(len(seen)); raise SystemExit(3)
"""


def shell(name):
    return shutil.which(name) or pytest.skip(f"not obtainable: no {name} on this machine")


# --- exit codes, stdin, signals


def test_the_exit_code_is_the_program_s(somebody):
    assert somebody("run", "demo", "--", "python", "-c", "raise SystemExit(7)").code == 7
    assert somebody("run", "demo", "--command", "exit 9").code == 9
    ended = "import os, signal; os.kill(os.getpid(), 9); signal.pause()"
    assert somebody("run", "demo", "--", "python", "-c", ended).code == 137


def test_the_program_reads_our_stdin_and_all_its_words_are_its_own(somebody):
    program = "import sys; print(sys.argv[1:], input())"
    ran = somebody("run", "demo", "--", "python", "-c", program, "--output", "json", "a b", "$HOME", stdin="hello\n")

    assert (ran.out, ran.code) == ("['--output', 'json', 'a b', '$HOME'] hello\n", 0), ran


def test_everything_behind_args_goes_to_the_script(ada):
    script = ada.write("args.py", "import sys; print(sys.argv[1:])")

    assert ada.done("run", "--script", script, "--args", "--name", "x", "--", "y") == "['--name', 'x', '--', 'y']\n"


def test_a_script_is_found_from_here_also_when_it_runs_elsewhere(ada):
    ada.write("where.py", "import os; print(os.getcwd())")
    (ada.work / "deep").mkdir(exist_ok=True)

    assert ada.done("run", "--script", "where.py", "--cwd", "deep") == f"{ada.work / 'deep'}\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1])
def test_a_signal_to_us_reaches_the_program_once(somebody, signum):
    with somebody.start("run", "demo", "--", "python", "-c", COUNTS, str(int(signum))) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(signum)

        assert child.communicate()[0] == "1\n"
    assert child.returncode == 3


def test_ctrl_c_at_a_terminal_reaches_the_program_once_and_not_us(somebody):
    program = (
        "import time\n"
        "try:\n"
        " print('ready', flush=True)\n"
        " while True: time.sleep(0.01)\n"
        "except KeyboardInterrupt: print('interrupted once', flush=True)\n"
        "time.sleep(0.3); raise SystemExit(4)"
    )
    with somebody.terminal("run", "demo", "--", "python", "-c", program) as terminal:
        terminal.until("ready", timeout=60)
        terminal.type("\x03")

        assert terminal.end() == 4
    assert "interrupted once" in terminal.shown
    assert "Traceback" not in terminal.shown
    assert "venvoy:" not in terminal.shown


def test_the_program_has_the_terminal(ada):
    program = "import os; print(os.get_terminal_size().columns, input('? '))"
    with ada.terminal("run", "demo", "--", "python", "-c", program) as terminal:
        terminal.until("? ")
        terminal.type("answer\n")

        assert terminal.end() == 0
    assert "200 answer" in terminal.shown


# --- what is wrong


def test_at_most_one_thing_is_run(ada):
    for words in (
        ("--command", "ls", "--script", "conftest.py"),
        ("--command", "ls", "--", "ls"),
        ("--args", "--validate"),
        ("demo", "python", "analysis.py"),
        ("--script", "no-such.py"),
    ):
        assert ada("run", *words).code == 2, words


def test_a_program_that_is_not_there_is_named(ada):
    ran = ada("run", "demo", "--", "no-such-program")

    assert ran.code == 6
    assert "no-such-program" in ran.err


def test_without_its_interpreter_nothing_is_run_on_another_one(own):
    (own.store.folder("demo") / "prefix/bin/python").unlink()

    ran = own("run", "demo", "--command", "python -c 'print(1)'")

    assert (ran.code, ran.out) == (6, "")
    assert "venvoy repair demo" in ran.err


# --- variables


def test_files_of_variables_reach_the_program_and_nothing_else(user):
    user.write("first.env", f"TOKEN={VALUE}\nNAME=first\n")
    user.write("second.env", "NAME=second # the later one wins\n")
    listed = user.write("requirements.txt", "ipykernel\n")
    said = [user("init", "demo", "--env-file", "first.env", "--requirements", listed)]

    program = "import os, hashlib as h; print(h.sha256(os.environb[b'TOKEN']).hexdigest()[:8], os.environ['NAME'])"
    ran = user("run", "demo", "--env-file", "second.env", "--", "python", "-c", program)
    said += [user("run", "demo", "--", "pip", "install", "gamma"), user("run", "demo", "--", "no-such-program")]
    said += [user(word, "demo") for word in ("show", "check", "history", "configure", "freeze", "activate")]
    said += [user("show", "demo", "--output", "json")]
    said += [user("run", "demo", "--output", "json", "--", "true"), user("run", "demo", "--env-file", "missing.env")]

    assert ran.out == "0fc20fed second\n"
    assert not [each for each in said if VALUE in each.out + each.err]
    written = [each for each in user.home.rglob("*") if each.is_file() and VALUE.encode() in each.read_bytes()]
    assert written == [user.work / "first.env"]


def test_what_leaks_from_another_environment_is_taken_away(ada):
    variables = {"PYTHONPATH": "/elsewhere", "CONDA_PREFIX": "/conda", "VIRTUAL_ENV": "/other", "PYTHONHOME": ""}

    said = ada.done("run", "demo", "--", "env", **variables)

    shown = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    prefix = str(ada.store.folder("demo") / "prefix")
    assert shown["VIRTUAL_ENV"] == prefix
    assert shown["PATH"].startswith(f"{prefix}/bin:")
    assert not shown.keys() & {"PYTHONPATH", "CONDA_PREFIX", "PYTHONHOME"}


# --- the record


def test_what_a_run_installs_is_recorded_with_its_command(bob):
    ran = bob("run", "demo", "--command", "pip install --quiet eta")
    entry = bob.store.history("demo").last()
    quiet = bob("run", "demo", "--", "python", "-c", "")

    assert ran.code == 0
    assert "what changed is on record" in ran.err
    assert entry.actor.command == "venvoy run demo --command 'pip install --quiet eta'"
    assert [(each.verb, each.names) for each in entry.asked] == [("install", ("eta",))]
    assert (quiet.out, quiet.err) == ("", "")
    assert bob.store.history("demo").last() == entry


def test_with_json_stdout_is_for_the_answer_alone(bob):
    line = "pip install --quiet theta; echo from $((40 + 2)); exit 5"
    ran = bob("run", "demo", "--output", "json", "--command", line)

    assert ran.code == 5
    assert '"exit_code": 5' in ran.out
    assert '"recorded": true' in ran.out
    assert "from 42" not in ran.out
    assert "from 42\n" in ran.err


# --- shells


@pytest.mark.parametrize(
    ("name", "rc", "text"),
    [
        ("bash", ".bashrc", "export PATH=/in/front:$PATH PYTHONPATH=/leak\nPS1='mine> '\n"),
        ("zsh", ".zshrc", "export PATH=/in/front:$PATH PYTHONPATH=/leak\nPROMPT='mine> '\n"),
        (
            "fish",
            ".config/fish/config.fish",
            "set -gx PATH /in/front $PATH\nset -gx PYTHONPATH /leak\nfunction fish_prompt; echo -n 'mine> '; end\n",
        ),
        ("dash", ".profile", ""),
    ],
    ids=["bash", "zsh", "fish", "dash"],
)
def test_the_user_s_shell_opens_with_a_prompt_that_names_the_environment(ada, tmp_path, name, rc, text):
    place = shell(name)
    (tmp_path / rc).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / rc).write_text(text)
    prompt = "(demo) mine> " if text else "(demo) $ "

    with ada.terminal("run", "demo", "--cwd", str(tmp_path), SHELL=place, HOME=str(tmp_path)) as terminal:
        terminal.until(prompt)
        terminal.type("echo $PATH > path; command -v python > python; env | grep -c ^PYTHONPATH= > leaked\n")
        terminal.type("echo wri''tten\n")
        terminal.until("written")
        terminal.type(
            'python -c \'import time; print("sle" + "eping", flush=True); [time.sleep(0.01) for _ in iter(int, 1)]\'\n'
        )
        terminal.until("sleeping")
        terminal.type("\x03")
        terminal.until("KeyboardInterrupt")
        terminal.until(prompt)
        terminal.type("exit 9\n")

        assert terminal.end() == 9
    bin_folder = ada.store.folder("demo") / "prefix/bin"
    path = (tmp_path / "path").read_text()
    assert path.startswith(str(bin_folder))
    assert not text or "/in/front" in path
    assert (tmp_path / "python").read_text() == f"{bin_folder}/python\n"
    assert (tmp_path / "leaked").read_text() == "0\n"


def test_zsh_keeps_its_files_where_the_user_has_them(ada, tmp_path):
    (tmp_path / ".zshenv").write_text("export ZDOTDIR=$HOME/zsh\n")
    (tmp_path / "zsh").mkdir()
    (tmp_path / "zsh/.zshrc").write_text("PROMPT='mine> '\n")

    with ada.terminal("run", "demo", "--cwd", str(tmp_path), SHELL=shell("zsh"), HOME=str(tmp_path)) as terminal:
        terminal.until("(demo) mine> ")
        terminal.type("echo $ZDOTDIR > zdotdir\nexit\n")

        assert terminal.end() == 0
    assert (tmp_path / "zdotdir").read_text() == f"{tmp_path}/zsh\n"


@pytest.mark.parametrize("name", ["bash", "zsh", "fish", "dash"])
def test_a_shell_that_is_not_interactive_reads_its_commands(ada, name):
    ran = ada("run", "demo", stdin="command -v python\nexit 6\n", SHELL=shell(name))

    assert ran.code == 6
    assert ran.out == f"{ada.store.folder('demo') / 'prefix/bin/python'}\n"


def test_a_shell_that_is_not_there_is_replaced_by_one_that_is(ada):
    assert ada("run", "demo", stdin="exit 6\n", SHELL="/no/such/shell").code == 6


def test_what_a_shell_installs_is_recorded(bob):
    with bob.terminal("run", "demo") as terminal:
        terminal.until("(demo) ")
        terminal.type("pip install --quiet iota\n")
        terminal.until("(demo) ")
        terminal.type("exit\n")

        assert terminal.end() == 0
    assert bob.store.history("demo").last().actor.command == "venvoy run demo"
    assert "iota==1.0" in bob.store.history("demo").latest.read_text()
