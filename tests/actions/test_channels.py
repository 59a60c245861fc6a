"""Files of conda packages are kept as channels, and any conda can install from the folder."""

import io
import json
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from venvoy import files
from venvoy.actions import channels, conda
from venvoy.engine.request import Request, Source
from venvoy.errors import InvalidInput
from venvoy.inventory import conda_file
from venvoy.managers.conda import package
from venvoy.managers.conda import pins as pins_of

FORGE = "https://conda.anaconda.org/conda-forge"


@pytest.fixture
def solve(channel):
    def solved(*specs: str, source: Source | None = None):
        request = Request(verb="solve", source=source or conda.source(()), specs=specs, platforms=("linux-64",))
        return tuple(sorted(map(package, conda.ask(request, doing="cannot solve")["linux-64"])))

    return solved


@pytest.fixture
def packages(solve):
    return solve("activating", "linking", "placed")


@pytest.fixture
def kept(tmp_path) -> Path:
    return tmp_path / "kept"


def listed(folder: Path) -> list[str]:
    return sorted(each.relative_to(folder).as_posix() for each in folder.rglob("*") if each.is_file())


PLACES = [
    "conda.anaconda.org/conda-forge/linux-64/placed-1.0-0.conda",
    "conda.anaconda.org/conda-forge/noarch/activating-1.0-0.conda",
    "conda.anaconda.org/conda-forge/noarch/linking-1.0-0.conda",
]


def test_files_come_from_the_mirror_and_lie_as_in_their_channel(packages, kept):
    seen = []

    lost = channels.bring(packages, kept, conda.source(()), on_progress=seen.append)

    assert lost == {}
    assert listed(kept) == PLACES
    assert {each.url for each in packages} == {f"https://{each}" for each in PLACES}
    assert {files.sha256(kept / channels.lies_at(each)) for each in packages} == {each.sha256 for each in packages}
    assert seen


def test_what_is_there_already_is_not_fetched_again(packages, kept):
    channels.bring(packages, kept, conda.source(()))
    before = {each: (kept / each).stat().st_mtime_ns for each in PLACES}

    assert channels.bring(packages, kept, Source()) == {}
    assert {each: (kept / each).stat().st_mtime_ns for each in PLACES} == before


def test_a_file_that_is_another_is_not_kept_and_told(channel, packages, kept):
    placed = next(each for each in packages if each.name == "placed")
    wrong = replace(placed, url=placed.url.replace(FORGE, channel.address), sha256="0" * 64)

    lost = channels.bring((wrong,), kept, Source())

    assert lost == {wrong.url: f"127.0.0.1: its sha256 is {placed.sha256}, not {'0' * 64}"}
    assert listed(kept) == []


def test_what_has_no_hash_is_told_and_not_fetched(packages, kept):
    bare = replace(packages[0], sha256="")

    assert channels.bring((bare,), kept, conda.source(())) == {bare.url: "its record has no sha256"}
    assert listed(kept) == []


def test_a_password_of_a_mirror_is_not_told(channel, packages, kept):
    start = f"{channel.address}/nothing"
    one = replace(packages[0], url=f"{start}/noarch/activating-1.0-0.conda")
    private = start.replace("http://", "http://user:sesame@")

    lost = channels.bring((one,), kept, Source(mirrors={f"{start}/": (f"{private}/t/sesame/",)}))

    assert "404" in lost[one.url]
    assert "sesame" not in lost[one.url]


@pytest.fixture
def local(channel, solve):
    """The packages, of the channel's folder."""
    return solve("activating", "placed", source=Source(channels=(channel.folder.as_uri(),)))


def test_files_of_a_channel_in_a_folder_are_copied(local, kept):
    assert channels.bring(local, kept, Source()) == {}
    assert {files.sha256(kept / channels.lies_at(each)) for each in local} == {each.sha256 for each in local}


def test_a_file_of_a_folder_that_has_changed_or_gone_is_told(channel, local, kept, tmp_path):
    theirs = tmp_path / "their channel"
    moved = [replace(each, url=each.url.replace(channel.folder.as_uri(), theirs.as_uri())) for each in local]
    shutil.copytree(channel.folder / "noarch", theirs / "noarch")
    (theirs / "noarch/activating-1.0-0.conda").write_bytes(b"another")

    lost = channels.bring(moved, kept, Source())

    (changed,) = [lost[each.url] for each in moved if each.name == "activating"]
    (gone,) = [lost[each.url] for each in moved if each.name == "placed"]
    assert changed.startswith(f"{theirs}/noarch/activating-1.0-0.conda: its sha256 is ")
    assert gone.startswith(f"{theirs}/")
    assert gone.endswith(": there is no such file")
    assert listed(kept) == []


def test_what_lies_in_the_folder_itself_stays(channel, local, kept, solve):
    channels.bring(local, kept, Source())
    inside = [replace(each, url=(kept / channels.lies_at(each)).as_uri()) for each in local]
    at = [replace(each, channel=each.channel) for each in inside]

    assert channels.bring(at, kept, Source()) == {}
    assert {files.sha256(kept / channels.lies_at(each)) for each in local} == {each.sha256 for each in local}


@pytest.mark.parametrize(
    ("channel_address", "url"),
    [("https://x/../../..", "https://x/../../../noarch/a-1-0.conda"), (FORGE, f"{FORGE}/noarch/.."),
     (FORGE, f"{FORGE}/../a-1-0.conda"), ("", "a-1-0.conda"), (FORGE, f"{FORGE}/noarch/"), (FORGE, f"{FORGE}/noarch/\0")],
)  # fmt: skip
def test_an_address_that_leads_out_of_the_folder_is_refused(packages, kept, channel_address, url):
    odd = replace(packages[0], channel=channel_address, url=url)

    with pytest.raises(InvalidInput, match="activating"):
        channels.bring((odd,), kept, Source())

    assert not kept.exists()


# --- the index -------------------------------------------------------------------------------------------------------


@pytest.fixture
def whole(packages, kept):
    channels.bring(packages, kept, conda.source(()))
    channels.write_index(kept, packages)
    return kept


def test_conda_can_solve_and_install_from_the_folder(whole, packages, solve, tmp_path):
    address = (whole / "conda.anaconda.org/conda-forge").as_uri()
    source = Source(channels=(address,), offline=True)

    found = solve("activating", "placed", source=source)
    request = Request(verb="change", source=source, prefix=str(tmp_path / "prefix"), specs=("placed", "linking"))
    said = conda.ask(request, doing="cannot install")

    assert [(each.name, each.sha256) for each in found] == [
        (each.name, each.sha256) for each in packages if each.name != "linking"
    ]
    assert [each["name"] for each in said["added"]] == ["linking", "placed"]
    assert (tmp_path / "prefix/share/linking/README").exists()


def test_the_engine_can_make_a_prefix_of_what_is_kept(whole, packages, tmp_path):
    request = Request(
        verb="exactly",
        source=conda.served(conda.channels_of(packages), whole),
        prefix=str(tmp_path / "prefix"),
        pins=pins_of(packages),
    )

    said = conda.ask(request, doing="cannot make it")

    assert sorted(each["name"] for each in said["added"]) == [each.name for each in packages]


def test_an_index_says_what_the_snapshot_knows(packages, kept):
    channels.bring(packages, kept, conda.source(()))
    mended = [replace(each, depends=("other >=1",), constrains=("third",)) for each in packages]

    indexes = channels.indexed(kept, mended)

    said = json.loads(indexes["conda.anaconda.org/conda-forge/noarch/repodata.json"])
    entry = said["packages.conda"]["activating-1.0-0.conda"]
    assert (entry["depends"], entry["constrains"], entry["name"]) == (["other >=1"], ["third"], "activating")
    assert (entry["sha256"], entry["size"]) == (packages[0].sha256, (kept / PLACES[1]).stat().st_size)
    assert said["info"] == {"subdir": "noarch"}
    assert indexes == channels.indexed(kept, tuple(reversed(mended)))


def test_a_channel_has_a_noarch_even_when_that_is_empty(packages, kept):
    placed = [each for each in packages if each.name == "placed"]
    channels.bring(placed, kept, conda.source(()))

    indexes = channels.indexed(kept, placed)

    assert sorted(indexes) == [
        f"conda.anaconda.org/conda-forge/{each}/repodata.json" for each in ("linux-64", "noarch")
    ]
    assert json.loads(indexes["conda.anaconda.org/conda-forge/noarch/repodata.json"])["packages.conda"] == {}


def test_every_package_is_a_spec_that_means_it_alone(packages):
    assert channels.spec_lines(reversed(packages)) == "activating=1.0=0\nlinking=1.0=0\nplaced=1.0=0\n"


# --- what is not needed any more -------------------------------------------------------------------------------------


def test_what_is_not_named_goes_with_the_folders_that_become_empty(whole):
    partial = whole / "conda.anaconda.org/conda-forge/noarch/.other-1.0-0.conda.partial"
    partial.write_text("begun")
    (whole / "elsewhere.example/a/noarch").mkdir(parents=True)
    (whole / "elsewhere.example/a/noarch/repodata.json").write_text("{}")

    channels.prune(whole, [PLACES[1]])

    assert listed(whole) == [
        "conda.anaconda.org/conda-forge/noarch/.other-1.0-0.conda.partial",
        PLACES[1],
        "conda.anaconda.org/conda-forge/noarch/repodata.json",
    ]
    assert not (whole / "elsewhere.example").exists()
    assert not (whole / "conda.anaconda.org/conda-forge/linux-64").exists()


# --- what a file says of itself --------------------------------------------------------------------------------------


def tar_of(**members: bytes | str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, said in members.items():
            info = tarfile.TarInfo(name.replace("__", "/").replace("_", "."))
            if isinstance(said, str):
                info.type, info.linkname = tarfile.SYMTYPE, said
                tar.addfile(info)
            else:
                info.size = len(said)
                tar.addfile(info, io.BytesIO(said))
    return out.getvalue()


def conda_of(tar: bytes, *, name: str = "info-a-1-0.tar.zst") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, zstandard.compress(tar))
    return out.getvalue()


GOOD = tar_of(info__index_json=b'{"name": "a", "version": "1"}')


def test_both_kinds_of_file_say_the_same(tmp_path):
    import bz2

    (tmp_path / "a-1-0.conda").write_bytes(conda_of(GOOD))
    (tmp_path / "a-1-0.tar.bz2").write_bytes(bz2.compress(GOOD))

    assert conda_file.index(tmp_path / "a-1-0.conda") == conda_file.index(tmp_path / "a-1-0.tar.bz2")
    assert conda_file.index(tmp_path / "a-1-0.conda")["name"] == "a"


@pytest.mark.parametrize(
    "data",
    [b"", b"PK", conda_of(b""), conda_of(b"x" * 1000), conda_of(tar_of()), conda_of(GOOD, name="pkg-a-1-0.tar.zst"),
     conda_of(tar_of(info__index_json=b"")), conda_of(tar_of(info__index_json=b"[]")),
     conda_of(tar_of(info__index_json=b"[" * 100_000)), conda_of(tar_of(info__index_json="index.json")),
     conda_of(tar_of(info__index_json="/etc/passwd")), conda_of(GOOD)[:-30], conda_of(GOOD)[30:],
     conda_of(GOOD).replace(b"\x28\xb5\x2f\xfd", b"\0\0\0\0"), conda_of(tar_of(info__index_json=b'{"a": "\xff"}'))],
)  # fmt: skip
@pytest.mark.parametrize("name", ["a-1-0.conda", "a-1-0.tar.bz2"])
def test_what_is_no_package_is_refused(tmp_path, data, name):
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InvalidInput, match="is no conda package"):
        conda_file.index(tmp_path / name)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="is no conda package"):
        conda_file.index(tmp_path / "a-1-0.conda")
