"""Pruning without images, with few, and where nothing can be pruned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.records import Cut, DataSummary, Note, Preview, Recipe, Step, StepReport
from pages.optimize import verdict_text
from pages.shared.state import forms
from tests.pages.screen import clean, picker, words

CRITERION, REPAIR = (
    forms.parameter("prune_channels", "criterion").key,
    forms.parameter("prune_channels", "repair").key,
)


def pruning(page):
    page.toggle(key=forms.switch("prune_channels").key).set_value(True)
    return clean(page.run())


def test_without_images_only_what_needs_none_is_offered_and_used(optimize, workspace):
    page = pruning(clean(optimize.run()))
    assert page.session_state[CRITERION] == "obs"
    picker(page, "calibration").set_value("")
    page = clean(page.run())
    assert "No calibration images" in words(page)
    options = [o.content for o in page.button_group(key=CRITERION).proto.options]
    assert options == ["L1", "L2"]
    assert page.checkbox(key=REPAIR).disabled
    page.button(key="measure").click()
    clean(page.run())
    step = workspace.asked[-1].recipes[-1].steps[-1]
    assert (step.params["criterion"], step.params["repair"]) == ("l1", False)


def test_what_was_put_aside_comes_back_with_the_images(optimize):
    page = pruning(clean(optimize.run()))
    picker(page, "calibration").set_value("")
    page = clean(page.run())
    picker(page, "calibration").set_value("d" * 64)
    page = clean(page.run())
    assert page.session_state[CRITERION] == "obs"
    assert page.session_state[REPAIR] is True
    assert "No calibration images" not in words(page)


@pytest.mark.parametrize(("count", "warned"), [(1, True), (31, True), (32, False)])
def test_too_few_images_are_warned_of(optimize, workspace, monkeypatch, count, warned):
    few = [replace(data, count=count) for data in workspace.data.samples()]
    monkeypatch.setattr(workspace.data, "samples", lambda: tuple[DataSummary, ...](few))
    said = words(pruning(clean(optimize.run())))
    assert ("the repair is held back" in said) is warned
    assert (f"Only {count} calibration image" in said) is warned


def test_nothing_to_prune_is_said_and_nothing_is_promised(optimize, workspace, monkeypatch):
    def preview(digest: str, recipe: Recipe) -> Preview:
        note = "No channel of this graph can be removed; nothing was changed."
        report = tuple(StepReport(step, notes=(Note.text(note),)) for step in recipe.steps[-1:])
        return Preview(520_000, 41_200_000, 2_100_000, 40, report=report)

    monkeypatch.setattr(workspace.insights, "preview", preview)
    said = words(pruning(clean(optimize.run())))
    assert "Prune channels: No channel of this graph can be removed" in said
    assert "changes nothing in this model" in said


def test_a_step_that_does_something_is_not_called_idle():
    step = StepReport(
        Step("prune_channels"), 3, notes=(Note.text("3 tensors"),), cuts=(Cut(("a",), 1, 2),)
    )
    assert verdict_text.idle(Preview(1, 1, 1, 1, report=(step,))) == []
    undone = replace(step, reverted="it has no layers")
    assert verdict_text.idle(Preview(1, 1, 1, 1, report=(undone,))) == [
        "Prune channels is left out: it has no layers"
    ]
