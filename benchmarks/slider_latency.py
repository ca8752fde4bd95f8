"""How long a moved slider takes until its exact numbers are on the screen, in a real Chromium.

    .venv/bin/python -m benchmarks.slider_latency [--releases 30] [--home DIR]

The clock is the browser's own: from the event that ends the movement (pointerup, keydown) to the
second animation frame after the tiles changed (they name their recipe), when the new numbers have
been painted. Half of the releases are by mouse, half by key; every release goes to another stop.
A home in which layer times were measured has the staircase behind the slider, and snaps to it.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import server

CLOCK = """
() => {
  window.__paints = [];
  let began = 0, before = '';
  const text = () => document.querySelector('.lathe-tiles')?.outerHTML ?? '';
  const start = () => { began = performance.now(); before = text(); };
  document.addEventListener('pointerup', start, true);
  document.addEventListener('keydown', start, true);
  new MutationObserver(() => {
    if (!began || text() === before || text() === '') return;
    const from = began;
    began = 0;
    requestAnimationFrame(() => requestAnimationFrame(
      () => window.__paints.push(performance.now() - from)));
  }).observe(document.body, 
    {subtree: true, childList: true, characterData: true, attributes: true});
}
"""


def main() -> int:
    """Print p50 and p95 for mouse, key and both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", type=int, default=30)
    parser.add_argument("--switch", default="Prune channels", help="label of the pass to move")
    parser.add_argument("--home", type=Path, help="instead of an empty one")
    asked = parser.parse_args()
    if reason := server.why_not():
        print(f"cannot measure: {reason}", file=sys.stderr)
        return 2
    with (
        tempfile.TemporaryDirectory() as empty,
        server.serve(asked.home or Path(empty)) as url,
        server.chromium() as browser,
    ):
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        page.goto(url)
        server.settled(page)
        page.get_by_text(asked.switch, exact=True).click()
        slider = page.locator("[data-testid=stSidebar]").get_by_role("slider").first
        slider.wait_for()
        page.wait_for_timeout(5000)  # the answers of the other stops are made ready meanwhile
        page.evaluate(CLOCK)
        times = {
            "mouse": [by_mouse(page, slider) for _ in range(asked.releases // 2)],
            "key": [by_key(page, slider) for _ in range(asked.releases - asked.releases // 2)],
        }
    for name, values in (*times.items(), ("both", [*times["mouse"], *times["key"]])):
        print(report(name, values))
    return 0


def by_mouse(page: Any, slider: Any) -> float:
    """Drag to a random stop; milliseconds from release to paint."""
    box = page.locator("[data-testid=stSlider] [role=group] > div").first.bounding_box()
    middle = box["y"] + box["height"] / 2
    low, high = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
    at = (float(slider.input_value()) - low) / (high - low)
    to = random.choice([x / 10 for x in range(1, 9) if abs(x / 10 - at) > 0.12])
    page.mouse.move(box["x"] + at * box["width"], middle)
    page.mouse.down()
    page.mouse.move(box["x"] + to * box["width"], middle, steps=5)
    return timed(page, page.mouse.up)


def by_key(page: Any, slider: Any) -> float:
    """One arrow key; milliseconds from the key to paint."""
    low, high = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
    value = float(slider.input_value())
    up = value < low + 0.2 * (high - low) or (
        value < high - 0.2 * (high - low) and random.random() < 0.5
    )
    slider.focus()
    return timed(page, lambda: page.keyboard.press("ArrowRight" if up else "ArrowLeft"))


def timed(page: Any, release: Any) -> float:
    """Milliseconds that the browser saw between the release and the paint that followed."""
    page.evaluate("window.__paints = []")
    release()
    page.wait_for_function("window.__paints.length > 0", timeout=20_000)
    page.wait_for_timeout(400)
    return float(page.evaluate("window.__paints[0]"))


def report(name: str, values: list[float]) -> str:
    """One line of the table."""
    cuts = statistics.quantiles(values, n=20, method="inclusive")
    return (
        f"{name:5}  n={len(values):3}  p50 {statistics.median(values):5.0f} ms  "
        f"p95 {cuts[18]:5.0f} ms  max {max(values):5.0f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
