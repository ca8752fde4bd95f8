"""Mean average precision (mAP) of detection, averaged over IoU 0.50 to 0.95, as COCO defines it.

Source: Lin et al. 2014, arXiv 1405.0312; pycocotools does the matching, see `base.boxes`.
"""

from __future__ import annotations

from core.metrics.base.boxes import MeanAveragePrecision
from core.records import Better


class CocoPrecision(MeanAveragePrecision):
    """Mean over all thresholds."""

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


METRIC = CocoPrecision()
