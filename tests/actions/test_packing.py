"""The same content gives the same bytes, and what is interrupted leaves nothing."""

import gzip
import hashlib
import io
import os
import tarfile
import time

import pytest
import zstandard

from venvoy.actions.packing import Member, compression_of, pack
from venvoy.errors import InvalidInput


@pytest.fixture
def members(tmp_path):
    big = tmp_path / "big"
    big.write_bytes(os.urandom(3_000_000) + b"same " * 500_000)
    return [
        Member(name="a.txt", data=b"a"),
        Member(name=f"{'long/' * 50}b", data=b"b", executable=True),
        Member(name="big", path=big),
    ]


def opened(file) -> tarfile.TarFile:
    raw = file.read_bytes()
    if file.name.endswith(".zst"):
        raw = zstandard.ZstdDecompressor().decompressobj().decompress(raw)
    elif file.name.endswith(".gz"):
        raw = gzip.decompress(raw)
    return tarfile.open(fileobj=io.BytesIO(raw))


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.zst"])
def test_the_same_content_gives_the_same_bytes_at_any_time_and_place(members, tmp_path, name, monkeypatch):
    first = pack(members, tmp_path / name, compression=compression_of(tmp_path / name))
    os.utime(members[-1].path, (1, 1))
    members[-1].path.chmod(0o777)
    monkeypatch.setenv("TZ", "Asia/Kathmandu")
    time.tzset()
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    kept = os.umask(0o077)
    try:
        (tmp_path / "elsewhere").mkdir()
        second = pack(members, tmp_path / "elsewhere" / name, compression=compression_of(tmp_path / name))
    finally:
        os.umask(kept)
        monkeypatch.undo()
        time.tzset()

    assert first.sha256 == second.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
    assert first.size == (tmp_path / name).stat().st_size


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.tar.zst"])
def test_anybody_can_unpack_it(members, tmp_path, name):
    pack(members, tmp_path / name, compression=compression_of(tmp_path / name))

    with opened(tmp_path / name) as tar:
        assert [each.name for each in tar] == [each.name for each in members]
        assert tar.extractfile("big").read() == members[-1].path.read_bytes()
        assert [oct(each.mode) for each in tar] == ["0o644", "0o755", "0o644"]
        assert {(each.uid, each.gid, each.uname, each.mtime) for each in tar} == {(0, 0, "", 315532800)}


def test_progress_goes_to_the_end(members, tmp_path):
    told = []

    pack(members, tmp_path / "x.tar", compression="", on_progress=told.append)

    assert told[-1].done == told[-1].total == sum(each.size for each in members)


def test_a_file_that_is_not_what_it_was_stops_it_and_nothing_is_left(members, tmp_path):
    (tmp_path / "x.tar").write_text("the old one")
    wrong = Member(name="wrong", path=members[-1].path, sha256="0" * 64)

    with pytest.raises(InvalidInput, match="not what it was"):
        pack([*members, wrong], tmp_path / "x.tar", compression="")

    assert (tmp_path / "x.tar").read_text() == "the old one"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["big", "x.tar"]


def test_an_interrupt_leaves_nothing(members, tmp_path):
    def stop(_progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(members, tmp_path / "x.tar.zst", compression="zst", on_progress=stop)

    assert [each.name for each in tmp_path.iterdir()] == ["big"]


def test_what_a_killed_run_left_goes_with_the_next_and_what_another_writes_stays(members, tmp_path):
    for name, age in ((".x.tar.aaaa.partial", 3600), (".x.tar.bbbb.partial", 0), (".y.tar.cccc.partial", 3600)):
        (tmp_path / name).write_text("half")
        os.utime(tmp_path / name, (time.time() - age,) * 2)

    pack(members, tmp_path / "x.tar", compression="")

    assert sorted(each.name for each in tmp_path.glob(".*")) == [".x.tar.bbbb.partial", ".y.tar.cccc.partial"]


def test_a_name_that_says_nothing_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="says not how"):
        compression_of(tmp_path / "x.zip")


def test_a_folder_is_not_replaced(members, tmp_path):
    (tmp_path / "x.tar").mkdir()

    with pytest.raises(InvalidInput, match="is no file"):
        pack(members, tmp_path / "x.tar", compression="")
