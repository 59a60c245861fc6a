"""Exactly these files and no others, wherever they come from; and what is not what it should be is refused."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from venvoy.engine.request import LOCK, Pin, Source, place
from venvoy.errors import CommandFailed
from venvoy.inventory import conda_files, conda_meta


@pytest.fixture
def pins(near) -> tuple[Pin, ...]:
    folder = near.folder / "noarch"
    return (near.pin(folder / "needing-1.0-0.conda"), near.pin(folder / "plain-1.0-0.conda"))


@pytest.fixture
def exactly(engine):
    return lambda *pins, **said: engine("exactly", pins=pins, **said)


def whole(prefix: Path) -> bool:
    return conda_files.audit(prefix).deviations == () and conda_meta.unfinished(prefix) is None


def refused(asked, kind: str = "") -> CommandFailed:
    with pytest.raises(CommandFailed) as caught:
        asked()
    assert kind in caught.value.message
    assert caught.value.hint
    assert "Traceback" not in caught.value.message
    return caught.value


def nothing(prefix: Path) -> bool:
    """Whether no package left anything; what the installer begins with may be there."""
    begun = {LOCK, "history", "CACHEDIR.TAG"}
    return {each.name for each in prefix.rglob("*") if each.is_file()} <= begun


# --- where they come from --------------------------------------------------------------------------------------------


def test_from_their_addresses(exactly, pins, prefix, there):
    said = exactly(*pins)

    assert there() == {"needing": "1.0", "plain": "1.0"}
    assert [each["url"] for each in said["added"]] == [each.url for each in pins]
    assert whole(prefix)


def test_what_is_not_among_them_goes(exactly, engine, pins, prefix, there):
    engine("change", specs=("plain>1",))

    said = exactly(pins[1])

    assert there() == {"plain": "1.0"}
    assert [(each["name"], each["version"]) for each in said["removed"]] == [("plain", "2.0")]
    assert whole(prefix)


def test_from_the_cache_without_fetching_any(exactly, near, pins, prefix, tmp_path):
    exactly(*pins, prefix=str(tmp_path / "another"))
    near.asked.clear()

    exactly(*pins)

    assert (near.files_asked(), whole(prefix)) == ([], True)


def test_from_the_cache_without_a_network(exactly, engine, near, pins, prefix, tmp_path):
    exactly(pins[0], pins[1], prefix=str(tmp_path / "another"))
    near.asked.clear()

    exactly(*pins, source=near.source(offline=True))

    assert (near.asked, whole(prefix)) == ([], True)
    assert engine("cached", pins=pins) == [each.url for each in pins]


def test_without_a_network_and_a_cache_it_is_said_what_is_missing(exactly, near, pins, prefix):
    said = refused(lambda: exactly(*pins, source=near.source(offline=True)), "needing-1.0-0.conda")

    assert "no network" in said.message
    assert near.asked == []
    assert nothing(prefix)


def test_without_a_network_and_with_half_a_cache_too(exactly, near, pins, prefix, tmp_path):
    exactly(pins[1], prefix=str(tmp_path / "another"))

    refused(lambda: exactly(*pins, source=near.source(offline=True)), "needing-1.0-0.conda")

    assert nothing(prefix)


def test_from_a_folder_that_has_them(exactly, near, pins, prefix, tmp_path, cache):
    folder = tmp_path / "kept"
    shutil.copytree(near.folder, folder / place(near.address))
    near.asked.clear()

    exactly(*pins, source=Source(channels=(near.address,), served=str(folder), offline=True))

    assert (near.asked, whole(prefix)) == ([], True)
    assert {each.package().url for each in conda_meta.records(prefix)} == {each.url for each in pins}
    assert not list((cache.parent / "repodata").rglob("*.json"))


def test_a_folder_needs_no_proxy(exactly, near, pins, prefix, tmp_path, monkeypatch):
    shutil.copytree(near.folder, tmp_path / "kept" / place(near.address))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "localhost")
    monkeypatch.delenv("no_proxy", raising=False)

    exactly(*pins, source=Source(channels=(near.address,), served=str(tmp_path / "kept"), offline=True))

    assert whole(prefix)


def test_a_file_that_the_folder_does_not_have_is_told(exactly, near, pins, prefix, tmp_path):
    folder = tmp_path / "kept"
    shutil.copytree(near.folder, folder / place(near.address))
    (folder / place(near.address) / "noarch/plain-1.0-0.conda").unlink()

    refused(
        lambda: exactly(*pins, source=Source(channels=(near.address,), served=str(folder), offline=True)),
        "plain-1.0-0.conda",
    )

    assert nothing(prefix)


def test_from_a_channel_in_a_folder(exactly, near, pins, prefix):
    pins = tuple(replace(each, url=each.url.replace(near.address, near.folder.as_uri())) for each in pins)

    exactly(*pins, source=Source(channels=(near.folder.as_uri(),)))

    assert whole(prefix)


def test_a_file_whose_index_has_gone_says_itself_what_it_is(exactly, near, pins, prefix):
    for file in near.folder.glob("*/repodata.json"):
        file.unlink()

    exactly(*pins)

    assert whole(prefix)
    assert conda_meta.records(prefix)[0].depends == ("plain >=1",)


def test_a_file_that_the_index_does_not_list_any_more(exactly, near, build, pins, prefix, there):
    index = near.folder / "noarch/repodata.json"
    index.write_text(json.dumps({**json.loads(index.read_text()), "packages.conda": {}}))

    exactly(*pins)

    assert whole(prefix)
    assert there() == {"needing": "1.0", "plain": "1.0"}


def test_what_a_package_needs_is_what_its_pin_says(exactly, pins, prefix):
    exactly(replace(pins[0], depends=("plain >=1,<3",)), pins[1])

    assert conda_meta.records(prefix)[0].depends == ("plain >=1,<3",)


@pytest.mark.parametrize("hashes", [("md5",), ("sha256",)])
def test_one_hash_is_enough(exactly, near, prefix, hashes):
    entry = near.pin(near.folder / "noarch/plain-1.0-0.conda")
    pin = replace(entry, **dict.fromkeys({"md5", "sha256"} - set(hashes), ""))

    exactly(pin)
    again = exactly(pin)

    assert whole(prefix)
    assert (again["added"], again["removed"]) == ([], [])
    [package] = [each.package() for each in conda_meta.records(prefix)]
    assert (package.sha256, package.md5) == (entry.sha256, entry.md5)


def test_one_hash_is_enough_without_an_index(exactly, near, prefix):
    pin = replace(near.pin(near.folder / "noarch/plain-1.0-0.conda"), sha256="")
    for file in near.folder.glob("*/repodata.json"):
        file.unlink()

    exactly(pin)

    assert whole(prefix)


# --- in step ---------------------------------------------------------------------------------------------------------


def test_what_was_asked_for_is_noted(exactly, engine, pins, prefix):
    exactly(*pins, specs=("needing>=1",))

    assert {each.name: each.spec for each in conda_meta.records(prefix)} == {"needing": "needing>=1", "plain": ""}
    assert engine("change", dry=True)["specs"] == {"needing": "needing>=1"}


def test_a_spec_that_its_package_does_not_meet_becomes_its_version(exactly, pins):
    said = exactly(*pins, specs=("needing", "plain>=2", "gone"))

    assert said["specs"] == {"needing": "needing", "plain": "plain==1.0"}


def test_packages_that_are_there_are_put_in_anew_where_they_are_named(exactly, pins, prefix):
    exactly(*pins)
    (prefix / "share/plain/README").unlink()
    (prefix / "share/needing/README").unlink()

    said = exactly(*pins, names=("plain",))

    assert [each["name"] for each in said["added"]] == ["plain"]
    assert (prefix / "share/plain/README").exists()
    assert not (prefix / "share/needing/README").exists()


def test_what_was_written_into_a_file_is_not_put_in_again_from_the_cache(exactly, pins, prefix, tmp_path):
    exactly(*pins)
    file = prefix / "share/plain/README"
    with file.open("a") as stream:  # not replaced: the same file may be in the cache
        stream.write("changed\n")

    exactly(*pins, names=("plain",))
    exactly(*pins, prefix=str(tmp_path / "another"))

    assert file.read_text() == "plain 1.0\n"
    assert whole(prefix)
    assert whole(tmp_path / "another")


def test_a_path_that_is_only_reached_later_is_written_into_files(exactly, near, prefix, build, tmp_path):
    text = f"prefix={build.PLACEHOLDER}\n"
    file = near.add("placed", files={"etc/placed.conf": text}, prefixed={"etc/placed.conf": "text"})

    exactly(near.pin(file), written_for=str(tmp_path / "later"))

    assert (prefix / "etc/placed.conf").read_text() == f"prefix={tmp_path / 'later'}\n"


# --- what is not what it should be -----------------------------------------------------------------------------------


def other_bytes(near) -> None:
    """The channel's file gets other bytes, and everything else stays as it was."""
    file = near.folder / "noarch/plain-1.0-0.conda"
    kept = {each: each.read_bytes() for each in near.folder.glob("*/repodata.json")}
    near.add("plain", "1.0", files={"share/plain/README": "something else\n"})
    for each, text in kept.items():
        each.write_bytes(text)
    assert file.exists()


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("hashes", ["md5", "sha256", "both"])
def test_a_changed_file_is_refused_over_http(exactly, near, prefix, indexed, hashes):
    pin = near.pin(near.folder / "noarch/plain-1.0-0.conda")
    pin = replace(pin, sha256="" if hashes == "md5" else pin.sha256, md5="" if hashes == "sha256" else pin.md5)
    other_bytes(near)
    if not indexed:
        for file in near.folder.glob("*/repodata.json"):
            file.unlink()

    refused(lambda: exactly(pin), "plain-1.0-0.conda")

    assert nothing(prefix)


@pytest.mark.parametrize("verb", ["exactly", "change"])
def test_a_changed_file_is_refused_in_a_folder(engine, near, prefix, verb):
    pin = near.pin(near.folder / "noarch/plain-1.0-0.conda")
    pin = replace(pin, url=pin.url.replace(near.address, near.folder.as_uri()))
    other_bytes(near)

    said = {"pins": (pin,)} if verb == "exactly" else {"specs": ("plain=1.0",)}
    refused(lambda: engine(verb, source=Source(channels=(near.folder.as_uri(),)), **said), "plain-1.0-0.conda")

    assert nothing(prefix)


@pytest.mark.parametrize("hashes", ["md5", "sha256"])
def test_a_changed_file_is_refused_in_a_folder_without_an_index(exactly, near, prefix, hashes):
    pin = near.pin(near.folder / "noarch/plain-1.0-0.conda")
    pin = replace(pin, url=pin.url.replace(near.address, near.folder.as_uri()))
    pin = replace(pin, sha256="") if hashes == "md5" else pin
    other_bytes(near)
    for file in near.folder.glob("*/repodata.json"):
        file.unlink()

    refused(lambda: exactly(pin, source=Source()), "plain-1.0-0.conda")

    assert nothing(prefix)


@pytest.mark.parametrize("hashes", ["md5", "sha256"])
def test_a_changed_file_is_refused_in_what_was_kept(exactly, near, prefix, tmp_path, hashes):
    pin = near.pin(near.folder / "noarch/plain-1.0-0.conda")
    pin = replace(pin, sha256="") if hashes == "md5" else pin
    other_bytes(near)
    shutil.copytree(near.folder, tmp_path / "kept" / place(near.address))

    source = Source(channels=(near.address,), served=str(tmp_path / "kept"), offline=True)
    refused(lambda: exactly(pin, source=source), "plain-1.0-0.conda")

    assert nothing(prefix)


def test_a_changed_file_is_refused_when_it_is_the_channel_that_is_asked(engine, near, prefix):
    other_bytes(near)

    refused(lambda: engine("change", specs=("plain=1.0",)), "plain-1.0-0")

    assert nothing(prefix)


def test_a_changed_file_among_others_leaves_no_doubt(exactly, engine, near, pins, prefix, there):
    engine("change", specs=("plain=2.0",))
    other_bytes(near)

    refused(lambda: exactly(*pins), "plain-1.0-0")

    assert there() == {"plain": "2.0"} or conda_meta.unfinished(prefix) is not None


def test_another_package_under_the_name_is_refused(exactly, near, prefix):
    another = near.folder / "noarch/needing-1.0-0.conda"
    pin = near.pin(another)
    shutil.copy(another, near.folder / "noarch/plain-9.0-0.conda")
    pin = replace(pin, name="plain", version="9.0", url=f"{near.address}/noarch/plain-9.0-0.conda")

    refused(lambda: exactly(pin), "holds needing 1.0 0")

    assert nothing(prefix)


@pytest.mark.parametrize("data", [b"", b"no archive", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_package_is_refused(exactly, near, prefix, data):
    file = near.folder / "noarch/odd-1.0-0.conda"
    file.write_bytes(data)
    pin = Pin(name="odd", version="1.0", build="0", url=f"{near.address}/noarch/odd-1.0-0.conda")

    refused(lambda: exactly(pin), "odd-1.0-0.conda")

    assert nothing(prefix)


@pytest.mark.parametrize(
    "said",
    [
        {"version": "!!"},
        {"name": "a b"},
        {"sha256": "zz"},
        {"md5": "1"},
        {"sha256": "0" * 64},
        {"url": "nowhere"},
        {"url": ""},
    ],
)
def test_a_pin_that_cannot_be_is_refused(exactly, near, prefix, said):
    pin = replace(near.pin(near.folder / "noarch/plain-1.0-0.conda"), **said)

    refused(lambda: exactly(pin))

    assert nothing(prefix)


def test_a_file_that_is_nowhere_is_told(exactly, near, prefix):
    pin = Pin(name="plain", version="7", build="0", url=f"{near.address}/noarch/plain-7-0.conda", sha256="0" * 64)

    refused(lambda: exactly(pin), "plain-7-0.conda")

    assert nothing(prefix)
