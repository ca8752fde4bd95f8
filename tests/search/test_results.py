"""Results across runs: condensed as the run tells them, and never mixed across conditions."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core.records import Measurement, Number, Result, Run, from_json, to_json
from core.search.pareto import points as points_of_run
from core.search.results import points, results_of, shared_conditions, under
from tests.charts import builders as b


def of(found: tuple[Result, ...], digest: str, backend: str) -> Result:
    return next(r for r in found if r.candidate == digest and r.under.backend == backend)


def slower(factor: float, **changes: object) -> Run:
    """The same run on a day when the machine was so much slower."""
    rows = tuple(
        replace(m, value=m.value * factor, low=m.low * factor, high=m.high * factor)
        if m.metric == "latency_ms" and m.value
        else m
        for m in b.measurements()
    )
    return b.run(measurements=rows, **changes)


def larger(row: Measurement) -> Measurement:
    """The row as of a larger input."""
    if "input" not in row.condition:
        return row
    return replace(row, condition={**row.condition, "input": "8x3x64x64"})


def test_a_result_holds_what_the_run_told():
    found = results_of(b.run())
    assert len(found) == 3 * 3
    pruned = of(found, b.PRUNED, "openvino")
    assert pruned.gain == Number(90.2, 90.2 - 1.1, 91.2)
    assert pruned.change == Number(-3.6, -4.1, -3.1)
    assert pruned.ratio == Number(0.61, 0.61 * 0.98, 0.61 * 1.02)
    assert pruned.verdict == "faster"
    assert (pruned.under.input, pruned.under.images) == ("1x3x64x64", 2000)
    assert pruned.size_bytes == int(1_402_000 * 0.7)
    failed = of(found, b.QUANTIZED, "opencv")
    assert (failed.latency, failed.gain) == (None, None)
    assert "cannot load" in failed.reason
    assert failed.under == of(found, b.PRUNED, "opencv").under


def test_results_survive_being_kept():
    found = results_of(b.run())
    assert tuple(from_json(Result, r) for r in json.loads(json.dumps(to_json(found)))) == found


@pytest.mark.parametrize(
    "run", [b.live(), b.refused(), b.without_data(), b.hostile(), b.unstable()]
)
def test_every_state_is_condensed(run):
    assert all(result.run == run.id for result in results_of(run))


def test_without_labels_the_original_agrees_with_itself():
    found = results_of(b.without_labels())
    assert of(found, b.BASE, "openvino").gain == Number(100.0, 100.0, 100.0)
    assert {r.under.metric for r in found} == {"agreement"}
    assert len({r.under for r in found if r.under.backend == "openvino"}) == 1


def test_one_run_has_the_points_that_it_has_alone():
    found = results_of(b.run())
    (conditions,) = (c for c in shared_conditions(found) if c.backend == "openvino")
    mine = points(under(found, conditions), "latency")
    its = [p for p in points_of_run(b.run()) if p.backend == "openvino"]
    assert [(p.digest.partition("/")[2], p.gain, p.front) for p in mine] == [
        (p.digest, p.gain, p.front) for p in its
    ]
    assert [p.cost for p in mine] == pytest.approx([p.cost for p in its])


def test_a_slow_day_moves_no_recipe():
    """Two runs of the same recipes, one while the machine was slower: paired ratios place them."""
    found = (*results_of(b.run(id="a")), *results_of(slower(1.3, id="b")))
    (conditions,) = (c for c in shared_conditions(found) if c.backend == "openvino")
    placed = under(found, conditions)
    assert [r.is_original for r in placed].count(True) == 1
    times = {r.latency.value for r in placed if r.candidate == b.PRUNED}
    assert len(times) == 1


@pytest.mark.parametrize(
    "other",
    [
        b.run(id="x", host=replace(b.HOST, cpu="another")),
        b.run(id="x", host=replace(b.HOST, versions={**b.HOST.versions, "openvino": "9"})),
        b.run(id="x", measurements=tuple(map(larger, b.measurements()))),
        b.run(id="x", spec=replace(b.run().spec, evaluation="9" * 64)),
    ],
)  # fmt: skip
def test_what_does_not_share_its_conditions_is_never_mixed(other):
    found = (*results_of(b.run(id="a")), *results_of(other))
    here = [c for c in shared_conditions(found) if c.backend == "openvino"]
    assert len(here) == 2
    for conditions in here:
        assert len({r.run for r in under(found, conditions)}) == 1


def test_each_run_counts_once_in_the_latency_of_the_original():
    """Not once for each of its candidates: a long search would outvote all others."""
    results = results_of(b.run())
    (conditions,) = (c for c in shared_conditions(results) if c.backend == "openvino")
    here = [r for r in results if r.under == conditions]
    long = [replace(r, run="long", original_ms=20.0) for r in here for _ in range(9)]
    short = [replace(r, run=f"short {ms}", original_ms=ms) for ms in (10.0, 12.0) for r in here]
    placed = next(r for r in under((*long, *short), conditions) if r.ratio is not None)
    assert placed.latency.value == pytest.approx(12.0 * placed.ratio.value)


def test_names_of_a_user_stand_for_recipes():
    found = results_of(b.run())
    (conditions,) = (c for c in shared_conditions(found) if c.backend == "openvino")
    named = points(under(found, conditions), "size", {("run-1", b.PRUNED): "my favourite"})
    assert "my favourite" in {p.recipe.name for p in named}
