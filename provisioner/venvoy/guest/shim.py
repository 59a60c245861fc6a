"""Hold one kernel: start it, pass signals on once, say how it ended, and end it when nobody holds the lease any more.

usage: shim.py [--forget PATH]... -- PROGRAM [ARGUMENT]...

The lease is stdin: lines `signal N` come in, and its end (the server died, however it died) ends the kernel with its
process group and removes the PATHs. On stdout go `pid N`, once, and `exit CODE` with the last lines of stderr behind
it, hexadecimal. What the kernel prints goes to our stderr. Standard library only; nothing heavy is imported, because
the kernel waits for it.
"""

import os
import select
import signal
import sys

KEPT = 16384
GRACE = 0.4


def main(words):
    """Run to the kernel's end; returns its exit code, 128 + n for signal n."""
    split = words.index("--")
    forget, argv = words[1:split:2], words[split + 1 :]
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for signum in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(signum, lambda *_: None)
    heard, speaks = os.pipe()
    parent = os.getppid()
    pid = os.fork()
    if pid == 0:
        become(argv, speaks)
    os.close(speaks)
    tell("pid %d\n" % pid)
    said = hold(pid, heard, wake, parent)
    code = end_of(pid)
    said += drained(heard)
    tell("exit %d %s\n" % (code, said[-KEPT:].hex()))
    if not leased(parent):
        for path in forget:
            remove(path)
    return code if code >= 0 else 128 - code


def become(argv, speaks):
    """Turn this child into the kernel, leader of a session and so of a process group of its own."""
    try:
        os.setsid()
        for signum in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)
        os.dup2(speaks, 2)
        # ipykernel ends by itself when its parent, this shim, is killed.
        os.environ["JPY_PARENT_PID"] = str(os.getppid())
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, ("cannot start %s: %s\n" % (argv[0], error.strerror)).encode())
    finally:
        os._exit(127)


def hold(pid, heard, wake, parent):
    """Wait for whatever comes first: a word on the lease, its end, or the kernel's; returns its last stderr."""
    said, orders = b"", b""
    watched = [0, heard, wake]
    while not ended(pid):
        ready = select.select(watched, [], [], 0.5)[0]
        if os.getppid() != parent:
            # A process forked off the server may still hold the lease's other end; the server itself is gone.
            return said + finish(pid)
        if wake in ready:
            numbers = os.read(wake, 512)
            if set(numbers) & {signal.SIGTERM, signal.SIGHUP, signal.SIGINT}:
                return said + finish(pid)
        if heard in ready:
            words = os.read(heard, 65536)
            if not words:
                watched.remove(heard)
            spoken(words)
            said = (said + words)[-KEPT:]
        if 0 in ready:
            words = os.read(0, 4096)
            if not words:
                return said + finish(pid)
            *lines, orders = (orders + words).split(b"\n")
            for line in lines:
                deliver(pid, int(line.split()[1]))
    return said


def ended(pid):
    """Whether the kernel has ended; it is not reaped yet, so its number is still its own."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def deliver(pid, signum):
    """Send one signal to the kernel's group, once."""
    try:
        os.killpg(pid, signum)
    except ProcessLookupError:
        try:
            os.kill(pid, signum)  # the child has not made its group yet
        except ProcessLookupError:
            pass


def finish(pid):
    """End the kernel: politely, then not."""
    deliver(pid, signal.SIGTERM)
    waited = 0.0
    while not ended(pid) and waited < GRACE:
        select.select([], [], [], 0.02)
        waited += 0.02
    return b""


def end_of(pid):
    """Kill what is left of the kernel's group, reap the kernel and return its code, -n for signal n."""
    deliver(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def drained(heard):
    """What is still in the pipe; a grandchild may hold it open for ever."""
    said = b""
    while select.select([heard], [], [], 0)[0]:
        words = os.read(heard, 65536)
        if not words:
            break
        spoken(words)
        said += words
    return said


def spoken(words):
    """Pass the kernel's stderr on to whoever reads ours."""
    try:
        os.write(2, words)
    except OSError:
        pass


def tell(line):
    """Say it to the holder of the lease, if there still is one."""
    try:
        os.write(1, line.encode())
    except OSError:
        pass


def leased(parent):
    """Whether our parent lives and holds the other end of stdin."""
    return os.getppid() == parent and not (select.select([0], [], [], 0)[0] and os.read(0, 1) == b"")


def remove(path):
    """Remove a file, or a folder of files."""
    try:
        for name in os.listdir(path):
            os.unlink(os.path.join(path, name))
        os.rmdir(path)
    except NotADirectoryError:
        os.unlink(path)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
