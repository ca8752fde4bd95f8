"""From a model to its download by the keyboard alone."""

from __future__ import annotations

from typing import Any

MOST_STOPS = 12
AT = """() => {
  const here = document.activeElement;
  const inside = name => Boolean(here?.closest(`.st-key-${name}`));
  return {measuring: inside("goal-go") || inside("measure"), download: inside("downloads")};
}"""


def stops(page: Any, place: str, most: int = 40) -> int:
    """How often Tab is pressed until the focus is there."""
    for count in range(1, most + 1):
        page.keyboard.press("Tab")
        if page.evaluate(AT)[place]:
            return count
    raise AssertionError(f"no way to {place} within {most} stops")


def test_a_model_that_opens_takes_the_focus_to_measuring_and_the_download_is_near(visitor):
    page = visitor.open("/")
    page.get_by_role("button", name="Open the sample").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".lathe-tiles", timeout=60_000)
    page.wait_for_function(f"({AT})().measuring", timeout=15_000)
    page.locator(".st-key-measure button").locator("visible=true").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".st-key-downloads", timeout=180_000)
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    assert stops(page, "download") <= MOST_STOPS
    assert visitor.complaints == []


def test_the_first_stops_skip_the_forms(visitor):
    page = visitor.open("/")
    page.get_by_role("button", name="Open the sample").click()
    page.wait_for_selector(".lathe-tiles", timeout=60_000)
    page.wait_for_function(f"({AT})().measuring", timeout=15_000)
    page.evaluate("document.activeElement.blur()")
    page.get_by_role("button", name="Skip to measuring").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(AT)["measuring"]
