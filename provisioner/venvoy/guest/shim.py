"""Hold one kernel: start it, pass signals on once, say how it ended, and end it when nobody holds the lease any more.

usage: shim.py [--forget PATH]... [--lifeline] [--told] [--alone] [--deliver WORD]... [--ask WORD]...
               [--last WORD]...
               -- PROGRAM [ARGUMENT]...

The lease is stdin. `signal N` comes in for the kernel's group, and `over` when the holder lets go by its own will; the
end of stdin ends the kernel with its group, and where no `over` came before (the holder died, however it died) the
PATHs are removed, too. With --lifeline the program's stdin is a pipe that ends when we do, with --alone signals go to
the program and not to its group; with --told an interrupt is a line `signal N` in that pipe. The WORDs of --deliver are
a command that is run for every signal, its number in the place of `{}`; those of --ask one that says how a kernel ended
that did not end well, those of --last one that is run when all is over. On stdout go `pid N`, once, and
`exit CODE SAID ANSWER`: the last of stderr, and what --ask printed on stdout and stderr, "-" where that was not run,
both hexadecimal behind an x. What the kernel prints goes to our stderr. Standard library only, and as little of it as
can be: the kernel waits for it.
"""

# `signal` itself builds its enums for 12 ms, half of our start; this is what it is made of.
import _signal as signal
import os
import select
import sys
import time

KEPT = 16384
GRACE = 0.4
BIRTH = 5
LOOKS = 0.5
PATIENCE = 10
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def main(words):
    """Run to the kernel's end; returns its exit code, 128 + n for signal n."""
    split = words.index("--")
    options, argv = words[:split], words[split + 1 :]
    forget, last = values("--forget", options), values("--last", options)
    wake = awakened()
    lease = Lease()
    heard, speaks = os.pipe()
    if "--lifeline" in options:
        line, lifeline = os.pipe()  # the other end is open for as long as we live, and no longer
    else:
        lifeline = None
        line = os.open(os.devnull, os.O_RDONLY)
        # ipykernel ends by itself when its parent, this shim, is killed; in a container that is another.
        os.environ["JPY_PARENT_PID"] = str(os.getpid())
    pid = os.fork()
    if pid == 0:
        become(argv, line, speaks)
    os.close(line)
    os.close(speaks)
    voice = Voice(heard)
    kernel = Kernel(pid, "--alone" in options, values("--deliver", options), lifeline, voice)
    kernel.told = "--told" in options
    tell("pid %d\n" % pid)
    hold(kernel, voice, lease, wake)
    kernel.finish()
    voice.drain()
    asks = values("--ask", options)
    answer = "x" + heard_from(asks).hex() if asks and kernel.code() and lease.held() else "-"
    tell("exit %d x%s %s\n" % (kernel.code(), voice.kept.hex(), answer))
    while lease.held():
        lease.orders(select.select([0], [], [], LOOKS)[0])
    if not lease.over:
        for path in forget:
            remove(path)
    if last:
        run(last)
    return kernel.code() if kernel.code() >= 0 else 128 - kernel.code()


def values(name, options):
    """What stands behind each option of that name."""
    return [options[place + 1] for place, word in enumerate(options) if word == name]


def awakened():
    """A pipe in which every signal that we catch leaves its number, so that `select` returns for it."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for signum in (signal.SIGCHLD, *ENDING):
        signal.signal(signum, lambda *_: None)
    return wake


def become(argv, line, speaks):
    """Turn this child into the kernel, leader of a session and so of a process group of its own."""
    try:
        os.setsid()
        for signum in (signal.SIGCHLD, signal.SIGPIPE, *ENDING):
            signal.signal(signum, signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        os.dup2(line, 0)
        os.dup2(2, 1)
        os.dup2(speaks, 2)
        os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, ("cannot start %s: %s\n" % (argv[0], error.strerror)).encode())
    finally:
        os._exit(127)


def hold(kernel, voice, lease, wake):
    """Wait for whatever comes first: a word on the lease, its end, or the kernel's."""
    while not kernel.ended() and lease.held():
        ready, writable, _ = select.select([0, wake, *voice.listens()], voice.speaks(), [], LOOKS)
        if wake in ready and set(os.read(wake, 512)).intersection(ENDING):
            return
        if voice.source in ready:
            voice.hear()
        if writable:
            voice.speak()
        for signum in lease.orders(ready):
            kernel.deliver(signum)


class Lease:
    """Who holds us: orders while they live, the end of stdin when they do not."""

    def __init__(self):
        self.parent = os.getppid()
        self.open, self.over, self.rest = True, False, b""

    def held(self):
        """Whether somebody does; a process forked off a dead holder may still have the other end of stdin open."""
        return self.open and not self.over and os.getppid() == self.parent

    def orders(self, ready):
        """The signals that have been ordered, where stdin is among what is `ready`."""
        if 0 not in ready:
            return []
        words = os.read(0, 4096)
        self.open = bool(words)
        *lines, self.rest = (self.rest + words).split(b"\n")
        self.over = self.over or b"over" in lines
        return [int(line.split()[1]) for line in lines if line.startswith(b"signal ")]


class Kernel:
    """The child: alive until it is reaped, its group's number good for as long as anybody is in it."""

    def __init__(self, pid, alone, deliverer, lifeline, voice):
        self.pid, self.alone, self.deliverer, self.lifeline, self.voice = pid, alone, deliverer, lifeline, voice
        self.status, self.told = None, False

    def ended(self):
        """Whether it has ended; reaps it."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.status = status if pid else None
        return self.status is not None

    def code(self):
        """The exit code of a kernel that has ended, -n for signal n."""
        return -os.WTERMSIG(self.status) if os.WIFSIGNALED(self.status) else os.WEXITSTATUS(self.status)

    def deliver(self, signum):
        """Send one signal to the kernel's group, once, or to the kernel alone; returns whether it took it."""
        if self.told and signum == signal.SIGINT and self.status is None:
            tell("signal %d\n" % signum, self.lifeline)
            return True
        if self.deliverer and self.status is None:
            # An engine does not end a container while its client cannot say what came from there.
            nap = self.voice.hush if signum in (signal.SIGKILL, signal.SIGTERM) else nod
            return run([word.replace("{}", str(signum)) for word in self.deliverer], nap=nap) == 0
        if self.alone and signum != signal.SIGKILL:
            if self.status is None:
                os.kill(self.pid, signum)
        else:
            self.end(signum)
        return True

    def end(self, signum):
        """Send one signal to the group."""
        try:
            os.killpg(self.pid, signum)
        except OSError:
            if self.status is None:
                os.kill(self.pid, signum)  # the child has not made its group yet

    def finish(self):
        """End what still runs of the kernel and its group: politely, then not."""
        if self.lifeline is not None:
            os.close(self.lifeline)
        if not self.ended() and not self.deliver(signal.SIGTERM):
            self.wait(BIRTH)  # a container that is only being made would come after all had its client been killed
        self.wait(GRACE)
        if self.deliverer and not self.ended():
            self.deliver(signal.SIGKILL)
            self.wait(GRACE)
        self.end(signal.SIGKILL)
        while not self.ended():
            select.select([], [], [], 0.005)

    def wait(self, seconds):
        """Wait for the end, so long and no longer."""
        late = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < late:
            self.voice.hush(0.02)


class Voice:
    """The kernel's stderr: the last of it is kept, and all of it passed on, at the pace at which ours is read.

    A stderr that nobody reads must keep the kernel waiting, as it would without us, but never the lease.
    """

    def __init__(self, source):
        self.source, self.open = source, True
        self.kept, self.unsaid = b"", b""

    def listens(self):
        """What to wait for before `hear`."""
        return [self.source] if self.open and not self.unsaid else []

    def speaks(self):
        """What to wait for before `speak`."""
        return [2] if self.unsaid else []

    def hear(self):
        """Take in what is there."""
        words = os.read(self.source, 65536)
        self.open = bool(words)
        self.kept = (self.kept + words)[-KEPT:]
        self.unsaid += words

    def speak(self):
        """Pass on as much as a writable pipe is sure to take."""
        try:
            said = os.write(2, self.unsaid[: select.PIPE_BUF])
        except OSError:
            said = len(self.unsaid)
        self.unsaid = self.unsaid[said:]

    def hush(self, seconds):
        """Take in what comes for so long, and pass it on to nobody."""
        if select.select([self.source] if self.open else [], [], [], seconds)[0]:
            self.hear()
        self.unsaid = b""

    def drain(self):
        """Take in and pass on what is left, but not for ever: somebody who left the group may still be writing."""
        for _ in range(32):
            if self.open and select.select([self.source], [], [], 0)[0]:
                self.hear()
        while self.unsaid and select.select([], [2], [], 0)[1]:
            self.speak()


def tell(line, to=1):
    """Say it to the holder of the lease, if there still is one, or to whoever reads there."""
    try:
        os.write(to, line.encode())
    except OSError:
        pass


def heard_from(argv):
    """What a command prints, no more than a pipe takes."""
    heard, speaks = os.pipe()
    run(argv, speaks)
    os.close(speaks)
    try:
        return os.read(heard, KEPT)
    finally:
        os.close(heard)


def nod(seconds):
    """Do nothing for so long."""
    select.select([], [], [], seconds)


def run(argv, speaks=None, nap=nod):
    """Run a command to its end, or for as long as we have PATIENCE; returns what `wait` says of it.

    What it says goes to `speaks`, or to nobody.
    """
    pid = os.fork()
    if pid == 0:
        try:
            for stream in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
            for stream in (1, 2) if speaks else ():
                os.dup2(speaks, stream)
            os.execvp(argv[0], argv)
        finally:
            os._exit(127)
    late, ended, status = time.monotonic() + PATIENCE, 0, 0
    while not ended:
        if time.monotonic() > late:
            os.kill(pid, signal.SIGKILL)
        nap(0.01)
        ended, status = os.waitpid(pid, os.WNOHANG)
    return status


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
