"""A researcher's story in JupyterLab: install, see the change, freeze, install more, compare, restart, go back, export, verify."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labs import Lab, Sidebar
from playwright.sync_api import expect

from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.store import Store

Open = Callable[..., Sidebar]
Make = Callable[[str], Environment]


@pytest.fixture
def study(environment: Make, lab: Lab) -> str:
    """A notebook whose kernel is that of the environment `study`."""
    env = environment("study")
    return lab.notebook("study/analysis.ipynb", kernelspecs.spec_name(env.name), "# The analysis")


def restart(page: Sidebar) -> None:
    page.panel.get_by_role("button", name="Restart kernel").click()
    page.page.locator(".jp-Dialog .jp-mod-accept").click()


def downloaded(page: Sidebar, label: str, to: Path) -> str:
    """Export the environment in the format of that label, and give back the file that the browser got."""
    with page.page.expect_download() as downloading:
        page.section("Actions").get_by_role("button", name="Export…", exact=True).click()
        form = page.page.get_by_role("dialog")
        form.locator("select").select_option(label=label)
        form.get_by_role("button", name="Export").click()
    downloading.value.save_as(to)
    return to.read_text()


def test_the_whole_story(
    served: Lab, environment: Make, opened: Open, store: Store, picture: Any, tmp_path: Path
) -> None:
    """In each JupyterLab it is for, and in Notebook."""
    env = environment("study" if served.python == sys.executable else f"study-{served.port}")
    page = opened(served)
    page.open(served.notebook("study/analysis.ipynb", kernelspecs.spec_name(env.name), "# The analysis"))
    page.show()
    expect(page.panel.locator(".vv-Name")).to_have_text(env.name)
    expect(page.chip).to_have_text("●Never frozen")

    page.run("%pip install -qq six==1.16.0")
    timeline = page.section("Timeline")
    expect(timeline.locator(".vv-Entry").first).to_contain_text("cell [1]")
    expect(page.section("Packages").get_by_role("option", name="six")).to_contain_text("1.16.0")

    page.panel.get_by_role("button", name="Freeze", exact=True).first.click()
    expect(page.jobs).to_contain_text("Freeze")
    expect(page.chip).to_contain_text("Matches the freeze of")
    expect(timeline.locator(".vv-mod-freeze")).to_contain_text("the sidebar")
    assert (store.project(env.name) / "pylock.toml").is_file()
    picture(page.page, "sidebar")

    page.run("import six")
    page.run("%pip install -qq six==1.17.0 iniconfig")
    expect(page.chip).to_contain_text("Restart needed: six 1.16.0 is loaded, 1.17.0 is installed")
    rows = page.section("Packages").get_by_role("option")
    expect(rows.filter(has_text="six")).to_contain_text("restart")
    expect(rows.filter(has_text="iniconfig")).to_contain_text("added")

    timeline.get_by_role("button", name="Compare").click()
    compared = timeline.locator(".vv-Compared")
    expect(compared).to_contain_text("~ six 1.16.0 → 1.17.0")
    expect(compared).to_contain_text("+ iniconfig")
    picture(page.panel, "sidebar-changes")

    restart(page)
    expect(page.chip).to_have_text("●2 packages changed since")

    timeline.locator(".vv-mod-freeze").get_by_role("button", name=re.compile("Go back")).click()
    plan = page.page.get_by_role("dialog")
    expect(plan).to_contain_text("~ six 1.17.0 → 1.16.0")
    expect(plan).to_contain_text("− iniconfig")
    picture(plan.locator(".jp-Dialog-content"), "sidebar-plan")
    plan.get_by_role("button", name="Go back").click()
    expect(page.jobs.first).to_contain_text("Done in")
    expect(page.chip).to_contain_text("Restart needed")
    restart(page)
    expect(page.chip).to_contain_text("Matches the freeze of")

    exported = downloaded(page, "requirements (requirements.txt)", tmp_path / "requirements.txt")
    assert re.search(r"six==1\.16\.0.*--hash=sha256:", exported, re.DOTALL)

    page.section("Actions").get_by_role("button", name="Verify", exact=True).click()
    expect(page.jobs.first.locator(".vv-Levels")).to_contain_text(re.compile(r"Level L\d is reached"))
    page.jobs.first.get_by_text("Log").click()
    expect(page.jobs.first.locator("pre").last).not_to_be_empty()
    picture(page.panel, "sidebar-verify")
    expect(page.section("Details").get_by_text(str(env.prefix))).to_be_visible()


def test_two_notebooks_each_have_their_chip_and_the_panel_can_be_pinned(
    environment: Make, lab: Lab, opened: Open, study: str
) -> None:
    other = environment("other")
    lab.notebook("study/other.ipynb", kernelspecs.spec_name(other.name))
    page = opened()
    page.open(study)
    page.show()
    name = page.panel.locator(".vv-Name")
    expect(name).to_have_text("study")
    page.page.evaluate(
        "() => void window.jupyterapp.commands.execute('docmanager:open', "
        "{path: 'study/other.ipynb', options: {mode: 'split-right'}})"
    )
    expect(page.chip).to_have_count(2)

    expect(name).to_have_text("other")
    for chip, whose in ((page.chip.first, "study"), (page.chip.last, "other")):
        expect(chip).to_have_attribute("aria-label", re.compile(f"^Environment {whose}:"))
    page.page.locator(".jp-NotebookPanel", has_text="The analysis").locator(".jp-Cell").first.click()
    expect(name).to_have_text("study")
    page.panel.get_by_role("button", name="Pin").click()
    page.page.get_by_role("tab", name="other.ipynb").click()

    expect(page.panel.get_by_role("button", name="Pinned")).to_be_visible()
    expect(name).to_have_text("study")


def test_the_whole_story_is_told_with_the_keyboard_alone_in_the_dark(
    environment: Make, opened: Open, prefer: Callable[..., None], lab: Lab, tmp_path: Path
) -> None:
    prefer("@jupyterlab/apputils-extension/themes", theme="JupyterLab Dark")
    mine, other = environment("by-hand"), environment("other")
    page = opened()
    page.open(lab.notebook("keys.ipynb", kernelspecs.spec_name(mine.name), "# By hand"))
    expect(page.page.locator("body")).to_have_attribute("data-jp-theme-name", "JupyterLab Dark")
    keys, panel, dialog = page.page.keyboard, page.panel, page.page.get_by_role("dialog")
    expect(page.chip).to_have_text("●Never frozen")
    page.wait_for_kernel()

    page.write_and_run("%pip install -qq six==1.16.0")
    page.show()
    expect(panel.get_by_role("option", name="six")).to_contain_text("1.16.0")
    page.go_to("Freeze")
    expect(page.chip).to_contain_text("Matches the freeze of")
    keys.press("Escape")
    page.write_and_run("import six")
    page.write_and_run("%pip install -qq six==1.17.0 iniconfig")
    expect(page.chip).to_contain_text("Restart needed: six 1.16.0 is loaded, 1.17.0 is installed")

    page.go_to("Filter packages")
    keys.type("added")
    expect(panel.get_by_role("option", name="iniconfig")).to_be_visible()
    page.reach("Packages")
    keys.press("End")
    expect(panel.locator(".vv-ListRow[aria-selected=true]")).to_contain_text("iniconfig")
    page.press("Compare")
    expect(panel.locator(".vv-Compared")).to_contain_text("~ six 1.16.0 → 1.17.0")
    frozen = panel.locator(".vv-mod-freeze strong").inner_text()
    # the packages are seen while pip still runs, and the entry of its cell comes after
    expect(panel.get_by_role("button", name=f"Go back to {frozen}…")).to_be_enabled()
    page.press(f"Go back to {frozen}…")
    expect(dialog).to_contain_text("− iniconfig")
    expect(dialog.get_by_role("button", name="Go back")).to_be_focused()
    keys.press("Enter")
    expect(page.jobs.first).to_contain_text(re.compile("Go back.*Done in"))
    page.go_to("Restart kernel")
    expect(dialog.get_by_role("button", name="Confirm Kernel Restart")).to_be_focused()
    keys.press("Enter")
    expect(page.chip).to_contain_text("Matches the freeze of")

    page.go_to("Actions Section", "Export…")
    expect(dialog.get_by_label("Format")).to_be_focused()
    keys.type("requirements")
    with page.page.expect_download() as downloading:
        keys.press("Enter")
    downloading.value.save_as(tmp_path / "requirements.txt")
    assert "six==1.16.0" in (tmp_path / "requirements.txt").read_text()
    page.go_to("Verify")
    expect(page.jobs.first.locator(".vv-Levels")).to_contain_text(re.compile(r"Level L\d is reached"))

    page.go_to("Change environment…")
    expect(page.page.get_by_role("combobox", name="Search environments")).to_be_focused()
    keys.type("oth")
    keys.press("Enter")
    expect(panel.locator(".vv-Name")).to_have_text(other.name)


@pytest.mark.parametrize("theme", ["JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast"])
def test_axe_finds_nothing_in_any_theme_at_250_pixels(theme: str, opened: Open, study: str, picture: Any) -> None:
    page = opened()
    page.open(study)
    page.show()
    page.page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', {theme})", theme)
    page.page.locator(f"body[data-jp-theme-name='{theme}']").wait_for(state="attached")
    for title in ("Packages", "Timeline", "Actions", "Details"):
        page.section(title)
    expect(page.section("Packages").get_by_role("listbox")).to_be_visible()

    assert page.panel.bounding_box()["width"] <= 260
    assert page.axe("#venvoy-panel") == []
    assert page.axe(".jp-NotebookPanel .vv-Chip") == []
    wide = page.panel.locator(".vv-Section").evaluate_all("all => all.map(e => e.scrollWidth - e.clientWidth)")
    assert max(wide) <= 0
    if theme == "JupyterLab Dark":
        page.panel.locator(".lm-AccordionPanel-title", has_text="Details").click()  # it names folders of this machine
        picture(page.page, "sidebar-dark")


HIDDEN = """() => {
  Object.defineProperty(document, 'visibilityState', { get: () => 'hidden' });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_a_page_that_nobody_sees_asks_nothing(opened: Open, prefer: Callable[..., None], study: str) -> None:
    prefer("venvoy/plugin", refresh=1)
    page, asked = opened(), []
    page.open(study)
    page.show()
    page.wait_for_kernel()
    page.page.wait_for_timeout(3000)  # what follows a kernel's start is over
    with page.page.expect_request(re.compile("/venvoy/notebook")):
        pass

    page.page.evaluate(HIDDEN)
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.wait_for_timeout(4000)

    assert [each for each in asked if "/venvoy/" in each] == []


def test_a_new_environment_is_made_from_the_launcher_and_its_notebook_opens(opened: Open, lab: Lab) -> None:
    page = opened()
    page.page.goto(f"{lab.address}/lab?token={lab.token}&reset")
    section = page.page.locator(".jp-Launcher-section", has_text="Environments")
    section.get_by_text("New Environment…").click()
    form = page.page.get_by_role("dialog")
    form.get_by_label("Name").fill("fresh")
    form.get_by_role("button", name="Create").click()

    page.page.locator(".jp-NotebookPanel").wait_for()
    page.show()

    expect(page.panel.locator(".vv-Name")).to_have_text("fresh")
