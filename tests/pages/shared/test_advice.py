"""Advice that a pass follows has a button; the step joins the recipe and undo takes it back."""

from __future__ import annotations

from core.recipes import original
from core.records import Note
from core.search.advice import applied
from pages.shared.state import forms
from tests.pages.fake_workspace import model
from tests.pages.screen import clean

DENSE = Note.of("advice.large_dense", share=80.0, largest=[("fc", 60_000)])
DEEP = Note.of("advice.no_shortcuts", run=12, elsewhere=0)


def test_only_what_a_pass_follows_has_a_button(optimize, workspace):
    workspace.brought["9" * 64] = model("deep", "9" * 64, advice=(DENSE, DEEP))
    optimize.session_state[forms.model.key] = "9" * 64
    page = clean(optimize.run())
    assert [b.key for b in page.button if b.key.startswith("advice.")] == [f"advice.{DENSE.code}"]
    assert page.button(key=f"advice.{DENSE.code}").label == "Apply"


def test_the_step_joins_the_recipe_and_undo_takes_it_back(optimize):
    page = clean(optimize.run())
    assert page.session_state[forms.switch("fold_batch_norm").key]
    added = applied(original(), DENSE)
    page.session_state[forms.added.key] = added.steps  # as the button leaves them
    page = clean(page.run())
    assert page.session_state[forms.switch("quantize_dynamic").key]
    assert page.session_state[forms.switch("fold_batch_norm").key]
    page.button(key="recipe.undo").click()
    page = clean(page.run())
    assert not page.session_state[forms.switch("quantize_dynamic").key]
