"""Semantic segmentation: the first output holds for each pixel a score per class, or its class.

[N, C, h, w] scores, or [N, h, w] or [N, 1, h, w] classes as whole numbers. Scores are taken for
classes only where they stand on the grid of the input, at one pixel in 1, 2, 4 or 8, and where
there are not as many of them as the input has channels: an image that comes out, or features deep
in a net, are outputs as numbers. Of one channel of scores nobody says where it is cut: likewise.

Beside a mask, scores are brought to its size bilinearly (half-pixel centres) and then compared;
classes by the nearest pixel. What a crop of the preprocessing leaves out has no prediction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from core.data import Annotations, Masks
from core.data.frame import Frame, frame_of
from core.errors import DataError
from core.metrics.base.outputs import Outputs
from core.records import Preprocess, TensorSpec
from core.tasks.base import NO_SCORES, Signature, Truth

Array = np.ndarray[Any, Any]
STRIDES = (1, 2, 4, 8)  # input pixels to one of the output
NO_CLASS = -1


@dataclass(frozen=True)
class Maps:
    """Predicted classes of the pixels of several images, read as they are asked for.

    Attributes:
        array: (images, C, h, w) scores, or (images, h, w) classes.
        inputs: of the model.
    """

    array: Array
    inputs: tuple[TensorSpec, ...]
    preprocess: Preprocess | None

    @property
    def count(self) -> int:
        """Images."""
        return len(self.array)

    @property
    def classes(self) -> int:
        """Classes that the scores tell apart; 0 of class maps."""
        return int(self.array.shape[1]) if self.array.ndim == 4 else 0

    def own(self, index: int) -> Array:
        """(h, w) int32 classes in the size of the output; -1 where a score is no number."""
        values = np.asarray(self.array[index])
        return _classes(values) if values.ndim == 2 else _highest(values, values.shape[1:])

    def on(self, index: int, size: tuple[int, int]) -> tuple[Array, tuple[slice, slice]]:
        """Classes in pixels of the image, of the part of it that the model sees."""
        frame: Frame = frame_of(size, self.inputs, self.preprocess)
        region = frame.region
        height, width = (part.stop - part.start for part in region)
        values = np.asarray(self.array[index])
        if values.ndim == 2:
            return _nearest(_classes(values), (height, width)), region
        return _highest(values, (height, width)), region


def _classes(values: Array) -> Array:
    known = np.isfinite(values) & (values >= 0)
    return np.where(known, values, NO_CLASS).astype(np.int32)


def _highest(scores: Array, size: tuple[int, ...]) -> Array:
    """The class of the highest of (C, h, w) scores at (H, W) points, class by class."""
    best = np.full(size, -np.inf, np.float32)
    found = np.zeros(size, np.int32)
    lost = np.zeros(size, np.bool_)
    for number, plane in enumerate(scores):
        values = _bilinear(plane, size)
        lost |= np.isnan(values)
        better = values > best
        found[better], best[better] = number, values[better]
    found[lost] = NO_CLASS
    return found


def _bilinear(plane: Array, size: tuple[int, ...]) -> Array:
    if plane.shape == size:
        return plane
    import cv2

    plane = np.ascontiguousarray(plane, np.float32)
    resized = cv2.resize(plane, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(resized)


def _nearest(plane: Array, size: tuple[int, int]) -> Array:
    """Nearest pixel, half-pixel centres."""
    rows, columns = (
        np.minimum(((np.arange(n) + 0.5) * have / n).astype(np.int64), have - 1)
        for n, have in zip(size, plane.shape, strict=True)
    )
    return np.asarray(plane[rows[:, None], columns[None]])


class Segmentation:
    """Scored by mIoU; without masks by the pixels that keep the original's class."""

    label = "segmentation"
    outputs = (
        "[N, C, h, w] scores on the grid of the input, at 1, 2, 4 or 8 pixels, or [N, h, w] whole "
        "numbers"
    )
    annotations = "masks"
    primary = "miou"
    stand_in = "pixel_agreement"
    metrics = ("miou",)
    first_output_only = True

    def matches(self, signature: Signature) -> bool:
        """Scores on the grid of the input, or a map of classes."""
        if not signature.is_regular(0):
            return False
        first = signature.outputs[0]
        shape = first.shape[1:]
        if first.dtype in NO_SCORES:
            sides = shape[1:] if len(shape) == 3 and shape[0] == 1 else shape
            return len(sides) == 2 and _stride(signature.inputs, sides) == 1
        return (
            len(shape) == 3
            and isinstance(shape[0], int)
            and shape[0] > 1
            and shape[0] != _channels(signature.inputs)
            and _stride(signature.inputs, shape[1:]) in STRIDES
        )

    def decode(self, outputs: Outputs, count: int, preprocess: Preprocess | None) -> Maps:
        """The maps of the first images; nothing is read yet."""
        array = outputs.array(0)[:count]
        if array.ndim == 4 and array.shape[1] == 1:
            array = array[:, 0]
        return Maps(array, outputs.model.inputs, preprocess)

    def truth(self, predictions: Maps, annotations: Annotations) -> Truth:
        """The masks.

        Raises:
            DataError: labels or boxes.
        """
        if not isinstance(annotations, Masks):
            raise DataError("Maps of classes are compared with one mask for each image.")
        classes = predictions.classes  # at random both say a class of C at 1 pixel in C * C
        return Truth(annotations, 1 / (2 * classes - 1) if classes else 0.0)


def _channels(inputs: tuple[TensorSpec, ...]) -> int | str:
    shape = inputs[0].shape if inputs else ()
    if len(shape) != 4:
        return 0
    return shape[1] if isinstance(shape[1], int) and shape[1] <= 4 else shape[3]


def _stride(inputs: tuple[TensorSpec, ...], sides: tuple[int | str, ...]) -> int:
    """Input pixels to one of the output, alike both ways; 0 where it cannot be told."""
    shape = inputs[0].shape if len(inputs) == 1 else ()
    if len(shape) != 4 or len(sides) != 2:
        return 0
    given = shape[2:] if _channels(inputs) == shape[1] else shape[1:3]
    if not all(isinstance(side, int) and side for side in (*given, *sides)):
        return 0
    down, across = (int(g) / int(s) for g, s in zip(given, sides, strict=True))
    return int(down) if down == across and down == int(down) else 0


TASK = Segmentation()
