"""Annotations of an image set: a class for each image, a class for each pixel, or boxes.

Class labels are an array (images,) int64. Masks and boxes are read when they are asked for: whoever
only feeds a model does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

Labels = np.ndarray[Any, np.dtype[np.int64]]
Mask = np.ndarray[Any, np.dtype[np.uint8]]
IGNORED = 255  # of a mask: pixels without a class
KINDS = LABELS, MASKS, BOXES = "labels", "masks", "boxes"


@dataclass(frozen=True)
class Masks:
    """The class of each pixel of each image.

    Attributes:
        read: number of an image -> (H, W) uint8 of its size; 255 is ignored. Raises DataError.
        count: images.
    """

    read: Callable[[int], Mask]
    count: int

    def part(self, indices: Sequence[int]) -> Masks:
        """Those of some images."""
        chosen = list(indices)
        return Masks(lambda index: self.read(chosen[index]), len(chosen))


@dataclass(frozen=True, slots=True)
class ImageBoxes:
    """Annotated boxes of one image.

    Attributes:
        size: (H, W) of the image in pixels.
        corners: (K, 4) float64: left, top, right, bottom in pixels of the image.
        classes: (K,) int64, numbers of `Boxes.categories`.
        crowd: (K,) bool: a group of objects; what is found in it is neither right nor wrong.
    """

    size: tuple[int, int]
    corners: np.ndarray[Any, np.dtype[np.float64]]
    classes: Labels
    crowd: np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Boxes:
    """Boxes with a class, by image.

    Attributes:
        images: in the order of the set.
        categories: identifiers in the file, in rising order: a class is a place in this list.
    """

    images: tuple[ImageBoxes, ...]
    categories: tuple[int, ...]

    @property
    def count(self) -> int:
        """Boxes in all."""
        return sum(len(image.classes) for image in self.images)

    def part(self, indices: Sequence[int]) -> Boxes:
        """Those of some images."""
        return Boxes(tuple(self.images[i] for i in indices), self.categories)


Annotations = Labels | Masks | Boxes


def of_some(annotations: Annotations, images: Sequence[int]) -> Annotations:
    """The annotations of some of the images."""
    if isinstance(annotations, Masks | Boxes):
        return annotations.part(images)
    return annotations[list(images)]


def kind_of(annotations: Annotations | None) -> str:
    """What sort they are: "labels", "masks" or "boxes"; empty for none."""
    if annotations is None:
        return ""
    if isinstance(annotations, Masks):
        return MASKS
    return BOXES if isinstance(annotations, Boxes) else LABELS
