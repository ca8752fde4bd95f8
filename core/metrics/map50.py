"""Mean average precision (mAP) of detection at IoU 0.50, as PASCAL VOC and COCO's AP50 ask for it.

Source: Lin et al. 2014, arXiv 1405.0312; pycocotools does the matching, see `base.boxes`.
"""

from __future__ import annotations

from core.metrics.base.boxes import MeanAveragePrecision
from core.records import Better


class VocPrecision(MeanAveragePrecision):
    """Mean over the first threshold alone."""

    unit = "%"
    better = Better.HIGHER
    label = "mAP, IoU 0.50"
    short = "mAP50"
    gives = (
        "average precision over the categories, at IoU 0.50, by pycocotools; bootstrap over images"
    )
    comparatives = ("lower mAP50", "higher mAP50")
    relative = False
    phrase = ""
    paired = False
    fewest = 10
    thresholds = slice(0, 1)


METRIC = VocPrecision()
