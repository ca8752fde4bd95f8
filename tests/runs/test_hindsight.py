"""A forecast beside what was counted: which recipes have one, and whether it held."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.records import (
    AccuracyForecast,
    Candidate,
    Cut,
    Hindsight,
    LayerEffect,
    Outcome,
    Recipe,
    Sensitivity,
    Step,
    StepReport,
)
from core.runs.hindsight import hindsights
from tests.charts import builders
from tests.pages.fake_workspace import row

KNOWN = Sensitivity((LayerEffect(("a",), "50 %", 0.02, None, 0.5),), ((0.001, 99.0), (1.0, 30.0)))
FOLD, CUT = Step("fold_batch_norm"), Step("prune_channels", {"ratio": 0.5})


def run(*steps: Step, reverted: str = "", **changes: object):
    report = tuple(
        StepReport(s, cuts=(Cut(("a",), 4, 8),) if s.pass_name == CUT.pass_name else ())
        for s in steps
    )
    report = (*report[:-1], replace(report[-1], reverted=reverted))
    made = builders.run()
    recipe = Recipe("r", steps)
    outcome = Outcome(recipe, Candidate("f" * 64, made.model.path, recipe, report))
    rows = [
        row("f" * 64, "agreement", value, backend=name)
        for name, value in (("opencv", 50.0), ("onnxruntime", 97.0))
    ]
    spec = replace(
        made.spec, backends=("onnxruntime", "opencv"), calibration="c", evaluation="e", **changes
    )
    return replace(made, spec=spec, outcomes=(outcome,), measurements=tuple(rows))


def test_the_agreement_of_the_first_backend_stands_beside_the_forecast():
    asked = []
    (found,) = hindsights(run(FOLD, CUT), lambda before: asked.append(before) or KNOWN)
    assert found.agreement == 97.0
    assert found.expected.low < found.expected.agreement < found.expected.high
    assert [before.steps for before in asked] == [(FOLD,)]


@pytest.mark.parametrize(
    "made",
    [
        run(CUT, FOLD),
        run(CUT, reverted="it failed"),
        run(Step("prune_channels", {"repair": False})),
        replace(run(CUT), measurements=()),
    ],
)
def test_what_had_no_forecast_has_no_hindsight(made):
    assert hindsights(made, lambda before: KNOWN) == ()
    assert hindsights(run(CUT), lambda before: None) == ()


def test_a_hindsight_says_where_it_was_counted():
    (found,) = hindsights(run(CUT), lambda before: KNOWN)
    assert found.backend == run(CUT).spec.backends[0]


def test_one_set_for_both_has_hindsight_too():
    made = run(CUT)
    both = replace(made, spec=replace(made.spec, evaluation=made.spec.calibration))
    assert hindsights(both, lambda before: KNOWN) == hindsights(made, lambda before: KNOWN) != ()


@pytest.mark.parametrize(("counted", "held"), [(94.96, True), (94.9, False), (99.04, True)])
def test_an_interval_holds_as_it_is_printed(counted: float, held: bool):
    expected = AccuracyForecast(97.0, 95.0, 99.0)
    assert Hindsight("f", expected, counted).held is held
