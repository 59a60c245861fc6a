"""Start ipykernel inside an environment: its own, or the one lent from a payload folder.

usage: kernel.py [--payload FOLDER] -f CONNECTION_FILE [ARGUMENT]...
"""

import os
import sys


def main(words):
    """Run the kernel to its end."""
    here = os.path.dirname(os.path.abspath(__file__))
    # Our folder must not shadow anything of the user's; theirs comes first, the payload last.
    sys.path[:] = [each for each in sys.path if os.path.abspath(each or ".") != here]
    if words[:1] == ["--payload"]:
        sys.path.append(words[1])
        words = words[2:]
    sys.argv = [sys.argv[0], *words]

    from ipykernel.kernelapp import IPKernelApp

    app = IPKernelApp.instance()
    app.initialize(words)
    attach(here, app.shell)
    app.start()


def attach(here, shell):
    """Load the guest under a name of its own and let it in."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "_venvoy_guest", os.path.join(here, "__init__.py"), submodule_search_locations=[here]
    )
    guest = importlib.util.module_from_spec(spec)
    sys.modules["_venvoy_guest"] = guest
    spec.loader.exec_module(guest)
    from _venvoy_guest import startup

    startup.start(shell, os.environ["VENVOY_SESSION"])


if __name__ == "__main__":
    main(sys.argv[1:])
