"""`venvoy configure`: settings are shown, set and edited, and a mistake never reaches the file."""

from dataclasses import replace
from pathlib import Path

import pytest

from venvoy import files
from venvoy.model import Container, Image, Resources


def editor(user, body):
    """A program that edits the file it is given as a user would."""
    return str(user.write("editor", f"#!/bin/sh\n{body}\n", mode=0o755))


@pytest.fixture(scope="module")
def carol(new_user):
    carol = new_user("carol")
    carol.done("init", "demo", "--requirements", carol.write("requirements.txt", "ipykernel\n"))
    return carol


@pytest.fixture
def config(carol):
    """The settings of the environment `demo`, which are as they were after each test."""
    file = carol.store.folder("demo") / "config.yaml"
    before = file.read_text()
    yield file
    file.write_text(before)


def test_settings_are_set_unset_and_shown(carol, config):
    carol.write(".env", "A=1\n")

    words = ("env_file=.env", "packages='alpha>=1,<3' gamma", "base_image=debian")
    answer = carol.json("configure", "demo", *(each for word in words for each in ("--set", word)))
    carol.done("configure", "demo", "--unset", "base_image", "--unset", "env_file")

    env = carol.store.environment("demo")
    assert answer["environment"]["env_file"] == [str(carol.work / ".env")]
    assert answer["environment"]["base_image"] == "debian"
    assert env.packages == ("alpha>=1,<3", "gamma")
    assert env.base_image.startswith("python:3.")
    assert env.env_file == ()
    assert carol.done("configure", "demo") == f"# {config}\n{config.read_text()}"


def test_what_nobody_wrote_down_is_told_when_recording_is_switched_on_again(carol, config):
    carol.done("configure", "demo", "--set", "record=false")
    (metadata,) = carol.store.environment("demo").prefix.glob(
        "lib/python*/site-packages/ipykernel-*.dist-info/METADATA"
    )
    other = metadata.read_text().replace("\nVersion: ", "\nVersion: 1!", 1)
    metadata.unlink()  # the file is also that in uv's cache
    metadata.write_text(other)
    before = carol.store.history("demo").count()

    shown = carol.json("configure", "demo", "--set", "record=true")

    (entry,) = carol.store.history("demo").entries()[before:]
    assert shown["environment"]["record"]
    assert (entry.event, entry.actor.kind) == ("change", "command")
    assert entry.actor.command.endswith("--set record=true")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--set", "prefix=/elsewhere"], 2),
        (["--set", "packages"], 2),
        (["--unset", "name"], 2),
        (["--edit", "--set", "base_image=x"], 2),
        (["--set", "packages=%%"], 5),
        (["--set", "packages='open"], 5),
        (["--set", "env_file=no-such.env"], 5),
    ],
)
def test_a_wrong_setting_is_refused_and_nothing_is_written(carol, config, words, code):
    before = config.read_text()

    assert carol("configure", "demo", *words).code == code
    assert config.read_text() == before


def test_configure_brings_the_kernelspec_back(carol, config):
    spec = carol.kernels / "venvoy-demo/kernel.json"
    before = spec.read_text()
    spec.unlink()

    carol.done("configure", "demo")

    assert spec.read_text() == before


def test_an_edit_is_taken_as_it_was_written(carol, config):
    comment = editor(carol, """sed -i 's/^packages:/# mine\\npackages:/' "$1" """)

    carol.done("configure", "demo", "--edit", EDITOR=comment)

    assert "# mine\npackages:" in config.read_text()
    carol.done("configure", "demo", "--set", "base_image=debian")
    assert "# mine\npackages:" in config.read_text()


def test_a_wrong_edit_keeps_the_old_file_and_names_line_and_key(carol, config):
    before = config.read_text()

    slip = editor(carol, """sed -i '3s/.*/runtme: venv/' "$1" """)

    ran = carol("configure", "demo", "--edit", VISUAL=slip, EDITOR="false")

    assert ran.code == 5
    assert f"{config}, line 3: unknown key 'runtme'" in ran.err
    assert config.read_text() == before
    assert "runtme: venv" in Path(ran.err.split("your edit: ")[1].strip()).read_text()


def test_a_file_that_changed_meanwhile_is_not_overwritten(carol, config):
    both = editor(carol, f"echo '# theirs' >> {config}; echo '# ours' >> \"$1\"")

    ran = carol("configure", "demo", "--edit", EDITOR=both)

    assert ran.code == 5
    assert "was changed while you edited it" in ran.err
    assert config.read_text().endswith("# theirs\n")


def test_an_editor_that_fails_changes_nothing(carol, config):
    for kept in (carol.home / "tmp").glob("venvoy-*"):
        files.remove(kept)
    before = config.read_text()

    assert carol("configure", "demo", "--edit", EDITOR=editor(carol, 'echo "# x" >> "$1"; exit 3')).code == 7
    assert carol("configure", "nobody", "--edit", EDITOR="true").code == 3
    assert carol("configure", "demo", "--edit", EDITOR="false").code == 7
    assert carol("configure", "demo", "--edit", EDITOR="true").code == 0
    assert len(list((carol.home / "tmp").glob("venvoy-*"))) == 1  # only what was written is kept
    assert config.read_text() == before


def test_the_editor_has_the_terminal(carol, config):
    ask = editor(carol, """printf 'image? '; read image; sed -i "s/^base_image:.*/base_image: $image/" "$1" """)

    with carol.terminal("configure", "demo", "--edit", EDITOR=ask) as terminal:
        terminal.until("image? ")
        terminal.type("debian\n")

        assert terminal.end() == 0
    assert carol.store.environment("demo").base_image == "debian"


# --- of containers ---------------------------------------------------------------------------------------------------


@pytest.fixture
def boxed(carol, config):
    """The environment is said to be in a container; nothing here starts one."""
    env = carol.store.environment("demo")
    container = Container(
        image=Image(reference="python:3.12", digest=f"sha256:{'a' * 64}"),
        engine="docker",
        home=carol.store.settings.user_home,
    )
    carol.store.save(replace(env, runtime="docker", container=container))
    return carol.store.environment("demo")


def test_what_a_container_gets_is_set_and_taken_back(carol, boxed):
    carol.done(
        "configure", "demo", "--set", "memory=4g", "--set", "cpus=0.5", "--set", "network=none",
        "--set", "mounts=/scratch:/data:ro '/a b:/c'", "--set", "devices=/dev/fuse", "--set", "home=false", "--set", "shm_size=64m",
    )  # fmt: skip

    has = carol.store.environment("demo").container
    assert has.resources == Resources(
        cpus=0.5, memory=4 << 30, shm_size=64 << 20, network="none", devices=("/dev/fuse",)
    )
    assert [(str(each.source), each.target, each.read_only) for each in has.mounts] == [
        ("/scratch", "/data", True), ("/a b", "/c", False),
    ]  # fmt: skip
    assert has.home is None

    carol.done("configure", "demo", *(word for key in ("memory", "mounts", "home") for word in ("--unset", key)))

    again = carol.store.environment("demo").container
    assert (again.resources.memory, again.mounts) == (None, ())
    assert again.home == carol.store.settings.user_home
    assert again.resources.cpus == 0.5


@pytest.mark.parametrize(
    "setting",
    ["memory=much", "cpus=many", "cpus=0", "gpus=some", "network=lan", "devices=fuse", "mounts=relative:x", "home=perhaps", "shm_size=-1"],
)  # fmt: skip
def test_a_wrong_setting_of_a_container_changes_nothing(carol, boxed, setting):
    said = carol("configure", "demo", "--set", setting)

    assert said.code == 5, said
    assert setting.partition("=")[0].rstrip("s") in said.err or "mount" in said.err or "size" in said.err
    assert carol.store.environment("demo") == boxed


def test_what_is_in_no_container_has_no_such_settings(carol):
    said = carol("configure", "demo", "--set", "memory=4g")

    assert said.code == 5
    assert "is in no container" in said.err
