"""A real JupyterLab in a real browser: the system's Chromium, driven by Playwright."""

import contextlib
import json
import os
import shutil
import subprocess
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import uv
from labs import PATIENCE, Lab, Sidebar
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from venvoy.settings import Settings

ROOT = Path(__file__).parents[2]
# The tests run beside the newest one as it is. Between it and the oldest, 4.4 and 4.5 were tried by hand:
# VENVOY_JUPYTERLABS="4.4 4.5" pytest tests/browser/test_story.py -k whole_story
OTHERS = os.environ.get("VENVOY_JUPYTERLABS", "4.2").split()
LABS = [("jupyterlab", f"jupyterlab=={each}.*", "lab/tree") for each in OTHERS]
NOTEBOOK = ("notebook", "notebook>=7.5,<8", "notebooks")

SIZE = {"width": 1280, "height": 800}
LEFT_BY_4_2 = "Canceled future for "
"""JupyterLab 4.2 throws this at a restart, its own command's as well, for whatever it still asks the kernel."""
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.network)  # the kernel that is lent comes from the index


# --- where things lie ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _home(new_home: Callable[[str], AbstractContextManager[Mapping[str, str]]]) -> Iterator[Mapping[str, str]]:
    with new_home("browser") as variables:
        home = Path(variables["HOME"])
        (home / "work").mkdir()
        # JupyterLab would ask, over whatever is looked at, whether it may fetch news.
        asked = home / "jupyter/settings/@jupyterlab/apputils-extension/notification.jupyterlab-settings"
        asked.parent.mkdir(parents=True)
        asked.write_text('{"fetchNews": "false"}')
        yield {
            **variables,
            "JUPYTERLAB_SETTINGS_DIR": str(home / "jupyter/settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "jupyter/workspaces"),
        }


@pytest.fixture(autouse=True)
def settings(moved: Callable[[Mapping[str, str]], Settings], _home: Mapping[str, str]) -> Settings:
    return moved(_home)


# --- a server --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _variables(_home: Mapping[str, str], _machine: Mapping[str, str]) -> Mapping[str, str]:
    return {**os.environ, **_machine, **_home}


@pytest.fixture(scope="session")
def _lab(_variables: Mapping[str, str]) -> Iterator[Lab]:
    lab = Lab(_variables)
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def lab(_lab: Lab) -> Iterator[Lab]:
    """The JupyterLab that the tests run beside; what a test leaves open in it is closed in the end."""
    yield _lab
    for session in _lab.ask("GET", "api/sessions"):
        with contextlib.suppress(urllib.error.HTTPError):
            _lab.ask("DELETE", f"api/sessions/{session['id']}")


# The one beside the tests comes last: a picture of it takes the place of those of the others.
@pytest.fixture(params=[*LABS, NOTEBOOK, None], ids=[*OTHERS, "notebook", "beside"])
def served(
    request: pytest.FixtureRequest, tmp_path: Path, _variables: Mapping[str, str], pythons: Mapping[str, Path]
) -> Iterator[Lab]:
    """The server beside the tests, or that program in a venv of its own with the wheel of this checkout in it."""
    if request.param is None:
        yield request.getfixturevalue("lab")
        return
    module, requirement, pages = request.param
    if "3.12" not in pythons:
        pytest.skip("not obtainable: no Python 3.12 on this machine")
    python = tmp_path / "venv/bin/python"
    for words in (
        ("venv", "--quiet", "--python", str(pythons["3.12"]), str(tmp_path / "venv")),
        ("pip", "install", "--quiet", "--refresh-package", "venvoy", "--python", str(python), requirement, str(ROOT)),
    ):
        subprocess.run([uv.find_uv_bin(), *words], check=True, env={**_variables, "UV_SYSTEM_CERTS": "1"})
    lab = Lab(_variables, python=str(python), module=module, pages=pages)
    lab.start()
    yield lab
    lab.stop()


@pytest.fixture
def prefer(_home: Mapping[str, str]) -> Iterator[Callable[..., None]]:
    """Have the pages that are opened from now on find these settings of a plugin, as of a person who made them before."""
    written: list[Path] = []

    def made(plugin: str, **settings: object) -> None:
        file = Path(_home["JUPYTERLAB_SETTINGS_DIR"], f"{plugin}.jupyterlab-settings")
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(settings))
        written.append(file)

    yield made
    for each in written:
        each.unlink()


# --- a browser -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def _browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, CHROMIUM)), None)
    if program is None:
        pytest.skip("there is no Chromium here (Debian: chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def opened(_browser: Browser, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Sidebar]]:
    """Open a page of the server: `opened()`; each with the errors that it threw, of which ours fail the test."""
    pages: list[Sidebar] = []

    def made(lab: Lab = lab, **options: Any) -> Sidebar:
        context = _browser.new_context(viewport=SIZE, accept_downloads=True, **options)
        page = context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        sidebar = Sidebar(page, lab, [])
        page.on("pageerror", lambda error: sidebar.errors.append(f"{error}\n{error.stack}"))
        pages.append(sidebar)
        return sidebar

    yield made
    for each in pages:
        if kept := os.environ.get("VENVOY_SCREENSHOTS_OF_ALL"):
            each.page.screenshot(path=Path(kept, f"{request.node.name}-{pages.index(each)}.png"))
        each.page.context.close()
        theirs = () if each.lab is lab else (LEFT_BY_4_2,)
        assert [error for error in each.errors if "venvoy" in error and not error.startswith(theirs)] == []


@pytest.fixture
def picture() -> Callable[[Page | Locator, str], None]:
    """Take a picture for docs/images, where VENVOY_PICTURES names a folder for them."""

    def taken(what: Page | Locator, name: str) -> None:
        if folder := os.environ.get("VENVOY_PICTURES"):
            what.screenshot(path=Path(folder, f"{name}.png"))

    return taken
