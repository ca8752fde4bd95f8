"""The real app on a free port with a home of its own, and a Chromium to drive it."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
)


def why_not() -> str:
    """Why no browser can be driven here; empty if one can."""
    if CHROMIUM is None:
        return "no chromium on PATH (set CHROMIUM to its path)"
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed (requirements/dev.txt)"
    return ""


@contextlib.contextmanager
def serve(home: Path, port: int | None = None, sample: bool = False) -> Iterator[str]:
    """Run `python app.py` with its results in `home`; yield its address.

    Args:
        home: where they lie.
        port: a free one by itself.
        sample: whether the sample is measured in the background, as at a user's.
    """
    port = port or free_port()
    command = [sys.executable, "app.py", f"--server.port={port}"]
    command += ["--server.address=127.0.0.1", "--server.headless=true"]
    environment = os.environ | {"LATHE_HOME": str(home)}
    if not sample:
        environment["LATHE_SAMPLE_RUN"] = "off"
    with (home / "server.log").open("ab") as log:
        server = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            wait_until_healthy(server, f"http://127.0.0.1:{port}", home / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Return once the server answers; raise with its log if it does not."""
    for _ in range(300):
        if server.poll() is not None:
            break
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url}/_stcore/health", timeout=2)
            return
        time.sleep(0.1)
    raise RuntimeError(f"the app did not start:\n{log.read_text()}")


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def settled(page: Any, timeout_s: float = 30) -> None:
    """Wait until the numbers of a model are there; a newcomer opens the sample."""
    page.wait_for_selector(".lathe-tiles, .lathe-steps", timeout=timeout_s * 1000)
    if page.locator(".lathe-steps").count():
        page.get_by_role("button", name="Open the sample").click()
    page.wait_for_selector(".lathe-tiles", timeout=timeout_s * 1000)
    page.wait_for_selector('[data-test-script-state="notRunning"]', timeout=timeout_s * 1000)
