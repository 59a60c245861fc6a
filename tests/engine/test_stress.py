"""A channel as large as conda-forge: what benchmarks/conda_solve.py measures gives a right answer."""

from pathlib import Path

import pytest

from venvoy.actions.conda import ask
from venvoy.engine.request import Request, Source


@pytest.mark.slow
def test_four_hundred_thousand_records_are_solved(settings, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.setenv("RATTLER_CACHE_DIR", str(tmp_path / "rattler"))
    import conda_solve

    conda_solve.repodata(tmp_path / "channel")
    specs = tuple(f"package-{number * 30}" for number in range(conda_solve.WANTED))
    source = Source(channels=((tmp_path / "channel").as_uri(),))
    said = ask(Request(verb="solve", source=source, specs=specs, platforms=("linux-64",)), doing="cannot solve")

    found = {each["name"]: each for each in said["linux-64"]}
    assert set(specs) <= set(found)
    newest = f"{conda_solve.RECORDS // conda_solve.NAMES - 1}.0"
    assert {each["version"] for each in found.values()} == {newest}
    needed = {need.split()[0] for each in found.values() for need in each["depends"]}
    assert needed <= set(found)
