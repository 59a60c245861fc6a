"""The whole way, with real packages: made, worked in, frozen, archived, imported where there is no network, verified."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

WISHES = (
    "beautifulsoup4", "bokeh", "dask[array,dataframe]", "fastapi", "flask", "httpx", "jsonschema", "lxml", "matplotlib", "networkx",
    "nltk", "numpy", "pandas", "patsy", "plotly", "pyarrow", "pytest", "requests", "rich", "scikit-learn", "seaborn", "sqlalchemy",
    "statsmodels", "sympy", "uvicorn", "xarray",
)  # fmt: skip
NOTEBOOK = (
    "import numpy, pandas, sklearn, matplotlib\nprint(pandas.DataFrame({'a': [1, 2]}).a.sum())",
    "%pip install --quiet docopt==0.6.2",
    "import docopt\nprint(docopt.__version__)",
)


def isolated() -> list[str]:
    """How to run something in a network namespace without routes."""
    for words in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if subprocess.run([*words, "true"], check=False, capture_output=True).returncode == 0:
            return words
    pytest.skip("not obtainable: no network namespaces on this machine")


def online(user) -> dict[str, str]:
    """The index of this machine in place of the shelf."""
    return {
        "UV_CONFIG_FILE": str(user.write("online.toml", "")),
        "PIP_NO_INDEX": "0",
        "PIP_CONFIG_FILE": os.environ.get("PIP_CONFIG_FILE", ""),
    }


def executed(user, notebook: Path, kernel: str, *, before: tuple[str, ...] = (), **variables: str) -> None:
    words = [*before, sys.executable, "-m", "jupyter", "execute", f"--kernel_name={kernel}", "--inplace", notebook]
    ran = subprocess.run(
        words, env={**user.variables, **variables}, cwd=notebook.parent, check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def outputs(notebook: Path) -> list[str]:
    cells = nbformat.read(notebook, as_version=4).cells
    return ["".join(each.get("text", "") for each in cell.outputs) for cell in cells]


@pytest.mark.network
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_eighty_distributions_go_the_whole_way(new_user):
    author, reader = new_user("author"), new_user("reader")
    there = online(author)
    listed = author.write("requirements.txt", "\n".join(WISHES))
    author.done("init", "study", "--requirements", listed, **there)
    notebook = author.work / "analysis.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in NOTEBOOK]), notebook)

    executed(author, notebook, "venvoy-study", **there)
    frozen = author.json("freeze", "study", "--vendor", **there)
    author.done("stamp", notebook, "--name", "study")
    archive = author.work / "study.venvoy.tar.zst"
    author.done(
        "export", "--name", "study", "--format", "archive", "--notebook", notebook, "--output", archive, **there
    )

    assert len(frozen["packages"]) >= 80
    assert (frozen["unpinned"], frozen["vendored"]["missing"]) == ([], [])
    assert outputs(notebook)[0::2] == ["3\n", "0.6.2\n"]

    offline = {
        "UV_CONFIG_FILE": str(reader.write("offline.toml", "")),
        "UV_CACHE_DIR": str(reader.home / "empty-cache"),
        "PIP_CONFIG_FILE": os.devnull,
    }

    def alone(*words: str | Path) -> subprocess.CompletedProcess[str]:
        venvoy = Path(sys.executable).with_name("venvoy")
        argv = [*isolated(), venvoy, *words]
        return subprocess.run(
            argv, env={**reader.variables, **offline}, cwd=reader.work, check=False, capture_output=True, text=True
        )

    imported = alone("import-archive", archive, "--output", "json")
    assert imported.returncode == 0, imported.stderr
    verified = alone("verify", archive, "--require", "L3", "--output", "json", "--html", "report.html")
    assert verified.returncode == 0, verified.stderr
    own = alone("verify", "study", "--require", "L3", "--output", "json")
    assert own.returncode == 0, own.stdout + own.stderr

    assert json.loads(verified.stdout)["reached"] == "L3"
    assert "http" not in (reader.work / "report.html").read_text().replace("https://", "http://").split("<style>")[0]
    again = Path(json.loads(imported.stdout)["files"]) / "analysis.ipynb"
    said = nbformat.read(again, as_version=4)
    said.cells[1].source = "import docopt"  # what was installed by the cell is there already
    nbformat.write(said, again)
    executed(reader, again, "venvoy-study", before=tuple(isolated()), **offline)
    assert outputs(again)[0::2] == outputs(notebook)[0::2]
    assert alone("status", again).returncode == 0
