"""Top-5 accuracy: the share of images whose label is among the five highest scores."""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.answers import choices
from core.metrics.base.over_images import ShareOfImages
from core.records import Better

Array = np.ndarray[Any, Any]
AMONG = 5


class Top5(ShareOfImages):
    """Counted image by image; of five classes or fewer there is none."""

    unit = "%"
    better = Better.HIGHER
    label = "top-5"
    short = "top-5"
    gives = "labelled images whose label is among the five highest scores, with Wilson's interval"
    comparatives = ("lower top-5", "higher top-5")
    relative = False
    phrase = ""
    paired = False
    fewest = 1

    def statistics(self, predictions: Array, truth: Array) -> Array | None:
        """(images,) bool: among the first five or not.

        Args:
            predictions: (images, classes) scores.
            truth: (images,) classes.
        """
        if predictions.shape[1] <= AMONG:
            return None
        among = np.argpartition(-predictions, AMONG, axis=1)[:, :AMONG] == truth[:, None]
        return np.asarray(among.any(1) & (choices(predictions) >= 0))


METRIC = Top5()
