"""Mean average precision (mAP) of detection, averaged over IoU 0.50 to 0.95, as COCO defines it.

Source: Lin et al. 2014, arXiv 1405.0312; pycocotools does the matching, see `base.boxes`.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.metrics.base.boxes import BoxTruth, Detections, Matches
from core.metrics.base.intervals import Weights
from core.metrics.base.over_images import Resampled
from core.records import Better, Json


class MeanAveragePrecision(Resampled):
    """Its boxes are matched image by image."""

    unit = "%"
    better = Better.HIGHER
    label = "mAP, IoU 0.50 to 0.95"
    short = "mAP"
    gives = (
        "average precision over the categories, at IoU 0.50 to 0.95, by pycocotools; bootstrap "
        "over images"
    )
    comparatives = ("lower mAP", "higher mAP")
    relative = False
    phrase = ""
    paired = True
    fewest = 10

    def statistics(self, predictions: Sequence[Detections], truth: BoxTruth) -> Matches:
        """Matches of each image by category and threshold."""
        return truth.matched(predictions)

    def weighted(self, statistics: Matches, weights: Weights) -> float:
        """Percent where image i counts weights[i] times."""
        return statistics.mean_average_precision(weights)

    def images(self, statistics: Matches) -> int:
        """How many there are."""
        return statistics.images

    def resamples(self, statistics: Matches) -> int:
        """As often as is affordable."""
        return statistics.resamples

    def detail(self, statistics: Matches) -> Json:
        """How many categories have a box."""
        return {"categories": len(statistics.categories)}


METRIC = MeanAveragePrecision()
