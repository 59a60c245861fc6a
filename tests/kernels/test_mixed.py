"""One environment with a kernel of Python and one of R, on this machine: both write into one record."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from venvoy.actions.create import Plan, create
from venvoy.actions.freeze import freeze
from venvoy.actions.launch import kernel_of
from venvoy.actions.locks import locked
from venvoy.actions.observe import observe
from venvoy.frontends import kernelspecs
from venvoy.model import Environment

pytestmark = pytest.mark.xdist_group("r-host")
_NEEDED = """
needs <- tools::package_dependencies("reticulate", db = installed.packages(), recursive = TRUE)[[1]]
base <- rownames(installed.packages(priority = "base"))
cat(find.package(setdiff(c("reticulate", needs), base)), sep = "\\n")
"""


@pytest.fixture
def mixed(store, actor, repository, wheels, pythons) -> Environment:
    wheels.add("pybit", "1.0", files={"pybit/__init__.py": "def hello(): return 'hello from Python'\n"})
    # Debian's reticulate is older than Python 3.12.
    plan = Plan(name="both", language="python", also=("r",), python=str(pythons["3.11"]), force=True)
    env = create(store, plan, actor=actor)
    for half in env.halves:
        kernelspecs.write(kernelspecs.spec(store, half, encrypts=kernel_of(store, half).encrypts))
    return env


@pytest.fixture
def with_reticulate(mixed: Environment, rscript: Path) -> Environment:
    """It with reticulate and all that it needs, as this machine's R has them."""
    asked = subprocess.run([rscript, "--vanilla", "-e", _NEEDED], check=False, capture_output=True, text=True)
    if asked.returncode:
        pytest.skip("this machine's R has no reticulate")
    for each in map(Path, asked.stdout.split()):
        shutil.copytree(each, mixed.library / each.name)
    return mixed


def test_both_kernels_write_into_one_record_and_one_freeze_locks_both(
    mixed, start, store, actor, eventually, wheels
) -> None:
    history = store.history("both")
    before = len(history.entries())
    in_python, in_r = start("venvoy-both"), start("venvoy-both-r")

    in_python.run(f"%pip install -q --no-index --find-links {wheels.folder} pybit", timeout=180)
    eventually(lambda: "pybit" in _names(store, history))
    in_r.run("install.packages('tinya', quiet = TRUE)", timeout=120)
    eventually(lambda: "tinya" in _names(store, history))

    assert [_asked(each) for each in history.entries()[before:]] == [("cell", ("pybit",)), ("cell", ("tinya",))]
    assert {"pybit", "tinya"} <= _names(store, history)
    told = history.latest.read_text()
    assert "r-tinya=" in told
    assert "pybit==1.0" in told
    said = [live.run(verb).text for live, verb in ((in_python, "%env-status"), (in_r, "env_status()"))]
    speech = observe(store, mixed).speech
    assert all(speech in each and "Never frozen" in each for each in said)

    frozen = freeze(store, mixed, actor=actor)

    assert {each.name for each in frozen.path.parent.glob("*lock*")} >= {"pylock.toml", "renv.lock"}
    assert {each.name for each in locked(store, mixed).packages} >= {"pybit", "tinya"}


def test_each_language_reaches_the_other_in_the_same_environment(with_reticulate, start, wheels) -> None:
    in_python, in_r = start("venvoy-both"), start("venvoy-both-r")
    in_python.run(f"%pip install -q --no-index --find-links {wheels.folder} pybit", timeout=180)

    of_python = in_r.run("cat(reticulate::import('pybit')$hello(), 'by', reticulate::py_config()$python)", timeout=120)
    of_r = in_python.run("!Rscript -e 'cat(find.package(\"reticulate\"), .libPaths()[[1]])'", timeout=60)

    hello, python = of_python.stdout.split(" by ")
    assert hello == "hello from Python"
    assert Path(python).parent == with_reticulate.prefix.resolve() / "bin"
    assert of_r.stdout.split() == [f"{with_reticulate.library}/reticulate", str(with_reticulate.library)]


def _asked(entry: Any) -> tuple[str, tuple[str, ...]]:
    return entry.actor.kind, tuple(name for each in entry.asked for name in each.names)


def _names(store: Any, history: Any) -> set[str]:
    from venvoy.actions.record import recorded

    return {each.name for each in recorded(history, history.last()).packages}
