"""torchvision layout: outputs `boxes` [K, 4], `labels` [K] and `scores` [K] of one image.

Boxes are left, top, right, bottom in pixels of the input, and duplicates are gone. Labels are the
identifiers of the categories, as torchvision's detectors are trained on COCO (1 to 90).
Source: pytorch/vision, torchvision/models/detection, GeneralizedRCNN.forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.metrics.base.boxes import Detections
from core.tasks.base import Signature

Array = np.ndarray[Any, Any]
NAMES = ("boxes", "labels", "scores")


class Torchvision:
    """Read from three outputs by their names."""

    by_identifier = True

    def matches(self, signature: Signature) -> bool:
        """Three outputs of these names, of boxes that belong to one image."""
        names = sorted(spec.name for spec in signature.outputs)
        return tuple(names) == NAMES and not signature.shared

    def classes(self, signature: Signature) -> int:
        """Labels do not say how many there may be."""
        del signature
        return 0

    def decode(self, outputs: Sequence[Array], signature: Signature) -> Detections:
        """All of them; places that an image does not fill hold NaN."""
        named = {s.name: o for s, o in zip(signature.outputs, outputs, strict=True)}
        corners = np.asarray(named["boxes"], np.float64).reshape(-1, 4)
        labels, scores = (np.asarray(named[n], np.float64).ravel() for n in NAMES[1:])
        count = min(len(corners), len(labels), len(scores))
        corners, labels, scores = corners[:count], labels[:count], scores[:count]
        filled = np.isfinite(corners).all(1) & np.isfinite(labels) & np.isfinite(scores)
        return Detections(corners[filled], scores[filled], labels[filled].astype(np.int64))


LAYOUT = Torchvision()
