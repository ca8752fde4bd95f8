"""The heat map over settings, and the bars of one setting."""

from __future__ import annotations

import pytest

from core.charts import sensitivity_figure
from core.charts.sensitivity import hover, label, measures
from core.records import LayerEffect

GRID = tuple(
    LayerEffect((f"conv{group}", f"bn{group}"), f"{ratio} %", error, 100 - ratio)
    for group, error in ((1, 1e-4), (2, 0.3))
    for ratio in (25, 50)
)


def test_a_grid_of_settings_is_a_heat_map_in_the_order_of_the_network():
    (heat,) = sensitivity_figure(GRID).data
    assert heat.type == "heatmap"
    assert list(heat.x) == ["25 %", "50 %"]
    assert [list(row) for row in heat.text] == [["0.010", "0.010"], ["30", "30"]]
    assert heat.z[0][0] < heat.z[1][0]


def test_one_setting_is_bars_that_name_their_layers():
    effects = [LayerEffect((name,), "int8", error) for name, error in (("a", 0.01), ("b", 0.0))]
    (bars,) = sensitivity_figure(effects).data
    assert bars.type == "bar"
    assert [list(layers) for layers in bars.customdata] == [["a"], ["b"]]
    assert list(bars.text) == ["1.0 %", "0 %"]
    assert bars.x[0] > bars.x[1] == 0


def test_a_cell_that_was_not_measured_stays_empty():
    (heat,) = sensitivity_figure(GRID[:3]).data
    assert heat.z[1][1] is None


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "<b>" * 40])
def test_names_stay_text(name: str):
    effect = LayerEffect((name,), "int8", 0.1)
    assert "<script" not in label(effect.layers) + hover(effect).replace("<b>int8</b>", "")


LABELLED = tuple(
    LayerEffect(("conv",), f"{share} %", 0.1, 95.5, share / 100, lost)
    for share, lost in ((25, 1.6), (50, -0.8))
)


def test_what_can_be_shown_is_what_was_measured():
    assert measures(GRID) == ("Output error", "Answers changed")
    assert measures(LABELLED) == ("Output error", "Answers changed", "Top-1 lost")
    assert measures([LayerEffect(("a",), "int8", 0.1)]) == ("Output error",)


def test_each_measure_has_its_own_words_and_unit():
    (changed,) = sensitivity_figure(LABELLED, "Answers changed").data
    assert list(changed.text[0]) == ["4.5", "4.5"]
    figure = sensitivity_figure(LABELLED, "Top-1 lost")
    (lost,) = figure.data
    assert list(lost.text[0]) == ["−1.6", "+0.8"]
    assert list(lost.z[0]) == [1.6, 0.0]
    assert "points of top-1" in str(figure.layout)
