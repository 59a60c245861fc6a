"""Programs: what they are given, what comes back, and that nothing of them stays behind."""

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from waiting import eventually

from venvoy import cancelling, process
from venvoy.errors import CommandFailed, RuntimeUnavailable
from venvoy.model import UNIQUE, Command


def python(code: str, *arguments: str, **given: object) -> Command:
    return Command(argv=(sys.executable, "-c", code, *arguments), **given)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


GRANDCHILD = (
    "import subprocess, sys, time, pathlib, signal;"
    "child = subprocess.Popen(['sleep', '60']);"
    "pathlib.Path(sys.argv[1]).write_text(str(child.pid));"
)

# --- the variables ---------------------------------------------------------------------------------------------------


def test_what_is_laid_over_wins_and_none_takes_away():
    command = Command(argv=(), variables={"KEPT": "ours", "GONE": None})

    said = process.environment(command, {"KEPT": "theirs", "GONE": "x", "OTHER": "y", "PATH": "/bin"})

    assert said == {"KEPT": "ours", "OTHER": "y", "PATH": "/bin"}


def test_dropped_patterns_take_the_callers_variables_but_not_those_laid_over():
    command = Command(argv=(), dropped=("CONDA_*", "PYTHONPATH"), variables={"CONDA_PREFIX": "ours"})

    said = process.environment(
        command, {"CONDA_PREFIX": "theirs", "CONDA_EXE": "x", "conda_x": "stays", "PYTHONPATH": "/x", "PATH": "/bin"}
    )

    assert said == {"CONDA_PREFIX": "ours", "conda_x": "stays", "PATH": "/bin"}


def test_folders_stand_before_and_behind_the_path():
    command = Command(argv=(), search=(Path("/first"), Path("/second")), fallback=(Path("/last"),))

    assert process.environment(command, {"PATH": "/bin:/usr/bin"})["PATH"] == "/first:/second:/bin:/usr/bin:/last"


@pytest.mark.parametrize("base", [{}, {"PATH": ""}])
def test_without_a_path_the_systems_default_stands_in(base):
    assert process.environment(Command(argv=(), search=(Path("/first"),)), base)["PATH"] == f"/first:{os.defpath}"


def test_a_path_that_is_laid_over_keeps_the_environments_own_folders_first():
    command = Command(argv=(), variables={"PATH": "/theirs"}, search=(Path("/env/bin"),))

    assert process.environment(command, {"PATH": "/bin"})["PATH"] == "/env/bin:/theirs"


# --- run -------------------------------------------------------------------------------------------------------------


def test_run_returns_what_was_printed_and_only_that():
    assert process.run(python("import sys; print('out'); print('err', file=sys.stderr)")) == "out\n"


def test_stdin_is_what_was_given_in_utf_8():
    assert (
        process.run(python("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", stdin="grün ✓\n"))
        == "grün ✓\n"
    )


def test_without_stdin_the_program_reads_the_end_at_once():
    assert process.run(python("import sys; print(repr(sys.stdin.read()))")) == "''\n"


def test_bytes_that_are_no_utf_8_do_not_break_the_reading():
    assert process.run(python(r"import sys; sys.stdout.buffer.write(b'a\xffb')")) == "a\N{REPLACEMENT CHARACTER}b"


def test_the_program_runs_where_it_is_told_to(tmp_path):
    assert process.run(python("import os; print(os.getcwd())", cwd=tmp_path)).strip() == str(tmp_path)


def test_lines_of_stderr_are_heard_as_they_come(tmp_path):
    gate = tmp_path / "gate"
    waits = (
        "import sys, time, pathlib; print('first', file=sys.stderr, flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "print('second', file=sys.stderr)"
    )
    heard = []

    def hear(line: str) -> None:
        heard.append(line)
        gate.touch()  # the program goes on only after its first line was heard

    process.run(python(waits, str(gate)), on_line=hear, timeout=20)

    assert heard == ["first", "second"]


def test_much_output_on_both_pipes_at_once_blocks_nobody():
    chatter = (
        "import sys, threading\n"
        "def say(stream): [stream.write('x' * 99 + '\\n') for _ in range(40000)]\n"
        "threads = [threading.Thread(target=say, args=(s,)) for s in (sys.stdout, sys.stderr)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]"
    )
    heard = []

    printed = process.run(python(chatter), on_line=heard.append, timeout=60)

    assert (len(printed), len(heard)) == (4_000_000, 40_000)


def test_a_listener_that_fails_does_not_block_the_program_and_is_not_forgotten():
    heard = []

    def fail(line: str) -> None:
        heard.append(line)
        raise ConnectionError("nobody listens")

    with pytest.raises(ConnectionError, match="nobody listens"):
        process.run(
            python("import sys; [print('x' * 99, file=sys.stderr) for _ in range(20000)]"), on_line=fail, timeout=20
        )

    assert len(heard) == 1


def test_a_failing_program_is_named_with_its_code_and_its_last_words():
    with pytest.raises(CommandFailed) as failed:
        process.run(python("import sys; [print(n, file=sys.stderr) for n in range(100)]; sys.exit(3)"))

    assert failed.value.message == f"{Path(sys.executable).name} exited with 3"
    assert failed.value.hint.splitlines() == [str(number) for number in range(70, 100)]
    assert failed.value.code == 3


def test_who_somebody_is_does_not_stand_in_what_a_program_complains_of():
    code = "import sys; print('none of: http://bob:s3cret@h/cran, git@h:x', file=sys.stderr); sys.exit(1)"
    heard = []

    with pytest.raises(CommandFailed) as failed:
        process.run(python(code), on_line=heard.append)

    assert heard == failed.value.hint.splitlines() == ["none of: http://***@h/cran, git@h:x"]


def test_a_program_that_a_signal_ended_is_told_from_one_that_exited():
    with pytest.raises(CommandFailed, match=r"was ended by signal 9 \(Killed\)") as failed:
        process.run(python("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))

    assert failed.value.code == -9


@pytest.mark.parametrize("program", ["venvoy-no-such-program", "/nonexistent/program"])
def test_a_missing_program_is_named(program):
    with pytest.raises(RuntimeUnavailable, match=f"cannot start {program}: No such file"):
        process.run(Command(argv=(program,)))


def test_a_missing_working_folder_is_not_taken_for_a_missing_program(tmp_path):
    with pytest.raises(RuntimeUnavailable, match=f"in {tmp_path}/gone"):
        process.run(python("", cwd=tmp_path / "gone"))


def test_a_file_that_may_not_be_run_is_named(tmp_path):
    program = tmp_path / "program"
    program.write_text("text")

    with pytest.raises(RuntimeUnavailable, match="Permission denied"):
        process.run(Command(argv=(str(program),)))


def test_a_timeout_ends_the_program_and_what_it_started(tmp_path):
    file = tmp_path / "pid"

    with pytest.raises(CommandFailed, match=r"did not end within 1\.5 seconds"):
        process.run(python(GRANDCHILD + "time.sleep(60)", str(file)), timeout=1.5)

    eventually(lambda: not alive(int(file.read_text())))


def test_a_timeout_holds_although_somebody_else_keeps_what_the_program_speaks_to():
    started = time.monotonic()

    with pytest.raises(CommandFailed, match="did not end within 1 seconds"):
        process.run(Command(argv=("/bin/sh", "-c", "sleep 60 >/dev/null & exit 0")), timeout=1)

    assert time.monotonic() - started < 20


INTERRUPTED = """
import sys
from venvoy import process
from venvoy.model import Command
try:
    process.run(Command(argv=(sys.executable, "-c", sys.argv[1], sys.argv[2])))
except KeyboardInterrupt:
    sys.exit(33)
"""


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_talks_without_end_is_ended(stream):
    with pytest.raises(CommandFailed, match="printed without end"):
        process.run(python(f"import sys\nwhile True: sys.{stream}.write('x' * 1_000_000)"))


def test_what_a_killed_program_leaves_running_is_ended_by_its_name(tmp_path):
    told = tmp_path / "told"
    last = ("/bin/sh", "-c", f'echo "$0" >{told}', f"name-{UNIQUE}")
    argv = ("/bin/sh", "-c", "sleep 60", f"name-{UNIQUE}")

    with pytest.raises(CommandFailed, match="did not end"):
        process.run(Command(argv=argv, last=last), timeout=0.5)

    first = told.read_text()
    assert first.startswith("name-")
    assert UNIQUE not in first
    with pytest.raises(CommandFailed, match="did not end"):
        process.run(Command(argv=argv, last=last), timeout=0.5)
    assert told.read_text() != first


@pytest.mark.parametrize(
    "stubborn",
    ["", "signal.signal(signal.SIGTERM, signal.SIG_IGN);"],
    ids=["polite program", "one that ignores SIGTERM"],
)
def test_an_interrupt_ends_the_program_and_what_it_started(tmp_path, stubborn):
    file = tmp_path / "pid"
    code = f"import signal;{stubborn}{GRANDCHILD}time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", INTERRUPTED, code, str(file)]) as ours:
        eventually(lambda: file.exists() and file.read_text())

        ours.send_signal(signal.SIGINT)

        assert ours.wait(timeout=20) == 33
    eventually(lambda: not alive(int(file.read_text())))


def test_what_is_cancelled_ends_with_all_that_it_started_and_cleaning_up_is_not_cancelled(tmp_path):
    file = tmp_path / "pid"
    with cancelling.scope() as cancel:
        watcher = threading.Thread(target=lambda: (eventually(lambda: file.exists() and file.read_text()), cancel()))
        watcher.start()

        with pytest.raises(cancelling.Cancelled):
            process.run(python(GRANDCHILD + "time.sleep(60)", str(file)))
        after = process.run(python("print(input())", stdin="cleaned up"))

    watcher.join()
    eventually(lambda: not alive(int(file.read_text())))
    assert after == "cleaned up\n"


SLOW = "import sys, time, pathlib; time.sleep(0.6); pathlib.Path(sys.argv[1]).touch()"


def unreadable() -> bool:
    raise OSError("nobody knows")


@pytest.mark.parametrize("begun", [lambda: True, unreadable], ids=["begun", "nobody knows"])
def test_what_has_begun_goes_on_to_its_end_and_what_comes_next_does_not_begin(tmp_path, begun):
    heard = []
    with cancelling.scope() as cancel:
        threading.Timer(0.2, cancel).start()

        process.run(python(SLOW, str(tmp_path / "first")), begun=begun, on_line=heard.append)
        process.run(python(SLOW, str(tmp_path / "its end")))
        with pytest.raises(cancelling.Cancelled):
            process.run(python(SLOW, str(tmp_path / "next")), begun=begun)

    assert {each.name for each in tmp_path.iterdir()} == {"first", "its end"}
    assert heard == [process.TOO_LATE]


def test_what_has_not_begun_is_stopped_and_so_is_what_comes_next(tmp_path):
    with cancelling.scope() as cancel:
        process.run(python(SLOW, str(tmp_path / "first")), begun=lambda: False)
        threading.Timer(0.2, cancel).start()
        with pytest.raises(cancelling.Cancelled):
            process.run(python(SLOW, str(tmp_path / "second")), begun=lambda: False)

    time.sleep(0.8)
    assert {each.name for each in tmp_path.iterdir()} == {"first"}


def test_what_may_be_cancelled_and_is_not_gets_its_input_and_keeps_to_its_time():
    slow = python("import sys, time; time.sleep(0.4); print(len(sys.stdin.read()))", stdin="x" * 300_000)
    with cancelling.scope():
        assert process.run(slow) == "300000\n"
        with pytest.raises(CommandFailed, match=r"did not end within 0\.3 seconds"):
            process.run(python("import time; time.sleep(60)"), timeout=0.3)


def test_what_is_typed_at_our_terminal_does_not_reach_the_program():
    told = process.run(python("import os; print(os.getsid(0) == os.getpid())"))

    assert told == "True\n"


# --- attend ----------------------------------------------------------------------------------------------------------

ATTENDED = """
import os, sys
if os.isatty(0):
    os.close(os.open(os.ttyname(0), os.O_RDWR))  # the session's leader takes it as its terminal
from venvoy import process
from venvoy.model import Command
sys.exit(process.attend(Command(argv=tuple(sys.argv[1:]))))
"""


@dataclass
class Seat:
    """Somebody at a terminal: what they type, and what they see."""

    child: subprocess.Popen[bytes]
    terminal: int
    seen: bytes = b""

    def types(self, words: bytes) -> None:
        os.write(self.terminal, words)

    def sees(self, words: bytes) -> None:
        def shown() -> bool:
            while select.select([self.terminal], [], [], 0)[0]:
                try:
                    self.seen += os.read(self.terminal, 4096)
                except OSError:  # Linux says so when nobody has the terminal open any more
                    break
            return words in self.seen

        eventually(shown)


@contextmanager
def seated(*argv: str) -> Iterator[Seat]:
    ours, theirs = pty.openpty()
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    child = subprocess.Popen([sys.executable, "-c", ATTENDED, *argv], start_new_session=True, **streams)
    os.close(theirs)
    try:
        yield Seat(child, ours)
    finally:
        child.kill()
        child.wait()
        os.close(ours)


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [("raise SystemExit(0)", 0), ("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 15)", 143)],
)
def test_the_exit_code_is_the_programs_own(code, exit_code):
    assert process.attend(python(code)) == exit_code


def test_attend_names_a_missing_program():
    with pytest.raises(RuntimeUnavailable, match="cannot start venvoy-no-such-program"):
        process.attend(Command(argv=("venvoy-no-such-program",)))


def test_our_own_handlers_are_back_afterwards():
    watched = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(each) for each in watched]

    process.attend(python(""))

    assert [signal.getsignal(each) for each in watched] == before


def test_the_program_has_the_users_terminal():
    with seated(
        sys.executable, "-c", "import os; print('tty', os.isatty(0), input('> ').upper(), os.get_terminal_size())"
    ) as seat:
        seat.sees(b"> ")
        seat.types(b"hello\n")
        seat.sees(b"tty True HELLO")

        assert seat.child.wait(10) == 0


COUNTS = (
    "import signal, sys, time; heard = []\n"
    "signal.signal(signal.SIGINT, lambda *_: heard.append(1)); print('ready', flush=True)\n"
    "while not heard: time.sleep(0.01)\n"
    "time.sleep(0.3); print('heard', len(heard), flush=True)"
)


def test_a_typed_interrupt_reaches_the_program_exactly_once():
    with seated(sys.executable, "-c", COUNTS) as seat:
        seat.sees(b"ready")
        seat.types(b"\x03")
        seat.sees(b"heard 1\r\n")

        assert seat.child.wait(10) == 0


def test_a_program_that_an_interrupt_ends_gives_130():
    with seated("/bin/sh", "-c", "echo ready; exec sleep 60") as seat:
        seat.sees(b"ready")
        seat.types(b"\x03")

        assert seat.child.wait(10) == 130


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_a_signal_sent_to_us_alone_is_passed_on(signum):
    with seated(
        "/bin/sh", "-c", f"trap 'echo heard; exit 5' {signum:d}; echo ready; while :; do sleep 0.01; done"
    ) as seat:
        seat.sees(b"ready")
        seat.child.send_signal(signum)
        seat.sees(b"heard")

        assert seat.child.wait(10) == 5


def test_without_a_terminal_an_interrupt_sent_to_us_is_passed_on():
    argv = [sys.executable, "-c", ATTENDED, sys.executable, "-c", COUNTS]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, start_new_session=True) as ours:
        assert ours.stdout.readline() == b"ready\n"
        ours.send_signal(signal.SIGINT)

        assert ours.stdout.read() == b"heard 1\n"
        assert ours.wait(10) == 0


def test_a_program_can_be_suspended_and_go_on():
    with seated("/bin/sh", "-c", "echo ready; read word; echo got $word") as seat:
        seat.sees(b"ready")
        group = os.getpgid(seat.child.pid)
        os.killpg(group, signal.SIGSTOP)
        os.killpg(group, signal.SIGCONT)
        seat.types(b"more\n")
        seat.sees(b"got more")

        assert seat.child.wait(10) == 0


# --- spawn -----------------------------------------------------------------------------------------------------------


def test_what_is_spawned_leads_a_session_and_has_exactly_the_variables_given():
    code = "import os, sys; print(os.getsid(0) == os.getpid(), sorted(os.environ)); print(sys.stdin.read())"

    with process.spawn(
        (sys.executable, "-I", "-c", code), variables={"ONE": "1", "LC_ALL": "C.UTF-8"}, cwd=None
    ) as child:
        said, _ = child.communicate(b"lease")

    assert said.decode().splitlines() == ["True ['LC_ALL', 'ONE']", "lease"]


def test_a_program_that_prints_without_end_is_ended():
    started = time.monotonic()

    with pytest.raises(CommandFailed, match="printed without end"):
        process.run(Command(argv=("yes",)), limit=1_000_000, timeout=60)

    assert time.monotonic() - started < 30


def test_within_its_limit_all_is_returned():
    text = "ä" * 100_000

    assert process.run(Command(argv=("cat",), stdin=text), limit=len(text)) == text
