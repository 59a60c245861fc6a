"""Start ipykernel inside an environment: its own, or the one lent from a payload folder.

usage: kernel.py --session FOLDER [--payload FOLDER] -f CONNECTION_FILE [ARGUMENT]...
"""

import gc
import os
import sys


def main(words):
    """Run the kernel to its end."""
    # A start is nothing but imports, of which nothing becomes garbage: looking for some costs a tenth of it.
    gc.disable()
    here = os.path.dirname(os.path.abspath(__file__))
    # Our folder must not shadow anything of the user's; theirs comes first, the payload last.
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    session, words = words[1], words[2:]
    if words[:1] == ["--payload"]:
        sys.path.append(words[1])
        words = words[2:]
    sys.argv = [sys.argv[0], *words]
    if os.environ.get("VENVOY_CONTAINER") and os.getpgrp() != os.getpid():
        harmless(os.setpgid, 0, 0)  # an interrupt is sent to our group, so that it reaches what a cell has started
    name(here)

    from _venvoy_guest import output, startup
    from ipykernel.kernelapp import IPKernelApp

    harmless(output.keep_off_ports, session)
    app = IPKernelApp.instance()
    app.initialize(words)
    harmless(startup.start, app.shell, session)
    with open(os.path.join(session, "ready"), "w"):
        pass
    gc.enable()
    app.start()


def name(here):
    """Give the guest's files a package name that nobody else has."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "_venvoy_guest", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    guest = importlib.util.module_from_spec(spec)
    sys.modules["_venvoy_guest"] = guest
    spec.loader.exec_module(guest)


def harmless(step, *words):
    """Take a step of ours; where it fails the kernel does without."""
    try:
        step(*words)
    except Exception as error:
        print("venvoy: %s of this kernel failed: %s" % (step.__name__, error), file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
