"""`venvoy install` and `venvoy remove`."""

import pytest


def changed(answer):
    return {sign: [each["name"] for each in answer["changes"][sign]] for sign in ("added", "removed", "changed")}


def test_the_first_word_is_the_environment_and_the_others_are_packages(own):
    answer = own.json("install", "demo", "gamma", "alpha==2.0")

    assert changed(answer) == {"added": ["gamma"], "removed": [], "changed": ["alpha"]}
    assert answer["changes"]["changed"] == [{"name": "alpha", "before": "1.0", "after": "2.0"}]
    assert own.store.environment("demo").packages == ("alpha==2.0", "gamma", "ipykernel")


def test_with_name_all_words_are_packages(own):
    answer = own.json("install", "--name", "demo", "gamma")

    assert changed(answer)["added"] == ["gamma"]


def test_a_package_in_place_of_the_name_is_understood(ada):
    ran = ada("install", "gamma")

    assert ran.code == 3
    assert "if that is a package: venvoy install --name venvoy-env gamma" in ran.err


def test_without_packages_the_environment_s_own_lists_are_installed(own):
    own.write("dev.txt", "gamma\n").rename(own.store.folder("demo") / "requirements-dev.txt")
    own.done("run", "demo", "--", "pip", "uninstall", "--quiet", "--yes", "alpha", "beta")

    assert changed(own.json("install", "demo", "--dev"))["added"] == ["gamma"]
    assert changed(own.json("install", "demo"))["added"] == ["alpha", "beta"]
    assert own("install", "demo").out == "demo: nothing changed.\n"


def test_dev_packages_are_noted_as_such(own):
    own.done("install", "demo", "gamma", "--dev")

    assert own.store.environment("demo").dev_packages == ("gamma",)


def test_a_requirements_file_is_installed(own):
    own.write("more.txt", "gamma\n")

    assert changed(own.json("install", "demo", "-r", "more.txt"))["added"] == ["gamma"]


def test_what_cannot_be_installed_is_told_in_one_sentence_of_the_installer_s(ada):
    ran = ada("install", "demo", "no-such-package")

    assert ran.code == 7
    assert ran.out == ""
    said = ran.err.partition("venvoy: cannot install into 'demo': ")[2]
    assert "Because no-such-package was not found" in said
    assert "exited with" not in ran.err


def test_what_is_no_requirement_is_refused(ada):
    assert ada("install", "demo", "%%").code == 5


def test_remove_takes_packages_out_and_off_the_list(own):
    answer = own.json("remove", "demo", "alpha")

    assert changed(answer)["removed"] == ["alpha"]
    assert own.store.environment("demo").packages == ("ipykernel",)
    assert own("remove", "demo", "alpha").code == 5
    assert own("remove", "demo").code == 2


def test_who_removes_the_kernel_is_warned(own):
    ran = own("remove", "demo", "ipykernel")

    assert ran.code == 0
    assert "warning: Jupyter cannot run a kernel in 'demo'" in ran.err


# --- packages of a system --------------------------------------------------------------------------------------------


def test_packages_of_a_system_are_for_containers(ada):
    for words in (("add", "demo", "--system", "curl"), ("remove", "demo", "--system", "curl")):
        ran = ada(*words)

        assert ran.code == 5
        assert "'demo' is in no container" in ran.err


@pytest.mark.parametrize(
    "words",
    [
        ("add", "demo", "--system"),
        ("install", "demo", "--system", "--dev", "curl"),
        ("install", "demo", "--system", "-r", "requirements.txt"),
        ("build", "demo", "--push"),
        ("build", "demo", "--runtime", "venv"),
    ],
)
def test_words_that_do_not_go_together_are_refused(ada, words):
    assert ada(*words).code == 2


def test_add_is_another_word_for_install(ada):
    assert ada.done("add", "--help").replace("venvoy add", "venvoy install") == ada.done("install", "--help")
