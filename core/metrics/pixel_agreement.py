"""Pixel agreement: the share of pixels whose class is that of the original; it needs no masks.

Counted in the size of the model's output, over all pixels of all images.
"""

from __future__ import annotations

from core.metrics.base.maps import ClassMaps, same_pixels
from core.metrics.base.over_images import Parts, Resampled
from core.records import Better


class PixelAgreement(Resampled):
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

    def statistics(self, predictions: ClassMaps, truth: ClassMaps) -> Parts:
        """Pixels of each image with the same class, and all of them."""
        return same_pixels(truth, predictions)


METRIC = PixelAgreement()
