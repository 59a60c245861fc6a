"""Say in a container what would be lost or cannot work there, each once, when a cell comes to it."""

import errno
import os
import re
import sys

_SYSTEM = re.compile(
    r"(?:^|[\s!;&|('\"])(apt-get|apt|aptitude|dnf|microdnf|yum|zypper|apk)['\",\s]+(?:-\S+\s+)*(?:install|add|upgrade)\b"
)
_OWN = re.compile(r"/(usr|opt|etc|var|srv|lib\w*|s?bin|root|venvoy)?(/|$)|/[^/]+$")


class Hints:
    """What kernel.py is told of its container in VENVOY_CONTAINER: "fixed" or "writable", and "offline"."""

    def __init__(self, variables=os.environ):
        self.words = variables.get("VENVOY_CONTAINER", "").split()
        self.name = variables.get("VENVOY_ENVIRONMENT", "NAME")
        self.said = set()

    def after(self, cell, error, code, installed):
        """A cell has ended: `code` is the exit code of its last `!`, `installed` whether it spoke of an installer."""
        if not self.words:
            return
        if found := _SYSTEM.search(cell):
            self.say(
                "system",
                "what %s installs in a container that runs is lost when it ends; have it in the image: "
                "venvoy add %s --system PACKAGE" % (found[1], self.name),
            )
        elif "fixed" in self.words and self.refused(error):
            self.say(
                "fixed",
                "the image's own files cannot be changed from inside; write to your home, to the notebook's folder "
                "or to a mount (/tmp is there, too, until the kernel ends)",
            )
        if "offline" in self.words and installed and (code or error):
            self.say(
                "offline",
                "%r has no network; install from a terminal, which gives it one: venvoy install %s PACKAGE"
                % (self.name, self.name),
            )

    @staticmethod
    def refused(error):
        """Whether a file of the image's own was to be changed."""
        if not isinstance(error, OSError):
            return False
        if error.errno == errno.EROFS:
            return True
        return error.errno == errno.EACCES and bool(_OWN.match(str(error.filename or "relative")))

    def say(self, what, sentence):
        if what not in self.said:
            self.said.add(what)
            print("venvoy: %s" % sentence, file=sys.stderr)
