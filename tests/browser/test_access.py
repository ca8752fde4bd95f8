"""Every screen in light, in dark and on a phone: nothing serious for axe-core, nothing cut off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import server
from tests.browser.conftest import Visitor, axe, visit

SAMPLE = "/?sample"  # Optimize with a sample open; "/" alone is a newcomer's first sight
SCREENS = ("/", SAMPLE, "/explore", "/model", "/backends", "/compare", "/runs")
PROFILES = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}
FITS = """() => {
  const main = document.querySelector('[data-testid=stMain]');
  return main.scrollWidth <= main.clientWidth;
}"""
RUN_AXE = """async () => (await axe.run(document, {resultTypes: ['violations']})).violations
  .filter(v => ['serious', 'critical'].includes(v.impact))
  .map(v => `${v.id}: ${v.nodes.map(n => n.html.slice(0, 160)).join(' | ')}`)"""


def opened(visitor: Visitor, screen: str) -> Any:
    """A screen as a newcomer finds it; Optimize also with the sample open."""
    page = visitor.open("/" if screen == SAMPLE else screen)
    if screen == SAMPLE:
        server.settled(page)
    return page


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing_serious(browser, url, screen, profile):
    visitor = visit(browser, url, **PROFILES[profile])
    page = opened(visitor, screen)
    page.wait_for_timeout(1500)
    page.add_script_tag(path=str(axe()))
    assert page.evaluate(RUN_AXE) == []
    page.context.close()


@pytest.mark.parametrize("screen", SCREENS)
def test_nothing_is_cut_off_on_a_phone(browser, url, screen):
    visitor = visit(browser, url, **PROFILES["phone"])
    page = opened(visitor, screen)
    page.wait_for_timeout(1000)
    page.wait_for_function(FITS, timeout=5000)  # charts take their width a moment after they appear
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390
    assert visitor.complaints == []
    page.context.close()


def test_phone_reaches_the_recipe(browser, url):
    visitor = visit(browser, url, **PROFILES["phone"])
    page = visitor.open("/")
    server.settled(page)
    page.get_by_role("button", name="Measure", exact=True).wait_for()
    menu = page.locator("[data-testid=stExpandSidebarButton]")
    assert "recipe" in menu.evaluate("e => getComputedStyle(e, '::after').content")
    menu.click()
    page.get_by_text("Recipe", exact=True).wait_for()
    page.get_by_role("link", name="Explore", exact=True).wait_for()
    page.context.close()
