"""What the sidebar says when the server is slow, gone, or back again; and that two pages see the same."""

from collections.abc import Callable, Iterator, Mapping

import pytest
from labs import Lab, Sidebar
from playwright.sync_api import Route, expect

from venvoy.frontends import kernelspecs
from venvoy.model import Environment
from venvoy.store import Store

Open = Callable[..., Sidebar]
Make = Callable[[str], Environment]
REFRESH = "() => void window.jupyterapp.commands.execute('venvoy:refresh-panel')"


@pytest.fixture
def own(_variables: Mapping[str, str]) -> Iterator[Lab]:
    """A server that this test may kill."""
    lab = Lab(_variables)
    lab.start()
    yield lab
    lab.stop()


def test_a_job_outlives_its_server_and_its_end_is_told_by_the_next(
    own: Lab, opened: Open, environment: Make, store: Store
) -> None:
    env = environment("killed")
    path = own.notebook("killed.ipynb", kernelspecs.spec_name(env.name))
    page = opened(own)
    page.open(path)
    page.show()
    expect(page.chip).to_contain_text("Never frozen")
    with store.held(env.name):  # the job waits for it
        page.section("Actions").get_by_role("button", name="Archive", exact=True).click()
        expect(page.jobs.get_by_role("progressbar", name="Progress of: Archive")).to_be_visible()

        own.kill()
        page.panel.evaluate(REFRESH)
        expect(page.panel).to_contain_text("The server does not answer; this is what it said last.")
        own.start()
        # Not by the button: JupyterLab's own dialogs for a server that is gone lie above it.
        page.panel.evaluate(REFRESH)

        expect(page.panel).not_to_contain_text("this is what it said last")
        expect(page.jobs.get_by_role("progressbar", name="Progress of: Archive")).to_be_visible()

    expect(page.jobs).to_contain_text("Done in")
    expect(page.panel.get_by_role("progressbar")).to_have_count(0)


def test_a_slow_network_shows_that_it_is_looked_for(lab: Lab, opened: Open, environment: Make) -> None:
    env = environment("slow")
    path = lab.notebook("slow.ipynb", kernelspecs.spec_name(env.name))
    page = opened()
    held: list[Route] = []
    slow = True

    def hold(route: Route) -> None:
        if slow:
            held.append(route)
        else:
            route.continue_()

    page.page.route("**/venvoy/notebook?**", hold)
    page.open(path)
    page.show()

    expect(page.sentence).to_have_text("Looking …")
    slow = False
    for route in held:
        route.continue_()

    expect(page.sentence).to_contain_text("Never frozen")


def test_what_one_page_does_is_seen_in_another(lab: Lab, opened: Open, environment: Make) -> None:
    env = environment("shared")
    path = lab.notebook("shared.ipynb", kernelspecs.spec_name(env.name))
    one, other = opened(), opened()
    for page in (one, other):
        page.open(path)
        page.show()
        expect(page.sentence).to_contain_text("Never frozen")

    one.panel.get_by_role("button", name="Freeze", exact=True).first.click()

    expect(other.sentence).to_contain_text("Matches the freeze of")
    expect(other.jobs).to_contain_text("Freeze")
