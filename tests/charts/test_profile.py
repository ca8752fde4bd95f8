"""The chart of layer times: what is drawn, what is summed up, what stays text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.charts import palette, profile_figure
from core.charts.profile import COLORS, INT8, MOST_LANES, doing, height
from core.records import Explanation, LayerPair, LayerProfile, Profile
from tests.charts import builders as b
from tests.charts.test_figures import contrast, hovers, words

FLOAT = LayerProfile("n", "stage1/conv", "Conv", "conv 3x3", 0.002, 0.5, "f32")
INTEGER = replace(FLOAT, seconds=0.001, precision="int8", implementation="QLinearConv")


def answer(*pairs: LayerPair) -> Explanation:
    empty = Profile("a" * 64, "onnxruntime", 1, (), 0.01)
    return Explanation(empty, empty, pairs)


def test_a_lane_has_both_times_the_precisions_and_the_ratio():
    figure = profile_figure(answer(LayerPair(FLOAT, INTEGER)))
    assert list(figure.data[0].x) == pytest.approx([2.0, 1.0])
    for part in ("stage1/conv", "conv 3x3 ×0.50", "2.00 f32", "1.00 int8"):
        assert part in words(figure)
    assert "QLinearConv" in hovers(figure)
    assert list(figure.data[0].marker.color) == [palette.BASELINE, COLORS[INT8]]


def test_the_slowest_are_drawn_and_the_rest_is_one_lane():
    many = [
        LayerPair(replace(FLOAT, name=f"l{i}", seconds=i / 1e3, macs=9), None) for i in range(1, 21)
    ]
    figure = profile_figure(answer(*many))
    assert "l20" in words(figure)
    assert "5 smaller layers" in words(figure)
    assert sum(figure.data[0].x) == pytest.approx(sum(range(1, 21)))
    assert len(figure.layout.annotations) == MOST_LANES + 1
    assert figure.layout.height == height(answer(*many))


def test_quantizers_share_a_lane_because_they_count_together():
    small = replace(FLOAT, role="quantize", kind="quantize, dequantize", seconds=0.0005)
    many = [LayerPair(None, replace(small, name=f"q{i}")) for i in range(30)]
    figure = profile_figure(answer(LayerPair(replace(FLOAT, macs=9), None), *many))
    assert "quantize, dequantize</b>  all together" in words(figure)
    assert "15.0, 30 layers" in words(figure)
    assert COLORS["quantize"] in figure.data[0].marker.color
    assert max(figure.data[0].x) == pytest.approx(15)


def test_a_layer_on_one_side_only_says_so():
    quantizer = replace(FLOAT, role="quantize", name="q")
    figure = profile_figure(answer(LayerPair(None, quantizer), LayerPair(FLOAT, None)))
    assert {"not in the original", "not in this model"} <= set(words(figure).split("\n"))


def test_nothing_timed_is_a_sentence():
    assert "timed no layer" in words(profile_figure(answer()))


def test_names_stay_text():
    hostile = replace(FLOAT, name=b.HOSTILE, kind=b.HOSTILE, implementation=b.HOSTILE)
    figure = profile_figure(answer(LayerPair(hostile, hostile)))
    assert "<img" not in words(figure) + hovers(figure)


@pytest.mark.parametrize("role", ["compute", "quantize", "cast", "reorder", "other"])
def test_every_role_has_a_colour_of_its_own_that_is_seen(role):
    assert doing(replace(FLOAT, role=role)) == role
    assert len(set(COLORS.values())) == len(COLORS)
    for page in ("#ffffff", "#0e1320"):
        assert contrast(COLORS[role], page) >= 3
