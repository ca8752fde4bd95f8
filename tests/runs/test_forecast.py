"""A forecast is arithmetic over measured effects, and never better than they allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.records import (
    Cut,
    LayerEffect,
    ModelSummary,
    Preview,
    Recipe,
    Sensitivity,
    Step,
    StepReport,
    TensorSpec,
)
from core.runs.forecast import (
    SLACK,
    agreement,
    cutting,
    error_at,
    forecast,
    none_for,
    obstacle,
    uncut,
)

TOLERANCE = ((0.001, 99.0), (0.1, 80.0), (1.0, 30.0))


def effect(share: float, error: float, layers: tuple[str, ...] = ("a",)) -> LayerEffect:
    return LayerEffect(layers, f"{share:.0%}", error, None, share)


def test_between_two_measured_shares_the_error_lies_on_their_line():
    known = [effect(0.5, 0.3), effect(0.25, 0.1)]
    assert error_at(0.25, known) == pytest.approx(0.1)
    assert error_at(0.375, known) == pytest.approx(0.2)
    assert error_at(0.125, known) == pytest.approx(0.05)


def test_an_error_never_falls_with_the_share():
    known = [effect(0.25, 0.4), effect(0.5, 0.1)]
    errors = [error_at(share / 10, known) for share in range(11)]
    assert errors == sorted(errors)
    assert errors[-1] > 0.4


def test_errors_of_groups_add_up_and_the_slack_is_the_interval():
    both = (effect(0.5, 0.02), effect(0.5, 0.03, ("b",)))
    known = Sensitivity(both, TOLERANCE)
    found = forecast([Cut(("a",), 4, 8), Cut(("b",), 8, 16)], known, (0.5, 1.0, 2.0))
    assert found.agreement == pytest.approx(agreement(0.05, TOLERANCE))
    assert found.low == pytest.approx(agreement(0.1, TOLERANCE))
    assert found.high == pytest.approx(agreement(0.025, TOLERANCE))


def test_nothing_cut_changes_no_answer():
    known = Sensitivity((effect(0.5, 0.3),), TOLERANCE)
    assert forecast([Cut(("a",), 0, 8)], known).agreement == 100


@pytest.mark.parametrize(
    "known",
    [Sensitivity((effect(0.5, 0.3),), ()), Sensitivity((effect(0.5, 0.3, ("b",)),), TOLERANCE)],
)
def test_what_was_not_measured_is_not_forecast(known: Sensitivity):
    assert forecast([Cut(("a",), 4, 8)], known) is None


def test_the_slack_in_the_code_is_an_interval_around_its_middle():
    low, middle, high = SLACK
    assert 0 < low < middle < high
    found = forecast([Cut(("a",), 4, 8)], Sensitivity((effect(0.5, 0.02),), TOLERANCE))
    assert found.low < found.agreement < found.high


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        (("N", 10), ""),
        (("N", 21, 64, 64), "no forecast for segmentation; not measured"),
        (("N", 84, 84), "no forecast for detection; not measured"),
        (("N", 3, 64, 64), "no forecast for outputs as numbers; not measured"),
    ],
)
def test_only_answers_have_a_forecast(shape: tuple, reason: str):
    assert none_for(model_of(shape)) == reason


def model_of(shape: tuple) -> ModelSummary:
    inputs = (TensorSpec("x", "float32", ("N", 3, 64, 64)),)
    outputs = (TensorSpec("y", "float32", shape),)
    return ModelSummary("d", "n", Path("m"), inputs, outputs, 17, 8, "", 1, 2, 3, 4, 0)


FOLD, CUT, REST = Step("fold_batch_norm"), Step("prune_channels"), Step("quantize_weights")
LEFT = Step("prune_channels", {"repair": False})


def preview_of(*steps: Step, exact: bool = True) -> Preview:
    report = tuple(
        StepReport(step, 1, cuts=(Cut(("a",), 4, 8),) if step in (CUT, LEFT) else ())
        for step in steps
    )
    return Preview(1, 1, 1, 1, exact, report)


@pytest.mark.parametrize(
    ("steps", "exact", "calibrated", "reason"),
    [
        pytest.param((FOLD, CUT), True, True, "", id="a repaired cut"),
        pytest.param((CUT,), True, False, "no calibration images", id="nothing to repair with"),
        pytest.param((LEFT,), True, True, "for this recipe", id="no repair"),
        pytest.param((CUT, REST), True, True, "for this recipe", id="another loss"),
        pytest.param((CUT,), False, True, "for this recipe", id="unknown channels"),
    ],
)
def test_a_forecast_needs_a_repaired_cut_as_the_only_loss(steps, exact, calibrated, reason):
    preview, recipe = preview_of(*steps, exact=exact), Recipe("r", steps)
    position = cutting(preview)
    assert position == next(i for i, step in enumerate(steps) if step in (CUT, LEFT))
    found = obstacle(model_of(("N", 10)), recipe, preview, position, calibrated)
    assert (reason in found) if reason else not found
    assert uncut(recipe, position).steps == steps[:position]


def test_what_is_no_classifier_has_no_forecast_whatever_the_recipe():
    found = obstacle(model_of(("N", 84, 84)), Recipe("r", (CUT,)), preview_of(CUT), 0, True)
    assert "detection" in found


def test_where_nothing_is_cut_there_is_no_position():
    assert cutting(preview_of(FOLD, REST)) is None
    assert cutting(None) is None
