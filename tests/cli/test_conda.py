"""Conda environments from the command line: made, changed, adopted, exported for others, and carried away."""

import json
import os
import shutil
import subprocess
from dataclasses import replace

import pytest

from venvoy.formats.conda_lock import CondaLock

CONDA_FORGE = "https://conda.anaconda.org/conda-forge"


@pytest.fixture
def ours(user, channel):
    """A user whose conda is configured for the channel of the tests."""
    shutil.copy(channel.condarc, user.home / ".condarc")
    variables = {name: os.environ[name] for name in ("RATTLER_CACHE_DIR", "NO_PROXY")}
    return replace(user, variables={**user.variables, **variables})


def troubles(ours, name: str) -> list[str]:
    """What `check` finds; these users have no index that a lent kernel could come from."""
    [found] = ours.json("check", name)["environments"]
    return [each["code"] for each in found["findings"] if each["code"] != "kernelspec-missing"]


def test_a_conda_environment_is_made_changed_and_shown(ours):
    made = ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool", "-c", "conda-forge")
    ours.done("install", "demo", "marker=1.0")

    shown = json.loads(ours.done("show", "demo", "--output", "json"))
    assert "Python 3.12" in made
    assert (shown["environment"]["runtime"], shown["environment"]["channels"]) == ("conda", ["conda-forge"])
    assert sorted(shown["environment"]["conda_packages"]) == ["marker=1.0", "pip", "python=3.12", "tool"]
    found = {each["name"]: each for each in shown["packages"]}
    assert (found["marker"]["version"], found["marker"]["build"], found["marker"]["channel"]) == (
        "1.0", "py_0", CONDA_FORGE,
    )  # fmt: skip
    assert "conda" in ours.done("list")
    assert ours.done("run", "demo", "--", "tool") == "a tool\n"
    assert troubles(ours, "demo") == []


def test_a_file_with_conda_packages_makes_a_conda_environment(ours):
    (ours.work / "environment.yml").write_text(
        "name: course\nchannels: [conda-forge]\ndependencies: [python=3.12, 'tool>=1', {pip: [beta]}]\n"
    )

    ours.done("init", "course", "--file", "environment.yml")

    written = (ours.store.project("course") / "environment.yml").read_text()
    assert "  - tool==1.0\n" in written
    assert written.endswith("  - pip:\n      - beta==1.0\n")
    refused = ours("restore", "environment.yml", "other", "--runtime", "venv")
    assert refused.code == 5
    assert "can only come from conda" in refused.err


def test_what_is_for_conda_is_refused_elsewhere(ours):
    odd = ours("init", "demo", "--runtime", "conda", "--prefix", ours.work / 'a "$HOME"')
    assert odd.code == 5
    assert "scripts of conda packages do not run" in odd.err
    assert ours("init", "demo", "--conda", "tool").code == 2
    assert ours("init", "demo", "--runtime", "conda", "--python", "/usr/bin/python3").code == 5
    assert not ours.store.exists("demo")


def test_pip_over_conda_is_told_with_the_cure(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "marker")

    said = ours("install", "demo", "--pip", "marker==3.0").err

    assert "marker 2.0 came from conda, and pip has put 3.0 in its place" in said
    assert "venvoy repair demo" in said
    assert troubles(ours, "demo") == ["package-shadowed"]
    ours.done("repair", "demo")
    assert troubles(ours, "demo") == []
    assert "marker==2.0" in (ours.store.project("demo") / "environment.yml").read_text()


def test_an_adopted_prefix_is_read_only_until_somebody_says_otherwise(ours):
    ours.done("init", "first", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    prefix = ours.store.environment("first").prefix.resolve()
    aside = prefix.rename(ours.home / "envs-old")
    ours.done("delete", "first", "--yes")

    adopted = json.loads(ours.done("adopt", str(aside), "--name", "old", "--output", "json"))

    assert adopted["environment"]["read_only"]
    assert adopted["environment"]["channels"] == [CONDA_FORGE]
    assert ours.done("run", "old", "--", "python", "-c", "print(1)") == "1\n"
    for words in (("install", "old", "marker=1.0"), ("install", "old", "--pip", "beta"), ("remove", "old", "tool")):
        refused = ours(*words)
        assert refused.code == 9
        assert "read_only=false" in refused.err
    ours.done("configure", "old", "--set", "read_only=false")
    ours.done("install", "old", "marker=1.0")
    ours.done("delete", "old", "--yes")
    assert (aside / "conda-meta").is_dir()


def test_a_lock_is_for_every_platform_at_once(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")

    ours.done("freeze", "demo", "--platform", "all")

    lock = (ours.store.project("demo") / "conda-lock.yml").read_text()
    for subdir in ("linux-64", "linux-aarch64", "osx-64", "osx-arm64", "win-64"):
        assert f"platform: {subdir}\n" in lock
    assert "L2 reached" in ours.done("verify", "demo")
    assert "L2 reached" in ours.done("verify", str(ours.store.project("demo") / "conda-lock.yml"), "--name", "demo")
    ours.done("restore", str(ours.store.project("demo") / "conda-lock.yml"), "copy")
    pixi = ours.done("export", "demo", "--format", "pixi", "--platform", "osx-arm64")
    assert "osx-arm64:\n" in pixi
    assert ours("freeze", "demo", "--platform", "amiga").code == 2


def test_what_is_pinned_in_a_prefix_holds_in_the_one_that_replaces_it(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    pinned = ours.store.environment("demo").prefix / "conda-meta/pinned"
    pinned.write_text("marker <2  # as in the paper\n")

    ours.done("init", "demo", "--force", "--conda", "marker", "--runtime", "conda", "--python", "3.12")

    assert pinned.read_text() == "marker <2  # as in the paper\n"
    packages = {each["name"]: each["version"] for each in ours.json("show", "demo")["packages"]}
    assert packages["marker"] == "1.0"
    refused = ours("install", "demo", "marker=2.0")
    assert refused.code == 7
    assert "pinned by pinned_packages or conda-meta/pinned: marker <2" in refused.err


def test_a_pin_does_not_keep_a_lock_for_another_platform_from_what_is_here(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "marker=1.0")
    (ours.store.environment("demo").prefix / "conda-meta/pinned").write_text("marker >1\n")

    frozen = ours("freeze", "demo", "--platform", "osx-arm64")

    assert (frozen.code, "other versions than here" in frozen.out + frozen.err) == (0, False)
    lock = CondaLock().load(
        (ours.store.project("demo") / "conda-lock.yml").read_text(), source="the lock", subdir="osx-arm64"
    )
    assert lock.package("marker").version == "1.0"


@pytest.mark.parametrize("form", ["conda-lock", "explicit", "pixi", "yaml", "lock"])
def test_what_is_exported_is_restored(ours, form):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool", "--conda", "marker=1.0")
    name = {"conda-lock": "conda-lock.yml", "explicit": "list.txt", "pixi": "pixi.lock", "yaml": "environment.yml"}
    file = name.get(form, "state.json")

    ours.done("export", "demo", "--format", form, "-o", file)
    ours.done("restore", file, "copy")

    assert ours.done("diff", "--name", "copy", file, "now").endswith("the same packages.\n")


def test_environment_yml_has_builds_or_only_wishes_on_demand(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool>=1")

    assert "  - tool=1.0=py_0\n" in ours.done("export", "demo", "--builds")
    wishes = ours.done("export", "demo", "--from-history")
    assert "  - tool>=1\n" in wishes
    assert "marker" not in wishes


@pytest.mark.parametrize("form", ["dockerfile", "apptainer", "docker-compose", "cyclonedx", "rocrate"])
def test_other_forms_name_every_conda_package(ours, form):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    ours.done("freeze", "demo")

    text = ours.done("export", "demo", "--format", form, "-o", "out") + (ours.work / "out").read_text()

    assert "tool" in text
    assert "marker" in text
    assert f"{CONDA_FORGE}/noarch/tool-1.0-py_0.conda" in text or form == "rocrate"


def test_post_link_scripts_run_only_where_that_is_allowed(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12")
    marker = ours.store.environment("demo").prefix / "ran-at-install"

    said = ours("install", "demo", "linking").err
    assert "linking has a script" in said
    assert not marker.exists()

    ours.done("remove", "demo", "linking")
    ours.done("install", "demo", "linking", "--link-scripts")
    assert marker.exists()


def test_the_tarball_is_a_channel_for_any_conda(ours, channel):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    ours.done("export", "demo", "--format", "tarball", "-o", "demo.tar.gz")

    subprocess.run(["tar", "xzf", "demo.tar.gz"], cwd=ours.work, check=True)

    folder = ours.work / "demo"
    specs = (folder / "specs.txt").read_text().split()
    assert "tool=1.0=py_0" in specs
    place = folder / "channels/conda.anaconda.org/conda-forge"
    words = [word for each in specs for word in ("--conda", each)]
    ours.done("init", "copy", "--runtime", "conda", "-c", place.as_uri(), *words)
    assert ours.store.environment("copy").python_version == ours.store.environment("demo").python_version


def test_without_the_engine_the_error_says_how_to_get_it(ours, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    # What an interpreter without the extra is: nothing of that name can be found.
    (blocked / "sitecustomize.py").write_text(
        "import sys\n"
        "class No:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'rattler': raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, No())\n"
    )

    refused = ours("init", "demo", "--runtime", "conda", PYTHONPATH=str(blocked))

    assert refused.code == 6
    assert "pip install 'venvoy[conda]'" in refused.err
    assert not ours.store.exists("demo")


@pytest.mark.parametrize("shell", ["sh", "bash", "zsh", "fish"])
def test_a_shell_that_is_there_can_be_activated_and_left(ours, shell):
    program = shutil.which(shell) or pytest.skip(f"not obtainable: no {shell} on this machine")
    prefix = ours.work / "it's here & there"
    ours.done("init", "demo", "--runtime", "conda", "--conda", "activating", "--conda", "tool", "--prefix", prefix)
    lines = ours.done("activate", "demo", "--shell", shell)
    say = 'printf \'%s|\' "$CONDA_PREFIX" "$ACTIVATING_DATA"; tool; from-extra'

    ran = subprocess.run(
        [program, "-c", f"{lines}\n{say}\ndeactivate\nprintf '[%s]' \"$CONDA_PREFIX\""],
        env=dict(ours.variables), cwd=ours.work, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.stdout == f"{prefix}|{prefix}/share/data|a tool\nfound\n[]", ran.stderr


def test_without_words_what_the_environment_lists_is_installed(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    ours.done("run", "demo", "--command", "rm $CONDA_PREFIX/conda-meta/tool-*.json")

    ours.done("install", "demo")

    assert troubles(ours, "demo") == []
    assert ours.done("run", "demo", "--", "tool") == "a tool\n"


@pytest.mark.parametrize("name", ["my-lock.yml", "x.txt", "x"])
def test_a_lock_is_known_by_what_is_in_it(ours, name):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")
    for form in ("conda-lock", "pixi", "lock"):
        ours.done("export", "demo", "--format", form, "-o", name)
        if form == "lock" and name.endswith(".yml"):
            continue
        ours.done("restore", name, "copy", "--force")
        assert ours.done("run", "copy", "--", "tool") == "a tool\n"


def test_a_file_gives_the_environment_its_name(ours):
    ours.write("environment.yml", "name: course\nchannels: [conda-forge]\ndependencies: [generic-one]\n")

    ours.done("init", "--file", "environment.yml")

    assert ours.store.names() == ("course",)


def test_python_is_not_taken_along_unasked(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "tool")

    refused = ours("remove", "demo", "tzdata")
    assert refused.code == 5
    assert "python needs it" in refused.err

    ours.done("remove", "demo", "python")
    assert "Python" in ours.done("show", "demo")
    ours.done("undo", "demo")
    assert troubles(ours, "demo") == []
    assert ours.done("run", "demo", "--", "tool") == "a tool\n"


def test_what_pip_put_over_condas_can_be_removed(ours):
    ours.done("init", "demo", "--runtime", "conda", "--python", "3.12", "--conda", "marker")
    ours.done("install", "demo", "--pip", "marker==3.0")

    ours.done("remove", "demo", "marker")
    ours.done("repair", "demo")

    assert troubles(ours, "demo") == []
    assert "marker==2.0" in (ours.store.project("demo") / "environment.yml").read_text()


def test_another_channel_is_looked_in_when_it_is_named(ours, channel):
    ours.done("init", "demo", "--runtime", "conda", "--conda", "generic-one", "-c", "conda-forge")

    for words in (("nowhere::generic-two",), ("generic-two", "-c", "http://127.0.0.1:9/nowhere")):
        refused = ours("install", "demo", *words)
        assert refused.code == 7
        assert "127.0.0.1:9" in refused.err or "nowhere" in refused.err
    assert "--pip" in ours("install", "demo", "nonesuch").err
