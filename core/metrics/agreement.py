"""Agreement: the share of images whose answer is that of the original, right or wrong.

Top-1 cannot fall by more than what agreement lacks of 100 %.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.answers import choices, flips
from core.metrics.base.over_images import ShareOfImages
from core.records import Better, Json

Array = np.ndarray[Any, Any]


class Agreement(ShareOfImages):
    """Counted image by image; needs no labels."""

    unit = "%"
    better = Better.HIGHER
    label = "same answer as the original"
    short = "agreement"
    gives = "images on which the candidate answers as the baseline does"
    comparatives = ("fewer same answers", "more same answers")
    relative = True
    phrase = "same answer as the original on {} of images"
    paired = False
    fewest = 1

    def statistics(self, predictions: Array, truth: Array) -> Array:
        """(images,) bool: the same class or not; both are (images, classes) scores."""
        return np.asarray(choices(truth) == choices(predictions))

    def detail(self, statistics: Array) -> Json:
        """Which images changed."""
        return flips(statistics)


METRIC = Agreement()
