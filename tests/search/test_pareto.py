"""The Pareto front against its definition, and what the points carry."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from core.search.pareto import front, points
from tests.charts import builders as b


def beaten(pair, pairs):
    return any(other[0] <= pair[0] and other[1] >= pair[1] and other != pair for other in pairs)


@pytest.mark.parametrize("seed", range(30))
def test_front_is_what_nothing_beats(seed):
    draw = random.Random(seed)
    pairs = [(draw.randint(0, 8), draw.randint(0, 8)) for _ in range(draw.randint(1, 40))]
    assert front(pairs) == {i for i, pair in enumerate(pairs) if not beaten(pair, pairs)}


def test_front_of_nothing_is_empty():
    assert front([]) == set()


def test_points_need_both_numbers():
    found = {(p.digest, p.backend) for p in points(b.run())}
    assert (b.QUANTIZED, "opencv") not in found
    assert (b.PRUNED, "opencv") in found
    assert len(found) == 8


def test_front_is_per_backend():
    edge = {(p.digest, p.backend) for p in points(b.run()) if p.front}
    assert (b.PRUNED, "onnxruntime") in edge  # nothing faster there
    assert (b.PRUNED, "openvino") not in edge  # int8 is faster and better
    assert (b.BASE, "openvino") in edge


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
