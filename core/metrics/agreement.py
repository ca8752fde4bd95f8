"""Agreement: the share of images whose answer is that of the original, right or wrong.

Top-1 cannot fall by more than what agreement lacks of 100 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.answers import change, choices, flips, share
from core.metrics.base.intervals import Interval
from core.records import Better, Json

Array = np.ndarray[Any, Any]


class Agreement:
    """Counted image by image; needs no labels."""

    unit = "%"
    better = Better.HIGHER
    label = "same answer as the original"
    short = "agreement"
    gives = "images with the baseline's answer"
    comparatives = ("fewer same answers", "more same answers")
    relative = True
    phrase = "same answer as the original on {} of images"
    paired = False
    fewest = 1

    def statistics(self, predictions: Array, truth: Array) -> Array:
        """(images,) bool: the same class or not; both are (images, classes) scores."""
        return np.asarray(choices(truth) == choices(predictions))

    def score(self, statistics: Array) -> Interval:
        """Percent, Wilson's interval."""
        return share(statistics)

    def difference(self, before: Array, after: Array) -> Interval:
        """Points, by the images that only one of both has like the original."""
        return change(before, after)

    def detail(self, statistics: Array) -> Json:
        """Which images changed."""
        return flips(statistics)


METRIC = Agreement()
