"""What the sidebar shows where there is no server part: JupyterLite, or a server of another environment."""

import functools
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nbformat
import pytest
from labs import Lab, Sidebar
from playwright.sync_api import Browser, Page, expect

RECORDED = {"environment": "study", "snapshot": "ab12cd34ef56", "lock": "../venvoy-projects/study/pylock.toml"}


@pytest.fixture
def bare(_variables: Mapping[str, str]) -> Iterator[Lab]:
    lab = Lab(_variables, options=('--ServerApp.jpserver_extensions={"venvoy.frontends.server": False}',))
    lab.start()
    yield lab
    lab.stop()


def test_without_a_server_part_it_says_what_the_notebook_says(bare: Lab, opened: Callable[..., Sidebar]) -> None:
    bare.notebook("recorded.ipynb", "python3", "1 + 1", venvoy=RECORDED)
    page = opened(bare)

    page.open("recorded.ipynb")
    page.show()

    expect(page.chip).to_have_text("○Recorded in “study”")
    expect(page.panel).to_contain_text("ab12cd34ef56")
    expect(page.panel).to_contain_text("the server of this page does not run venvoy")
    expect(page.section("Packages")).to_contain_text("There is no environment whose packages could be listed.")
    assert page.axe("#venvoy-panel") == []


class _Site(SimpleHTTPRequestHandler):
    """Files and nothing else, as any web host has them."""

    asked: list[str]

    def log_request(self, code: object = "-", size: object = "-") -> None:  # noqa: ARG002
        self.asked.append(f"{code} {self.path}")


@pytest.fixture
def lite(tmp_path: Path, _variables: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    """A JupyterLite of files alone, with the extension of this environment and a notebook in it; what it was asked."""
    (tmp_path / "content").mkdir()
    metadata = {"venvoy": RECORDED, "kernelspec": {"name": "python", "display_name": "Python", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(metadata=metadata), tmp_path / "content/recorded.ipynb")
    words = ("--lite-dir=.", "--contents=content", "--output-dir=site", "--apps=lab", "--no-sourcemaps")
    built = subprocess.run(
        [sys.executable, "-m", "jupyterlite_core", "build", *words],
        cwd=tmp_path, env=dict(_variables), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    site = type("Site", (_Site,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(site, directory=str(tmp_path / "site"))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", site.asked
        server.shutdown()


@pytest.fixture
def page(_browser: Browser) -> Iterator[Page]:
    made = _browser.new_page(viewport={"width": 1280, "height": 800})
    yield made
    made.close()


def test_in_jupyterlite_it_says_what_the_notebook_says_and_asks_once(lite: tuple[str, list[str]], page: Page) -> None:
    address, asked = lite

    page.goto(f"{address}/lab/index.html?path=recorded.ipynb")
    chip = page.locator(".jp-NotebookPanel .vv-Chip")
    expect(chip).to_have_text("○Recorded in “study”")
    page.get_by_role("dialog").press("Escape")  # JupyterLite asks for a kernel: this site has none
    chip.click()

    panel = page.locator("#venvoy-panel")
    expect(panel).to_contain_text("ab12cd34ef56")
    expect(panel).to_contain_text("the server of this page does not run venvoy")
    assert [each for each in asked if "/venvoy/" in each and "/extensions/" not in each] == ["404 /venvoy/about"]
