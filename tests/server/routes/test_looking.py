"""What the sidebar is told at once."""

import pytest

from venvoy.frontends.kernelspecs import spec_name
from venvoy.frontends.server.desk import Desk
from venvoy.frontends.server.kernels import Kernel
from venvoy.frontends.server.root import Root
from venvoy.model import Actor


async def test_what_the_server_can_do_is_told(server, settings):
    about = await server.get("about")

    assert about["api"] == 1
    assert about["home"] == str(settings.home)
    assert about["root"] == str(server.root)
    assert about["may"] == {"view": True, "change": True}
    assert {"freeze", "install", "restore", "init"} <= {each["name"] for each in about["verbs"] if each["job"]}
    assert next(each for each in about["verbs"] if each["name"] == "freeze")["magic"] == "%env-freeze"
    assert next(each for each in about["formats"] if each["name"] == "pylock")["hashed"]


async def test_a_notebook_that_says_nothing_has_no_environment(server, write):
    write("plain.ipynb")
    said = await server.get("notebook", path="plain.ipynb")

    assert (said["source"], said["state"]["kind"], said["state"]["action"]) == ("none", "unmanaged", "create")
    assert said["environment"] is None
    assert said["recorded"] is None


async def test_a_notebook_that_is_not_saved_yet_is_none_to_complain_of(server):
    assert (await server.get("notebook", path="new.ipynb"))["source"] == "none"


async def test_an_environment_that_cannot_be_read_offers_what_its_user_can_do_and_no_button(server, write, demo, store):
    write("a.ipynb", {"kernelspec": {"name": spec_name("demo"), "display_name": "demo"}})
    config = store.folder("demo") / "config.yaml"
    config.write_text("nonsense: [\n")

    said = await server.get("notebook", path="a.ipynb")

    assert (said["environment"], said["state"]["kind"], said["state"]["action"]) == (None, "broken", None)
    assert said["state"]["cure"]
    assert said["state"]["cure"] in said["state"]["sentence"]


async def test_the_kernel_that_a_notebook_asks_for_names_its_environment(server, write, demo):
    write("deep/asks.ipynb", {"kernelspec": {"name": spec_name("demo"), "display_name": "demo"}})
    said = await server.get("notebook", path="deep/asks.ipynb")

    assert said["source"] == "kernelspec"
    assert said["state"]["kind"] == "never-frozen"
    assert said["state"]["sentence"] == "Never frozen."
    assert said["environment"]["prefix"] == str(demo.prefix)
    assert said["environment"]["package_count"] == 4
    assert said["environment"]["kind"] == "venv"


async def test_a_freeze_that_still_holds_is_green_and_one_that_does_not_counts(
    server, write, demo, freeze, distribution
):
    write("a.ipynb", {"venvoy": {"environment": "demo"}})
    freeze(demo)
    frozen = await server.get("notebook", path="a.ipynb")
    site = next(demo.prefix.glob("lib/python*/site-packages"))
    (site / "gamma-1.0.dist-info").mkdir()
    (site / "gamma-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: gamma\nVersion: 1.0\n")
    changed = await server.get("notebook", path="a.ipynb")

    assert frozen["source"] == "recorded"
    assert (frozen["state"]["kind"], frozen["state"]["tone"], frozen["state"]["action"]) == ("matches", "good", None)
    assert (changed["state"]["kind"], changed["state"]["count"], changed["state"]["action"]) == ("changed", 1, "freeze")
    assert changed["state"]["frozen"] == frozen["state"]["frozen"]


async def test_a_notebook_that_another_kernel_runs_is_not_spoken_of_as_its_last_one(store, write, demo, freeze):
    here = store.history("demo").last().snapshot
    file = write("a.ipynb", {"venvoy": {"environment": "demo", "snapshot": here}})
    write("far.ipynb", {"venvoy": {"environment": "far"}})
    freeze(demo)
    desk = Desk(store=store, root=Root(folder=file.parent, hidden=False))
    others = Kernel(id="1", name="python3")

    foreign = desk.notebook("a.ipynb", others)
    elsewhere = desk.notebook("far.ipynb", others)
    begun = desk.notebook("a.ipynb", Kernel(id="2", name=spec_name("demo")))

    assert (foreign["state"]["kind"], foreign["environment"], foreign["source"]) == ("unmanaged", None, "none")
    assert foreign["recorded"]["environment"] == "demo"
    assert elsewhere["state"]["kind"] == "elsewhere"
    assert (begun["state"]["kind"], begun["source"]) == ("matches", "kernelspec")


async def test_a_notebook_of_another_machine_is_recorded_elsewhere(server, write):
    write("a.ipynb", {"venvoy": {"environment": "far", "snapshot": "0" * 64}})
    said = await server.get("notebook", path="a.ipynb")

    assert (said["state"]["kind"], said["state"]["action"]) == ("elsewhere", None)
    assert "not found" in said["state"]["sentence"]
    assert said["recorded"] | {"lock": None} == {
        "environment": "far", "snapshot": "0" * 64, "lock": None, "present": False, "known": False, "since": None,
    }  # fmt: skip


async def test_a_state_that_the_record_here_does_not_have_is_elsewhere_too(server, write, demo, store):
    here = store.history("demo").last().snapshot
    write("a.ipynb", {"venvoy": {"environment": "demo", "snapshot": "0" * 64}})
    write("b.ipynb", {"venvoy": {"environment": "demo", "snapshot": here}})
    elsewhere = await server.get("notebook", path="a.ipynb")
    known = await server.get("notebook", path="b.ipynb")

    assert (elsewhere["state"]["kind"], elsewhere["recorded"]["known"]) == ("elsewhere", False)
    assert (known["state"]["kind"], known["recorded"]["known"]) == ("never-frozen", True)
    assert known["recorded"]["since"]["added"] == []


async def test_an_environment_whose_interpreter_is_gone_is_broken(server, demo):
    demo.python.unlink()
    said = await server.get("environments/demo")

    assert (said["state"]["kind"], said["state"]["tone"], said["state"]["action"]) == ("broken", "error", "repair")
    assert said["environment"]["package_count"] == 4


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"nbformat": 4}', '{"nbformat": 4, "metadata": {"venvoy": 3}}', "\xff" * 9]
)
async def test_a_notebook_that_is_none_is_no_error(server, text):
    (server.root / "broken.ipynb").write_bytes(text.encode("latin-1"))

    assert (await server.get("notebook", path="broken.ipynb"))["state"]["kind"] == "unmanaged"


async def test_packages_that_the_notebook_imports_come_first_then_those_asked_for(server, write, demo, wheels, store):
    write(
        "a.ipynb",
        {"venvoy": {"environment": "demo"}},
        "import beta\nimport os",
        "%pip install x\nimport nowhere.at.all",
    )
    said = await server.get("environments/demo/packages", path="a.ipynb")
    names = [each["name"] for each in said["packages"]]
    beta, alpha = said["packages"][:2]

    assert names == ["beta", "alpha", "ipykernel", "pip"]
    assert (beta["imported"], beta["direct"], beta["required_by"]) == (True, False, ["alpha"])
    assert (alpha["imported"], alpha["direct"]) == (False, True)
    assert said["removed"] == []


async def test_packages_say_what_changed_since_the_freeze_and_who_asked(server, demo, freeze, wheels, store):
    from venvoy.actions.install import install

    freeze(demo)
    wheels.add("gamma")
    wheels.add("beta", "2.0")
    install(store, demo, ("gamma", "beta==2.0"), actor=Actor(kind="command", command="venvoy install demo gamma"))
    found = {each["name"]: each for each in (await server.get("environments/demo/packages"))["packages"]}

    assert found["gamma"]["badges"] == ["added"]
    assert found["beta"]["badges"] == ["changed"]
    assert found["beta"]["before"] == "1.0"
    assert found["gamma"]["asked"]["actor"]["command"] == "venvoy install demo gamma"
    assert found["gamma"]["asked"]["index"] == store.history("demo").count()


async def test_what_only_one_machine_has_is_said_to_be_so(server, demo):
    site = next(demo.prefix.glob("lib/python*/site-packages"))
    info = site / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "direct_url.json").write_text('{"url": "file:///home/ada/mine", "dir_info": {"editable": true}}')
    found = {each["name"]: each for each in (await server.get("environments/demo/packages"))["packages"]}

    assert found["mine"]["badges"] == ["editable", "unreproducible"]
    assert "folder of one machine" in found["mine"]["reason"]


async def test_the_history_comes_in_pages(server, demo, store, wheels):
    from venvoy.actions.install import install

    for name in ("one", "two", "three"):
        wheels.add(name)
        install(store, demo, (name,), actor=Actor(kind="terminal"))
    whole = await server.get("environments/demo/history")
    last = await server.get("environments/demo/history", last="2")
    before = await server.get("environments/demo/history", last="1", before="2")

    assert whole["total"] == last["total"] == len(whole["entries"]) == 4
    assert last["entries"] == whole["entries"][-2:]
    assert before["entries"] == whole["entries"][:1]
    assert [each["name"] for each in whole["entries"][-1]["changes"]["added"]] == ["three"]


async def test_two_states_are_compared_and_going_back_is_planned(server, demo, store, wheels):
    from venvoy.actions.install import install

    wheels.add("gamma")
    install(store, demo, ("gamma",), actor=Actor(kind="terminal"))
    diff = await server.get("environments/demo/diff", **{"from": "1", "to": "now"})
    plan = await server.get("environments/demo/plan", to="1")

    assert [each["name"] for each in diff["changes"]["added"]] == ["gamma"]
    assert diff["from"]["index"] == 1
    assert [each["name"] for each in plan["changes"]["removed"]] == ["gamma"]
    assert plan["stale"] == []
    assert "confirm" not in plan


async def test_all_environments_are_listed_for_choosing_also_one_that_is_broken(server, demo, store):
    broken = store.folder("broken") / "config.yaml"
    broken.parent.mkdir()
    broken.write_text("[")
    said = {each["name"]: each for each in (await server.get("environments"))["environments"]}

    assert (said["demo"]["package_count"], said["demo"]["state"]) == (4, "never frozen")
    assert said["demo"]["used"]
    assert said["broken"]["environment"] is None
    assert "config.yaml" in said["broken"]["problem"]


async def test_the_size_is_that_on_the_disk(server, demo):
    before = (await server.get("environments/demo/size"))["size"]
    (demo.prefix / "big").write_bytes(b"x" * 1_000_000)

    assert 900_000 < (await server.get("environments/demo/size"))["size"] - before < 1_200_000
