"""`venvoy configure`: settings are shown, set and edited, and a mistake never reaches the file."""

from pathlib import Path

import pytest

from venvoy import files


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
