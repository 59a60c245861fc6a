"""A JupyterLab server, and its page as a person has it before them."""

import contextlib
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Locator, Page, expect

PATIENCE = 60
LONGEST_WAY = 150
"""So often Tab is pressed for one thing at most."""
AXE = Path(__file__).parents[2] / "labextension/node_modules/axe-core/axe.min.js"

expect.set_options(timeout=PATIENCE * 1000)


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Lab:
    """A server that can be stopped, killed and started again at the same address."""

    variables: Mapping[str, str]
    python: str = sys.executable
    module: str = "jupyterlab"
    pages: str = "lab/tree"
    """What comes before a notebook's path in the address of its page."""
    options: tuple[str, ...] = ()
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def work(self) -> Path:
        return Path(self.variables["HOME"], "work")

    @property
    def log(self) -> Path:
        return Path(self.variables["HOME"], f"server-{self.port}.log")

    def start(self) -> None:
        argv = [
            self.python, "-m", self.module, "--no-browser", "--allow-root", f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0", f"--IdentityProvider.token={self.token}",
            f"--ServerApp.root_dir={self.work}", "--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True",
            "--JupyterNotebookApp.expose_app_in_browser=True", "--KernelRestarter.time_to_dead=0.3",
            *self.options,
        ]  # fmt: skip
        with self.log.open("ab") as said:
            self.process = subprocess.Popen(argv, env=dict(self.variables), stdout=said, stderr=said)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(OSError):
                self.ask("GET", "api/status")
                return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def ask(self, method: str, path: str) -> Any:
        request = urllib.request.Request(  # noqa: S310  # an address of ours
            f"{self.address}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
            text = answer.read()
        return json.loads(text) if text else None

    def notebook(self, path: str, kernel: str, *cells: str, **metadata: object) -> str:
        """Write a notebook that asks for that kernel."""
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        written = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(each) for each in cells], metadata={"kernelspec": spec, **metadata}
        )
        (self.work / path).parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(written, self.work / path)
        return path


@dataclass
class Sidebar:
    """A page with a notebook in it, as a person has it before them."""

    page: Page
    lab: Lab
    errors: list[str]

    @property
    def panel(self) -> Locator:
        return self.page.locator("#venvoy-panel")

    @property
    def sentence(self) -> Locator:
        return self.panel.locator(".vv-State")

    @property
    def chip(self) -> Locator:
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .vv-Chip")

    @property
    def jobs(self) -> Locator:
        return self.panel.locator(".vv-Job")

    def open(self, path: str) -> None:
        self.page.goto(f"{self.lab.address}/{self.lab.pages}/{path}?token={self.lab.token}&reset")
        self.page.locator(".jp-Notebook").first.wait_for(timeout=PATIENCE * 1000)

    def show(self) -> None:
        if not self.panel.is_visible():
            self.page.keyboard.press("Control+Shift+Y")
        expect(self.panel).to_be_visible()

    def wait_for_kernel(self) -> None:
        """Until the notebook's kernel has nothing to do."""
        self.page.wait_for_function(IDLE)

    def run(self, code: str) -> None:
        """Write a new cell at the end and run it to its end."""
        ran = self.page.evaluate(RUN, code)
        assert ran == "ok", ran

    def reach(self, name: str) -> None:
        """Press Tab until what is called so has the focus."""
        met: list[str] = []
        while not met or met[-1] != name:
            assert len(met) < LONGEST_WAY, f"{name!r} is not reached: {met}"
            self.page.keyboard.press("Tab")
            met.append(self.page.evaluate(FOCUSED))

    def press(self, *names: str) -> None:
        """Reach what is called so, one after the other, and press Enter on each."""
        for name in names:
            self.reach(name)
            self.page.keyboard.press("Enter")

    def go_to(self, *names: str) -> None:
        """Go to the panel with the keyboard alone, and press Enter on what is called so there."""
        self.page.keyboard.press("Control+Shift+Y")
        expect(self.panel).to_be_focused()
        self.press(*names)

    def write_and_run(self, code: str) -> None:
        """Go back to the notebook, write a cell below the one in front and run it, with the keyboard alone."""
        self.page.keyboard.press("Escape")
        expect(self.page.locator(".jp-Notebook.jp-mod-commandMode:focus-within")).to_be_visible()
        for key in ("b", "Enter"):
            self.page.keyboard.press(key)
        self.page.keyboard.type(code)
        self.page.keyboard.press("Shift+Enter")

    def section(self, title: str) -> Locator:
        """The content of a section, opened where it is closed."""
        head = self.panel.locator(".lm-AccordionPanel-title", has_text=title)
        if head.get_attribute("aria-expanded") != "true":
            head.click()
        return self.panel.get_by_role("region", name=title)

    def axe(self, within: str) -> list[Any]:
        """What axe-core has against that part of the page."""
        assert AXE.is_file(), "axe-core is missing: (cd labextension && jlpm install)"
        self.page.add_script_tag(path=AXE)
        return self.page.evaluate(  # type: ignore[no-any-return]
            "within => axe.run(within, {resultTypes: ['violations']})"
            ".then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html + n.failureSummary)]))",
            within,
        )


IDLE = "window.jupyterapp.shell.currentWidget.sessionContext.session?.kernel?.status === 'idle'"
FOCUSED = """() => {
  const it = document.activeElement;
  return it === document.body ? '' : (it.getAttribute('aria-label') ?? it.textContent).trim();
}"""

# Through the model and the kernel that the page itself has: typing is not what these tests are about.
RUN = """async code => {
  const app = window.jupyterapp;
  const panel = app.shell.currentWidget;
  await panel.sessionContext.ready;
  const model = panel.content.model.sharedModel;
  model.insertCell(model.cells.length, { cell_type: 'code', source: code });
  panel.content.activeCellIndex = model.cells.length - 1;
  await app.commands.execute('notebook:run-cell');
  const cell = panel.content.widgets[model.cells.length - 1];
  const outputs = cell.model.outputs.toJSON();
  const error = outputs.find(each => each.output_type === 'error');
  return error ? error.ename + ': ' + error.evalue : 'ok';
}"""
