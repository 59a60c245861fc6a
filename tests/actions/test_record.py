"""The state is kept when it differs, and nothing is lost however many write at once."""

import hashlib
import json
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from venvoy import inventory
from venvoy.actions.record import record, recorded, wanted
from venvoy.formats.environment_yml import EnvironmentYml
from venvoy.history import History
from venvoy.model import Actor, Asked, Package, Snapshot

SOMEBODY = Actor(kind="terminal")


def asked_for(*names: str, verb: str = "install") -> Asked:
    return Asked(tool="pip", verb=verb, names=names)


@pytest.fixture
def history(tmp_path) -> History:
    return History(tmp_path / "projects" / "demo")


def test_the_first_look_is_kept(history, snapshot):
    seen = snapshot("six==1.0")

    entry = record(history, lambda: seen, actor=SOMEBODY)

    assert (entry.event, recorded(history, entry)) == ("change", seen)
    assert history.latest.read_text() == EnvironmentYml().dump(seen)


def test_nothing_is_saved_when_nothing_changed(history, snapshot):
    record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)
    before = {file: file.read_bytes() for file in history.folder.rglob("*") if file.is_file()}

    again = record(history, lambda: snapshot("six==1.0"), actor=Actor(kind="command"))

    assert again is None
    assert {file: file.read_bytes() for file in history.folder.rglob("*") if file.is_file()} == before


def test_a_change_is_kept_with_who_made_it_and_what_they_asked_for(history, snapshot):
    cell = Actor(kind="cell", notebook="a.ipynb", cell="c", count=2)
    record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)

    entry = record(history, lambda: snapshot("six==2.0"), actor=cell, asked=(asked_for("six"),))

    assert (entry.actor, entry.asked, len(history.entries())) == (cell, (asked_for("six"),), 2)


def test_going_back_to_an_earlier_state_is_a_change(history, snapshot):
    for version in ("1.0", "2.0", "1.0"):
        record(history, lambda version=version: snapshot(f"six=={version}"), actor=SOMEBODY)

    assert [recorded(history, each).package("six").version for each in history.entries()] == ["1.0", "2.0", "1.0"]
    assert len(list(history.folder.glob("environment_*.yml"))) == 3


def test_asking_for_what_is_there_already_is_kept_once(history, snapshot):
    record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)

    first = record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY, asked=(asked_for("six"),))
    second = record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY, asked=(asked_for("six"),))

    assert (first.event, second) == ("asked", None)
    assert wanted(history.entries()) == {"six"}


def test_asking_to_remove_what_was_not_there_is_no_news(history, snapshot):
    record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)

    assert (
        record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY, asked=(asked_for("idna", verb="remove"),)) is None
    )


def test_what_was_asked_for_is_wanted_until_it_is_asked_away(history, snapshot):
    record(history, lambda: snapshot("a==1", "b==1"), actor=SOMEBODY, asked=(asked_for("a", "b"),))
    record(history, lambda: snapshot("a==1"), actor=SOMEBODY, asked=(asked_for("b", verb="remove"),))

    assert wanted(history.entries()) == {"a"}


def test_a_crash_between_the_files_and_the_log_loses_nothing(history, snapshot):
    record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)
    log = history.log.read_bytes()
    record(history, lambda: snapshot("six==2.0"), actor=SOMEBODY)
    history.log.write_bytes(log)

    again = record(history, lambda: snapshot("six==2.0"), actor=SOMEBODY)

    assert recorded(history, again).package("six").version == "2.0"
    assert "six==2.0" in history.latest.read_text()


def test_a_look_that_fails_writes_nothing_and_frees_the_record(history, snapshot):
    def fail() -> Snapshot:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        record(history, fail, actor=SOMEBODY)

    assert history.entries() == ()
    assert record(history, snapshot, actor=SOMEBODY)


def test_the_same_package_from_another_place_is_a_change(history, snapshot):
    plain = Package(name="six", version="1.0")
    record(history, lambda: snapshot(plain), actor=SOMEBODY)

    assert record(history, lambda: snapshot(replace(plain, origin="editable", url="file:///six")), actor=SOMEBODY)


WRITER = """
import sys, threading
from datetime import UTC, datetime
from pathlib import Path
from venvoy import inventory
from venvoy.actions.record import record
from venvoy.history import History
from venvoy.model import Actor, Asked, Snapshot

prefix, project, writer = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
site = prefix / "lib/python3.12/site-packages"

def look():
    return Snapshot(environment="demo", taken=datetime.now(UTC), base="b", language_version="3.12.1",
                    platform="linux-x86_64", packages=inventory.packages(prefix))

def work(thread):
    for number in range(8):
        name = f"{writer}-{thread}-{number}"
        info = site / f"{name.replace('-', '_')}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Name: {name}\\nVersion: 1\\n")
        asked = (Asked(tool="pip", verb="install", names=(name,)),)
        record(History(project), look, actor=Actor(kind="cell", cell=name), asked=asked)

threads = [threading.Thread(target=work, args=(each,)) for each in "ab"]
[each.start() for each in threads]
[each.join() for each in threads]
"""


def test_several_processes_and_threads_lose_nothing(history, tmp_path):
    prefix = tmp_path / "prefix"
    (prefix / "lib/python3.12/site-packages").mkdir(parents=True)
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(prefix), str(history.folder), f"w{number}"])
        for number in range(4)
    ]
    codes = [writer.wait(120) for writer in writers]
    names = {f"w{writer}-{thread}-{number}" for writer in range(4) for thread in "ab" for number in range(8)}

    entries = history.entries()
    states = [{each.name for each in recorded(history, entry).packages} for entry in entries]
    lines = history.log.read_bytes().splitlines()
    digests = ["", *(hashlib.sha256(line).hexdigest() for line in lines)]

    assert codes == [0, 0, 0, 0]
    assert states[-1] == names == {each.name for each in inventory.packages(prefix)}
    assert all(older <= newer for older, newer in pairwise(states))
    assert wanted(entries) == names
    assert [name for entry in entries for asked in entry.asked for name in asked.names].count("w0-a-0") == 1
    assert [json.loads(line)["previous"] for line in lines] == digests[:-1]
    assert history.latest.read_text().count("==1\n") == len(names)
    assert not list(history.folder.rglob("*.partial"))


def test_nobody_looks_while_somebody_else_holds_the_record(history, snapshot):
    looked = threading.Event()

    def look() -> Snapshot:
        looked.set()
        return snapshot("six==1.0")

    with history.locked():
        writer = threading.Thread(target=record, args=(history, look), kwargs={"actor": SOMEBODY})
        writer.start()
        early = looked.wait(0.2)
    writer.join()

    assert (early, looked.is_set()) == (False, True)


# --- images


def test_what_is_in_an_image_is_kept_once_beside_the_snapshots_and_read_again(history, in_image):
    one, other = in_image("six==1.0"), in_image("six==2.0")

    entries = [record(history, lambda seen=seen: seen, actor=SOMEBODY) for seen in (one, other)]

    (kept,) = (history.folder / ".venvoy/bases").iterdir()
    assert one.base == f"contents:{kept.stem}" == f"contents:{hashlib.sha256(kept.read_bytes()).hexdigest()}"
    assert kept.read_text() not in history.snapshot(entries[0].snapshot)
    assert recorded(history, entries[0]).contents == one.contents
    assert recorded(history, entries[1]).stands_on == other.stands_on
    assert history.check() == ()


def test_the_same_state_on_another_image_is_an_entry_of_its_own(history, in_image):
    first = record(history, lambda: in_image(digest=f"sha256:{'1' * 64}"), actor=SOMEBODY)
    same = record(history, lambda: in_image(digest=f"sha256:{'1' * 64}"), actor=SOMEBODY)
    second = record(history, lambda: in_image(digest=f"sha256:{'2' * 64}"), actor=SOMEBODY)

    assert same is None
    assert (first.snapshot, first.stands_on.digest) == (second.snapshot, f"sha256:{'1' * 64}")
    assert [each.stands_on.digest[7] for each in history.entries()] == ["1", "2"]


@pytest.mark.parametrize("harm", ["changed", "lost"])
def test_a_base_that_was_changed_or_lost_is_found_and_the_rest_can_still_be_read(history, in_image, harm):
    record(history, lambda: in_image("six==1.0"), actor=SOMEBODY)
    entry = record(history, lambda: in_image("six==2.0"), actor=SOMEBODY)
    (kept,) = (history.folder / ".venvoy/bases").iterdir()
    kept.write_text(kept.read_text().replace("3.0.9", "3.0.8")) if harm == "changed" else kept.unlink()

    (problem,) = history.check()
    assert problem.line == 1
    assert ("was changed" if harm == "changed" else "is missing") in problem.message
    assert recorded(history, entry).contents is None
    assert recorded(history, entry).package("six").version == "2.0"


def test_a_base_that_was_lost_is_mended_by_the_next_entry(history, in_image):
    record(history, lambda: in_image("six==1.0"), actor=SOMEBODY)
    (kept,) = (history.folder / ".venvoy/bases").iterdir()
    kept.unlink()

    record(history, lambda: in_image("six==2.0"), actor=SOMEBODY)

    assert history.check() == ()


def test_a_record_of_an_image_from_before_its_contents_were_known_is_read(history, snapshot, in_image):
    old = record(history, lambda: snapshot("six==1.0"), actor=SOMEBODY)
    new = record(history, lambda: in_image("six==1.0"), actor=SOMEBODY)

    assert "stands_on" not in history.log.read_text().splitlines()[0]
    assert (recorded(history, old).contents, recorded(history, old).stands_on) == (None, None)
    assert new is not None
    assert history.check() == ()
