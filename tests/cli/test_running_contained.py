"""What `venvoy run` is in a container alone: mounts, whose files they are, the image's shell, batch jobs, strays."""

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from waiting import eventually

from venvoy.actions.machine import time_zone

pytestmark = pytest.mark.network  # pip of a new environment comes from the index
BATCH = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "fit", "SLURM_CPUS_PER_TASK": "2", "SLURM_PROCID": "0"}


def test_a_script_of_ours_is_run_here_and_its_files_are_ours(cleo):
    script = cleo.write("make.py", "import os, sys; open('made', 'w').write(sys.argv[1]); print(os.getcwd())")

    assert cleo.done("run", "demo", "--script", script, "--args", "text") == f"{cleo.work}\n"
    assert (cleo.work / "made").read_text() == "text"
    assert (cleo.work / "made").stat().st_uid == os.getuid()


def test_clocks_are_set_as_those_of_this_machine(cleo):
    # by its own setting, where the user says nothing
    assert cleo.done("run", "demo", "--command", "echo $TZ", TZ="").strip() == (time_zone({}) or "")
    assert cleo.done("run", "demo", "--command", "date +%z", TZ="Asia/Tokyo") == "+0900\n"


def test_a_mount_is_seen_where_it_is_said(cleo, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/table").write_text("1,2\n")
    line = "cat /workspace/data/table; echo x >/workspace/data/new; id -u"

    ran = cleo("run", "demo", "--mount", f"{tmp_path}/data:/workspace/data", "--command", line)

    assert ran.out.split() == ["1,2", str(os.getuid())], ran
    assert (tmp_path / "data/new").stat().st_uid == os.getuid()
    refused = cleo("run", "demo", "--mount", f"{tmp_path}/nope:/data", "--command", "true")
    assert refused.code == 5
    assert f"make it: mkdir -p {tmp_path}/nope" in refused.err
    assert not (tmp_path / "nope").exists()


def test_what_a_run_installs_stays_and_is_recorded(cleo, wheels):
    wheels.add("by-a-run")
    words = ["--mount", f"{wheels.folder}:/wheels", "--", "pip", "install", "--no-index", "--find-links", "/wheels"]

    ran = cleo("run", "demo", *words, "by-a-run")

    assert ran.code == 0, ran
    assert "what changed is on record" in ran.err
    assert cleo.done("run", "demo", "--", "python", "-c", "import by_a_run; print(by_a_run.__version__)") == "1.0\n"


def test_a_shell_of_the_image_has_the_terminal(cleo):
    with cleo.terminal("run", "demo") as terminal:
        # Docker says how large it is only after the shell has begun.
        terminal.type("until stty size | grep -x '24 200'; do sleep 0.1; done\n")
        terminal.type("python -c 'import sys; print(sys.prefix)'; exit 5\n")

        assert terminal.end(timeout=60) == 5
    assert "\r24 200\r" in terminal.shown.replace("\n", "")
    assert "/venvoy/env" in terminal.shown


def test_in_a_batch_job_it_needs_nothing_but_itself(cleo):
    variables = {"PATH": cleo.variables["PATH"], "HOME": str(cleo.home), **BATCH}
    line = "echo $SLURM_JOB_ID $SLURM_CPUS_PER_TASK; python -c 'import sys; print(sys.prefix)'; exit 6"
    venvoy = Path(cleo.variables["PATH"].split(os.pathsep)[0], "venvoy")

    ran = subprocess.run(
        [venvoy, "run", "demo", "--command", line],
        env=variables,
        cwd=cleo.work,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.stdout.split(), ran.returncode) == (["4711", "2", "/venvoy/env"], 6), ran.stderr


def test_a_run_that_cannot_start_says_why_and_what_mends_it(cleo):
    folder = cleo.home / ".venvoy/environments/demo"
    config = folder / "config.yaml"
    before = config.read_text()
    lines = (_other(line) for line in before.splitlines())

    own = cleo("run", "demo", "--command", "exit 125")
    config.write_text("\n".join([*lines, ""]))
    gone = cleo("run", "demo", "--command", "true")
    config.write_text(before)

    assert own.code == 125
    assert (gone.code, "mend it: venvoy repair demo" in gone.err) == (6, True), gone
    assert "the image of 'demo' is not here any more" in gone.err


def _other(line):
    key, _, value = line.partition(": ")
    if key.strip() == "image_digest":
        return f"{key}: sha256:{'a' * 64}"
    return f"{key}: {value.strip()}.gone" if key.strip() == "image_file" and value.strip() != "null" else line


LOOP = "trap 'echo heard' TERM; echo on; while :; do sleep 0.1; done"


# In the others a container is the process that was started.
@pytest.mark.parametrize("cleo", ["docker", "podman"], indirect=True)
def test_a_run_gets_each_signal_once_and_whoever_is_killed_leaves_no_container(cleo, request):
    runtime = request.node.callspec.params["cleo"]

    with _running(cleo, LOOP) as child:
        for _ in range(3):
            child.send_signal(signal.SIGTERM)
            assert child.stdout.readline() == "heard\n"
        assert _containers(cleo, runtime)
        child.kill()
        # Podman removes as it stops: by a SIGTERM, and soon by a SIGKILL.
        assert child.stdout.read() == ("heard\n" if runtime == "podman" else "")
    eventually(lambda: not _containers(cleo, runtime))

    with _running(cleo, LOOP) as child:
        os.kill(_children(child.pid)[runtime], signal.SIGKILL)

        assert child.wait(60) == 128 + signal.SIGKILL
    assert not _containers(cleo, runtime)


@pytest.mark.usefixtures("strays_to_itself")
@pytest.mark.parametrize("cleo", ["docker", "podman"], indirect=True)
def test_a_run_that_nobody_is_left_to_end_is_found(cleo, request):
    runtime = request.node.callspec.params["cleo"]

    def strays(*words):
        # Those of other tests come and go meanwhile, and of other runtimes, too.
        said, mine = cleo.json("check", "demo", *words)["strays"], _containers(cleo, runtime)
        return [each for each in said if each["runtime"] == runtime and each["container"] in mine]

    with _running(cleo, LOOP) as child:
        assert not strays()
        os.kill(child.pid, signal.SIGSTOP)  # or it would find its client gone, and remove the container
        for each in (*_children(child.pid).values(), child.pid):
            os.kill(each, signal.SIGKILL)

    (stray,) = strays()
    fixed = cleo.json("check", "demo", "--fix")["strays"]

    assert (stray["removed"], stray["environment"]) == (False, "demo")
    assert [each["removed"] for each in fixed if each["container"] == stray["container"]] == [True]
    assert not _containers(cleo, runtime)


def test_a_signal_that_ends_a_run_is_in_its_exit_code(cleo):
    with _running(cleo, "echo on; exec sleep 1000") as child:
        child.send_signal(signal.SIGTERM)

        assert child.wait(60) == 128 + signal.SIGTERM


def test_what_is_typed_reaches_a_run_once(cleo):
    counts = "import signal, sys, time; n = []; signal.signal(2, lambda *_: n.append(1)); print('ready', flush=True)\n"
    counts += "while not n: time.sleep(0.01)\ntime.sleep(0.5); print('heard', len(n)); sys.exit(4)"
    with cleo.terminal("run", "demo", "--", "python", "-c", counts) as terminal:
        terminal.until("ready")
        terminal.type("\x03")

        assert terminal.end(timeout=60) == 4
    assert "heard 1" in terminal.shown


@contextmanager
def _running(user, line):
    """A run that has said that it is on."""
    with user.start("run", "demo", "--command", line) as child:
        try:
            assert child.stdout.readline() == "on\n"
            yield child
        finally:
            child.kill()


def _containers(user, runtime):
    argv = [runtime, "ps", "--all", "--format", "{{.Names}}"]
    argv += ["--filter", f"volume={user.home}/.venvoy/environments/demo/prefix"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()


def _children(pid):
    """The numbers of what a process has started, by the names of their programs."""
    argv = ["ps", "--ppid", str(pid), "-o", "comm=,pid="]
    listed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    return {name: int(number) for name, number in map(str.split, listed)}
