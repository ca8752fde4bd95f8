"""Image classification: the first output has one axis of scores, one for each class.

Whatever else the model gives (features, a second head) comes behind that. Counts and indices, or as
many numbers as the image has boxes, are no scores. A net with 1001 outputs on 1000 labels counts a
background as class 0: the labels are shifted, and the row says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.data import Annotations, check_labels, has_background_class
from core.errors import DataError
from core.metrics.base.outputs import Outputs
from core.records import Json, Preprocess
from core.tasks.base import NO_SCORES, Signature, Truth

Array = np.ndarray[Any, Any]


class Classification:
    """Scored by top-1; without labels by the agreement with the original's answers."""

    label = "classification"
    outputs = "one axis of scores"
    annotations = "labels"
    primary = "top1"
    stand_in = "agreement"
    metrics = ("top1", "top5")
    first_output_only = True

    def matches(self, signature: Signature) -> bool:
        """One axis of scores besides that of the images."""
        names = {output.name for output in signature.outputs}
        if not signature.is_regular(0) or names >= {"boxes", "scores"}:  # a detection
            return False
        first = signature.outputs[0]
        wide = [size for size in first.shape[1:] if size != 1]
        return first.dtype not in NO_SCORES and len(wide) == 1 and wide[0] != 0

    def decode(self, outputs: Outputs, count: int, preprocess: Preprocess | None) -> Array:
        """(images, classes) scores."""
        del preprocess
        array = outputs.array(0)
        return np.array(array.reshape(array.shape[0], -1)[:count])

    def truth(self, predictions: Array, annotations: Annotations) -> Truth:
        """(images,) classes.

        Raises:
            DataError: a label counts further than the outputs.
        """
        if not isinstance(annotations, np.ndarray):
            raise DataError("Class scores are compared with one label for each image.")
        classes = predictions.shape[1]
        check_labels(classes, annotations)
        known = annotations[: len(predictions)].astype(np.int64)
        detail: Json = {"classes": classes}
        if has_background_class(classes, annotations):
            known = known + 1
            detail["background"] = "the net's class 0 is a background class: labels shifted by one"
        return Truth(known, 1 / classes, detail)


TASK = Classification()
