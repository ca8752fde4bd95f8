"""Where it runs: a button, the progress, a row for each target, and one click that applies."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.records import Attempt, Diagnosis, Fate, Finding, Obstacle
from pages.shared.state import forms
from tests.pages.fake_workspace import HOSTILE
from tests.pages.screen import clean, markup, page, stock, words

RUNS = Attempt(Fate.RUNS)
NODE = Obstacle("swish", "HardSwish", HOSTILE, alone=True)
FOUND = Diagnosis(
    "a" * 64,
    (
        Finding("onnxruntime", RUNS, together=RUNS),
        Finding(
            "opencv", Attempt(Fate.REFUSED, f"no layer {HOSTILE}"), (NODE,),
            ("simplify", "basic_activations"), RUNS, together=RUNS,
        ),
        Finding("openvino", Attempt(Fate.WRONG, "Output 'y' differs by 50.0%."), (NODE,), (),
                Attempt(Fate.WRONG, "Output 'y' differs by 50.0%."), (NODE,)),
    ),
    {"N": 1},
    rewrites=("simplify", "basic_activations"),
    constant=(HOSTILE,),
)  # fmt: skip


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return stock(monkeypatch, tmp_path)


def rows(test):
    return next(
        frame.value for frame in test.dataframe if "Target" in frame.value
    ).to_dict("records")  # fmt: skip


def test_nothing_is_tried_unasked(fake):
    test = clean(page("model").run())
    assert "Try every target" in [button.label for button in test.button]
    assert not [verb for verb in fake.verbs if verb[0] == "diagnosis"]


def test_it_says_how_far_it_is_and_can_be_stopped(fake):
    fake.slow_looks = 9
    test = clean(page("model").run())
    test = clean(test.button(key="doctor.try").click().run())
    assert "OpenCV DNN: as it is" in words(test).replace("\\", "")
    test = clean(test.button(key="doctor.stop").click().run())
    assert fake.verbs[-1][0] == "stop_diagnosis"
    assert "Try every target" in [button.label for button in test.button]


def test_a_row_for_each_target_and_what_stands_in_the_way(fake):
    fake.next_diagnosis = FOUND
    test = clean(page("model").run())
    test = clean(test.button(key="doctor.try").click().run())
    first, second, third = rows(test)
    assert first["As it is"] == "runs"
    assert second["As it is"] == "does not run"
    assert second["After rewrites"].startswith("runs with: Fold constants")
    assert second["In the way"] == "HardSwish"
    assert third["After rewrites"] == "wrong answers either"
    said = words(test).replace("\\", "")
    assert "is the same for every input" in said
    assert "made-up inputs, N = 1" in said
    assert not markup(test)


def test_one_click_switches_the_rewrites_on(fake):
    fake.diagnosis = FOUND
    test = clean(page("model").run())
    test = clean(test.button(key="doctor.apply").click().run())
    assert "switched on in the recipe" in words(test)
    added = test.session_state[forms.added.key]
    assert [step.pass_name for step in added] == ["simplify", "adapt"]
    optimize = page("optimize")
    optimize.session_state[forms.added.key] = added
    test = clean(optimize.run())
    assert test.session_state[forms.switch("simplify").key]
    assert test.session_state[forms.switch("adapt").key]
    assert test.session_state[forms.switch("fold_batch_norm").key]  # what was on stays on
    assert test.session_state[forms.parameter("adapt", "rewrites").key] == ["basic_activations"]


def test_what_helps_nobody_is_not_offered(fake):
    fake.diagnosis = replace(FOUND, findings=FOUND.findings[::2])
    test = clean(page("model").run())
    assert "Apply" not in [button.label for button in test.button]


def test_rewrites_that_spoil_another_target_say_so(fake):
    lost = replace(FOUND.findings[0], together=Attempt(Fate.REFUSED, "no"))
    fake.diagnosis = replace(FOUND, findings=(lost, FOUND.findings[1]))
    test = clean(page("model").run())
    assert "All together do not run on ONNX Runtime" in words(test).replace("\\", "")
