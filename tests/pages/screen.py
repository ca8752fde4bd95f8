"""A screen over the stocked Workspace, as a page that an AppTest drives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from pages.shared import session
from pages.shared.state import forms
from tests.pages.stocked_workspace import StockedWorkspace

ROOT = Path(__file__).parents[2]


def stock(monkeypatch: pytest.MonkeyPatch, folder: Path) -> StockedWorkspace:
    """Put the Workspace in the place of the real one."""
    fake = StockedWorkspace(folder=folder)
    monkeypatch.setattr(session, "workspace", lambda: fake)
    monkeypatch.setattr(session, "cookie", lambda: "", raising=False)
    monkeypatch.setattr(session, "owner", lambda: "me")
    monkeypatch.chdir(ROOT)
    return fake


def page(name: str) -> AppTest:
    """The screen `name`, not yet run; Optimize with a sample open."""
    made = AppTest.from_file(str(ROOT / f"pages/{name}/page.py"), default_timeout=20)
    if name == "optimize":
        made.session_state[forms.model.key] = "a" * 64
    return made


def clean(test: AppTest) -> AppTest:
    """The page, if nothing was raised."""
    assert not test.exception, [error.value for error in test.exception]
    assert not [error for error in test.error if error.value == session.UNEXPECTED]
    return test


def picker(test: AppTest, role: str) -> Selectbox:
    """The selectbox of the images that calibrate or evaluate."""
    return next(box for box in test.selectbox if box.label == f"{role.capitalize()} images")


def words(test: AppTest) -> str:
    """Everything that the page says in Markdown, captions and messages."""
    kinds = (
        test.title, test.header, test.subheader, test.markdown, test.caption, test.error,
        test.warning, test.info, test.success,
    )  # fmt: skip
    said = [e.value for kind in kinds for e in kind] + [e.body for e in test.get("html")]
    return "\n".join(said).replace("\N{NO-BREAK SPACE}", " ")


def files(test: AppTest) -> list[str]:
    """Labels of the download buttons."""
    return [button.proto.label for button in test.get("download_button")]


def markup(test: AppTest) -> list[str]:
    """Pieces of the hostile text that reached Markdown or HTML unescaped."""
    return re.findall(r"(?<!\\)<(?:img|script)", words(test))
