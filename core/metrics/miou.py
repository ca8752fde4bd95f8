"""Mean intersection over union (mIoU) of segmentation against masks.

IoU of a class = pixels that both give it / pixels that either gives it, summed over all images; the
mean runs over the classes that the masks contain. A class that is predicted only counts against
those that it took the pixels from. Pixels that a mask ignores, and those that a crop of the
preprocessing leaves out, are not counted. The prediction is brought to the size of the mask.
Source: Long, Shelhamer and Darrell 2015, arXiv 1411.4038, section 5.
"""

from __future__ import annotations

from core.data import Masks
from core.metrics.base.maps import ClassMaps, Overlaps, overlaps
from core.metrics.base.over_images import Resampled
from core.records import Better, Json


class MeanIou(Resampled):
    """Its pixels are counted by image and class."""

    unit = "%"
    better = Better.HIGHER
    label = "mIoU"
    short = "mIoU"
    gives = (
        "mean over the classes of the masks of intersection / union, summed over all images; "
        "bootstrap over images"
    )
    comparatives = ("lower mIoU", "higher mIoU")
    relative = False
    phrase = ""
    paired = True
    fewest = 10

    def statistics(self, predictions: ClassMaps, truth: Masks) -> Overlaps:
        """Pixels by image and class."""
        return overlaps(predictions, truth)

    def detail(self, statistics: Overlaps) -> Json:
        """How many classes the masks contain."""
        return {"classes_found": int((statistics.truth.sum(0) > 0).sum())}


METRIC = MeanIou()
