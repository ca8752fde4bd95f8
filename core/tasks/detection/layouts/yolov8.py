"""YOLOv8 layout: one output [N, 4 + C, A] of A anchor points: cx, cy, w, h, then C class scores.

The boxes are in pixels of the input, the scores in 0 .. 1, and nothing is suppressed yet. A net is
known by its anchor points: one for each cell of grids at 8, 16, 32 (and 64) pixels. Duplicates are
suppressed within each class at an IoU of 0.7, from scores of 0.001 on, as Ultralytics validates.
YOLO11 and YOLO12 give the same. With masks or key points beside (a second output, or as many class
names as there are not scores for) it is another layout.
Source: ultralytics/ultralytics, utils/nms.py and cfg/default.yaml (conf, iou, max_det).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.metrics.base.boxes import Detections, kept_by_nms
from core.tasks.base import Signature

Array = np.ndarray[Any, Any]
BOX = 4
STRIDES = ((8, 16, 32), (8, 16, 32, 64))
LEAST_SCORE, SUPPRESSED, MOST_KEPT = 0.001, 0.7, 300
MOST_CANDIDATES = 3000


class Yolov8:
    """Read from one output; classes count from 0 in the order of the categories."""

    by_identifier = False

    def matches(self, signature: Signature) -> bool:
        """One output whose last axis counts the cells of the grids."""
        if len(signature.outputs) != 1 or not signature.is_regular(0):
            return False
        shape = signature.outputs[0].shape
        if len(shape) != 3 or not all(isinstance(side, int) for side in shape[1:]):
            return False
        classes = int(shape[1]) - BOX
        named = not signature.labels or len(signature.labels) == classes
        return classes > 0 and named and int(shape[2]) in _anchors(signature)

    def classes(self, signature: Signature) -> int:
        """All channels behind the box."""
        return int(signature.outputs[0].shape[1]) - BOX

    def decode(self, outputs: Sequence[Array], signature: Signature) -> Detections:
        """Every class of every point that is likely enough, suppressed within its class."""
        del signature
        values = np.nan_to_num(np.asarray(outputs[0], np.float64), nan=0.0)
        scores = values[BOX:]
        classes, points = np.nonzero(scores >= LEAST_SCORE)
        likely = scores[classes, points]
        first = np.argsort(-likely, kind="stable")[:MOST_CANDIDATES]
        classes, points, likely = classes[first], points[first], likely[first]
        centre, size = values[:2, points].T, values[2:BOX, points].T
        corners = np.concatenate([centre - size / 2, centre + size / 2], axis=1)
        return kept_by_nms(Detections(corners, likely, classes), SUPPRESSED, MOST_KEPT)


def _anchors(signature: Signature) -> set[int]:
    """How many points the grids of the input have together; nothing where its size is open."""
    shape = signature.inputs[0].shape if len(signature.inputs) == 1 else ()
    if len(shape) != 4:
        return set()
    sides = shape[2:] if shape[1] in (1, 3) else shape[1:3]
    if not all(isinstance(side, int) for side in sides):
        return set()
    height, width = (int(side) for side in sides)
    return {sum(-(-height // s) * -(-width // s) for s in strides) for strides in STRIDES}


LAYOUT = Yolov8()
