"""`venvoy restore --to`, `undo`, `diff`, `history --check` and `prune`."""

import subprocess
import sys
from pathlib import Path

import pytest

VENVOY = Path(sys.executable).with_name("venvoy")


@pytest.fixture
def demo(own):
    """Entries: 1 alpha 1.0 and ipykernel, 2 and gamma."""
    own.done("install", "demo", "gamma")
    return own


def installed(user) -> set[str]:
    return {each["name"] for each in user.json("show", "demo")["packages"]}


def test_back_and_forth(demo):
    back = demo.json("restore", "demo", "--to", "1")
    assert "gamma" not in installed(demo)

    undone = demo.json("undo", "demo")
    assert "gamma" in installed(demo)

    assert [each["name"] for each in back["changes"]["removed"]] == ["gamma"]
    assert (back["to"]["index"], back["built"]) == (1, True)
    assert (undone["to"]["index"], undone["built"]) == (2, False)
    assert "forward again: venvoy restore demo --to 3" not in demo.done("restore", "demo", "--to", "2")
    entries = demo.json("history", "demo")["entries"]
    assert [each["event"] for each in entries] == ["change", "change", "change", "undo"]
    assert entries[2]["actor"]["command"].startswith("venvoy restore")


def test_an_undo_says_how_to_go_forward_again_and_that_does_it(demo):
    said = demo.done("undo", "demo")
    assert "forward again: venvoy restore demo --to 2" in said

    demo.done("restore", "demo", "--to", "2")

    assert "gamma" in installed(demo)


def test_a_name_that_is_taken_is_told_with_the_commands_that_follow_the_file(demo):
    demo.done("export", "demo", "--format", "lock", "-o", "state.json")

    ran = demo("restore", "state.json", "demo")

    assert ran.code == 4
    assert f"venvoy restore {demo.work}/state.json demo --force" in ran.err


def test_a_dry_run_says_it_and_does_nothing(demo):
    planned = demo.json("restore", "--name", "demo", "--to", "1", "--dry-run")

    assert (planned["kept"], planned["to"]["index"]) == (False, 1)
    assert len(planned["download"]) + planned["cached"] == len(installed(demo)) - 1
    assert "gamma" in installed(demo)
    assert "from cache" in demo.done("undo", "demo", "--dry-run")


def test_at_a_terminal_the_state_is_chosen_from_the_history_after_a_look_at_what_it_takes(demo):
    with demo.terminal("restore", "--name", "demo") as terminal:
        shown = terminal.until("back to which")
        terminal.type("1\n")
        planned = terminal.until("go back?")
        terminal.type("y\n")
        terminal.until("it is again as at #1")

    assert "install gamma" in shown
    assert "gamma" in planned
    assert "gamma" not in installed(demo)


def test_at_a_terminal_no_is_an_answer(demo):
    with demo.terminal("restore", "demo", "--to", "1") as terminal:
        terminal.until("go back?")
        terminal.type("n\n")
        assert terminal.child.wait(30) == 1

    assert "gamma" in installed(demo)


def test_elsewhere_nobody_can_choose_and_that_is_said(demo):
    ran = demo("restore", "--name", "demo")

    assert ran.code == 2
    assert "venvoy restore --name demo --to POINT" in ran.err


def test_a_point_that_is_none_is_refused_with_its_forms(demo):
    ran = demo("restore", "demo", "--to", "nonsense")

    assert ran.code == 5
    assert "yesterday" in ran.err
    assert "gamma" in installed(demo)


def test_two_states_are_compared(demo):
    ran = demo("diff", "demo", "1", "2")
    found = demo.json("diff", "1", "--name", "demo")

    assert ran.code == 1
    assert "+  gamma" in ran.out
    assert (found["from"]["index"], found["to"]["label"]) == (1, "now")
    assert [each["name"] for each in found["changes"]["added"]] == ["gamma"]
    assert demo("diff", "demo", "2", "now").code == 0
    assert demo("diff", "demo", "1", "2", "3").code == 2


def test_without_points_the_last_freeze_is_compared_with_now(demo):
    assert "never frozen" in demo("diff", "demo").err

    demo.done("freeze", "demo")

    assert demo("diff", "demo").code == 0


def test_a_record_that_was_changed_is_told(demo):
    assert demo("history", "demo", "--check").code == 0
    log = demo.store.history("demo").log
    log.write_bytes(log.read_bytes().replace(b"alpha", b"omega", 1))

    ran = demo("history", "demo", "--check")

    assert ran.code == 1
    assert "line 1 was changed" in ran.out
    assert [each["line"] for each in demo.json("history", "demo", "--check")["problems"]] == [2]


def test_pruning_asks_and_keeps_the_record(demo):
    demo.done("restore", "demo", "--to", "1")

    assert demo("prune", "demo", "--keep", "1").code == 2
    assert demo.json("prune", "demo", "--keep", "1", "--dry-run")["removed"] is False
    found = demo.json("prune", "demo", "--keep", "1", "--yes")

    assert (len(found["copies"]), len(found["prefixes"]), found["removed"]) == (2, 1, True)
    assert demo("history", "demo", "--check").code == 0
    assert demo.done("prune", "demo", "--keep", "1").startswith("demo: there is nothing to remove.")


# --- from files


def test_an_environment_is_made_from_a_file_of_any_form(own):
    listed = own.write("more/requirements.txt", "-r base.txt\n")
    own.write("more/base.txt", "gamma\n")
    own.write("project/binder/requirements.txt", "delta\n")
    own.write("project/binder/postBuild", "touch ran\n")
    own.write("script.py", '# /// script\n# dependencies = ["epsilon"]\n# ///\n')
    own.done("export", "demo", "--format", "lock", "-o", "state.json")

    by_list = own.json("init", "one", "--from", listed)
    by_folder = own.json("restore", "./project", "two")
    by_script = own.json("restore", "script.py", "three")
    by_state = own.json("restore", "state.json", "four")

    assert by_list["environment"]["packages"] == ["gamma"]
    assert "postBuild was left out" in by_folder["remarks"][0]
    assert not (own.work / "project/binder/ran").exists()
    assert by_script["environment"]["packages"] == ["epsilon"]
    assert {each["name"] for each in own.json("show", "four")["packages"]} == installed(own)
    assert by_state["missing"] == []
    assert own("init", "five", "--from", listed, "--requirements", listed).code == 2


def test_a_file_is_compared_with_now(own):
    own.done("export", "demo", "--format", "lock", "-o", "state.json")
    own.done("install", "demo", "gamma")

    ran = own("diff", "state.json", "now", "--name", "demo")

    assert ran.code == 1
    assert "gamma" in ran.out


def test_offline_means_that_no_network_is_touched(own, tmp_path):
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if subprocess.run([*words, "true"], check=False, capture_output=True).returncode == 0:
            break
    else:
        pytest.skip("not obtainable: no network namespaces on this machine")
    own.done("export", "demo", "--format", "tarball", "-o", "demo.tar.gz")
    subprocess.run(["tar", "-xzf", "demo.tar.gz"], cwd=own.work, check=True)
    alone = {"UV_CONFIG_FILE": str(own.write("none.toml", "")), "UV_CACHE_DIR": str(tmp_path / "empty")}
    argv = [*words, VENVOY, "restore", "demo/pylock.toml", "again", "--offline"]

    ran = subprocess.run(
        argv, cwd=own.work, env={**own.variables, **alone}, check=False, capture_output=True, text=True
    )
    lacking = own("restore", own.write("requirements.txt", "six\n"), "third", "--offline", **alone)

    assert ran.returncode == 0, ran.stderr
    assert own("run", "again", "--", "python", "-c", "import alpha").code == 0
    assert lacking.code == 7
    assert own("show", "third").code == 3


@pytest.mark.network
def test_an_old_project_is_made_as_the_index_stood_that_day(own):
    online = {"UV_CONFIG_FILE": str(own.write("online.toml", "")), "PIP_NO_INDEX": "0"}
    listed = own.write("requirements.txt", "requests\n")

    made = own.json("restore", listed, "old", "--as-of", "2024-01-01", **online)

    versions = {each["name"]: each["version"] for each in own.json("show", "old")["packages"]}
    assert (versions["requests"], versions["urllib3"], versions["idna"]) == ("2.31.0", "2.1.0", "3.6")
    assert made["environment"]["python_version"].startswith("3.11.")
    assert own("restore", listed, "older", "--as-of", "yesterday", **online).code == 2
    assert "still to come" in own("restore", listed, "newer", "--as-of", "2999-01-01", **online).err
