"""`venvoy restore --to`, `undo`, `diff`, `history --check` and `prune`."""

import pytest


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
    entries = demo.json("history", "demo")["entries"]
    assert [each["event"] for each in entries] == ["change", "change", "change", "undo"]
    assert entries[2]["actor"]["command"].startswith("venvoy restore")


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
