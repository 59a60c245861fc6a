"""Packages come and go one request after the other, as with conda, and conda understands what is left behind."""

import json
import os
import subprocess

import pytest
import uv

from venvoy.actions import conda
from venvoy.engine.request import Request
from venvoy.errors import CommandFailed, InvalidInput
from venvoy.inventory import conda_files, conda_meta


def names(records) -> list[str]:
    return sorted(each["name"] for each in records)


def asked(prefix) -> dict[str, str]:
    return {each.name: each.spec for each in conda_meta.records(prefix) if each.spec}


def test_a_package_comes_with_what_it_needs(engine, prefix, there):
    said = engine("change", specs=("needing",))

    assert there() == {"needing": "1.0", "plain": "2.0"}
    assert (names(said["added"]), said["removed"], said["specs"]) == (["needing", "plain"], [], {"needing": "needing"})
    assert (prefix / "share/needing/README").read_text() == "needing 1.0\n"
    assert conda_files.audit(prefix).deviations == ()
    assert conda_meta.unfinished(prefix) is None


def test_what_would_happen_is_told_and_does_not(engine, prefix, there):
    said = engine("change", specs=("needing",), dry=True)

    assert names(said["added"]) == ["needing", "plain"]
    assert there() == {}
    assert not (prefix / "share").exists()


def test_what_is_there_stays_at_its_version(engine, near, there):
    engine("change", specs=("plain<2",))

    said = engine("change", specs=("needing",))

    assert there() == {"needing": "1.0", "plain": "1.0"}
    assert names(said["added"]) == ["needing"]


@pytest.mark.parametrize(
    ("specs", "one"),
    [(("plain>=1.5", "plain<3"), "plain >=1.5,<3"), (("plain<3", "plain >1|2.0"), "plain <3,(>1|==2.0)"),
     (("plain=2.0", "plain"), "plain 2.0.*"), (("plain", "plain=2.0"), "plain 2.0.*"),
     (("plain=2.0", "plain=2.0"), "plain=2.0")],
)  # fmt: skip
def test_two_specs_for_one_package_are_one_now_and_later(engine, near, there, specs, one):
    near.add("plain", "3.0")

    said = engine("change", specs=("needing", *specs))

    assert (there()["plain"], said["specs"]["plain"]) == ("2.0", one)
    engine("change", update=("*",))
    assert there()["plain"] == "2.0"


@pytest.mark.parametrize(
    "specs", [("conda-forge::plain", "plain<2"), ("plain=2.0=0", "plain"), ("plain", "plain[subdir=noarch]")]
)
def test_two_specs_that_are_not_one_are_refused(engine, prefix, specs):
    with pytest.raises(InvalidInput, match="plain is asked for twice"):
        engine("change", specs=specs)

    assert conda_meta.records(prefix) == ()


def test_what_the_user_has_pinned_stays_where_it_is(engine, near, there):
    pinned = near.source(pinned=("plain <2",))
    engine("change", specs=("needing",), source=pinned)
    assert there() == {"needing": "1.0", "plain": "1.0"}

    with pytest.raises(CommandFailed, match="pinned by pinned_packages or conda-meta/pinned: plain <2"):
        engine("change", specs=("plain=2.0",), source=pinned)
    with pytest.raises(InvalidInput, match=r"'plain\[', which pinned_packages or conda-meta/pinned has"):
        engine("change", specs=("plain",), source=near.source(pinned=("plain[",)))

    engine("change", update=("*",))
    assert there() == {"needing": "1.0", "plain": "2.0"}


def test_a_version_that_nobody_asked_for_stays_too(engine, near, there):
    engine("change", specs=("needing",))
    near.add("plain", "3.0")
    near.add("other")

    said = engine("change", specs=("other",))

    assert there() == {"needing": "1.0", "other": "1.0", "plain": "2.0"}
    assert (names(said["added"]), said["removed"]) == (["other"], [])


def test_asked_again_nothing_happens(engine, there):
    engine("change", specs=("needing",))

    said = engine("change", specs=("needing",))

    assert (said["added"], said["removed"]) == ([], [])


def test_what_is_removed_takes_what_needs_it(engine, prefix, there):
    engine("change", specs=("needing", "plain"))

    said = engine("change", names=("plain",))

    assert there() == {}
    assert (names(said["removed"]), said["specs"]) == (["needing", "plain"], {})
    assert not (prefix / "share/plain").exists()


def test_what_nobody_asked_for_and_nobody_needs_goes_with_what_needed_it(engine, near, there):
    near.add("other")
    engine("change", specs=("needing", "other"))

    said = engine("change", names=("needing",))

    assert there() == {"other": "1.0"}
    assert names(said["removed"]) == ["needing", "plain"]


@pytest.mark.parametrize("said", [{"names": ("plain", "gone")}, {"update": ("plain", "gone")}])
def test_what_is_not_there_can_not_go_or_be_brought_up_to_date(engine, there, said):
    engine("change", specs=("plain",))

    with pytest.raises(InvalidInput, match="gone") as caught:
        engine("change", **said)

    assert caught.value.hint
    assert there() == {"plain": "2.0"}


def test_one_name_is_brought_up_to_date_and_no_other(engine, near, there):
    near.add("other")
    engine("change", specs=("plain=1", "other"))
    near.add("other", "2.0")

    engine("change", update=("plain",))

    assert there() == {"plain": "2.0", "other": "1.0"}


def test_everything_is_brought_up_to_date_within_what_was_asked_for(engine, near, there):
    engine("change", specs=("needing", "plain<3"))
    for version in ("2.5", "3.0"):
        near.add("plain", version)
    near.add("needing", "2.0", depends=("plain",))

    said = engine("change", update=("*",))

    assert there() == {"needing": "2.0", "plain": "2.5"}
    assert said["specs"] == {"needing": "needing", "plain": "plain<3"}


def test_what_cannot_be_leaves_the_prefix_as_it_is(engine, prefix, there):
    engine("change", specs=("needing",))
    before = sorted(prefix.rglob("*"))

    with pytest.raises(CommandFailed, match="plain"):
        engine("change", specs=("plain<1",))

    assert there() == {"needing": "1.0", "plain": "2.0"}
    assert (sorted(prefix.rglob("*")), conda_meta.unfinished(prefix)) == (before, None)


def test_python_keeps_its_minor_version_unless_another_is_asked_for(channel, prefix, there, tmp_path):
    source = conda.source((channel.folder.as_uri(),))

    def change(**said):
        return conda.ask(
            Request(verb="change", source=source, prefix=str(prefix), dry=True, **said), doing="cannot do it"
        )

    conda.ask(Request(verb="change", source=source, prefix=str(prefix), specs=("python <3.12",)), doing="cannot do it")

    kept = change(update=("*",), specs=("marker",))
    new = change(specs=("python=3.12",))

    assert there()["python"].startswith("3.9.")
    assert (names(kept["added"]), kept["removed"]) == (["marker"], [])
    assert [each["version"][:4] for each in new["added"] if each["name"] == "python"] == ["3.12"]


# --- what was asked for ----------------------------------------------------------------------------------------------


def test_the_records_say_what_was_asked_for(engine, prefix, near):
    near.add("other")
    engine("change", specs=("needing>=1",))
    engine("change", specs=("other", "plain<3"))
    engine("change", names=("needing",))

    assert asked(prefix) == {"other": "other", "plain": "plain<3"}


def test_where_the_records_say_nothing_condas_history_does(engine, prefix, there):
    engine("change", specs=("needing", "plain"))
    for file in (prefix / "conda-meta").glob("*.json"):
        said = json.loads(file.read_text())
        file.write_text(json.dumps({key: each for key, each in said.items() if key != "requested_specs"}))
    (prefix / "conda-meta/history").write_text(
        "==> 2026-01-02 03:04:05 <==\n# cmd: conda create -n demo\n# conda version: 25.1.0\n"
        "+conda-forge/noarch::plain-2.0-0\n# update specs: ['conda-forge::needing>=1', 'Gone', 'plain']\n"
        "==> 2026-01-02 03:04:06 <==\n# cmd: conda remove plain\n# remove specs: ['plain']\n"
        "==> 2026-01-02 03:04:07 <==\n# update specs: [broken\n"
    )

    said = engine("change", specs=("plain",), dry=True)

    assert said["specs"] == {"needing": "conda-forge::needing>=1", "plain": "plain"}


def test_where_nobody_says_anything_it_is_what_nothing_needs(engine, prefix):
    engine("change", specs=("needing",))
    for file in (prefix / "conda-meta").glob("*.json"):
        said = json.loads(file.read_text())
        file.write_text(json.dumps({key: each for key, each in said.items() if key != "requested_specs"}))
    (prefix / "conda-meta/history").unlink()

    assert engine("change", dry=True)["specs"] == {"needing": "needing"}


def test_what_records_of_conda_say_is_kept(engine, near, prefix, there):
    near.add("other")
    engine("change", specs=("needing", "plain<2"))
    for name, spec in (("needing", "None"), ("plain", "plain<2")):
        [file] = (prefix / "conda-meta").glob(f"{name}-*.json")
        said = json.loads(file.read_text())
        of_conda = {**said, "requested_spec": spec, "auth": None, "package_tarball_full_path": f"/x/{name}-1.0-0.conda"}
        del of_conda["requested_specs"]
        file.write_text(json.dumps(of_conda, sort_keys=True))
    (prefix / "conda-meta/history").unlink()

    engine("change", specs=("other",))

    assert there() == {"other": "1.0", "plain": "1.0"}
    assert asked(prefix) == {"other": "other", "plain": "plain<2"}


def test_the_history_has_the_lines_that_conda_writes(engine, prefix, near):
    engine("change", specs=("needing", "plain<2"), command="venvoy install needing 'plain<2'")
    engine("change", names=("needing",), command="venvoy uninstall needing")

    lines = (prefix / "conda-meta/history").read_text().splitlines()

    channel = f"{near.address}/noarch"
    assert [each for each in lines if not each.startswith("==>")] == [
        "# cmd: venvoy install needing 'plain<2'",
        f"+{channel}::needing-1.0-0",
        f"+{channel}::plain-1.0-0",
        "# update specs: ['needing', 'plain<2']",
        "# cmd: venvoy uninstall needing",
        f"-{channel}::needing-1.0-0",
        "# remove specs: ['needing']",
    ]


def test_a_command_of_several_lines_is_one_line_of_the_history(engine, prefix):
    engine("change", specs=("plain",), command="venvoy install \n# remove specs: ['plain']\n==> <==")

    assert engine("change", dry=True)["specs"] == {"plain": "plain"}
    assert len((prefix / "conda-meta/history").read_text().splitlines()) == 4


@pytest.mark.network
def test_conda_itself_reads_what_was_asked_for(engine, prefix, near, tmp_path):
    near.add("other")
    engine("change", specs=("needing >=1", "plain <2", "other"), command="venvoy install")
    engine("change", names=("other",), command="venvoy uninstall other")
    engine("change", update=("plain",), command="venvoy update plain")
    script = tmp_path / "conda_reads.py"
    script.write_text(
        "import json, sys\n"
        "from conda_lock._vendor.conda.history import History\n"
        "history = History(sys.argv[1])\n"
        "specs = {name: str(spec) for name, spec in history.get_requested_specs_map().items()}\n"
        "print(json.dumps([specs, sorted(history.get_state()), len(history.get_user_requests())]))\n"
    )
    argv = [uv.find_uv_bin(), "tool", "run", "--quiet", "--from", "conda-lock>=3", "python", script, prefix]

    ran = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "UV_SYSTEM_CERTS": "1"})

    assert ran.returncode == 0, ran.stderr
    specs, state, requests = json.loads(ran.stdout)
    assert specs == {"needing": "needing[version='>=1']", "plain": "plain"}
    assert [each.rpartition("::")[2] for each in state] == ["needing-1.0-0", "plain-2.0-0"]
    assert requests == 3


# --- scripts ---------------------------------------------------------------------------------------------------------

SCRIPT = {"bin/.scripted-post-link.sh": '#!/bin/sh\ntouch "$PREFIX/ran"\n'}


def test_the_scripts_of_packages_run_only_where_that_is_allowed(engine, prefix, near):
    near.add("scripted", files=SCRIPT)

    said = engine("change", specs=("scripted",))
    before = (prefix / "ran").exists()
    engine("change", names=("scripted",))
    allowed = engine("change", specs=("scripted",), scripts=True)

    assert (said["scripts"], before) == (["scripted"], False)
    assert (allowed["scripts"], (prefix / "ran").exists()) == ([], True)


# --- a prefix that is not as it should be ----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "plain"}', '{"name": 3, "version": []}'])
def test_a_record_that_is_none_is_no_obstacle(engine, prefix, there, text):
    engine("change", specs=("needing",))
    (prefix / "conda-meta/plain-2.0-0.json").write_text(text)

    engine("change", specs=("plain",))

    assert there() == {"needing": "1.0", "plain": "2.0"}


def test_a_folder_that_may_not_be_written_is_told(engine, prefix):
    prefix.mkdir(mode=0o500)
    if os.access(prefix, os.W_OK):
        pytest.skip("not obtainable: root may write everywhere")

    with pytest.raises(CommandFailed) as caught:
        engine("change", specs=("plain",))

    assert str(prefix) in caught.value.message


def test_a_prefix_that_is_a_file_is_told(engine, prefix):
    prefix.write_text("")

    with pytest.raises(CommandFailed) as caught:
        engine("change", specs=("plain",))

    assert str(prefix) in caught.value.message
