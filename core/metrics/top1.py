"""Top-1 accuracy: the share of images whose class of the highest score is the label."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.answers import choices
from core.metrics.base.over_images import ShareOfImages
from core.records import Better

Array = np.ndarray[Any, Any]


class Top1(ShareOfImages):
    """Counted image by image; two files are paired on the same images."""

    unit = "%"
    better = Better.HIGHER
    label = "top-1"
    short = "top-1"
    gives = "labelled images whose label has the highest score, with Wilson's interval"
    comparatives = ("less accurate", "more accurate")
    relative = False
    phrase = ""
    paired = True
    fewest = 1

    def statistics(self, predictions: Array, truth: Array) -> Array:
        """(images,) bool: right or not.

        Args:
            predictions: (images, classes) scores.
            truth: (images,) classes.
        """
        return np.asarray(choices(predictions) == truth)


METRIC = Top1()
