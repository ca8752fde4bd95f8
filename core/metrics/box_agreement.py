"""Box agreement: the share of boxes that the original and the candidate have in common.

Of the boxes that either is sure of (score 0.25 and more): one pair for each box of the same class
with an IoU of 0.5 and more, the surest first. Share = 2 · pairs / (boxes of both), the F1 score of
one against the other. It needs no annotations.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.metrics.base.boxes import Detections, iou
from core.metrics.base.intervals import Weights
from core.metrics.base.over_images import Parts, Resampled
from core.records import Better, Json

SURE, SAME = 0.25, 0.5


class Boxes(Parts):
    """Paired boxes of each image, and all of both."""

    def weighted(self, weights: Weights) -> float:
        """Percent; 100 where neither found anything."""
        return super().weighted(weights) if self.whole.any() else 100.0


class BoxAgreement(Resampled):
    """Boxes of one image belong together, so the interval draws images and not boxes."""

    unit = "%"
    better = Better.HIGHER
    label = "same boxes as the original"
    short = "box agreement"
    gives = (
        "boxes (score 0.25 and more) in common with the baseline's: same class, IoU 0.5 and more; "
        "bootstrap over images"
    )
    comparatives = ("fewer same boxes", "more same boxes")
    relative = True
    phrase = "{} of the boxes are the original's"
    paired = False
    fewest = 10

    def statistics(self, predictions: Sequence[Detections], truth: Sequence[Detections]) -> Boxes:
        """Paired boxes of each image, and all of both, (images,) each."""
        found = [
            _paired(first.above(SURE), second.above(SURE))
            for first, second in zip(truth, predictions, strict=True)
        ]
        return Boxes(*np.array(found, np.float64).reshape(-1, 2).T)

    def detail(self, statistics: Boxes) -> Json:
        """How many boxes that was counted on."""
        return {"boxes": int(statistics.whole.sum())}


def _paired(first: Detections, second: Detections) -> tuple[int, int]:
    """Twice the pairs, and the boxes of both."""
    overlap = iou(first.corners, second.corners)
    overlap[first.classes[:, None] != second.classes[None]] = 0
    pairs = 0
    for row in np.argsort(-first.scores, kind="stable"):
        best = int(overlap[row].argmax()) if overlap.shape[1] else -1
        if best >= 0 and overlap[row, best] >= SAME:
            pairs += 1
            overlap[:, best] = 0
    return 2 * pairs, len(first.scores) + len(second.scores)


METRIC = BoxAgreement()
