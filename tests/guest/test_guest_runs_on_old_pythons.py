"""The guest runs inside environments, so it must compile and start on every Python that they may have."""

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

GUEST = Path(str(files("venvoy.guest")))
MODULES = sorted(file.stem for file in GUEST.glob("*.py"))
SMOKE = """
import sys
sys.path.insert(0, sys.argv[1])
import importlib.util
spec = importlib.util.spec_from_file_location("_venvoy_guest", sys.argv[1] + "/__init__.py", submodule_search_locations=[sys.argv[1]])
package = importlib.util.module_from_spec(spec)
sys.modules["_venvoy_guest"] = package
spec.loader.exec_module(package)
import importlib
for name in sys.argv[2:]:
    importlib.import_module("_venvoy_guest." + name)
foreign = sorted(name for name in sys.modules if name.partition(".")[0] in ("venvoy", "IPython", "ipykernel", "traitlets", "zmq"))
print("imported", foreign)
"""


@pytest.fixture(params=["3.8", "3.9", "3.10", "3.11", "3.12", "3.13"])
def old(request, pythons) -> Path:
    if request.param not in pythons:
        pytest.skip(f"not obtainable: no Python {request.param} on this machine")
    return pythons[request.param]


def run(python: Path, *words: str | Path, **given: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, *words], capture_output=True, text=True, check=False, env=clean, timeout=60, **given)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_every_file_compiles(old):
    code = (
        "import pathlib, sys\n"
        "for f in sys.argv[1:]: compile(pathlib.Path(f).read_bytes(), f, 'exec', dont_inherit=True)\n"
        "print('compiled')"
    )

    assert run(old, "-I", "-Werror", "-c", code, *GUEST.glob("*.py")) == "compiled\n"


def test_every_module_can_be_imported_with_the_standard_library_alone(old):
    assert (
        run(old, "-I", "-S", "-Werror", "-c", SMOKE, GUEST, *(each for each in MODULES if each != "__init__"))
        == "imported []\n"
    )


def test_the_probe_says_what_the_interpreter_is(old):
    said = json.loads(run(old, "-I", "-S", "-", input=(GUEST / "probe.py").read_text()))

    assert set(said) == {"path", "version", "abi", "platform", "libc", "digest"}
    assert said["version"] == run(old, "-c", "import platform; print(platform.python_version())").strip()
    assert said["abi"] == "cp" + "".join(said["version"].split(".")[:2])
    assert said["platform"].startswith(f"{sys.platform}-")
    assert len(said["digest"]) == 64


def test_what_the_interpreter_finds_is_listed_the_first_of_a_name_alone(old, tmp_path):
    for place, name, version in (("one", "Some.Thing", "1.0"), ("two", "some_thing", "2.0"), ("two", "other", "3")):
        info = tmp_path / place / f"{name}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9\n")
    (tmp_path / "two/broken-1.dist-info").mkdir()
    (tmp_path / "two/flat-4.egg-info").write_text("Metadata-Version: 1.0\nName: flat\nVersion: 4\n")
    program = f"""
import runpy, sys
sys.path[:0] = [{str(tmp_path / "one")!r}, {str(tmp_path / "two")!r}]
sys.prefix = "/nonexistent"
runpy.run_path({str(GUEST / "distributions.py")!r}, run_name="__main__")
"""

    listed = json.loads(run(old, "-I", "-S", "-", input=program))

    ours = [each for each in listed if each[1] in ("Some.Thing", "some_thing", "other", "flat", "broken")]
    assert ours == [["pypi", "Some.Thing", "1.0", ""], ["pypi", "flat", "4", ""], ["pypi", "other", "3", ""]]


def test_the_shim_runs_a_program_and_says_how_it_ended(old):
    argv = [old, "-I", "-S", GUEST / "shim.py", "--", "/bin/sh", "-c", "echo words; echo last >&2; exit 7"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as shim:
        said = [shim.stdout.readline() for _ in range(2)]  # our end of its stdin is the lease, so it stays open
        shim.stdin.close()
        code = shim.wait(30)

    assert code == 7
    assert said[0].startswith("pid ")
    assert said[1].startswith(f"exit 7 x{b'last'.hex()}")


@pytest.mark.parametrize("name", MODULES)
def test_no_file_imports_anything_of_ours(name):
    text = (GUEST / f"{name}.py").read_text()

    assert "import venvoy" not in text
    assert "from venvoy" not in text
    assert "from .." not in text
