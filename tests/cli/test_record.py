"""`venvoy status`, `history`, `freeze` and `restore`."""

import pytest


def test_status_history_and_freeze_tell_one_story(own):
    assert own("status", "demo").code == 0
    assert "Never frozen." in own.done("status", "demo")

    frozen = own.json("freeze", "demo")
    assert own("status", "demo").code == 0
    assert "Matches the freeze" in own.done("status", "demo")

    own.done("install", "demo", "gamma")
    changed = own("status", "demo")
    entries = own.json("history", "demo")["entries"]

    assert frozen["lock"] == str(own.store.project("demo") / "pylock.toml")
    assert {each["name"] for each in frozen["unpinned"]} == {"alpha", "beta", "ipykernel", "pip"}
    assert changed.code == 1
    assert "1 package changed since the freeze" in changed.out
    assert [each["event"] for each in entries] == ["change", "freeze", "change"]
    assert [each["name"] for each in entries[2]["changes"]["added"]] == ["gamma"]
    assert entries[2]["asked"][0]["names"] == ["gamma"]


def test_the_last_entries_keep_their_numbers(own):
    own.done("install", "demo", "gamma")

    assert [each["index"] for each in own.json("history", "demo", "--last", "1")["entries"]] == [2]
    assert own.done("history", "demo", "--last", "1").splitlines()[-1].startswith("2  ")
    assert own("history", "demo", "--last", "0").code == 2
    assert own("history", "nobody").code == 3


def test_an_environment_yml_is_restored_under_another_name(own):
    listed = own.store.project("demo") / "environment.yml"

    made = own.json("restore", listed, "again")

    assert made["environment"]["name"] == "again"
    assert made["kernel"] == "venvoy-again"
    assert made["missing"] == []
    assert own.store.history("again").latest.read_text() == listed.read_text().replace("name: demo", "name: again")
    assert own("restore", listed, "again").code == 4
    assert own("restore", listed, "again", "--force").code == 0


def test_a_restore_that_fails_leaves_nothing(user):
    user.write("environment.yml", "name: demo\ndependencies:\n  - pip:\n      - no-such-package==1.0\n")

    ran = user("restore", "environment.yml")

    assert ran.code == 7
    assert "no-such-package" in ran.err
    assert not user.store.folder("demo").exists()
    assert user("restore", "nothing.yml").code == 5


@pytest.mark.network
def test_a_lock_from_the_index_is_restored_and_what_it_could_not_pin_is_named(own, shelf):
    online = {"UV_CONFIG_FILE": own.write("online.toml", "").as_posix()}
    own.done("init", "online", **online)
    own.done("install", "online", "six==1.17.0", **online)
    own.done("run", "online", "--", "pip", "install", "--no-deps", shelf / "gamma-1.0-py3-none-any.whl")

    frozen = own.json("freeze", "online", **online)
    ran = own("restore", frozen["lock"], "again", **online)
    restored = own.json("restore", frozen["lock"], "again", "--force", **online)

    assert [each["name"] for each in frozen["unpinned"]] == ["gamma"]
    pinned = {each["name"]: each["url"] for each in frozen["packages"] if each["url"] and each["sha256"]}
    assert pinned["six"].startswith("https://files.pythonhosted.org/packages/")
    assert ran.code == 0
    assert "gamma" in ran.out
    assert [each["name"] for each in restored["missing"]] == ["gamma"]
    assert restored["kernel"] == "venvoy-again"
