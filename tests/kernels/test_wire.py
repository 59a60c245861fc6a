"""The guest's end and the attendant's end of a session's socket, and the shim's lease on every Python."""

import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from venvoy import guest
from venvoy.guest import wire
from venvoy.session import Line, Session, create
from venvoy.settings import Settings


@pytest.fixture
def session(settings: Settings) -> Iterator[Session]:
    made = create(settings.runtime, "a-kernel")
    yield made
    made.remove()


@contextlib.contextmanager
def _attended(session: Session, hear: Callable[..., None]) -> Iterator[None]:
    line = Line(session, hear)
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
    assert bytes.fromhex(said[1][2]) == b"ready\ncaught\n"
    assert process.returncode == 3
    assert not (tmp_path / "folder").exists()
