"""The Optimize page over a Workspace in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.shared import session
from pages.shared.state import forms
from tests.pages.fake_workspace import FakeWorkspace

ROOT = Path(__file__).parents[2]


@pytest.fixture
def workspace(monkeypatch: pytest.MonkeyPatch) -> FakeWorkspace:
    fake = FakeWorkspace()
    monkeypatch.setattr(session, "workspace", lambda: fake)
    monkeypatch.setattr(session, "cookie", lambda: "")
    owner = session.owner
    monkeypatch.setattr(session, "owner", lambda: "me" if owner() else "")
    return fake


@pytest.fixture
def newcomer(workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Optimize before anything was opened."""
    monkeypatch.chdir(ROOT)
    return AppTest.from_file(str(ROOT / "pages/optimize/page.py"), default_timeout=20)


@pytest.fixture
def optimize(newcomer: AppTest) -> AppTest:
    """Optimize with a sample open."""
    newcomer.session_state[forms.model.key] = "a" * 64
    return newcomer
