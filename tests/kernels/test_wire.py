"""The guest's end and the attendant's end of a session's socket, and the shim's lease on every Python."""

import contextlib
import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from venvoy import guest
from venvoy.guest import wire
from venvoy.session import Line, Session, create, running
from venvoy.settings import Settings


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    made = create(settings.runtime, "a-kernel")
    yield made
    made.remove()


@contextlib.contextmanager
def _attended(session: Session, hear: Callable[..., None], **said: Any) -> Iterator[None]:
    line = Line(session, hear, **said)
    try:
        yield
    finally:
        line.close()


def test_who_waits_is_told_so_before_the_answer_comes(session: Session) -> None:
    thinking = threading.Event()

    def hear(message: Mapping[str, Any], say: Callable[..., None]) -> None:
        thinking.wait(30)
        say({"answer": message["verb"]})

    with _attended(session, hear):
        answers = wire.ask(str(session.folder), {"verb": "think"})
        first = next(answers)
        thinking.set()
        rest = list(answers)

    assert first == {"progress": "Looking …"}
    assert rest == [{"answer": "think"}]


def test_who_went_away_while_waiting_disturbs_nobody(session: Session) -> None:
    gone, done = threading.Event(), threading.Event()

    def hear(_message: object, say: Callable[..., None]) -> None:
        gone.wait(30)
        for _ in range(3):
            say({"progress": "x" * 100_000})
        done.set()

    with _attended(session, hear):
        answers = wire.ask(str(session.folder), {"verb": "think"})
        next(answers)
        answers.close()
        gone.set()

        assert done.wait(30)


def test_who_speaks_another_language_is_not_heard_and_harms_nobody(session: Session) -> None:
    heard: list[object] = []

    def hear(message: object, say: Callable[..., None]) -> None:
        heard.append(message)
        say({"answer": None})

    with _attended(session, hear):
        with wire._connected(str(session.folder)) as line:
            line.sendall(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert line.recv(1) == b""
        answers = list(wire.ask(str(session.folder), {"verb": "think"}))

    assert heard == [{"verb": "think"}]
    assert answers[-1] == {"answer": None}


@pytest.mark.timeout(60)
def test_a_guest_that_means_harm_keeps_no_other_kernel_waiting(settings: Settings, session: Session) -> None:
    os.mkfifo(session.folder / "note.json")
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as stack:
        listener.bind(str(session.socket))
        listener.listen(0)
        for _ in range(4):  # nobody accepts them, and no more can come
            knock = stack.enter_context(socket.socket(socket.AF_UNIX))
            knock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                knock.connect(str(session.socket))

        other = create(settings.runtime, "another-kernel")

        assert session.folder.is_dir()  # somebody is there, who may only be busy
        assert running(settings.runtime) == ()
        (session.folder / "note.json").unlink()
        session.note("demo", "")
        assert [each.session for each in running(settings.runtime)] == [session]
    other.remove()


@pytest.mark.parametrize("line", [b"[1]", b"5", b"[" * 100_000], ids=["a list", "a number", "too deep"])
def test_a_line_that_is_no_message_is_not_heard(session: Session, line: bytes) -> None:
    heard: list[object] = []

    with _attended(session, lambda message, _: heard.append(message)), wire._connected(str(session.folder)) as guest:
        guest.sendall(line + b"\n")
        with contextlib.suppress(ConnectionResetError):
            assert guest.recv(1) == b""

    assert heard == []


@pytest.mark.timeout(60)
def test_a_guest_that_reads_nothing_is_hung_up_on(session: Session) -> None:
    done = threading.Event()

    def hear(_message: object, say: Callable[..., None]) -> None:
        for _ in range(50):
            say({"progress": "x" * 100_000})
        done.set()

    os.mkfifo(session.folder / "answer-1-1")
    with _attended(session, hear, patience=1), wire._connected(str(session.folder)) as connection:
        connection.sendall(b'{"verb": "talk"}\n')
        assert done.wait(30)
        done.clear()
        _written(session, b'{"to": "1-1"}\n')
        assert done.wait(30)


def test_kernels_whose_ids_begin_alike_have_sessions_of_their_own(settings: Settings) -> None:
    one, two = (create(settings.runtime, f"my-long-kernel-name-{each}") for each in "ab")

    assert one.folder != two.folder
    one.remove()
    two.remove()


@pytest.mark.parametrize("version", ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def test_the_shim_passes_on_orders_and_forgets_when_nobody_said_that_it_is_over(
    pythons: Mapping[str, Path], version: str, tmp_path: Path
) -> None:
    if version not in pythons:
        pytest.skip(f"not obtainable: no Python {version} on this machine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    shim = Path(guest.__file__).with_name("shim.py")
    trap = "trap 'echo caught >&2; exit 3' INT; echo ready >&2; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [pythons[version], "-I", "-S", shim, "--forget", tmp_path / "folder", "--", "/bin/sh", "-c", trap],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip

    assert process.stderr.readline() == "ready\n"
    process.stdin.write("signal 2\n")
    process.stdin.flush()
    said = [process.stdout.readline().split(), process.stdout.readline().split()]
    process.communicate()

    assert (said[0][0], said[1][:2]) == ("pid", ["exit", "3"])
    assert bytes.fromhex(said[1][2].removeprefix("x")) == b"ready\ncaught\n"
    assert process.returncode == 3
    assert not (tmp_path / "folder").exists()


# --- the pipe, for guests that can open no socket --------------------------------------------------------------------


def _written(session: Session, line: bytes) -> None:
    with session.pipe.open("wb") as pipe:
        pipe.write(line)


def test_what_comes_through_the_pipe_is_answered_in_the_file_that_it_names(
    session: Session, eventually: Callable[..., float]
) -> None:
    answers = session.folder / "answer-12-3"
    answers.touch()

    def hear(message: Mapping[str, Any], say: Callable[..., None]) -> None:
        say({"progress": "Looking …"})
        say({"answer": message["verb"]})

    with _attended(session, hear):
        _written(session, b'{"verb": "think", "to": "12-3"}\n')
        eventually(lambda: answers.read_bytes().count(b"\n") == 2)

    assert answers.read_text() == '{"progress": "Looking \\u2026"}\n{"answer": "think"}\n'


def test_a_long_message_lies_in_a_file_and_what_leads_elsewhere_is_none(
    session: Session, eventually: Callable[..., float], tmp_path: Path
) -> None:
    (session.folder / "ask-12-3").write_text(json.dumps({"verb": "x" * 100_000}))
    (tmp_path / "other").write_text('{"verb": "not ours"}')
    (session.folder / "ask-12-4").symlink_to(tmp_path / "other")
    heard: list[Mapping[str, Any]] = []

    with _attended(session, lambda message, _: heard.append(message)):
        for to in ("../ask-12-3", "12-4", "12-5", "12-3"):
            _written(session, json.dumps({"to": to, "filed": True}).encode() + b"\n")
        eventually(lambda: heard)

    assert heard == [{"verb": "x" * 100_000, "to": "12-3"}]


@pytest.mark.parametrize("to", ["../../word", "12-3/../../x", "", "x", 12, None, ["1-2"], "9-9"])
def test_no_other_file_is_written_whatever_it_names(
    session: Session, eventually: Callable[..., float], to: object, tmp_path: Path
) -> None:
    heard: list[object] = []
    before = sorted(session.folder.parent.rglob("*"))

    def hear(message: object, say: Callable[..., None]) -> None:
        say({"answer": 1})
        heard.append(message)

    with _attended(session, hear):
        _written(session, b"no JSON\n[1]\n" + json.dumps({"to": to}).encode() + b"\n")
        eventually(lambda: heard)

    assert heard == [{"to": to}]
    there = {each.name for each in set(session.folder.parent.rglob("*")) - set(before)}
    assert there == {"guest.sock", "guest.fifo"}


def test_a_link_is_not_written_through(session: Session, eventually: Callable[..., float], tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("kept")
    (session.folder / "answer-1-1").symlink_to(tmp_path / "precious")
    heard = threading.Event()

    def hear(_message: object, say: Callable[..., None]) -> None:
        say({"answer": 1})
        heard.set()

    with _attended(session, hear):
        _written(session, b'{"to": "1-1"}\n')
        assert heard.wait(30)

    assert (tmp_path / "precious").read_text() == "kept"
