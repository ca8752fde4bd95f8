"""Class maps: what segmentation predicts and what masks hold, counted by image and class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from core.data import IGNORED, Masks
from core.errors import DataError
from core.metrics.base.intervals import Weights
from core.metrics.base.over_images import Counts, Parts

Array = np.ndarray[Any, Any]


class ClassMaps(Protocol):
    """Predicted classes of the pixels of several images."""

    @property
    def count(self) -> int:
        """Images."""
        ...

    @property
    def classes(self) -> int:
        """How many classes the scores tell apart; 0 where the output does not say."""
        ...

    def own(self, index: int) -> Array:
        """(h, w) int32 classes in the size of the model's output; -1 where it is no number."""
        ...

    def on(self, index: int, size: tuple[int, int]) -> tuple[Array, tuple[slice, slice]]:
        """Classes of an image in pixels of its own, and the part of it that the model sees."""
        ...


@dataclass(frozen=True)
class Overlaps(Counts):
    """Pixels by image and class of the masks, (images, classes) each.

    Attributes:
        both: of which prediction and mask say the class.
        truth: of which the mask does.
        predicted: of which the prediction does.
    """

    both: Array
    truth: Array
    predicted: Array

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.both)

    def weighted(self, weights: Weights) -> float:
        """Mean IoU in percent over the classes that the masks contain; NaN of none."""
        parts = (self.both, self.truth, self.predicted)
        both, truth, predicted = (weights.astype(np.float64) @ part for part in parts)
        there = truth > 0
        if not there.any():
            return float("nan")
        union = truth[there] + predicted[there] - both[there]
        return 100 * float(np.mean(both[there] / union))


def overlaps(predictions: ClassMaps, truth: Masks) -> Overlaps:
    """Count every pixel that the model sees and the mask does not ignore.

    Raises:
        DataError: a mask cannot be read, or holds a class that the model does not have.
    """
    width = IGNORED + 1
    found = np.zeros((3, predictions.count, width))
    for index in range(predictions.count):
        mask = truth.read(index)
        classes, region = predictions.on(index, (int(mask.shape[0]), int(mask.shape[1])))
        wanted = mask[region]
        known = wanted != IGNORED
        wanted, given = wanted[known].astype(np.int64), classes[known].astype(np.int64)
        if predictions.classes and wanted.size and wanted.max() >= predictions.classes:
            raise DataError(
                f"The mask of image {index} holds the class {wanted.max()}, but the model tells "
                f"{predictions.classes} apart (0 to {predictions.classes - 1}).",
                f"Number classes as the model does; {IGNORED} is ignored.",
            )
        given = np.where((given >= 0) & (given < IGNORED), given, IGNORED)
        for row, values in zip(found, (wanted[wanted == given], wanted, given), strict=True):
            row[index] = np.bincount(values, minlength=width)
    there = found[1].any(0)
    if not there.any():
        raise DataError("The masks ignore every pixel that the model sees.")
    return Overlaps(*found[:, :, there])


def same_pixels(first: ClassMaps, second: ClassMaps) -> Parts:
    """Pixels of each image with the same class in both, and all of them."""
    alike = (first.own(index) == second.own(index) for index in range(second.count))
    found: Sequence[tuple[int, int]] = [(int(one.sum()), int(one.size)) for one in alike]
    return Parts(*np.array(found, np.float64).reshape(-1, 2).T)
