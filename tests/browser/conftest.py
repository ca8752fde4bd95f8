"""One server and one browser for all tests of a file; a visitor per test."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.browser import server


def axe() -> Path:
    """axe-core as the Python package that wraps it ships it."""
    package = importlib.util.find_spec("axe_playwright_python")
    if package is None or package.origin is None:
        raise RuntimeError("axe-playwright-python is not installed (requirements/dev.txt)")
    return Path(package.origin).with_name("axe.min.js")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = server.why_not()
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if reason:
                item.add_marker(pytest.mark.skip(reason=reason))


@dataclass
class Visitor:
    """A page with a profile of its own, that remembers what it asked for and complained of."""

    page: Any
    url: str
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Any:
        self.page.goto(self.url + path)
        self.page.wait_for_selector('[data-test-script-state="notRunning"]', timeout=60_000)
        return self.page

    def hear(self, message: Any) -> None:
        """Note an error of the console, but for Streamlit's own search for its server.

        At a deep link its client asks for `/PAGE/_stcore/...` first, then for `/_stcore/...`.
        """
        searching = "/_stcore/" in message.location.get("url", "")
        if message.type == "error" and not searching:
            self.complaints.append(message.text)

    def strangers(self) -> list[str]:
        """Requests to any other host."""
        own = (self.url, self.url.replace("http", "ws", 1), "data:", "blob:")
        return [address for address in self.asked if not address.startswith(own)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lathe-home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with server.serve(home) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with server.chromium() as running:
        yield running


def visit(browser: Any, url: str, **profile: Any) -> Visitor:
    """A new visitor with no cookie."""
    profile = {"viewport": {"width": 1440, "height": 1000}, "accept_downloads": True} | profile
    page = browser.new_context(**profile).new_page()
    visitor = Visitor(page, url)
    page.on("request", lambda request: visitor.asked.append(request.url))
    page.on("websocket", lambda socket: visitor.asked.append(socket.url))
    page.on("pageerror", lambda error: visitor.complaints.append(str(error)))
    page.on("console", visitor.hear)
    return visitor


@pytest.fixture
def visitor(browser: Any, url: str) -> Iterator[Visitor]:
    found = visit(browser, url)
    yield found
    found.page.context.close()
