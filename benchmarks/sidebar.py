"""The sidebar in a real page, beside a notebook whose environment has 300 packages, and what it costs the page."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from side_by_side import own_home, report

import venvoy
from server import PACKAGES, prepare, serving
from venvoy import settings
from venvoy.actions.launch import kernel_of
from venvoy.frontends import kernelspecs
from venvoy.jobs import Work
from venvoy.model import Progress
from venvoy.store import Store

ROUNDS = 9
AT_REST = 90.0
"""Seconds for which requests are counted: longer than the minute after which the sidebar looks again by itself."""
LAB = (
    "--LabApp.expose_app_in_browser=True",
    "--LabApp.news_url=None",
    "--ServerApp.jpserver_extensions=jupyterlab=True",
)
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")

# Milliseconds from the moment at which the notebook's tab is there.
OPENED = """async path => {
  const app = window.jupyterapp;
  const met = {};
  const looks = {
    sentence: panel => panel.node.querySelector('.vv-Chip[aria-label^="Environment demo:"]'),
    kernel: panel => panel.sessionContext.session?.kernel?.status === 'idle'
  };
  void app.commands.execute('docmanager:open', { path });
  let began = 0;
  while (Object.keys(met).length < Object.keys(looks).length) {
    const panel = [...app.shell.widgets('main')].find(each => each.context?.path === path && each.isAttached);
    if (panel) {
      began ||= performance.now();
      for (const [name, look] of Object.entries(looks)) {
        if (!(name in met) && look(panel)) {
          met[name] = performance.now() - began;
        }
      }
    }
    if (began && performance.now() - began > 60000) {
      throw new Error('only this was met: ' + JSON.stringify(met));
    }
    await new Promise(done => setTimeout(done, 1));
  }
  return met;
}"""

# Milliseconds from the moment at which the tab of another notebook is brought to the front.
BROUGHT = """async name => {
  const app = window.jupyterapp;
  const panel = document.querySelector('#venvoy-panel');
  const other = [...app.shell.widgets('main')].find(each => each.title.label === name);
  const began = performance.now();
  app.shell.activateById(other.id);
  const said = () => panel.querySelector('.vv-Header').textContent.startsWith(name)
    && panel.querySelector('.vv-State .vv-Sentence')?.textContent.includes('freeze');
  while (!said()) {
    if (performance.now() - began > 30000) {
      throw new Error('still: ' + panel.querySelector('.vv-Header').textContent);
    }
    await new Promise(done => setTimeout(done, 1));
  }
  return performance.now() - began;
}"""

CLOSED = """async () => {
  const app = window.jupyterapp;
  for (const each of [...app.shell.widgets('main')].filter(each => each.context)) {
    await each.context.save();
    await each.sessionContext.shutdown();
    each.dispose();
  }
}"""

# What JupyterLab and this sidebar ask of a page that is not looked at.
HIDDEN = """() => {
  Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def main() -> None:
    _bundle()
    with own_home() as home:
        os.environ["JUPYTERLAB_SETTINGS_DIR"] = str(home / "lab/settings")
        os.environ["JUPYTERLAB_WORKSPACES_DIR"] = str(home / "lab/workspaces")
        store, root = Store(settings.current()), home / "work"
        prepare(store, home, root)
        _notebooks(root, store)
        program = next(filter(None, map(shutil.which, CHROMIUM)))
        with serving(root, "jupyterlab", *LAB) as (address, token), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.set_default_timeout(60_000)
            page.goto(f"{address}lab?token={token}&reset")
            page.locator(".jp-Launcher").first.wait_for()
            _opened(page)
            _brought(page)
            _heard(page, store)
            _at_rest(page)
            browser.close()


def _bundle() -> None:
    """What a page fetches of it."""
    static = Path(venvoy.__file__).parent / "labextension/static"
    code = [each.read_bytes() for each in static.iterdir() if each.suffix == ".js"]
    print(f"\nbundle: {sum(map(len, code)) / 1000:.0f} kB of JavaScript, as gzip", end=" ")
    print(f"{sum(len(gzip.compress(each)) for each in code) / 1000:.0f} kB")


def _notebooks(root: Path, store: Store) -> None:
    env = store.environment("demo")
    kernelspecs.write(kernelspecs.spec(store, env, encrypts=kernel_of(store, env).encrypts))
    written = json.loads((root / "a.ipynb").read_text())
    name = kernelspecs.spec_name(env.name)
    written["metadata"]["kernelspec"] = {"name": name, "display_name": name, "language": "python"}
    written["cells"] = [
        {"cell_type": "code", "id": "a", "metadata": {}, "source": "1", "outputs": [], "execution_count": None}
    ]
    for number in range(ROUNDS + 1):
        (root / f"n{number}.ipynb").write_text(json.dumps(written))


def _opened(page: Page) -> None:
    taken: dict[str, list[float]] = {}
    for number in range(ROUNDS + 1):
        met = page.evaluate(OPENED, f"n{number}.ipynb")
        page.evaluate(CLOSED)
        if number:  # the first is not measured
            for name, milliseconds in met.items():
                taken.setdefault(name, []).append(milliseconds / 1e3)
    ways = {"sentence": "to its sentence", "kernel": "to its kernel's being idle"}
    report(f"from a notebook's tab, {PACKAGES} packages", {words: taken[name] for name, words in ways.items()})


def _brought(page: Page) -> None:
    for name in ("n0.ipynb", "n1.ipynb"):
        page.evaluate("path => void window.jupyterapp.commands.execute('docmanager:open', { path })", name)
        page.locator(f".lm-TabBar-tabLabel:text-is('{name}')").wait_for()
    page.keyboard.press("Control+Shift+Y")
    page.locator("#venvoy-panel .vv-State").wait_for()
    taken = [page.evaluate(BROUGHT, f"n{number % 2}.ipynb") / 1e3 for number in range(ROUNDS * 2 + 2)][2:]
    report("from a tab that is brought to the front to the panel's sentence", {"sentence": taken})


def _heard(page: Page, store: Store) -> None:
    job, package = [], []
    with Work(store.jobs, store.jobs.begin("freeze", origin="command", environment="demo")) as work:
        for number in range(ROUNDS):
            began = time.perf_counter()
            work.measure(Progress(phase="fetching", done=number, total=1000, unit="packages"), None, None)
            page.locator(".vv-Job", has_text=f"{number} of 1000").first.wait_for()
            job.append(time.perf_counter() - began)
        work.end("succeeded")
    site = next(store.environment("demo").prefix.glob("lib/python*/site-packages"))
    source = next(site.glob("copied0-*.dist-info"))
    for number in range(ROUNDS):
        text = (source / "METADATA").read_text().replace("Name: copied0", f"Name: late{number}", 1)
        began = time.perf_counter()
        target = shutil.copytree(source, site / f"late{number}-1.0.dist-info")
        (target / "METADATA").write_text(text)
        changed = f"{number + 1} package{'s' if number else ''} changed since"
        page.locator("#venvoy-panel .vv-State", has_text=changed).wait_for()
        package.append(time.perf_counter() - began)
    report("from what happens elsewhere to the panel", {"a job's phase": job, "a package in the environment": package})


def _at_rest(page: Page) -> None:
    print(f"\nrequests a minute of a page at rest ({AT_REST:.0f} s each)")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for how in ("in front", "hidden"):
        if how == "hidden":
            page.evaluate(HIDDEN)
        page.wait_for_timeout(5000)
        asked.clear()
        page.wait_for_timeout(AT_REST * 1000)
        ours = sum("/venvoy/" in each for each in asked)
        print(f"  {how:10} ours {ours * 60 / AT_REST:.1f}, JupyterLab's {(len(asked) - ours) * 60 / AT_REST:.1f}")


if __name__ == "__main__":
    main()
