"""Advice applied: the step that a pass says it answers with, once, in its place."""

from __future__ import annotations

import pytest

from core.passes.base import build, catalogue
from core.recipes import recipe_of
from core.records import Note, Step
from core.search.advice import applied
from core.wording.advice import SENTENCES

CUT = Step("prune_channels", {"ratio": 0.3})


def test_a_step_stands_in_its_place_and_the_others_stay():
    found = applied(recipe_of((CUT,)), Note.of("advice.norms_fold", ready=3, found=3))
    assert found is not None
    assert [step.pass_name for step in found.steps] == ["fold_batch_norm", "prune_channels"]
    assert found.steps[1] == CUT


def test_it_goes_before_what_its_pass_excludes_and_before_itself():
    int8 = recipe_of((CUT, Step("quantize_int8", {"goal": "safe"})))
    found = applied(int8, Note.of("advice.large_dense", share=80.0, largest=[]))
    assert found is not None
    assert [step.pass_name for step in found.steps] == ["prune_channels", "quantize_dynamic"]
    asked = Note.of("advice.separable", layers=1, parameters=(2, 1), macs=None, most=[])
    once = applied(recipe_of((Step("replace_convolutions"),)), asked)
    assert once is not None
    assert [step.params["form"] for step in once.steps] == ["depthwise_pointwise"]
    assert applied(once, asked) == once


def test_advice_on_training_leads_to_no_step(monkeypatch: pytest.MonkeyPatch):
    empty = recipe_of(())
    assert applied(empty, Note.of("advice.no_shortcuts", run=12, elsewhere=0)) is None
    kind = catalogue()["fold_batch_norm"]
    monkeypatch.setattr(kind, "lacks", classmethod(lambda cls: "pip install x"))
    assert applied(empty, Note.of("advice.norms_fold", ready=3, found=3)) is None


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_a_pass_answers_advice_that_there_is_by_parameters_that_it_takes(name: str):
    kind = catalogue()[name]
    assert set(kind.answers) <= set(SENTENCES)
    assert all(build(Step(name, params)) for params in kind.answers.values())
