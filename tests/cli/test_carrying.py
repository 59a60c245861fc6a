"""`venvoy export`: the forms as they are written down, stdout for the text alone, and files."""

import hashlib
import json

import pytest

from venvoy.actions.export import Exported
from venvoy.actions.universal import Elsewhere
from venvoy.formats.platforms import PLATFORMS, Gap, Tailored
from venvoy.formats.registry import CONDA, FORMATS, UNHASHED
from venvoy.frontends.views.carrying import exported_view

HASHED = sorted(set(FORMATS) - UNHASHED - CONDA - {"renv"})  # what others install from is not made of a venv


@pytest.fixture(scope="module")
def carol(new_user):
    """Somebody whose environment `demo` (alpha 1.0, beta) is exported, and changed by nobody."""
    carol = new_user("carol")
    carol.done("init", "demo", "--requirements", carol.write("requirements.txt", "alpha==1.0\n"))
    return carol


def test_a_text_goes_to_stdout_and_nothing_else_does(carol):
    ran = carol("export", "demo")

    assert ran.code == 0
    assert ran.out == carol.store.history("demo").latest.read_text()
    assert ran.err == ""
    assert carol.done("export", "--name", "demo", "--format", "yaml", "--output", "-") == ran.out
    assert (
        carol.done("export", "--name", "demo", "--format", "lock")
        == (
            carol.store.history("demo").folder
            / ".venvoy/snapshots"
            / f"{carol.store.history('demo').last().snapshot}.json"
        ).read_text()
    )


def test_a_file_is_written_and_told_with_its_digest(carol):
    ran = carol("export", "--name", "demo", "--format", "yaml", "--output", "mine.yml")

    content = (carol.work / "mine.yml").read_bytes()
    assert ran.code == 0
    assert content == carol.store.history("demo").latest.read_bytes()
    assert hashlib.sha256(content).hexdigest() in ran.out
    assert str(carol.work / "mine.yml") in ran.out


@pytest.mark.parametrize("form", HASHED)
def test_what_cannot_be_fetched_is_warned_of_beside_the_text(carol, form):
    ran = carol("export", "demo", "--format", form)

    assert ran.code == 0, ran
    assert "warning:" in ran.err
    assert "alpha 1.0: " in ran.err
    assert "alpha" in ran.out
    assert "warning" not in ran.out


def test_programs_get_json_with_the_text_or_where_it_is(carol):
    shown = json.loads(carol.done("export", "demo", "--json"))
    written = json.loads(carol.done("export", "demo", "--format", "requirements", "-o", "r.txt", "--json"))

    assert shown["text"] == carol.store.history("demo").latest.read_text()
    assert shown["path"] is None
    assert (written["format"], written["path"]) == ("requirements", str(carol.work / "r.txt"))
    assert written["sha256"] == hashlib.sha256((carol.work / "r.txt").read_bytes()).hexdigest()
    assert written["size"] == (carol.work / "r.txt").stat().st_size
    assert written["text"] is None
    assert {each["name"] for each in written["lacking"]} >= {"alpha"}
    assert written["platforms"] is None


def test_a_point_of_the_history_is_written(carol):
    assert "alpha==1.0" in carol.done("export", "demo", "--point", "1")
    assert carol("export", "demo", "--point", "99").code == 5


@pytest.mark.parametrize(
    "words",
    [
        ("--format", "gif"),
        ("--format", "pylock", "--platform", "amiga"),
        ("--format", "yaml", "--sign", "key"),
        ("--format", "tarball", "--point", "1"),
        ("--format", "tarball", "--notebook", "a.ipynb"),
        ("--format", "tarball", "-o", "-"),
        ("--format", "archive", "-o", "."),
    ],
)
def test_what_does_not_go_together_is_a_wrong_word(carol, words):
    ran = carol("export", "demo", *words)

    assert (ran.code, ran.out) == (2, "")


def test_a_folder_a_device_and_an_unknown_environment_are_refused(carol):
    assert carol("export", "demo", "-o", ".").code == 5
    assert carol("export", "demo", "-o", "/dev/null").code == 5
    assert carol("export", "nobody").code == 3


@pytest.mark.parametrize("words", [("archive",), ("export", "--format", "tarball")])
def test_a_folder_that_is_not_there_is_told_before_any_work(carol, words):
    log = carol.store.history("demo").log
    before = log.read_bytes()

    ran = carol(words[0], "demo", *words[1:], "-o", "no/such/folder/demo.tar.gz")

    assert ran.code == 5
    assert f"mkdir -p {carol.work / 'no/such/folder'}" in ran.err
    assert log.read_bytes() == before


def test_the_help_says_what_output_is_here(carol):
    said = " ".join(carol.done("export", "--help").split())

    assert "--output is the file" in said
    assert "--json" in said
    for form in (*FORMATS, "tarball", "archive"):
        assert f" {form} " in said


@pytest.mark.parametrize(("form", "ending"), [("tarball", ".tar.gz"), ("archive", ".venvoy.tar.zst")])
def test_what_is_packed_goes_into_the_working_folder(own, form, ending):
    ran = own("export", "--name", "demo", "--format", form)

    assert ran.code == 0, ran
    assert (own.work / f"demo{ending}").is_file()
    assert own("export", "--name", "demo", "--format", form, "--output", f"again{ending}").code == 0
    assert (own.work / f"again{ending}").read_bytes() == (own.work / f"demo{ending}").read_bytes()
    assert [each.name for each in own.work.glob("*.partial")] == []


def test_a_lock_for_elsewhere_of_what_nobody_can_fetch_is_empty_and_names_it_all(carol):
    ran = carol("export", "demo", "--format", "pylock", "--platform", "macos-arm64", "--platform", "linux-x86_64")
    said = json.loads(carol.done("export", "demo", "--format", "pylock", "--platform", "all", "--json"))

    assert ran.code == 0, ran
    assert "alpha 1.0: " in ran.err
    assert "packages = []" in ran.out
    assert said["platforms"]["names"] == [
        "linux-x86_64", "linux-aarch64", "macos-arm64", "macos-x86_64", "windows-x86_64"
    ]  # fmt: skip
    assert said["platforms"]["missing"] == said["platforms"]["source"] == []
    assert {each["name"] for each in said["lacking"]} >= {"alpha"}


def test_people_are_told_what_must_be_built_where_and_what_only_others_need(snapshot):
    linux, mac = PLATFORMS["linux-x86_64"], PLATFORMS["macos-arm64"]
    gaps = (
        Gap(platform=linux.name, name="docopt", version="1", source=True),
        Gap(platform=mac.name, name="docopt", version="1", source=True),
        Gap(platform=mac.name, name="native", version="2", source=True),
        Gap(platform=mac.name, name="gone", version="3"),
    )
    cut = Tailored(snapshot=snapshot(), platforms=(linux, mac), entries=(), gaps=gaps)
    elsewhere = Elsewhere(platforms=(linux.name, mac.name), tailored=cut, added=(("appnope", "1.0"),))

    view = exported_view(
        Exported(environment="demo", form="pylock", text="", snapshot=snapshot(), elsewhere=elsewhere, locked=True)
    )

    assert "To be built from source: docopt, native (macos-arm64)." in view.head
    assert "Only other platforms need, and have been resolved now: appnope 1.0." in view.head
    assert "It was not frozen as it is now; that was done first." in view.head
    assert view.rows == (("gone", "3", "no file for macos-arm64"),)
    assert view.data["platforms"]["missing"] == [{"name": "gone", "version": "3", "platform": "macos-arm64"}]
