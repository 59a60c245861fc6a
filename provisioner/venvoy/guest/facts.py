"""Say, inside an environment, what numbers may depend on beside its packages: processor, BLAS, threads, locale.

argv: the path of threadpoolctl.py, or "". Prints JSON.
"""

import contextlib
import json
import locale
import os
import platform
import sys

VARIABLES = (
    "PYTHONHASHSEED", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "OPENBLAS_CORETYPE", "MKL_CBWR", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG",
    "LANG", "LC_ALL", "LC_NUMERIC", "LC_COLLATE", "TZ", "MPLBACKEND", "SOURCE_DATE_EPOCH",
)  # fmt: skip
WITH_BLAS = ("numpy", "scipy.linalg", "sklearn", "torch")


def processor():
    """The model and the flags of the first processor."""
    said = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                key, _, value = line.partition(":")
                said.setdefault(key.strip(), value.strip())
    except OSError:
        pass
    flags = said.get("flags") or said.get("Features") or ""
    return {
        "model": said.get("model name") or platform.processor() or "",
        "flags": sorted(flags.split()),
        "count": os.cpu_count(),
    }


def libraries(place):
    """What threadpoolctl knows of the numeric libraries that the environment's packages load."""
    if not place:
        return []
    from importlib import import_module
    from importlib.util import find_spec, module_from_spec, spec_from_file_location

    for name in WITH_BLAS:
        # A package that cannot be imported loads no library.
        with contextlib.suppress(Exception):
            if find_spec(name.partition(".")[0]):
                import_module(name)
    spec = spec_from_file_location("_venvoy_threadpoolctl", place)
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    kept = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads")
    found = [{key: each[key] for key in kept if each.get(key) is not None} for each in module.threadpool_info()]
    return sorted(found, key=lambda each: json.dumps(each, sort_keys=True))


def system():
    """The name of the system and its C library."""
    try:
        with open("/etc/os-release", encoding="utf-8", errors="replace") as stream:
            said = dict(line.rstrip().split("=", 1) for line in stream if "=" in line)
    except OSError:
        said = {}
    name = said.get("PRETTY_NAME", "").strip('"') or platform.platform()
    return {"name": name, "machine": platform.machine(), "libc": "-".join(platform.libc_ver())}


if __name__ == "__main__":
    place = sys.argv[1] if len(sys.argv) > 1 else ""
    print(
        json.dumps(
            {
                "processor": processor(),
                "system": system(),
                "libraries": libraries(place),
                "locale": list(locale.getlocale()),
                "variables": {name: os.environ[name] for name in VARIABLES if name in os.environ},
                "python": sys.version,
            },
            sort_keys=True,
        )
    )
