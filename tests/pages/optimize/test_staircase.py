"""Behind the prune slider: the button, the chart, and the stops that the slider snaps to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.charts import staircase_figure
from core.charts.staircase import ticks
from core.records import Stair, Staircase, StaircaseState
from pages.shared import snapping
from pages.shared.state import forms
from tests.pages.screen import clean, words

RATIO = forms.parameter("prune_channels", "ratio").key
STOPS = tuple(round(0.05 * i, 2) for i in range(19))
STEPS = (0.4, 0.7)
FOUND = Staircase(
    "onnxruntime",
    1,
    tuple(
        Stair(at, s := 1e-3 * (1 - sum(0.3 for step in STEPS if at >= step)), s, s, at in STEPS)
        for at in STOPS
    ),
    12,
)


def pruning(optimize):
    page = clean(optimize.run())
    page.toggle(key=forms.switch("prune_channels").key).set_value(True)
    return clean(page.run())


def test_without_times_the_slider_works_and_a_button_offers_them(optimize, workspace):
    workspace.stairs = StaircaseState(missing=60)
    page = pruning(optimize)
    assert "60 layer shapes, about 30 s" in words(page)
    page.slider(key=RATIO).set_value(0.5)
    assert clean(page.run()).slider(key=RATIO).value == 0.5
    page.button(key="staircase.measure").click()
    page = clean(page.run())
    assert ("time_layers", "onnxruntime,openvino,opencv") in workspace.verbs
    page.button(key="staircase.cancel").click()
    clean(page.run())
    assert ("stop_timing", "") in workspace.verbs


def test_a_staircase_is_drawn_as_an_estimate_and_read_off_at_the_slider(optimize, workspace):
    workspace.stairs = StaircaseState((FOUND,), 0)
    page = pruning(optimize)
    text = words(page)
    assert "≈ 1.00 ms" in text
    assert "12 layers, timed one by one" in text
    assert any(
        "estimate from measured layer times" in str(c.proto) for c in page.get("plotly_chart")
    )


def test_a_released_slider_goes_to_the_nearest_step_unless_that_is_off(optimize, workspace):
    workspace.stairs = StaircaseState((FOUND,), 0)
    page = pruning(optimize)
    page.slider(key=RATIO).set_value(0.5)
    page = clean(page.run())
    assert page.slider(key=RATIO).value == 0.4
    assert "Moved from 50\\% to 40\\%" in words(page) or "Moved from 50% to 40%" in words(page)
    page.toggle(key="staircase.snap").set_value(False)
    page = clean(page.run())
    page.slider(key=RATIO).set_value(0.55)
    assert clean(page.run()).slider(key=RATIO).value == 0.55


def test_half_a_staircase_is_drawn_and_snaps_to_nothing(optimize, workspace):
    part = replace(FOUND, stairs=FOUND.stairs[::9], whole=False)
    workspace.stairs = StaircaseState((part,), 30)
    page = pruning(optimize)
    assert page.button(key="staircase.measure").label == "Time the other layers"
    assert not [t for t in page.toggle if t.key == "staircase.snap"]


def test_a_reason_stands_where_the_staircase_would(optimize, workspace):
    workspace.stairs = StaircaseState(missing=0, reasons={"opencv": "<b>gone</b>"})
    assert "OpenCV" in words(pruning(optimize))


@pytest.mark.parametrize(
    ("value", "before", "stop"),
    [
        (0.45, 0.4, 0.7),  # one key to the right of a step does not fall back to it
        (0.35, 0.4, 0.0),
        (0.9, 0.7, 0.7),  # nothing lies beyond
        (0.5, 0.0, 0.4),
        (0.6, 0.0, 0.7),
    ],
)
def test_snapping_never_goes_back_to_where_the_slider_came_from(value, before, stop):
    assert snapping.nearest(value, before, (0.0, 0.4, 0.7)) == stop
    assert snapping.nearest(value, before, ()) == value


def test_no_label_of_the_axis_lies_on_a_line_at_the_left_end():
    assert ticks(1.25, []) == [0.0, 0.5, 1.0]
    assert ticks(1.25, [1.05]) == [0.0, 0.5]
    assert ticks(1.25, [1.25, 0.4]) == [0.0, 0.5, 1.0]
    assert ticks(30.0, [11.0]) == [0.0, 20.0]


def test_the_figure_has_a_hollow_mark_at_each_step_and_the_sliders_ends():
    figure = staircase_figure([FOUND], 0.0, 0.9)
    (line,) = figure.data
    assert [x for x, size in zip(line.x, line.marker.size, strict=True) if size > 1] == list(STEPS)
    assert line.line.dash == "dot"
    assert line.marker.symbol.endswith("-open")
    assert list(figure.layout.xaxis.range) == [0.0, 0.9]
    assert "ms" in figure.layout.title.text
