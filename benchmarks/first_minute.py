"""A stranger's first minute, timed in a real Chromium: first sight, first number, first gain.

    .venv/bin/python -m benchmarks.first_minute MODEL.onnx IMAGES.npz [--images 200] [--repeat 3]

A server with an empty home, a visitor without a cookie. First sight is there when name, finished
result and drop zone are painted; the first number when a latency of the dropped model stands in
its tile; the first gain when a candidate is called faster; the goal run ends when its best stands.
"""

from __future__ import annotations

import argparse
import io
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tests.browser import server

FIRST_SIGHT = (
    ".lathe-hero h1",
    ".lathe-proof",
    ".st-key-drop [data-testid=stFileUploaderDropzone]",
)
HAS_LATENCY = """() => [...document.querySelectorAll('.lathe-tile')].some(
  tile => tile.innerText.startsWith('Latency') &&
    / ms$/.test(tile.querySelector('.lathe-value').innerText.trim()))"""
HAS_GAIN = """() => /[0-9]× (as fast|faster)/.test(
  document.querySelector('.lathe-sentence')?.innerText ?? '')"""
WAIT_MS = 600_000.0


def main() -> int:
    """Print the median and the range of each step."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("images", type=Path, help=".npz with `images` and `labels`")
    parser.add_argument("--count", type=int, default=200, help="images taken from the front")
    parser.add_argument("--repeat", type=int, default=3)
    asked = parser.parse_args()
    if reason := server.why_not():
        print(f"cannot measure: {reason}", file=sys.stderr)
        return 2
    content = some(asked.images, asked.count)
    found: dict[str, list[float]] = {}
    for _ in range(asked.repeat):
        with (
            tempfile.TemporaryDirectory() as home,
            server.serve(Path(home), sample=True) as url,
            server.chromium() as browser,
        ):
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            for name, seconds in walk(page, url, asked.model, content):
                found.setdefault(name, []).append(seconds)
                print(f"{name:40} {seconds:6.1f} s", file=sys.stderr)
    for name, times in found.items():
        print(
            f"{name:40} {statistics.median(times):6.1f} s   ({min(times):.1f} … {max(times):.1f})"
        )
    return 0


def some(path: Path, count: int) -> bytes:
    """The first images of a set, with their labels, as a file of their own."""
    with np.load(path) as whole:
        file = io.BytesIO()
        np.savez(file, **{name: whole[name][:count] for name in whole.files})
    return file.getvalue()


def walk(page: Any, url: str, model: Path, images: bytes) -> list[tuple[str, float]]:
    """Seconds of each step of the stranger's path."""
    began = time.monotonic()
    page.goto(url)
    for part in FIRST_SIGHT:
        page.locator(part).wait_for(timeout=WAIT_MS)
    found = [("first sight", time.monotonic() - began)]
    began = time.monotonic()
    page.locator(".st-key-drop input[type=file]").set_input_files(model)
    page.locator(".lathe-title").wait_for(timeout=WAIT_MS)
    found.append(("own model: opened", time.monotonic() - began))
    page.wait_for_function(HAS_LATENCY, timeout=WAIT_MS)
    found.append(("own model: first number", time.monotonic() - began))
    page.get_by_role("button", name="Images:").click()
    page.locator("[data-testid=stPopoverBody] input[type=file]").set_input_files(
        {"name": "images.npz", "mimeType": "application/octet-stream", "buffer": images}
    )
    page.get_by_text("to calibrate, 100 to evaluate").wait_for(timeout=WAIT_MS)
    began = time.monotonic()
    page.get_by_role("button", name="Go", exact=True).click()
    page.wait_for_function(HAS_GAIN, timeout=WAIT_MS)
    found.append(("goal run: first measured gain", time.monotonic() - began))
    page.get_by_text("Measured 2").wait_for(timeout=WAIT_MS)
    found.append(("goal run: best within 1 point", time.monotonic() - began))
    return found


if __name__ == "__main__":
    sys.exit(main())
