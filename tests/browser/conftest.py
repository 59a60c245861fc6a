"""A real JupyterLab in a real browser: the system's Chromium, driven by Playwright."""

import contextlib
import os
import shutil
import urllib.error
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from labs import PATIENCE, Lab, Sidebar
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from venvoy.settings import Settings

SIZE = {"width": 1280, "height": 800}
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
        assert [error for error in each.errors if "venvoy" in error] == []


@pytest.fixture
def picture() -> Callable[[Page | Locator, str], None]:
    """Take a picture for docs/images, where VENVOY_PICTURES names a folder for them."""

    def taken(what: Page | Locator, name: str) -> None:
        if folder := os.environ.get("VENVOY_PICTURES"):
            what.screenshot(path=Path(folder, f"{name}.png"))

    return taken
