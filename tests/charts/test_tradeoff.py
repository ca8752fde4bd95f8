"""The Pareto front against its definition, and what the points carry."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from core.charts.tradeoff import pareto, points, tradeoff_figure
from tests.charts import builders as b


def beaten(pair, pairs):
    return any(other[0] <= pair[0] and other[1] >= pair[1] and other != pair for other in pairs)


@pytest.mark.parametrize("seed", range(30))
def test_front_is_what_nothing_beats(seed):
    draw = random.Random(seed)
    pairs = [(draw.randint(0, 8), draw.randint(0, 8)) for _ in range(draw.randint(1, 40))]
    assert pareto(pairs) == {i for i, pair in enumerate(pairs) if not beaten(pair, pairs)}


def test_front_of_nothing_is_empty():
    assert pareto([]) == set()


def test_points_need_both_numbers():
    found = {(p.digest, p.backend) for p in points(b.run())}
    assert (b.QUANTIZED, "opencv") not in found
    assert (b.PRUNED, "opencv") in found
    assert len(found) == 8


def test_front_is_per_backend():
    front = {(p.digest, p.backend) for p in points(b.run()) if p.front}
    assert (b.PRUNED, "onnxruntime") in front  # nothing faster there
    assert (b.PRUNED, "openvino") not in front  # int8 is faster and better
    assert (b.BASE, "openvino") in front


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


def test_a_candidate_stands_at_its_ratio_times_the_common_median_of_the_original():
    run = b.run()
    slow_moment = [
        replace(
            row,
            value=row.value * 3,
            condition={**row.condition, "beside": b.PRUNED},
        )
        for row in run.measurements
        if row.candidate == b.BASE and row.metric == "latency_ms" and row.backend == "opencv"
    ]
    again = [
        replace(row, condition={**row.condition, "beside": b.QUANTIZED}) for row in slow_moment
    ]
    found = points(replace(run, measurements=(*run.measurements, *slow_moment, *again)))
    placed = {p.digest: p.cost for p in found if p.backend == "opencv"}
    assert placed[b.BASE] == pytest.approx(3 * 3.9)
    assert placed[b.PRUNED] == pytest.approx(0.99 * placed[b.BASE])


def test_agreement_stands_in_where_nothing_is_labelled():
    found = points(b.without_labels())
    assert {p.gain for p in found if p.is_baseline} == {100.0}
