"""What to do next: the backend of the answer, and buttons that change the recipe."""

from __future__ import annotations

from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from core.records import ExperimentSpec, Measurement, Recipe, State, Step
from pages.shared import session
from tests.pages.screen import clean
from tests.pages.screen import words as page_text

FOLD = Step("fold_batch_norm")
INT8 = Step("quantize_int8", {"goal": "fastest"})
BACKENDS = ("onnxruntime", "openvino", "opencv")


@pytest.fixture
def measured(optimize, workspace) -> AppTest:
    """A run of int8 whose accuracy falls on OpenVINO alone."""
    recipe = Recipe("int8", (FOLD, INT8))
    asked = ExperimentSpec(
        "a run", "a" * 64, (Recipe("original"), recipe), BACKENDS,
        evaluation="e" * 64, calibration="d" * 64,
    )  # fmt: skip
    run = workspace.make_run(asked, "me", "r")
    worse = {"value": -9.0, "low": -9.6, "high": -8.4}

    def told(row: Measurement) -> Measurement:
        falls = (row.backend, row.metric) == ("openvino", "top1_delta")
        return replace(row, **worse) if falls else row

    workspace.known["r"] = replace(run, measurements=tuple(map(told, run.measurements)))
    optimize.query_params["run"] = "r"
    return optimize


def on(page: AppTest) -> AppTest:
    page.button_group(key="answer.backend").set_value("openvino")
    return clean(page.run())


def labels(page: AppTest) -> list[str]:
    return [button.label for button in page.button if button.key.startswith("next.")]


def test_the_tiles_are_of_one_backend_that_can_be_switched(measured):
    page = clean(measured.run())
    assert page.button_group(key="answer.backend").value == "onnxruntime"
    assert "1.61× faster on ONNX Runtime" in page_text(page)
    assert page_text(page).count('class="lathe-tile"') == 3
    said = page_text(on(page))
    assert "1.89× faster on OpenVINO; 9.0 points less accurate" in said
    assert "It loses accuracy on OpenVINO" in said


def test_a_next_step_sets_the_switches_and_undo_takes_it_back(measured, workspace):
    page = on(clean(measured.run()))
    assert labels(page)[0] == "int8 safe instead of fastest"
    page.button(key="next.0").click()
    page = clean(page.run())
    assert page.session_state["recipe.quantize_int8.goal"] == "safe"
    assert "lathe-draft" in page_text(page)
    assert not workspace.asked
    page.button(key="recipe.undo").click()
    page = clean(page.run())
    assert page.session_state["recipe.quantize_int8.goal"] == "fastest"
    assert "lathe-draft" not in page_text(page)


def test_another_backend_has_other_next_steps(measured):
    first = labels(clean(measured.run()))
    assert labels(on(measured)) != first


def test_a_run_that_goes_on_has_no_next_steps_yet(measured, workspace):
    run = workspace.known["r"]
    going = replace(run.progress, state=State.RUNNING)
    workspace.known["r"] = replace(run, progress=going)
    page = clean(measured.run())
    assert labels(page) == []
    assert "once everything is measured" in page_text(page)


def test_the_backend_is_kept_over_a_reload(measured, monkeypatch):
    monkeypatch.setattr(session, "cookie", lambda: "x" * 43)
    on(clean(measured.run()))
    other = AppTest.from_file(measured._script_path, default_timeout=20)
    assert clean(other.run()).button_group(key="answer.backend").value == "openvino"


def test_a_backend_without_a_number_is_not_offered(measured, workspace):
    run = workspace.known["r"]
    rows = tuple(row for row in run.measurements if row.backend != "onnxruntime")
    workspace.known["r"] = replace(run, measurements=rows)
    group = clean(measured.run()).button_group(key="answer.backend")
    assert group.options == ["OpenVINO", "OpenCV DNN"]
    assert group.value == "openvino"
