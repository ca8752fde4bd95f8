"""Pictures of the running app for README.md and docs/: what they show is what it does.

python -m docs.tour          takes them anew into docs/images/; `make tour` does the same

The app is started with an empty home and driven in a headless Chromium as a newcomer would: first
sight, the sample, a recipe, and what came of it. The numbers are those of this machine.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser import server

IMAGES = Path(__file__).with_name("images")
STATIC = Path(__file__).parents[1] / "static"
ICON = 128
MOST_BYTES = 150_000
QUALITIES = (90, 80, 70, 55)  # of WebP, until a picture is small enough
WIDE, PHONE = (1440, 900), (390, 844)
RUN_S = 240.0


class Tour:
    """One visitor with a camera."""

    def __init__(self, browser: Any, url: str) -> None:
        """A newcomer before anything is opened."""
        self._browser, self._url = browser, url
        self.page = self._look(WIDE, "light")

    def _look(self, size: tuple[int, int], scheme: str, state: Any = None) -> Any:
        view = {"width": size[0], "height": size[1]}
        context = self._browser.new_context(viewport=view, color_scheme=scheme, storage_state=state)
        page: Any = context.new_page()
        page.goto(self._url)
        page.wait_for_selector(".lathe-steps, .lathe-tiles")
        return page

    def again(self, size: tuple[int, int], scheme: str) -> Any:
        """The same visitor on another screen."""
        return self._look(size, scheme, self.page.context.storage_state())

    def walk(self) -> None:
        """Take every picture, in the order of a first visit."""
        page = self.page
        page.wait_for_selector(".lathe-proof")
        take(page, "first_sight")
        server.settled(page)
        page.get_by_text("int8 safe", exact=True).first.click()
        page.wait_for_timeout(1500)
        page.get_by_role("button", name="Measure", exact=True).click()
        page.get_by_text("Measured 2").wait_for(timeout=1000 * RUN_S)
        take(page, "result")
        for name, size in (("result_dark", WIDE), ("result_phone", PHONE)):
            other = self.again(size, "dark")
            other.get_by_text("Measured 2").wait_for(timeout=60_000)
            take(other, name)
            other.context.close()
        for screen, ready in (("model", "Advice"), ("runs", "Runs")):
            page.get_by_role("link", name=screen.capitalize(), exact=True).first.click()
            page.get_by_role("heading", name=ready).first.wait_for()
            take(page, screen)


def take(page: Any, name: str) -> None:
    """One picture of what is on the screen, small enough for a repository."""
    page.wait_for_selector('[data-test-script-state="notRunning"]')
    page.wait_for_timeout(2000)  # charts take their width a moment after they appear
    page.mouse.move(0, 0)
    seen = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for quality in QUALITIES:
        packed = io.BytesIO()
        seen.save(packed, "WEBP", quality=quality, method=6)
        if packed.tell() <= MOST_BYTES:
            break
    IMAGES.mkdir(exist_ok=True)
    path = IMAGES / f"{name}.webp"
    path.write_bytes(packed.getvalue())
    print(f"{path.relative_to(IMAGES.parents[1])}  {packed.tell() / 1000:.0f} kB")  # noqa: T201


def icon(browser: Any) -> None:
    """The mark as the small picture that browsers show in a tab."""
    page = browser.new_page(viewport={"width": ICON, "height": ICON})
    page.set_content(
        f"<style>body {{ margin: 0 }} svg {{ width: {ICON}px; height: {ICON}px }}</style>"
        f"{(STATIC / 'lathe.svg').read_text(encoding='utf-8')}"
    )
    page.screenshot(path=STATIC / "lathe.png", omit_background=True)
    page.context.close()


def main(options: Mapping[str, Any]) -> int:
    """Start the app, walk through it, and say what was taken."""
    if reason := server.why_not():
        print(f"no pictures: {reason}", file=sys.stderr)  # noqa: T201
        return 2
    with (
        tempfile.TemporaryDirectory() as empty,
        server.serve(options["home"] or Path(empty), sample=True) as url,
        server.chromium() as browser,
    ):
        icon(browser)
        Tour(browser, url).walk()
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, help="instead of an empty one")
    sys.exit(main(vars(parser.parse_args())))
