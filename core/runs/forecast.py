"""What a cut is expected to cost in accuracy, from measured sensitivities: arithmetic, no run.

Errors of groups cut alone are added up, as if they were independent. They are not: errors of
layers in a row feed each other, a network errs more on images that it was not calibrated on, and
the repair takes a part away. All of this is the slack, the factor between the sum and the error
that the counted agreement stands for. It differs between networks: hence the interval.

SLACK holds the 5th, 50th and 95th percentile of that factor over 96 cuts of 8 networks (4 samples,
2 of CIFAR-10, 2 of ImageNet; 10 to 60 %, alike in every group and by a budget of MACs), as
`python -m benchmarks.forecast` counted it on evaluation images. On a network that the fit did not
see, 83 % of the cuts lay inside. Networks that end in Softmax or Sigmoid are forecast on what
stands before it (`core.analysis.decisions`), and their factors are the same. What ends in NMS has
none: a box is lost far sooner than a class changes (the factor was 12 to 56).
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence

from core.records import (
    AccuracyForecast,
    Cut,
    LayerEffect,
    ModelSummary,
    Preview,
    Recipe,
    Sensitivity,
    Step,
)
from core.tasks.base import Signature, task_of

SLACK = (0.6, 1.45, 4.0)  # low, middle, high
BEYOND = 4.0  # how much worse than at the deepest cut measured it is to lose everything


def none_for(model: ModelSummary) -> str:
    """Why there is no forecast for a model: it is one of answers, which only classifiers give."""
    task = task_of(Signature.of_model(model))
    if task.stand_in == "agreement":
        return ""
    return f"no forecast for {task.label}; not measured"


def cutting(preview: Preview | None) -> int | None:
    """The position of the step that removes channels; None where none is known to."""
    reports = preview.report if preview is not None else ()
    return next((i for i, step in enumerate(reports) if any(c.removed for c in step.cuts)), None)


def obstacle(
    model: ModelSummary, recipe: Recipe, preview: Preview, position: int, calibrated: bool
) -> str:
    """Why there is no forecast for a recipe; empty where there may be one.

    Its only loss must be a repaired cut whose channels are known exactly.

    Args:
        model: that it changes.
        recipe: whose step at `position` removes channels.
        preview: of the recipe.
        position: as `cutting` finds it.
        calibrated: whether there are images to calibrate with.
    """
    if why := none_for(model):
        return why
    if not calibrated:
        return "no calibration images, so no repair and no forecast"
    unrepaired = preview.report[position].step.params.get("repair") is False
    if recipe.steps[position + 1 :] or not preview.exact or unrepaired:
        return "no forecast for this recipe; not measured"
    return ""


def uncut(recipe: Recipe, position: int) -> Recipe:
    """The recipe up to the step that removes channels: what its sensitivity is measured on."""
    return Recipe("before", recipe.steps[:position])


def before_pruning(model: ModelSummary) -> Recipe:
    """What stands before a cut that nobody has asked for yet: batch norms folded, if any."""
    return Recipe("before", (Step("fold_batch_norm"),) if model.batch_norms else ())


def forecast(
    cuts: Sequence[Cut], known: Sensitivity, slack: Sequence[float] = SLACK
) -> AccuracyForecast | None:
    """The agreement to expect of these cuts together; None where it cannot be said."""
    total = summed(cuts, known)
    if not known.tolerance or total is None:
        return None
    low, middle, high = (agreement(total * each, known.tolerance) for each in slack)
    return AccuracyForecast(middle, min(high, middle), max(low, middle))


def summed(cuts: Sequence[Cut], known: Sensitivity) -> float | None:
    """The errors of these cuts alone, added up; None where one of them was not measured."""
    by_group: dict[tuple[str, ...], list[LayerEffect]] = {}
    for effect in known.effects:
        by_group.setdefault(effect.layers, []).append(effect)
    made = [cut for cut in cuts if cut.removed]
    if any(cut.layers not in by_group for cut in made):
        return None
    return sum(error_at(cut.removed / cut.channels, by_group[cut.layers]) for cut in made)


def error_at(share: float, effects: Sequence[LayerEffect]) -> float:
    """The error of one group at a share between the measured ones; never falling."""
    points = [(0.0, 0.0)]
    for effect in sorted(effects, key=lambda e: e.share):
        points.append((effect.share, max(effect.error, points[-1][1])))
    points.append((1.0, points[-1][1] * BEYOND))
    return _between(share, points)


def agreement(error: float, tolerance: Sequence[tuple[float, float]]) -> float:
    """Percent of answers that stay under an error of the outputs."""
    return _between(error, [(0.0, 100.0), *tolerance])


def _between(at: float, points: Sequence[tuple[float, float]]) -> float:
    """Linear between points sorted by their first coordinate; level beyond the last."""
    position = bisect.bisect_left([x for x, _ in points], at)
    if position == 0:
        return points[0][1]
    if position == len(points):
        return points[-1][1]
    (x0, y0), (x1, y1) = points[position - 1], points[position]
    return y0 + (y1 - y0) * (at - x0) / (x1 - x0) if x1 > x0 else y1
