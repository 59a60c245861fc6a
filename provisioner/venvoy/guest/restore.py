"""Make the environment that this archive carries: `python3 restore.py FOLDER`.

It needs nothing but Python, of the version that requirements.txt was made for, and no network. Every file is checked
against manifest.json first. What is made is a plain venv.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv


def main(folder):
    """Check, make, install."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(here, "manifest.json"), encoding="utf-8") as stream:
        manifest = json.load(stream)
    for name, said in manifest["members"].items():
        if digest(os.path.join(here, *name.split("/"))) != said["sha256"]:
            sys.exit("%s is not what manifest.json says: nothing was made" % name)
    minor = ".".join(manifest["python"].split(".")[:2])
    if "%d.%d" % sys.version_info[:2] != minor:
        other = shutil.which("python%s" % minor)
        if not other:
            sys.exit("the environment is for Python %s: run this with that one" % minor)
        sys.exit(subprocess.call([other, os.path.abspath(__file__), folder]))
    if os.path.lexists(folder):
        sys.exit("%s is there already" % folder)
    wheels = os.path.join(here, "wheels")
    pip = sorted(name for name in os.listdir(wheels) if name.startswith("pip-"))
    venv.create(folder, with_pip=not pip, symlinks=os.name != "nt")
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    # A wheel of pip can be run as it lies there.
    program = [python, os.path.join(wheels, pip[0], "pip")] if pip else [python, "-m", "pip"]
    words = ["install", "--no-index", "--no-deps", "--find-links", wheels, "--require-hashes"]
    listed = ["--requirement", os.path.join(here, "requirements.txt")]
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    environ.update(PIP_CONFIG_FILE=os.devnull, PIP_DISABLE_PIP_VERSION_CHECK="1")
    code = subprocess.call(program + words + listed, env=environ, cwd=here)
    if code:
        shutil.rmtree(folder, ignore_errors=True)
        sys.exit("pip failed (%d); nothing is left of %s" % (code, folder))
    print("made %s; use it: %s" % (folder, python))
    for each in manifest.get("missing", ()):
        print("not carried: %(name)s %(version)s (%(reason)s)" % each)


def digest(path):
    """The sha256 of a file, "" where there is none."""
    found = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                found.update(block)
    except OSError:
        return ""
    return found.hexdigest()


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    main(os.path.abspath(sys.argv[1]))
