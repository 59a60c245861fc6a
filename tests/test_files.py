"""The door to the disk: whole files, private folders, locks."""

import os
import stat
import subprocess
import sys
import threading

import pytest

from venvoy import files

HOLD = """
import sys, time
from pathlib import Path
from venvoy import files
with files.locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_file_is_replaced_whole_and_nothing_stays_beside_it(tmp_path):
    file = tmp_path / "new" / "file.txt"

    files.replace(file, "first")
    files.replace(file, "grün\n")

    assert file.read_bytes() == "grün\n".encode()
    assert os.listdir(file.parent) == ["file.txt"]


def test_a_reader_never_sees_half_a_file(tmp_path):
    file = tmp_path / "file"
    texts = ["a" * 300_000, "b" * 300_000]
    files.replace(file, texts[0])
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            for text in texts:
                files.replace(file, text)

    writer = threading.Thread(target=write)
    writer.start()
    seen = {file.read_text() for _ in range(300)}
    stop.set()
    writer.join()

    assert seen == set(texts)


def test_a_failed_replacement_leaves_the_old_file_and_nothing_else(tmp_path):
    file = tmp_path / "file"
    file.mkdir()  # a folder cannot be replaced by a file

    with pytest.raises(OSError):  # noqa: PT011  # which one is the system's choice
        files.replace(file, "text")

    assert os.listdir(tmp_path) == ["file"]


def test_a_file_is_readable_by_others_only_if_that_was_asked_for(tmp_path):
    files.replace(tmp_path / "open", "")
    files.replace(tmp_path / "secret", "", mode=0o600)

    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("open", "secret")]

    assert modes == [0o644, 0o600]


def test_lines_are_added_at_the_end(tmp_path):
    log = tmp_path / "log"

    files.append(log, "one")
    files.append(log, "zwei ✓")

    assert log.read_text("utf-8") == "one\nzwei ✓\n"


def test_a_file_is_cut_to_its_size(tmp_path):
    (tmp_path / "log").write_text("whole\ntor")

    files.cut(tmp_path / "log", 6)

    assert (tmp_path / "log").read_text() == "whole\n"


def test_a_link_is_turned_in_one_step(tmp_path):
    files.link(tmp_path / "link", "one")
    files.link(tmp_path / "link", "two")

    assert (os.readlink(tmp_path / "link"), os.listdir(tmp_path)) == ("two", ["link"])


def test_a_private_folder_is_the_owners_alone_even_when_it_was_there(tmp_path):
    (tmp_path / "open").mkdir(mode=0o755)

    folders = [files.private(tmp_path / "open"), files.private(tmp_path / "new" / "deep")]

    assert [stat.S_IMODE(each.stat().st_mode) for each in folders] == [0o700, 0o700]


def test_removing_a_link_to_a_folder_leaves_the_folder(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "link").symlink_to("folder")

    files.remove(tmp_path / "link")

    assert sorted(os.listdir(tmp_path)) == ["folder"]
    assert (tmp_path / "folder" / "file").exists()


def test_whatever_is_there_can_be_removed_and_what_is_not_there_too(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "folder" / "deep").mkdir(parents=True)

    for name in ("file", "dangling", "folder", "missing"):
        files.remove(tmp_path / name)

    assert os.listdir(tmp_path) == []


def test_a_lock_holds_against_other_processes_and_is_free_when_its_holder_is_killed(tmp_path):
    lock = tmp_path / "deep" / "lock"
    argv = [sys.executable, "-c", HOLD, str(lock)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"

        with pytest.raises(TimeoutError, match="held by another process"), files.locked(lock, timeout=0.2):
            pass
        holder.kill()

    with files.locked(lock, timeout=5):
        pass


def test_a_lock_holds_against_other_threads_of_this_process(tmp_path):
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(20):
            with files.locked(tmp_path / "lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert most == 1


def test_a_lock_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), files.locked(tmp_path / "lock"):
        raise ZeroDivisionError

    with files.locked(tmp_path / "lock", timeout=1):
        pass


def test_what_others_write_is_read_where_it_is_a_file_and_not_too_large(tmp_path):
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    os.mkfifo(tmp_path / "pipe")
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(files.LARGEST + 1)

    assert [files.content(tmp_path / each) for each in ("file", "link")] == [b"text"] * 2
    assert (files.beginning(tmp_path / "file", 2), files.beginning(tmp_path / "large", 2)) == (b"te", b"\0\0")
    with files.opened(tmp_path / "file") as stream:
        assert stream.read() == b"text"
    for name in ("pipe", "/dev/zero", "large", ".", "none"):
        with pytest.raises(OSError):  # noqa: PT011  # each has its own words
            files.content(tmp_path / name)
    for read in (files.opened, lambda path: files.beginning(path, 1)):
        with pytest.raises(OSError, match="it is no file"):
            read(tmp_path / "pipe")
