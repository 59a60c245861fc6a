"""Say what the interpreter that runs this is, as one line of JSON."""

import hashlib
import json
import platform
import sys
import sysconfig


def look():
    """Name the interpreter's build; equal builds on two machines give equal digests."""
    version = platform.python_version()
    debug = "d" if hasattr(sys, "gettotalrefcount") else ""
    threaded = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    implementation = {"cpython": "cp", "pypy": "pp"}.get(sys.implementation.name, sys.implementation.name)
    libc = "-".join(platform.libc_ver())
    build = [sys.implementation.name, sys.version, platform.system(), platform.machine(), libc]
    return {
        "path": sys.executable,
        "version": version,
        "abi": "%s%d%d%s%s" % (implementation, sys.version_info[0], sys.version_info[1], threaded, debug),
        "platform": "%s-%s" % (platform.system().lower(), platform.machine()),
        "libc": libc if libc != "-" else "",
        "digest": hashlib.sha256(json.dumps(build).encode()).hexdigest(),
    }


if __name__ == "__main__":
    print(json.dumps(look()))
