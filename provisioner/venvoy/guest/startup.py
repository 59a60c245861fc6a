"""Let the guest into a running IPython: watch what is installed, and offer the magics."""

import os
import re
import signal
import sys
import threading
import time

from . import magics, wire
from .hints import Hints
from .modules import Modules

_INSTALLER = re.compile(r"\b(pip3?|uv|conda|mamba|micromamba)\b.*\b(install|add|uninstall|remove)\b")


def start(shell, folder):
    """Begin to watch and to answer; `folder` is the session's."""
    found = places()
    modules = Modules(found, lent(found))
    watch = Watch(shell, folder, found, modules)
    shell.events.register("pre_run_cell", watch.before)
    shell.events.register("post_run_cell", watch.after)
    watch.listen()
    if os.environ.get("VENVOY_CONTAINER"):
        threading.Thread(target=end_with, args=(folder,), name="venvoy-lifeline", daemon=True).start()
    magics.offer(shell, magics.Attendant(folder, modules))
    sys.meta_path.append(Extension)


def end_with(folder):
    """End when whoever attends us has: an engine that was killed leaves its containers running, and nobody else can."""
    try:
        wire.hold(folder)
    except OSError:
        return  # nobody attends us
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(1)
    os.kill(os.getpid(), signal.SIGKILL)


def places():
    """The folders whose time of change tells that something came or went."""
    found = {each for each in sys.path if each.startswith(sys.prefix + os.sep) and each.endswith("site-packages")}
    found.add(os.path.join(sys.prefix, "conda-meta"))
    return sorted(each for each in found if os.path.isdir(each))


def lent(found):
    """The folder that the kernel itself came from, where that is none of the environment's."""
    kernel = getattr(sys.modules.get("ipykernel"), "__file__", None) or ""
    folder = os.path.dirname(os.path.dirname(kernel))
    return [folder] if folder and folder not in found else []


class Extension:
    """Makes `%load_ext venvoy` harmless here, where nothing needs loading; a real venvoy is found before us."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        """Find the stand-in for the package `venvoy`."""
        if name != "venvoy":
            return None
        from importlib.util import spec_from_file_location

        return spec_from_file_location(name, os.path.join(os.path.dirname(__file__), "extension.py"))


class Watch:
    """Tells who asked for what; whether anything changed is found out by whoever attends us."""

    def __init__(self, shell, folder, watched, modules):
        self.shell, self.folder, self.watched, self.modules = shell, folder, watched, modules
        self.word = os.path.join(folder, "word")
        self.stamp, self.commands, self.cell = None, [], None
        self.compared, self.said = self.look(), ""
        self.hints = Hints()
        self.failed = self.installing = False

    def look(self):
        """A few stat calls: all that an unchanged environment costs."""
        return [self.moved(place) for place in self.watched]

    @staticmethod
    def moved(place):
        """When a folder changed, and which one it is: an environment may be swapped whole, for another Python, too."""
        try:
            found = os.stat(place)
        except FileNotFoundError:
            return 0, 0
        return found.st_ino, found.st_mtime_ns

    def before(self, info):
        """A cell begins: what changes from here on is its doing."""
        self.commands, self.cell = [], info
        try:
            if self.word:
                self.pass_on()
            self.stamp = self.look()
            if self.stamp != self.compared:
                self.compare(self.stamp)
            self.modules.begin()
        except Exception as error:
            self.complain(error)

    def after(self, result):
        """A cell has ended, and with it its installers: an interrupt may have kept us from saying so."""
        try:
            if self.installing:
                self.say_installing(False)
            self.modules.look()
            moved = self.stamp is not None and self.look() != self.stamp
            commands = self.commands or (self.written() if moved else [])
            if moved or commands:
                self.tell(commands, moved, magics.numbered(self.shell, result))
            if self.modules.news():
                wire.tell(self.folder, {"note": "loaded", "modules": self.modules.told()})
            self.hints.after(
                getattr(self.cell, "raw_cell", None) or "",
                result.error_in_exec,
                self.shell.user_ns.get("_exit_code"),
                bool(self.written()),
            )
        except Exception as error:
            self.complain(error)

    def compare(self, stamp):
        """Something came or went since the cell before: say, once, which loaded modules are not what is there now."""
        word = None
        for said in wire.ask(self.folder, {"note": "moved", "modules": self.modules.told()}):
            word = said.get("answer", word)
        if word is None:
            return  # an installer is still at work; we ask again before the next cell
        self.compared = stamp
        if word and word != self.said:
            print("venvoy: %s" % word, file=sys.stderr)
        self.said = word

    def pass_on(self):
        """Show, once, what was left to say of the kernel before this one."""
        word, self.word = self.word, None
        if os.path.exists(word):
            with open(word, encoding="utf-8") as stream:
                print(stream.read(), file=sys.stderr)
            os.unlink(word)

    def written(self):
        """The lines of the cell that speak of an installer, for what did not go through `!` or a magic."""
        raw = self.cell.raw_cell or "" if self.cell else ""
        return [line.strip() for line in raw.splitlines() if _INSTALLER.search(line)]

    def tell(self, commands, moved, count):
        """Say what the cell did."""
        wire.tell(
            self.folder,
            {
                "note": "cell",
                "cell": getattr(self.cell, "cell_id", None) or "",
                "count": count,
                "commands": commands,
                "moved": moved,
            },
        )

    def listen(self):
        """Hear of every installer that is run by `!`, `%pip`, `%uv`, `%conda` and their like."""
        run = self.shell.system

        def system(command):
            if not _INSTALLER.search(command):
                return run(command)
            try:
                self.say_installing(True)
                returned = run(command)
            finally:
                self.say_installing(False)
            if not self.shell.user_ns.get("_exit_code"):
                self.commands.append(command)
            return returned

        self.shell.system = system

    def say_installing(self, yes):
        """Have nothing recorded while an installer is at work; what is there before it is written first."""
        self.installing = True
        try:
            for _ in wire.ask(self.folder, {"note": "installing", "yes": yes}):
                pass
            self.installing = yes
        except Exception as error:
            self.complain(error)

    def complain(self, error):
        """One line, once: recording must never break a notebook."""
        if not self.failed:
            self.failed = True
            print("venvoy: what is installed here is not being recorded: %s" % error, file=sys.stderr)
