"""Selection: the fastest within the limits, by verdict; what is unknown is never the answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.records import Measurement, Run, Verdict
from core.search.choose import Grounds, Lack, best, ranked, select
from core.search.constraints import Limits
from tests.charts import builders as b

HALF_A_POINT = Limits(max_drop=0.5)


def changed(run: Run, metric: str, candidate: str, **values: object) -> Run:
    """The run with other values in every row of one metric of one candidate."""

    def rewritten(row: Measurement) -> Measurement:
        is_it = (row.metric, row.candidate) == (metric, candidate)
        return replace(row, **values) if is_it else row

    return replace(run, measurements=tuple(map(rewritten, run.measurements)))


def destroyed(run: Run) -> Run:
    """Both recipes lose nearly everything, by labels as well as by answers."""
    for candidate in (b.PRUNED, b.QUANTIZED):
        run = changed(run, "top1_delta", candidate, value=-89.0, low=-91.0, high=-87.0)
        run = changed(run, "agreement", candidate, value=4.7, low=3.0, high=6.0)
    return run


@pytest.mark.parametrize("limits", [Limits(), HALF_A_POINT])
@pytest.mark.parametrize(
    ("run", "metric", "points"), [(b.without_labels, "agreement", 95.3), (b.run, "top1_delta", 89)]
)
@pytest.mark.parametrize("backend", b.BACKENDS[:2])
def test_where_every_recipe_destroys_the_net_nothing_meets_the_limit(
    run, metric, points, limits, backend
):
    found = select(destroyed(run()), backend, limits)
    assert (found.best, found.lack) == (None, Lack.WITHIN)
    assert found.closest.accuracy.grounds is Grounds.LOSES
    assert found.closest.accuracy.lost.metric == metric
    assert found.closest.accuracy.lost.points == pytest.approx(points)


def test_the_fastest_within_the_limits_is_the_answer():
    found = select(b.run(), "openvino", HALF_A_POINT)
    assert found.best.candidate.digest == b.QUANTIZED
    assert select(b.run(), "onnxruntime", Limits(max_drop=5.0)).best.candidate.digest == b.PRUNED


def test_what_is_within_the_limits_but_not_shown_to_be_faster_is_no_answer():
    found = select(b.run(), "onnxruntime", HALF_A_POINT)  # int8 is slower there
    assert (found.best, found.lack) == (None, Lack.FASTER)
    assert found.closest.candidate.digest == b.QUANTIZED
    verdict = {"verdict": Verdict.SAME.value}
    same = changed(b.run(), "latency_ratio", b.QUANTIZED, value=0.98, detail=verdict)
    assert select(same, "openvino", HALF_A_POINT).lack is Lack.FASTER


def test_where_the_original_is_too_slow_what_is_in_time_is_the_answer():
    same = changed(
        b.run(), "latency_ratio", b.QUANTIZED,
        value=0.9, low=0.8, high=1.0, detail={"verdict": Verdict.SAME.value},
    )  # fmt: skip
    limits = Limits(max_drop=0.5, max_latency_ms=1.7)  # the original takes 1.8 ms
    assert select(same, "openvino", limits).best.candidate.digest == b.QUANTIZED


def test_a_latency_beyond_the_limit_or_unknown_is_no_answer():
    assert select(b.run(), "openvino", Limits(5.0, 0.1)).lack is Lack.WITHIN
    rows = tuple(m for m in b.measurements() if m.metric not in ("latency_ms", "latency_ratio"))
    assert select(b.run(measurements=rows), "openvino", Limits(5.0, 1e6)).lack is Lack.WITHIN


@pytest.mark.parametrize("limits", [Limits(99.0), Limits()])
def test_a_loss_that_is_not_known_meets_no_limit(limits):
    rows = tuple(
        m
        for m in b.measurements()
        if m.candidate == b.BASE or m.metric not in ("top1_delta", "agreement", "sqnr_db")
    )
    found = select(b.run(measurements=rows), "openvino", limits)
    assert (found.best, found.lack) == (None, Lack.WITHIN)
    assert found.closest.accuracy.grounds is Grounds.UNKNOWN


def test_decibels_meet_no_limit_in_points():
    rows = tuple(m for m in b.measurements() if m.metric not in ("top1", "top1_delta", "agreement"))
    assert select(b.run(measurements=rows), "openvino").best is not None
    assert select(b.run(measurements=rows), "openvino", Limits(99.0)).best is None


def test_a_recipe_that_made_no_model_is_not_ranked():
    assert ranked(b.refused()) == []
    assert select(b.refused(), "openvino").lack is Lack.WITHIN
    assert best(b.refused()).candidate is None


def test_what_is_slower_everywhere_comes_behind_what_is_not_shown_to_be():
    slower = {"verdict": Verdict.SLOWER.value}
    run = changed(b.run(), "top1_delta", b.PRUNED, value=0.0, low=-0.5, high=0.5)
    run = changed(run, "latency_ratio", b.PRUNED, value=1.1, detail=slower)
    run = changed(run, "latency_ratio", b.QUANTIZED, value=1.0, detail={"verdict": "same"})
    assert [c.candidate.digest for c in ranked(run)] == [b.QUANTIZED, b.PRUNED]


def test_a_recipe_of_unknown_accuracy_is_never_the_best_of_those_that_are_known():
    rows = tuple(
        m for m in b.unlabelled(99, 99.6).measurements
        if m.candidate != b.PRUNED or m.metric not in ("agreement", "sqnr_db")
    )  # fmt: skip
    assert best(b.run(measurements=rows)).recipe.name == "int8"


def test_of_recipes_that_all_lose_the_one_that_loses_least_is_named():
    rows = tuple(
        replace(m, value=-9.0 if m.candidate == b.QUANTIZED else -3.6, low=-10.0, high=-3.0)
        if m.metric == "top1_delta" else m
        for m in b.measurements()
    )  # fmt: skip
    assert best(b.run(measurements=rows)).recipe.name == "prune 30 %"


def test_a_net_without_classes_is_judged_by_the_error_of_its_outputs():
    rows = [m for m in b.unlabelled(99, 99).measurements if m.metric != "agreement"]
    bad = [replace(m, value=1.0) if m.metric == "sqnr_db" and m.candidate == b.PRUNED else m
           for m in rows]  # fmt: skip
    assert best(b.run(measurements=tuple(rows))).recipe.name == "prune 30 %"
    assert best(b.run(measurements=tuple(bad))).recipe.name == "int8"


def test_a_recipe_that_left_the_file_as_it_was_loses_nothing_and_is_not_the_best():
    run = b.run()
    still = replace(run.outcomes[1], candidate=run.outcomes[0].candidate)
    run = replace(run, outcomes=(run.outcomes[0], still, *run.outcomes[2:]))
    assert best(run).candidate.digest == b.QUANTIZED
    found = {c.candidate.digest: c for c in ranked(destroyed(run), HALF_A_POINT)}
    assert found[b.BASE].accuracy.grounds is Grounds.KEEPS
