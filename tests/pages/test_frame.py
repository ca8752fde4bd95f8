"""The frame: five screens, everything local, the whole theme in one file."""

from __future__ import annotations

import tomllib

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import session
from tests.pages.conftest import ROOT
from tests.pages.screen import clean

CONFIG = tomllib.loads((ROOT / ".streamlit/config.toml").read_text(encoding="utf-8"))


@pytest.fixture
def app(workspace, monkeypatch):
    monkeypatch.chdir(ROOT)
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=20)


def test_the_app_opens_on_optimize(app):
    page = app.run()
    assert not page.exception
    page.button(key="sample").click()
    page = page.run()
    assert not page.exception
    assert page.button(key="measure")


@pytest.mark.parametrize("screen", ["explore", "model", "backends", "runs"])
def test_every_screen_opens(app, screen):
    page = app.run().switch_page(f"pages/{screen}/page.py").run()
    clean(page)
    assert page.title or page.header or page.get("html")


def test_no_script_lies_where_a_deep_link_would_run_it_alone():
    assert [f.name for f in (ROOT / "pages").glob("*.py") if f.name != "__init__.py"] == []


def test_nothing_is_asked_of_another_host():
    assert CONFIG["browser"]["gatherUsageStats"] is False
    assert "http" not in (ROOT / ".streamlit/config.toml").read_text(encoding="utf-8")
    for style in (ROOT / "static").glob("*.css"):
        assert "url(" not in style.read_text(encoding="utf-8")
    assert (ROOT / "static/lathe.png").read_bytes().startswith(b"\x89PNG")


def test_charts_have_the_ten_colours_that_they_ask_for():
    colours = CONFIG["theme"]["chartCategoricalColors"]
    assert len(colours) == len(set(colours)) == 10


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_both_themes_are_complete(mode):
    theme = CONFIG["theme"][mode]
    assert {"primaryColor", "backgroundColor", "secondaryBackgroundColor", "textColor"} <= set(
        theme
    )
    assert contrast(theme["textColor"], theme["backgroundColor"]) > 7


def contrast(first: str, second: str) -> float:
    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_screen_that_fails_is_said_and_logged(app, workspace, monkeypatch, caplog):
    monkeypatch.setattr(workspace.runs, "lines", lambda owner: 1 / 0)
    page = app.run().switch_page("pages/runs/page.py").run()
    assert [error.value for error in page.error] == [session.UNEXPECTED]
    assert "ZeroDivisionError" in caplog.text
