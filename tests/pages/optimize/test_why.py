"""Why this speed? The expander below the charts of Optimize."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from core.records import ExperimentSpec, Recipe, State, Step
from pages.optimize import why
from pages.optimize.state import state
from tests.pages.fake_workspace import FakeWorkspace
from tests.pages.screen import clean, markup, words

BACKENDS = ("openvino", "opencv")


@pytest.fixture
def measured(optimize: AppTest, workspace: FakeWorkspace) -> AppTest:
    recipe = Recipe("int8", (Step("fold_batch_norm"),))
    spec = ExperimentSpec("t", "a" * 64, (Recipe("original"), recipe), BACKENDS)
    workspace.known["r"] = workspace.make_run(spec, "me", "r")
    optimize.query_params["run"] = "r"
    return clean(optimize.run())


def asked(page: AppTest) -> AppTest:
    page.button(key=why.ASK).click()
    return clean(page.run())


def charts(page: AppTest) -> int:
    return sum("Time per layer" in str(chart.proto) for chart in page.get("plotly_chart"))


def profiled(workspace: FakeWorkspace) -> list[str]:
    return [backend for verb, backend in workspace.verbs if verb == "profile"]


def test_nothing_is_timed_before_the_button_is_pressed(measured, workspace):
    assert [e.label for e in measured.expander if "Why" in e.label] == ["Why this speed?"]
    assert not profiled(workspace)
    assert not charts(measured)


def test_the_backend_that_gained_least_is_offered_first(measured):
    assert measured.selectbox(key=state.why_backend.key).value == "opencv"


def test_the_button_brings_chart_causes_and_the_switch(measured, workspace):
    page = asked(measured)
    assert profiled(workspace) == ["opencv"]
    assert charts(page) == 1
    said = words(page)
    assert "What made it faster" in said
    assert "What holds it back" in said
    assert "One call: 2.10 → 1.10 ms" in said
    assert "<code>quantize_static exclude=&lt;b&gt;x&lt;/b&gt;</code>" in said


def test_what_was_timed_before_is_there_at_once(measured, workspace):
    page = clean(asked(measured).run())
    assert page.button(key=why.ASK).disabled
    page.selectbox(key=state.why_backend.key).set_value("openvino")
    page = clean(page.run())
    assert not charts(page)
    page.selectbox(key=state.why_backend.key).set_value("opencv")
    assert charts(clean(page.run())) == 1


def test_a_busy_machine_is_waited_for_without_holding_the_page(measured, workspace):
    workspace.slow_looks = 3
    page = asked(measured)
    assert "Still measuring" in words(page)
    assert page.button(key=why.ASK).disabled
    for _ in range(4):
        page = clean(page.run())
    assert charts(page) == 1
    assert "Still measuring" not in words(page)


def test_a_backend_that_does_not_tell_is_a_line(measured, workspace):
    workspace.cannot_profile = "OpenCV does *not* tell how long its layers take."
    page = asked(measured)
    assert r"does \*not\* tell" in words(page)
    assert not charts(page)
    assert not page.button(key=why.ASK).disabled
    workspace.cannot_profile = ""
    assert charts(asked(page)) == 1


def test_names_of_layers_stay_text(measured):
    assert not markup(asked(measured))


@pytest.mark.parametrize("state", [State.RUNNING, State.QUEUED])
def test_a_run_that_goes_on_is_not_disturbed(optimize, workspace, state):
    workspace.state = state
    spec = ExperimentSpec("t", "a" * 64, (Recipe("original"),), BACKENDS)
    workspace.known["r"] = workspace.make_run(spec, "me", "r")
    optimize.query_params["run"] = "r"
    page = clean(optimize.run())
    assert not [e for e in page.expander if "Why" in e.label]
