"""The recipe book on the page: undo, kept recipes, and files from anywhere."""

from __future__ import annotations

import json

import pytest
from streamlit.testing.v1 import AppTest

from core import recipes
from core.records import Recipe, Step
from pages.shared import session
from pages.shared.state import book, forms
from tests.pages.fake_workspace import HOSTILE, FakeWorkspace
from tests.pages.screen import clean, markup, words

CUT = Recipe("mine", (Step("prune_channels", {"ratio": 0.55}),))
RATIO = forms.parameter("prune_channels", "ratio")


@pytest.fixture
def opened(optimize: AppTest) -> AppTest:
    """Optimize with the list of recipes open."""
    optimize.session_state[book.sheet.key] = True
    return clean(optimize.run())


def prune(page: AppTest):
    return page.toggle(key=forms.switch("prune_channels").key)


def ratio(page: AppTest) -> float:
    return page.slider(key=RATIO.key).value


def press(page: AppTest, key: str) -> AppTest:
    return clean(page.button(key=key).click().run())


def labelled(page: AppTest, label: str):
    return next(button for button in page.button if button.label == label)


def load(page: AppTest, content: bytes, name: str = "recipe.json") -> AppTest:
    uploader = next(one for one in page.file_uploader if one.key == book.file.key)
    return clean(uploader.set_value((name, content, "application/json")).run())


def test_a_moved_switch_and_a_moved_slider_are_one_step_each(optimize: AppTest):
    page = clean(optimize.run())
    assert page.button(key="recipe.undo").disabled
    page = clean(prune(page).set_value(True).run())
    began = ratio(page)
    page = clean(page.slider(key=RATIO.key).set_value(0.5).run())
    page = press(page, "recipe.undo")
    assert ratio(page) == began
    page = press(page, "recipe.undo")
    assert not prune(page).value
    assert page.button(key="recipe.undo").disabled
    page = press(press(page, "recipe.redo"), "recipe.redo")
    assert ratio(page) == 0.5
    assert page.button(key="recipe.redo").disabled


def test_undo_goes_on_after_a_reload(
    optimize: AppTest, workspace: FakeWorkspace, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session, "owner", lambda: "me")
    page = clean(optimize.run())
    page = clean(prune(page).set_value(True).run())
    again = clean(AppTest.from_file(page._script_path, default_timeout=20).run())
    assert prune(again).value
    again = press(again, "recipe.undo")
    assert not prune(again).value
    assert prune(press(again, "recipe.redo")).value


def test_a_recipe_is_kept_taken_up_renamed_and_deleted(opened: AppTest, workspace: FakeWorkspace):
    page = clean(prune(opened).set_value(True).run())
    page.text_input(key=book.name.key).set_value("edge")
    page = clean(labelled(page, "Keep").click().run())
    assert "edge" in words(page)
    assert [one.name for one in workspace.recipes.of("me")] == ["edge"]
    page = clean(prune(page).set_value(False).run())
    page = press(page, "recipe.apply")
    assert prune(page).value
    page = press(page, "recipe.rename")
    page.text_input(key=book.new_name.key).set_value("phone")
    page = clean(labelled(page, "Rename").click().run())
    assert [one.name for one in workspace.recipes.of("me")] == ["phone"]
    page = press(page, "recipe.delete")
    assert workspace.recipes.of("me") == ()
    page = clean(labelled(page, "Bring it back").click().run())
    assert [one.name for one in workspace.recipes.of("me")] == ["phone"]


def test_a_kept_recipe_is_replaced_only_when_asked(opened: AppTest, workspace: FakeWorkspace):
    workspace.recipes.keep(CUT, "edge", "me")
    page = clean(opened.run())
    page.text_input(key=book.name.key).set_value("edge")
    page = clean(labelled(page, "Keep").click().run())
    assert workspace.recipes.of("me") == (Recipe("edge", CUT.steps),)
    assert "There is a recipe “edge” already" in words(page)
    page = clean(labelled(page, "Replace it").click().run())
    assert workspace.recipes.of("me")[0].steps != CUT.steps


def test_a_file_sets_the_switches_as_one_step(opened: AppTest):
    began = prune(opened).value
    page = load(opened, recipes.written(CUT).encode())
    assert ratio(page) == 0.55
    assert "The switches stand at the recipe of recipe" in words(page)
    assert prune(press(page, "recipe.undo")).value is began


def test_what_the_switches_cannot_show_is_told(opened: AppTest):
    twice = Recipe("twice", (*CUT.steps, Step("fold_batch_norm"), *CUT.steps))
    said = words(load(opened, recipes.written(twice).encode())).replace("\\", "")
    assert "where the recipe asks for prune_channels, fold_batch_norm, prune_channels" in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not a readable recipe"),
        (json.dumps({"name": "r", "steps": [{"pass_name": HOSTILE}]}).encode(), "no pass named"),
        (b" " * (recipes.MOST_BYTES + 1), "too large for a recipe"),
    ],
)
def test_a_forged_file_moves_nothing(opened: AppTest, content: bytes, said: str):
    before = prune(opened).value
    page = load(opened, content, HOSTILE)
    assert said in words(page)
    assert prune(page).value is before
    assert page.button(key="recipe.undo").disabled
    assert not markup(page)


def test_a_kept_recipe_of_another_version_is_told_and_moves_nothing(
    opened: AppTest, workspace: FakeWorkspace
):
    workspace.recipes.keep(Recipe("old", (Step("melt"),)), HOSTILE, "me")
    page = press(clean(opened.run()), "recipe.apply")
    assert "of another version" in words(page)
    assert "no pass named" in words(page)
    assert page.button(key="recipe.undo").disabled
    assert not markup(page)
