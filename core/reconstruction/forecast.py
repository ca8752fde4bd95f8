"""How far the outputs will move, before anything is cut: from the measured effects of single cuts.

Between two measured depths the error of a group follows the error that the elimination derived,
scaled to pass through both. The errors of several groups add up (to first order they are
independent); the repair that follows takes a part away that differs between networks. `SLACK`, set
by hand and not calibrated against measured cuts, is the share of the sum that is assumed to be
left, and gives the interval.

An error e of the outputs, relative to their variance, is drawn as noise on the outputs that the
calibration images gave: the share of images whose first class stays is the agreement. Accuracy
falls by at most what agreement falls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from core.analysis.channels import Group
from core.reconstruction.elimination import Ranking
from core.reconstruction.sensitivity import Effect
from core.reconstruction.shelf import Array

SLACK = (0.35, 0.8, 2.0)  # low, middle, high
DRAWS = 20
BEYOND = 4.0  # error of losing nearly all atoms, in errors of the deepest cut measured


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is expected of a cut; nothing here was measured on the cut graph.

    Attributes:
        error: of the outputs, relative to their variance.
        agreement: percent of images that keep their first class; None if there are no classes.
        low, high: between which the agreement is expected.
    """

    error: float
    agreement: float | None
    low: float | None
    high: float | None


def curve(ranking: Ranking, effects: Mapping[int, Effect]) -> dict[int, float]:
    """Atoms removed -> error of the outputs, for every count of a group."""
    depths = sorted(effects)
    seen = np.maximum.accumulate([effects[d].error for d in depths])
    derived = [0.0, *(float(ranking.error[d - 1]) for d in depths)]
    last = max(float(ranking.error[-1]), derived[-1])
    at = [*derived, last]
    values = [0.0, *seen.tolist(), float(seen[-1]) * BEYOND]
    every = np.interp(ranking.error, at, values)
    return {0: 0.0} | {i + 1: float(e) for i, e in enumerate(np.maximum.accumulate(every))}


def forecast(
    removed: Mapping[Group, int],
    curves: Mapping[Group, Mapping[int, float]],
    outputs: Array | None,
) -> Forecast:
    """The error and agreement of cutting several groups and repairing.

    Args:
        removed: atoms that each group loses.
        curves: as `curve` gives them.
        outputs: of the original on calibration images, (images, classes), if it classifies.
    """
    total = sum(curves[g][count] for g, count in removed.items() if count)
    low, middle, high = (total * slack for slack in SLACK)
    if outputs is None or outputs.ndim != 2 or outputs.shape[1] < 2:
        return Forecast(middle, None, None, None)
    return Forecast(
        middle, agreement(outputs, middle), agreement(outputs, high), agreement(outputs, low)
    )


def agreement(outputs: Array, error: float) -> float:
    """Percent of rows whose largest entry stays the largest under noise of this relative error."""
    spread = outputs - outputs.mean(0)
    noise = np.sqrt(error * np.mean(spread**2))
    random, first = np.random.default_rng(0), outputs.argmax(1)
    drawn = [
        (outputs + noise * random.normal(size=outputs.shape)).argmax(1) == first
        for _ in range(DRAWS)
    ]
    return float(100 * np.mean(drawn))
