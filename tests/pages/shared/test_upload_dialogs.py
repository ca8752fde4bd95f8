"""Rename and delete are offered under the picker, for what this visitor uploaded alone."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.records.stored import Upload
from pages.shared.state import forms, uploads
from tests.pages.fake_workspace import FakeWorkspace, model
from tests.pages.screen import clean, words

DIGEST = "9" * 64
RENAME, DELETE = "model.rename …", "model.delete …"


@pytest.fixture
def own(optimize: AppTest, workspace: FakeWorkspace) -> AppTest:
    """Optimize with an uploaded model chosen."""
    workspace.brought[DIGEST] = model("net.onnx", DIGEST)
    workspace.held = (Upload(DIGEST, "net.onnx", "model", 1000, "2026-01-01 10:00:00", "me"),)
    optimize.session_state[forms.model.key] = DIGEST
    return clean(optimize.run())


def keys(page: AppTest) -> set[str | None]:
    return {button.key for button in page.button}


def test_a_sample_has_no_such_buttons(optimize: AppTest):
    assert not keys(clean(optimize.run())) & {RENAME, DELETE}


def test_the_picker_shows_the_new_name(own: AppTest, workspace: FakeWorkspace):
    page = clean(own.button(key=RENAME).click().run())
    page.text_input(key=uploads.name(DIGEST).key).set_value("edge")
    page = clean(next(one for one in page.button if one.label == "Rename").click().run())
    assert workspace.brought[DIGEST].name == "edge"
    assert "edge" in page.selectbox(key=forms.model.key).options
    assert "is now called edge" in words(page)


def test_a_deleted_model_makes_way_for_another(own: AppTest, workspace: FakeWorkspace):
    page = clean(own.button(key=DELETE).click().run())
    workspace.brought.clear()  # as the real one does when its upload goes
    page = clean(page.button(key="uploads.delete.yes").click().run())
    assert ("delete_upload", f"{DIGEST} False") in workspace.verbs
    assert page.selectbox(key=forms.model.key).value != DIGEST
    assert "is deleted" in words(page)
