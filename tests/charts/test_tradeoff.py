"""The trade-off as a chart: its axes, what a click carries, the ring."""

from __future__ import annotations

import pytest

from core.charts.tradeoff import tradeoff_figure
from core.search.pareto import points
from tests.charts import builders as b


@pytest.mark.parametrize("cost", ["latency", "ratio", "size", "zipped"])
def test_every_cost_has_the_baseline_and_its_unit(cost):
    found = points(b.run(), cost)
    assert {p.backend for p in found if p.is_baseline} == set(b.BACKENDS)
    assert "(" in tradeoff_figure(b.run(), cost).layout.xaxis.title.text


def test_a_click_knows_recipe_and_backend():
    figure = tradeoff_figure(b.run())
    carried = {
        tuple(data)
        for trace in figure.data
        if trace.customdata is not None
        for data in trace.customdata
    }
    assert (b.PRUNED, "openvino") in carried


def test_the_selected_point_is_ringed():
    plain, ringed = (
        tradeoff_figure(b.run()),
        tradeoff_figure(b.run(), selected=(b.PRUNED, "opencv")),
    )
    assert len(ringed.data) == len(plain.data) + 1
    assert list(ringed.data[-1].x) == [pytest.approx(3.9 * 0.99)]
