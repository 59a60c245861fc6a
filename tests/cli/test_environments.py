"""`venvoy init`, `adopt`, `list`, `show` and `delete`."""

import signal
import subprocess
import sys
import time

import pytest
import uv

from venvoy import files
from venvoy.actions.bases import interpreter
from venvoy.model import Actor


def names_in(folder):
    """What lies there, without the locks that processes keep to."""
    return sorted(each.name for each in folder.iterdir() if not each.name.endswith(".lock")) if folder.exists() else []


# --- init


def test_init_says_where_it_lies_what_its_kernel_is_called_and_what_to_do_next(own):
    own.write("more.txt", "ipykernel\n")

    said = own.done("init", "other", "--requirements", "more.txt")

    assert str(own.store.folder("other") / "prefix") in said
    assert "venvoy-other" in said
    assert "venvoy run other" in said
    assert (own.kernels / "venvoy-other/kernel.json").exists()


def test_init_of_a_name_that_exists_offers_what_else_can_be_done(ada):
    ran = ada("init", "demo")

    assert ran.code == 4
    assert ran.out == ""
    for way in (str(ada.store.folder("demo")), "--force", "--name OTHER", "venvoy run demo", "venvoy list"):
        assert way in ran.err


def test_an_environment_without_a_kernel_stays_and_a_warning_says_what_to_do(user):
    answer = user.json("init", "bare")

    ran = user("init", "bare", "--force")

    assert answer["kernel"] is None
    assert ran.code == 0
    assert "warning: Jupyter cannot run a kernel in 'bare'" in ran.err
    assert "venvoy configure bare" in ran.err
    assert not (user.kernels / "venvoy-bare").exists()


def test_a_python_that_is_not_there_gives_the_list_of_what_is(user):
    ran = user("init", "--python", "3.99")

    assert ran.code == 6
    assert "there is no Python 3.99" in ran.err
    assert f"  {sys.version_info[0]}.{sys.version_info[1]}." in ran.err
    assert names_in(user.store.environments_folder) == []


def test_files_of_variables_are_kept_by_their_absolute_path_and_a_missing_one_is_named(user):
    user.write("secrets/.env", "TOKEN=xyzzy-plugh\n")

    missing = user("init", "demo", "--env-file", "secrets/.missing")
    made = user.json("init", "demo", "--env-file", "secrets/.env")

    assert missing.code == 5
    assert "secrets/.missing" in missing.err
    assert made["environment"]["env_file"] == [str(user.work / "secrets/.env")]


def test_the_prefix_may_lie_anywhere(user):
    made = user.json("init", "--prefix", "here/prefix", "--name", "demo")

    assert made["environment"]["prefix"] == str(user.work / "here/prefix")
    assert (user.work / "here/prefix/.gitignore").read_text() == "*\n"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_init_leaves_nothing(user, signum):
    with user.start("init", "demo") as child:
        while not any(each.startswith("demo") for each in names_in(user.store.environments_folder)):
            time.sleep(0.01)
        child.send_signal(signum)
        out, err = child.communicate()

    assert child.returncode == 128 + signum
    assert out == ""
    assert "Traceback" not in err
    assert names_in(user.store.environments_folder) == []
    assert names_in(user.store.settings.projects) == []


def test_an_init_interrupted_while_the_kernel_is_prepared_leaves_nothing_either(user):
    base = interpreter(user.store, sys.executable)
    lock = user.store.payloads / f"{base.abi}-{base.platform}-{base.libc.partition('-')[0]}" / ".lock"

    with files.locked(lock), user.start("init", "demo", "--python", sys.executable) as child:
        while "Preparing the kernel" not in child.stderr.readline():
            pass
        child.send_signal(signal.SIGINT)
        child.communicate()

    assert child.returncode == 130
    assert names_in(user.store.environments_folder) == []
    assert names_in(user.store.settings.projects) == []


def test_ctrl_c_is_one_line_and_130(user):
    with user.terminal("init", "demo") as terminal:
        terminal.until("Making 'demo'")
        terminal.type("\x03")

        assert terminal.end() == 130
    assert terminal.shown.count("interrupted") == 1
    assert "Traceback" not in terminal.shown
    assert names_in(user.store.environments_folder) == []


# --- adopt


def test_adopt_names_a_venv_and_changes_nothing_in_it(user):
    venv = user.work / "project/.venv"
    subprocess.run([uv.find_uv_bin(), "venv", "--quiet", "--no-project", venv], check=True)
    before = {path: path.lstat().st_mtime_ns for path in venv.rglob("*")}

    made = user.json("adopt", venv)

    assert made["environment"]["name"] == "project"
    assert made["environment"]["adopted"]
    assert {path: path.lstat().st_mtime_ns for path in venv.rglob("*")} == before
    assert user("adopt", venv).code == 4
    assert user("adopt", user.work).code == 5
    assert user("delete", "project", "--yes").out.startswith("project: forgotten")
    assert venv.exists()


# --- list and show


def test_list_shows_python_packages_state_and_kernel(ada):
    text, data = ada.done("list"), ada.json("list")

    version = ada.store.environment("demo").python_version
    assert text.splitlines()[2].split() == ["name", "python", "runtime", "packages", "state", "kernel"]
    assert text.splitlines()[3].split() == ["demo", version, "venv", "4", "never", "frozen", "venvoy-demo"]
    assert [each["name"] for each in data["environments"]] == ["demo", "venvoy-env"]


def test_list_survives_environments_that_are_broken(own):
    own.done("init", "other")
    (own.store.folder("other") / "config.yaml").write_text("name: other\ncolour: red\n")
    (own.store.folder("demo") / "prefix/bin/python").unlink()

    ran = own("list")
    demo, other = own.json("list")["environments"]

    assert ran.code == 0
    assert demo["package_count"] == 4
    assert "is gone" in demo["problem"]
    assert other["environment"] is None
    assert "line 2: unknown key 'colour'" in other["problem"]


def test_what_cannot_be_read_can_be_replaced_and_deleted(own):
    config = own.store.folder("demo") / "config.yaml"
    own.done("install", "demo", "gamma==1.0")
    config.write_text("name: demo\ncolour: red\n")
    shown, refused = own("list"), own("init", "demo")

    replaced = own("init", "demo", "--force", "--requirements", own.work / "requirements.txt")
    run = own("run", "demo", "--", "python", "-c", "import alpha")
    generations = [each for each in config.parent.iterdir() if each.name.startswith(".prefix-")]
    config.write_text("- no\n- mapping: [\n")
    deleted = own("delete", "demo", "--yes")

    assert "cannot be read: venvoy check demo" in shown.out
    assert "unknown key" not in shown.out
    assert refused.code == 5
    assert "venvoy configure demo --edit" in refused.err
    assert "venvoy init demo --force" in refused.err
    assert (replaced.code, run.code) == (0, 0), replaced
    assert len(generations) == 1
    assert deleted.code == 0, deleted
    assert not config.parent.exists()
    assert not (own.kernels / "venvoy-demo").exists()
    assert own.store.history("demo").log.exists()


def test_what_force_drops_is_named(own):
    own.done("install", "demo", "gamma==1.0")

    ran = own("init", "demo", "--force", "--requirements", own.work / "requirements.txt")

    assert "what the one before had and this one has not: gamma 1.0" in ran.err
    assert "venvoy undo demo" in ran.err


def test_a_place_where_nothing_can_be_made_is_named(user):
    ran = user("init", "demo", "--prefix", "/proc/demo")

    assert ran.code == 5
    assert "cannot make /proc/demo: " in ran.err
    assert user.store.names() == ()


def test_an_empty_name_is_no_name(ada):
    for words in (("delete", "", "--yes"), ("show", "--name", ""), ("check", ""), ("install", "", "gamma")):
        ran = ada(*words)
        assert (ran.code, "'' is no name for an environment" in ran.err) == (5, True), ran
    assert ada("show").code == 0


def test_show_tells_what_was_asked_for_from_what_came_along(ada):
    text, data = ada.done("show", "demo"), ada.json("show", "--name", "demo")

    direct = {each["name"]: each["direct"] for each in data["packages"]}
    assert direct == {"alpha": True, "beta": False, "ipykernel": True, "pip": False}
    assert data["size"] > 1_000_000
    assert data["state"] == "never frozen"
    assert [line.split() for line in text.splitlines() if line.startswith(("alpha", "beta"))] == [
        ["alpha", "1.0", "asked", "for"],
        ["beta", "1.0"],
    ]


def test_show_of_an_environment_whose_interpreter_is_gone_says_so(own):
    (own.store.folder("demo") / "prefix/bin/python").unlink()

    ran, data = own("show", "demo"), own.json("show", "demo")

    assert ran.code == 0
    assert "warning:" in ran.err
    assert "alpha" in ran.out
    assert "is gone" in data["problem"]


def test_an_unknown_name_says_how_to_make_it_and_where_to_look(ada):
    ran = ada("show", "nobody")

    assert ran.code == 3
    assert ran.err.splitlines() == [
        "venvoy: no environment is named 'nobody'",
        "  make it: venvoy init nobody",
        "  see them all: venvoy list",
    ]


def test_two_different_names_are_one_too_many(ada):
    assert ada("show", "demo", "--name", "demo").code == 0
    assert ada("show", "demo", "--name", "venvoy-env").code == 2


# --- delete


def test_delete_keeps_the_record_and_takes_the_kernelspec(own):
    own.write("mine.ipynb", "{}").rename(own.store.project("demo") / "mine.ipynb")

    said = own.done("delete", "demo", "--yes")

    assert str(own.store.project("demo")) in said
    assert names_in(own.store.environments_folder) == []
    assert not (own.kernels / "venvoy-demo").exists()
    assert (own.store.project("demo") / "environment.yml").exists()
    assert own("history", "demo").code == 0


def test_delete_of_the_record_leaves_the_user_s_own_files_in_the_project(own):
    own.write("mine.ipynb", "{}").rename(own.store.project("demo") / "mine.ipynb")

    own.done("delete", "demo", "--yes", "--record")

    assert [each.name for each in own.store.project("demo").iterdir()] == ["mine.ipynb"]


def test_delete_asks_at_a_terminal(own):
    with own.terminal("delete", "demo") as terminal:
        terminal.until("delete 'demo'")
        terminal.until("[y/N]:")
        terminal.type("n\n")
        assert terminal.end() == 1
    assert own.store.exists("demo")

    with own.terminal("delete", "demo") as terminal:
        terminal.until("[y/N]:")
        terminal.type("y\n")
        assert terminal.end() == 0
    assert not own.store.exists("demo")


def test_delete_without_a_terminal_refuses_with_the_command(ada):
    ran = ada("delete", "demo", "--record")

    assert ran.code == 2
    assert "venvoy delete demo --record --yes" in ran.err
    assert ada.store.exists("demo")


def test_who_waits_for_another_process_is_told(bob):
    with bob.store.held("demo"), bob.start("install", "demo", "kappa") as child:
        assert child.stderr.readline() == "another process is at work in 'demo'; waiting for it …\n"
        child.send_signal(signal.SIGINT)

        assert child.wait() == 130


def test_the_record_names_the_command_without_passwords(own):
    own("install", "demo", "gamma", "--requirements", own.write("more.txt", "gamma\n"))

    line = "pip install --retries 0 --find-links http://ada:secret@127.0.0.1:9/ --upgrade alpha"
    own("run", "demo", "--command", line)

    actors = [entry.actor for entry in own.store.history("demo").entries()]
    assert actors[1] == Actor(kind="command", command=f"venvoy install demo gamma --requirements {own.work}/more.txt")
    assert "secret" not in own.store.history("demo").log.read_text()
    assert "***@127.0.0.1" in actors[2].command
