"""Which modules this kernel has loaded from its environment, in which version, and since when."""

import os
import sys
import time


class Modules:
    """Looks after each cell at what was loaded from `folders`, or from those that were `lent` to the environment."""

    def __init__(self, folders, lent=()):
        self.folders = {each.rstrip(os.sep) + os.sep: False for each in folders}
        self.folders.update({each.rstrip(os.sep) + os.sep: True for each in lent})
        self.seen, self.count, self.looked = {}, 0, time.time()
        self.look()
        self.known = len(self.seen)

    def begin(self):
        """A cell begins: what it loads is not loaded yet."""
        self.looked = time.time()

    def look(self, *, thorough=False):
        """Notice what is new; a module that was reloaded is new as well, but only a thorough look sees that."""
        if len(sys.modules) == self.count and not thorough:
            return
        before, now = self.looked, time.time()
        for name, module in list(sys.modules.items()):
            if "." not in name:
                spec = getattr(module, "__spec__", None)
                if name not in self.seen or self.seen[name][0] is not spec:
                    self.seen[name] = (spec, before, now)
        self.count = len(sys.modules)

    def news(self):
        """Whether something was loaded since this was asked for the last time."""
        before, self.known = self.known, len(self.seen)
        return self.known != before

    def told(self):
        """What can be said of each: version or None, file below its folder, and between which times it was loaded."""
        self.look(thorough=True)
        found = {}
        for name, (_spec, before, after) in self.seen.items():
            # A module's own `__getattr__` may load half a library to tell its version.
            words = getattr(sys.modules.get(name), "__dict__", {})
            file, version = words.get("__file__"), words.get("__version__")
            folder = next((each for each in self.folders if isinstance(file, str) and file.startswith(each)), None)
            if folder:
                found[name] = {
                    "version": version if isinstance(version, str) else None,
                    "file": file[len(folder) :],
                    "lent": self.folders[folder],
                    "after": before,
                    "by": after,
                }
        return found
