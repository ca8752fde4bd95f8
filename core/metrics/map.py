"""Mean average precision (mAP) of detection, averaged over IoU 0.50 to 0.95, as COCO defines it.

Source: Lin et al. 2014, arXiv 1405.0312; pycocotools does the matching, see `base.boxes`.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.metrics.base.boxes import BoxTruth, Detections, Matches
from core.metrics.base.intervals import Interval, Weights, bootstrap
from core.records import Better, Json


class MeanAveragePrecision:
    """No mean over images: its interval draws the images anew."""

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

    def score(self, statistics: Matches) -> Interval:
        """Percent, bootstrap over images."""
        return bootstrap(statistics.mean_average_precision, statistics.images, statistics.resamples)

    def difference(self, before: Matches, after: Matches) -> Interval:
        """Points, bootstrap over images: the same draws for both."""

        def change(weights: Weights) -> float:
            return after.mean_average_precision(weights) - before.mean_average_precision(weights)

        return bootstrap(change, after.images, min(before.resamples, after.resamples))

    def detail(self, statistics: Matches) -> Json:
        """How many categories have a box."""
        return {"categories": len(statistics.categories)}


METRIC = MeanAveragePrecision()
