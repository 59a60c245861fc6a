"""`venvoy check` and `venvoy repair`, with what Jupyter is told."""

import json

import pytest


def codes(answer):
    return [each["code"] for environment in answer["environments"] for each in environment["findings"]]


def test_check_of_a_sound_environment_says_so(ada):
    assert ada("check", "demo").out == "demo: all is well.\n"
    assert ada("check", "demo").code == 0
    assert ada("check", "nobody").code == 3
    assert ada("check", "no such name").code == 5


def test_without_a_name_and_a_default_all_environments_are_checked(own):
    own.done("init", "other", "--requirements", own.write("more.txt", "ipykernel\n"))

    assert [each["name"] for each in own.json("check")["environments"]] == ["demo", "other"]


def test_what_is_broken_is_named_and_repaired(own):
    prefix = own.store.folder("demo") / "prefix"
    next(prefix.glob("lib/python*/site-packages/beta/__init__.py")).unlink()
    (prefix / "bin/python").unlink()
    (own.kernels / "venvoy-demo/kernel.json").write_text('{"metadata": {"venvoy": {"environment": "demo"}}}')

    found = own("check", "demo")
    mended = own.json("repair", "demo")

    assert found.code == 1
    for code in ("interpreter-gone", "distribution-incomplete", "kernelspec-stale"):
        assert f"[{code}]" in found.out
    assert "    mend it: venvoy repair demo" in found.out.splitlines()
    assert mended["ok"]
    assert mended["left"] == []
    assert "wrote its kernelspec anew" in mended["done"]
    assert own("check", "demo").code == 0
    assert own.done("run", "demo", "--", "python", "-c", "import beta") == ""
    assert own("repair", "demo").out == "demo: nothing needs mending.\n"


def test_repair_that_leaves_an_error_says_so_with_its_exit_code(own):
    own.write(".env", "A=1\n")
    own.done("configure", "demo", "--set", "env_file=.env")
    (own.work / ".env").unlink()

    ran, answer = own("repair", "demo"), own.json("repair", "demo")

    assert ran.code == 1
    assert [each["code"] for each in answer["left"]] == ["env-file-missing"]
    assert "venvoy configure demo --set env_file=FILE" in ran.out


def test_a_config_that_cannot_be_read_is_a_finding_with_its_line(bob):
    file = bob.store.folder("demo") / "config.yaml"
    sound = file.read_text()
    file.write_text(sound.replace("packages:", "pakcages:", 1))

    answer, shown = bob.json("check", "demo"), bob("configure", "demo")
    file.write_text(sound)

    assert codes(answer) == ["config-wrong"]
    finding = answer["environments"][0]["findings"][0]
    assert "unknown key 'pakcages'" in finding["message"]
    assert "line " in finding["message"]
    assert finding["mend"] == "venvoy configure demo --edit"
    assert shown.code == 5
    assert "venvoy configure demo --edit" in shown.err


@pytest.mark.usefixtures("strays_to_itself")
def test_a_kernelspec_without_its_environment_is_found_and_removed(bob):
    orphan = bob.kernels / "venvoy-gone/kernel.json"
    orphan.parent.mkdir()
    said = json.loads((bob.kernels / "venvoy-demo/kernel.json").read_text())
    orphan.write_text(json.dumps(said | {"metadata": {"venvoy": {"environment": "gone"}}}))

    found, removed, after = bob.json("check"), bob.json("check", "--fix"), bob("check")

    assert found["orphans"] == [{"kernelspec": str(orphan.parent), "removed": False}]
    assert not found["ok"]
    assert removed["orphans"] == [{"kernelspec": str(orphan.parent), "removed": True}]
    assert removed["ok"]
    assert not orphan.parent.exists()
    assert after.code == 0


@pytest.mark.usefixtures("strays_to_itself")
def test_the_kernels_of_another_home_are_left_to_that_home(own):
    spec = own.kernels / "venvoy-demo/kernel.json"
    before = spec.read_text()
    other = {"VENVOY_HOME": str(own.home / "other"), "VENVOY_PROJECTS": str(own.home / "projects-other")}

    fixed = own.json("check", "--fix", **other)
    made = own("init", "demo", "--requirements", own.work / "requirements.txt", **other)
    codes_there, repaired = codes(own.json("check", "demo", **other)), own("repair", "demo", **other)
    deleted = own("delete", "demo", "--yes", **other)

    assert fixed["orphans"] == []
    assert made.code == 0
    assert f"venvoy-demo is that of 'demo' in another VENVOY_HOME, {own.store.settings.home}" in made.err
    assert codes_there == ["kernelspec-other"]
    assert repaired.code == deleted.code == 0
    assert spec.read_text() == before
    assert own("check", "demo").code == 0


@pytest.mark.usefixtures("strays_to_itself")
def test_with_a_name_nothing_else_is_removed(bob):
    orphan = bob.kernels / "venvoy-left/kernel.json"
    orphan.parent.mkdir()
    said = json.loads((bob.kernels / "venvoy-demo/kernel.json").read_text())
    orphan.write_text(json.dumps(said | {"metadata": {"venvoy": {"environment": "left"}}}))

    fixed, there = bob.json("check", "demo", "--fix"), orphan.exists()
    orphan.unlink()
    orphan.parent.rmdir()

    assert there
    assert fixed["orphans"] == fixed["strays"] == []
    assert fixed["ok"]


@pytest.mark.network
def test_a_package_that_breaks_the_lent_kernel_is_named_at_once_and_by_check(own):
    own.done("remove", "demo", "ipykernel")
    online = {"UV_CONFIG_FILE": str(own.write("online.toml", ""))}

    lent = own.json("configure", "demo", **online)
    broken = own("install", "demo", "traitlets==5.0.0", **online)

    assert lent["kernel"] == "venvoy-demo"
    assert broken.code == 0
    assert "warning: Jupyter cannot run a kernel in 'demo'" in broken.err
    assert "traitlets 5.0.0 is installed" in broken.err
    assert "kernel-conflict" in codes(own.json("check", "demo"))
