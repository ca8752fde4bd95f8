"""Object detection: outputs in a known layout become boxes with a class and a score.

Each layout is one file of `layouts`. Boxes are in pixels of the model's input; annotated boxes are
carried into these by the preprocessing, which changes no IoU (`core.data.frame`).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np

from core.catalogue import discover
from core.data import Annotations, Boxes
from core.data.frame import frame_of
from core.errors import DataError
from core.metrics.base.boxes import Annotated, BoxTruth, Detections
from core.metrics.base.outputs import Outputs
from core.records import Preprocess, TensorSpec
from core.tasks.base import Signature, Truth
from core.tasks.detection.layouts.base import Layout


class Found(list[Detections]):
    """Detections image by image, and what is needed to bring annotations beside them."""

    def __init__(
        self,
        images: list[Detections],
        layout: Layout,
        signature: Signature,
        preprocess: Preprocess | None,
    ) -> None:
        """Keep how they were read."""
        super().__init__(images)
        self.layout, self.signature, self.preprocess = layout, signature, preprocess

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Of the model."""
        return self.signature.inputs


@functools.cache
def layouts() -> Mapping[str, Layout]:
    """Every layout by its name."""
    return discover("core.tasks.detection.layouts", "LAYOUT")


class Detection:
    """Scored by mAP; without annotations by the boxes that stay the original's."""

    label = "detection"
    outputs = (
        "one output [N, 4 + C, A] as YOLOv8's, or `boxes`, `labels`, `scores` as torchvision's"
    )
    annotations = "boxes"
    primary = "map"
    stand_in = "box_agreement"
    metrics = ("map", "map50")
    first_output_only = False

    def matches(self, signature: Signature) -> bool:
        """Outputs in a layout that is known."""
        return any(layout.matches(signature) for layout in layouts().values())

    def decode(self, outputs: Outputs, count: int, preprocess: Preprocess | None) -> Found:
        """Boxes of the first images, in pixels of the input."""
        signature = Signature.of_outputs(outputs)
        layout = next(one for one in layouts().values() if one.matches(signature))
        arrays = [outputs.array(index) for index in range(len(signature.outputs))]
        images = [
            layout.decode([np.asarray(array[image]) for array in arrays], signature)
            for image in range(count)
        ]
        return Found(images, layout, signature, preprocess)

    def truth(self, predictions: Found, annotations: Annotations) -> Truth:
        """Annotated boxes in pixels of the input.

        Raises:
            DataError: there are more categories than the model has classes.
        """
        if not isinstance(annotations, Boxes):
            raise DataError("Boxes are compared with boxes.")
        classes = predictions.layout.classes(predictions.signature)
        if classes and len(annotations.categories) > classes:
            raise DataError(
                f"The annotations have {len(annotations.categories):,} categories, but the model "
                f"tells {classes:,} apart.",
                "List the categories as the model counts its classes.",
            )
        numbers = np.array(annotations.categories, np.int64)
        found = []
        for image in annotations.images[: len(predictions)]:
            frame = frame_of(image.size, predictions.inputs, predictions.preprocess)
            own = numbers[image.classes] if predictions.layout.by_identifier else image.classes
            found.append(Annotated(frame.to_input(image.corners), own, image.crowd))
        if not any((~one.crowd).any() for one in found):
            raise DataError("These images have no annotated box at all, so none can be found.")
        return Truth(BoxTruth(found))


TASK = Detection()
