"""The same build in the oldest JupyterLab that it is for, and in Notebook 7."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uv
from labs import Lab, Sidebar
from playwright.sync_api import expect

from venvoy.frontends import kernelspecs
from venvoy.model import Environment

ROOT = Path(__file__).parents[2]


# The tests run beside the newest one as it is. Between it and the oldest, 4.4 and 4.5 were tried by hand:
# VENVOY_JUPYTERLABS="4.4 4.5" pytest tests/browser/test_versions.py
OTHERS = os.environ.get("VENVOY_JUPYTERLABS", "4.2").split()
LABS = [("jupyterlab", f"jupyterlab=={each}.*", "lab/tree") for each in OTHERS]


@pytest.fixture(params=[*LABS, ("notebook", "notebook>=7.5,<8", "notebooks")], ids=[*OTHERS, "notebook"])
def elsewhere(
    request: pytest.FixtureRequest, tmp_path: Path, _variables: Mapping[str, str], pythons: Mapping[str, Path]
) -> Iterator[tuple[Lab, str]]:
    """A server of that program in a venv of its own, with the wheel of this checkout in it."""
    module, requirement, prefix = request.param
    if "3.12" not in pythons:
        pytest.skip("not obtainable: no Python 3.12 on this machine")
    python = tmp_path / "venv/bin/python"
    for words in (
        ("venv", "--quiet", "--python", str(pythons["3.12"]), str(tmp_path / "venv")),
        ("pip", "install", "--quiet", "--refresh-package", "venvoy", "--python", str(python), requirement, str(ROOT)),
    ):
        subprocess.run([uv.find_uv_bin(), *words], check=True, env={**_variables, "UV_SYSTEM_CERTS": "1"})
    lab = Lab(_variables, python=str(python), module=module)
    lab.start()
    yield lab, prefix
    lab.stop()


def test_it_is_frozen_there_as_well(
    elsewhere: tuple[Lab, str], opened: Callable[..., Sidebar], environment: Callable[[str], Environment]
) -> None:
    lab, prefix = elsewhere
    env = environment(f"in-{lab.module}-{lab.port}")
    page = opened(lab)
    page.open(lab.notebook(f"{env.name}.ipynb", kernelspecs.spec_name(env.name), "1 + 1"), prefix=prefix)
    expect(page.chip).to_contain_text("Never frozen")

    page.chip.click()
    expect(page.panel.locator(".vv-Name")).to_have_text(env.name)
    expect(page.section("Packages").get_by_role("option", name=re.compile("pip"))).to_be_visible()
    page.panel.get_by_role("button", name="Freeze", exact=True).first.click()

    expect(page.chip).to_contain_text("Matches the freeze of")
    expect(page.section("Timeline").locator(".vv-mod-freeze")).to_contain_text("the sidebar")

    expect(page.section("Actions").get_by_role("button", name="Verify", exact=True)).to_be_visible()
    expect(page.section("Details").get_by_text(str(env.prefix))).to_be_visible()
