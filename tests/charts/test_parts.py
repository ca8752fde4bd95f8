"""A combined recipe is told beside its parts, and what was not measured is said to be missing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from core.charts.parts import beside_parts
from core.charts.summary import headline
from core.records import Candidate, Outcome, Recipe, Run
from tests.charts import builders as b

BOTH = "f" * 64


def combined(ratio: float = 0.47) -> Run:
    """A run of a cut, of int8 and of both."""
    run = b.run()
    steps = (*b.RECIPES[1].steps, b.RECIPES[2].steps[1])
    recipe = Recipe("both", steps)
    made = Outcome(recipe, Candidate(BOTH, Path("z.onnx"), recipe), b.summary(BOTH, 0.2))
    rows = b.latency(BOTH, "openvino", 0.8, ratio, "faster") + b.accuracy(BOTH, "openvino", 90, -4)
    return replace(
        run,
        spec=replace(run.spec, recipes=(*b.RECIPES, recipe)),
        outcomes=(*run.outcomes, made),
        measurements=(*run.measurements, *rows),
    )


def test_both_parts_and_the_whole_are_named_with_their_numbers():
    run = combined()
    said = beside_parts(run, run.outcomes[-1])
    assert "Prune channels alone 0.61× (−3.6 points)" in said
    assert "alone 0.39× (−0.4 points)" in said
    assert "together 0.47× (−4.0 points)" in said
    assert said in headline(run, BOTH)


def test_a_part_that_was_not_measured_is_said_to_be_missing():
    run = combined()
    only = replace(run, outcomes=(run.outcomes[0], run.outcomes[1], run.outcomes[-1]))
    assert "Not measured alone, so not compared:" in beside_parts(only, run.outcomes[-1])


def test_a_single_step_has_no_parts():
    run = combined()
    assert beside_parts(run, run.outcomes[1]) == ""
