"""Pixel agreement: the share of pixels whose class is that of the original; it needs no masks.

Counted in the size of the model's output, over all pixels of all images.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.metrics.base.intervals import Interval, Weights, bootstrap, ratio_of_sums
from core.metrics.base.maps import ClassMaps, same_pixels
from core.records import Better, Json

Array = np.ndarray[Any, Any]


class PixelAgreement:
    """Pixels of one image are alike, so the interval draws images and not pixels."""

    unit = "%"
    better = Better.HIGHER
    label = "same pixels as the original"
    short = "pixel agreement"
    gives = "pixels with the baseline's class; bootstrap over images"
    comparatives = ("fewer same pixels", "more same pixels")
    relative = True
    phrase = "same class as the original at {} of the pixels"
    paired = False
    fewest = 10

    def statistics(self, predictions: ClassMaps, truth: ClassMaps) -> tuple[Array, Array]:
        """Pixels of each image with the same class, and all of them."""
        return same_pixels(truth, predictions)

    def score(self, statistics: tuple[Array, Array]) -> Interval:
        """Percent, bootstrap over images."""
        same, whole = statistics
        return bootstrap(lambda weights: ratio_of_sums(same, whole, weights), len(whole))

    def difference(self, before: tuple[Array, Array], after: tuple[Array, Array]) -> Interval:
        """Points, bootstrap over images: the same draws for both."""

        def change(weights: Weights) -> float:
            return ratio_of_sums(*after, weights) - ratio_of_sums(*before, weights)

        return bootstrap(change, len(after[1]))

    def detail(self, statistics: tuple[Array, Array]) -> Json:
        """Nothing further."""
        del statistics
        return {}


METRIC = PixelAgreement()
